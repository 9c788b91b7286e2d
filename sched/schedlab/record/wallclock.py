"""The only place that reads a real clock: how long the toolkit itself took, and how much memory.

Nothing here may reach a simulation: measured times go to ``wallclock.parquet``, which no digest
covers. Everything else in schedlab takes its time from the calendar, and a linter rule keeps it so.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Lap:
    """What one phase of a run cost the machine.

    Parameters
    ----------
    phase : str
        Name of the phase, as ``simulate``.
    wall_s : float
        Elapsed real time, in seconds.
    cpu_s : float
        Processor time of this process (user and system, all threads), in seconds.
    peak_memory_bytes : int
        Most resident memory that the process had held when the phase ended; -1 where the
        platform can't say.
    """

    phase: str
    wall_s: float
    cpu_s: float
    peak_memory_bytes: int


class Stopwatch:
    """Measure named phases of a run, one after the other or nested.

    Examples
    --------
    >>> watch = Stopwatch()
    >>> with watch.phase("simulate"):
    ...     pass
    >>> [lap.phase for lap in watch.laps]
    ['simulate']
    """

    def __init__(self) -> None:
        self.laps: list[Lap] = []

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measure the body of the ``with`` statement as phase *name*, also when it raises."""
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            self.laps.append(Lap(name, wall, cpu, peak_memory_bytes()))


def elapsed_s() -> float:
    """Return a real time in seconds that only differences of are meaningful."""
    return time.perf_counter()


elapsed_ns = time.perf_counter_ns
"""Return a real time in nanoseconds that only differences of are meaningful.

The clock itself and no function around it, so that asking once per decision doesn't show.
"""


def cpu_s() -> float:
    """Return the processor time of this process, in seconds (user and system, all threads)."""
    return time.process_time()


def peak_memory_bytes() -> int:
    """Return the most resident memory this process has held, in bytes; -1 where unknown."""
    try:
        import resource
    except ImportError:  # Windows has no such module
        return -1
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux counts KiB, macOS bytes
