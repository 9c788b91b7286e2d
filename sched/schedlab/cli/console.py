"""What commands print with: results to standard output, everything else to standard error."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

PLAIN_WIDTH = 120
"""Columns where there is no terminal that says how many it has."""


def out() -> Console:
    """Return the console of results; tables are not cut where the output goes to a file."""
    console = Console(highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console = Console(highlight=False, width=PLAIN_WIDTH)
    return console


def err() -> Console:
    """Return the console of messages."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def fail(message: str) -> None:
    """Print an error."""
    err().print(f"[bold red]error:[/] {_plain(message)}")


def note(message: str) -> None:
    """Print a remark."""
    err().print(_plain(message))


def _plain(text: str) -> str:
    return text.replace("[", r"\[")


@contextmanager
def shown_warnings() -> Iterator[None]:
    """Show each warning of what is run here once, as one line without source code."""
    seen: set[str] = set()

    def show(message: Warning | str, *_: object, **__: object) -> None:
        text = str(message)
        if text not in seen:
            seen.add(text)
            err().print(f"[yellow]warning:[/] {_plain(text)}")

    before = warnings.showwarning
    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = before
        sys.stderr.flush()
