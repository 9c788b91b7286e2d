"""Experiments: one YAML file is one question; from the file to compared results."""
