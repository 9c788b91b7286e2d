"""The time of a solve."""

from __future__ import annotations

from schedlab.record.wallclock import elapsed_s
from schedlab.scheduling.ilp.result import Limits


class TimeBudget:
    """What is left of the time of a solve.

    Parameters
    ----------
    limits : Limits
        The limits.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._start = elapsed_s()
        self._work = 0.0

    def spend(self, seconds: float) -> None:
        """Count deterministic seconds of work."""
        self._work += seconds

    @property
    def spent(self) -> float:
        """Seconds gone: of work where that is what counts, else of wall time."""
        return self._work if self.limits.deterministic else self.wall_s

    @property
    def work_s(self) -> float:
        """Seconds of work counted so far."""
        return self._work

    @property
    def wall_s(self) -> float:
        """Seconds of wall time since the start."""
        return elapsed_s() - self._start

    @property
    def left(self) -> float:
        """Seconds left, >= 0."""
        return max(self.limits.time_s - self.spent, 0.0)
