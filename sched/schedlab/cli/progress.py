"""Progress of an experiment: a live bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from schedlab.experiment.progress import Board
from schedlab.record.rundir import RunDir
from schedlab.record.wallclock import elapsed_s
from schedlab.units import format_duration

_LINES = 20
"""At most so many lines of plain progress."""


def what(board: Board) -> str:
    """Return simulated time and pods placed in words."""
    return f"{format_duration(board.now_us)} simulated, {board.placed:,} pods placed"


class _Live(ProgressColumn):
    """Reads the board whenever the bar is drawn."""

    def __init__(self, board: Board) -> None:
        super().__init__()
        self._board = board

    def render(self, task: Task) -> Text:
        """Return simulated time and pods placed."""
        return Text(what(self._board))


class _Bar(BarColumn):
    """Counts the share of running runs too."""

    def __init__(self, board: Board) -> None:
        super().__init__()
        self._board = board

    def render(self, task: Task):  # type: ignore[no-untyped-def]  # rich's return type is private
        """Return the bar at the finished share of all runs."""
        total = task.total or 1
        bar = super().render(task)
        bar.completed = min(self._board.done, total)
        return bar


class Bar:
    """A live bar: runs, simulated time, pods placed, time left.

    Parameters
    ----------
    console : Console
        A terminal.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress: Progress | None = None

    def started(self, board: Board, kept: int) -> None:
        """Show the bar."""
        self._progress = Progress(
            TextColumn("runs"),
            _Bar(board),
            MofNCompleteColumn(),
            _Live(board),
            TextColumn("ETA"),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=self._console,
            transient=True,
        )
        self._task = self._progress.add_task("runs", total=board.runs, completed=kept)
        self._progress.start()

    def finished(self, run: RunDir) -> None:
        """Move on by one run."""
        if self._progress is not None:
            self._progress.advance(self._task)

    def stopped(self) -> None:
        """Take the bar away."""
        if self._progress is not None:
            self._progress.stop()


class Lines:
    """Plain lines, about as many for a long experiment as for a short one.

    Parameters
    ----------
    console : Console
        Where to print.
    """

    def __init__(self, console: Console) -> None:
        self._console = console

    def started(self, board: Board, kept: int) -> None:
        """Say how many runs there are."""
        self._board, self._done, self._kept = board, kept, kept
        self._begin = elapsed_s()
        there = f", {kept} there already" if kept else ""
        self._console.print(f"{board.runs} runs{there}")

    def finished(self, run: RunDir) -> None:
        """Print a line when enough runs have finished since the last one."""
        self._done += 1
        total = self._board.runs
        step = max(1, -(-total // _LINES))
        if self._done % step and self._done != total:
            return
        made = self._done - self._kept
        left = (elapsed_s() - self._begin) / made * (total - self._done)
        eta = f", ETA {left:.0f} s" if self._done < total else ""
        self._console.print(f"{self._done}/{total} runs, {what(self._board)}{eta}")

    def stopped(self) -> None:
        """Nothing to take away."""
