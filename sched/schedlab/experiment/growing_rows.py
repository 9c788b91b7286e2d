"""A file of results that grows row by row: what is computed outlives whatever comes after."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]


def read_rows(file: Path) -> list[dict[str, Any]]:
    """Return the rows of a file, none where there is no file; half a line at its end is left out.

    A run that was cut off may have left one.
    """
    if not file.is_file():
        return []
    text = file.read_text(encoding="utf-8").rpartition("\n")[0]
    return [json.loads(line) for line in text.splitlines()]


@contextmanager
def growing(file: Path, kept: Sequence[Row]) -> Iterator[Callable[[Row], None]]:
    """Start a file with the rows that are *kept*; give what adds another and has it written."""
    with file.open("w", encoding="utf-8") as lines:

        def add(row: Row) -> None:
            lines.write(json.dumps(row) + "\n")
            lines.flush()

        for row in kept:
            add(row)
        yield add
