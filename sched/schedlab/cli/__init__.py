"""The command line. Heavy imports happen inside the commands, so that ``--help`` is immediate."""

from schedlab.cli.app import app, main

__all__ = ["app", "main"]
