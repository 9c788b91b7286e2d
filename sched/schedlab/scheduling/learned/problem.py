"""A cluster and the pods that come to it as arrays: what training replays."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from schedlab.scheduling.learned.features import Columns, Known


@dataclass(frozen=True, eq=False)
class Problem:
    """Pods that come to a cluster, of which a replay knows CPU, memory, GPUs and their models.

    Attributes
    ----------
    name : str
        Of the workload, for tables.
    columns : Columns
        The nodes when nothing is placed, in the order in which ties are broken.
    known : Known
        The mix of pods, and what follows from it.
    asks : int64 array of shape [A, 4]
        Distinct requests: milli-cores, bytes, thousandths of each GPU, GPUs.
    accepts : bool array of shape [A, models + 1]
        Which models of GPU each takes.
    ask : int32 array of shape [P]
        The request of each pod, in order of arrival.
    arrival_us : int64 array of shape [P], microseconds
        When it comes.
    duration_us : int64 array of shape [P], microseconds
        How long it runs once placed; -1 = to the end. The replay needs it, the model never sees it.
    """

    name: str
    columns: Columns
    known: Known
    asks: NDArray[np.int64]
    accepts: NDArray[np.bool_]
    ask: NDArray[np.int32]
    arrival_us: NDArray[np.int64]
    duration_us: NDArray[np.int64]

    def fresh_columns(self) -> Columns:
        """Return columns that a replay may change."""
        return copied(self.columns)

    @property
    def gpu_milli(self) -> NDArray[np.int64]:
        """What each pod asks of GPUs, int64 [P] in thousandths."""
        milli: NDArray[np.int64] = (self.asks[:, 2] * self.asks[:, 3])[self.ask]
        return milli

    @property
    def cpu_milli(self) -> NDArray[np.int64]:
        """What each pod asks of CPU, int64 [P] in milli-cores."""
        milli: NDArray[np.int64] = self.asks[self.ask, 0]
        return milli

    def head(self, pods: int) -> Problem:
        """Return the problem with the first pods alone."""
        return replace(
            self,
            ask=self.ask[:pods],
            arrival_us=self.arrival_us[:pods],
            duration_us=self.duration_us[:pods],
        )


def copied(columns: Columns) -> Columns:
    """Return columns with what is left copied, so that it may change."""
    cpu_all, cpu, memory_all, memory, free, count, model = columns
    return (cpu_all, cpu.copy(), memory_all, memory.copy(), free.copy(), count, model)
