"""How far the runs of an experiment are, shared between processes.

Each run has a row in a small file that every process maps into memory: its simulated time and the
pods placed so far. Writing costs a few stores and no locks; a reader may see a row half a moment
old, which a progress bar can live with. A queue between processes was rejected: it would need a
server process, and joblib's backends bring none.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Final

import numpy as np

from schedlab.controlplane.simulation import Observer, Simulation
from schedlab.record.wallclock import elapsed_s

WAITING: Final = 0
RUNNING: Final = 1
FINISHED: Final = 2
_INTERVAL_S: Final = 0.1


class Board:
    """One row per run: state, simulated time in microseconds, pods placed.

    Parameters
    ----------
    path : str or Path
        The file.
    runs : int
        Number of rows.
    """

    def __init__(self, path: str | Path, runs: int) -> None:
        self.path = Path(path)
        self.runs = runs
        self._rows = np.memmap(self.path, np.int64, mode="r+", shape=(max(runs, 1), 3))

    @classmethod
    def create(cls, runs: int) -> Board:
        """Return a new board in the directory for temporary files; `remove` it in the end."""
        handle, path = tempfile.mkstemp(prefix="schedlab-progress-")
        os.ftruncate(handle, max(runs, 1) * 3 * 8)
        os.close(handle)
        return cls(path, runs)

    def remove(self) -> None:
        """Delete the file."""
        self.path.unlink(missing_ok=True)

    def put(self, run: int, state: int, now_us: int, placed: int) -> None:
        """Write the row of one run."""
        self._rows[run] = (state, now_us, placed)

    @property
    def finished(self) -> int:
        """Number of finished runs."""
        return int((self._rows[: self.runs, 0] == FINISHED).sum())

    @property
    def placed(self) -> int:
        """Pods placed so far, over all runs."""
        return int(self._rows[: self.runs, 2].sum())

    @property
    def now_us(self) -> int:
        """Simulated time of the running run that is furthest; of any run when none runs."""
        running = self._rows[: self.runs][self._rows[: self.runs, 0] == RUNNING]
        rows = running if len(running) else self._rows[: self.runs]
        return int(rows[:, 1].max(initial=0))

    @property
    def done(self) -> float:
        """Finished runs, and the likely share of those that run, by the longest one so far."""
        rows = self._rows[: self.runs]
        ended = rows[rows[:, 0] == FINISHED, 1]
        longest = float(ended.max(initial=0))
        if longest <= 0:
            return float(len(ended))
        running = rows[rows[:, 0] == RUNNING, 1] / longest
        return float(len(ended) + np.minimum(running, 0.99).sum())

    def observer(self, run: int) -> Observer:
        """Return what a simulation calls at its samples, to write the row of *run*."""
        last = 0.0

        def observe(simulation: Simulation) -> None:
            nonlocal last
            now = elapsed_s()
            if now - last >= _INTERVAL_S:
                last = now
                self.put(run, RUNNING, simulation.now_us, simulation.placed)

        return observe
