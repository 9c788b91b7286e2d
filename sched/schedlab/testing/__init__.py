"""Tools for tests of schedulers."""
