"""What a run leaves behind, in plain arrays; pandas and Parquet come later.

`RunRecord` is what a simulation returns; `DecisionLog` and `SampleLog` are filled while it runs.
Appending to an array of the standard library costs about 30 ns a column; a list of rows was four
times slower and took five times the memory.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schedlab.cluster.nodes import NodeColumns
from schedlab.cluster.vocabulary import PODS, Vocabulary
from schedlab.record.schema import SAMPLES, resource_column


@dataclass(frozen=True)
class Coded:
    """A column of strings as numbers into a list of values.

    Attributes
    ----------
    codes : int32 array of shape [n]
        Index into `values`; -1 = null.
    values : sequence of str
        The distinct strings.
    """

    codes: NDArray[np.int32]
    values: Sequence[str]

    def __len__(self) -> int:
        return len(self.codes)


ColumnData = NDArray[np.generic] | Coded | list[str]
Table = dict[str, ColumnData]


@dataclass(frozen=True)
class RunRecord:
    """The tables of one run.

    Attributes
    ----------
    tables : dict of str to table
        One per `schedlab.record.schema.TABLES`: column name -> data. Times are int64, -1 = null.
    counts : dict of str to int
        ``pods_in``, ``arrived``, and for each of `schedlab.record.schema.OUTCOMES` how many pods
        ended so; ``pods_in`` is their sum.
    digest : str
        SHA-256 of the event log, hexadecimal: equal digests mean the same run.
    end_us : int
        Simulated time at which the run ended.
    notes : list of str
        What a reader of the results has to know.
    """

    tables: dict[str, Table]
    counts: dict[str, int]
    digest: str
    end_us: int
    notes: list[str] = field(default_factory=list)


class DecisionLog:
    """One row per scheduling attempt."""

    __slots__ = (
        "attempt",
        "decision_us",
        "feasible",
        "node",
        "pod",
        "reason",
        "reasons",
        "scheduler",
        "time_us",
        "verdict",
        "work",
    )

    def __init__(self) -> None:
        self.time_us = array("q")
        self.pod = array("i")
        self.attempt = array("i")
        self.scheduler = array("i")
        self.verdict = array("b")
        self.node = array("i")
        self.feasible = array("i")
        self.reason = array("i")
        self.decision_us = array("q")
        self.work = array("q")
        self.reasons: Vocabulary[str] = Vocabulary([""])

    def append(
        self,
        time_us: int,
        pod: int,
        attempt: int,
        scheduler: int,
        verdict: int,
        node: int,
        feasible: int,
        reason: str,
        decision_us: int,
        work: int,
    ) -> None:
        """Add one attempt; *verdict* is an index into the names given to `table`."""
        self.time_us.append(time_us)
        self.pod.append(pod)
        self.attempt.append(attempt)
        self.scheduler.append(scheduler)
        self.verdict.append(verdict)
        self.node.append(node)
        self.feasible.append(feasible)
        self.reason.append(self.reasons.add(reason) if reason else 0)
        self.decision_us.append(decision_us)
        self.work.append(work)

    def table(
        self,
        pods: Sequence[str],
        nodes: Sequence[str],
        schedulers: Sequence[str],
        verdicts: Sequence[str],
    ) -> Table:
        """Return the rows as the table ``decisions``."""
        return {
            "time_us": to_numpy(self.time_us),
            "pod": Coded(to_numpy(self.pod), pods),
            "attempt": to_numpy(self.attempt),
            "scheduler_name": Coded(to_numpy(self.scheduler), schedulers),
            "verdict": Coded(to_numpy(self.verdict).astype(np.int32), verdicts),
            "node": Coded(to_numpy(self.node), nodes),
            "feasible_nodes": to_numpy(self.feasible),
            "reason": Coded(to_numpy(self.reason), list(self.reasons)),
            "decision_us": to_numpy(self.decision_us),
            "work": to_numpy(self.work),
        }


class SampleLog:
    """The cluster at regular times.

    Parameters
    ----------
    nodes : NodeColumns
        The columns that are sampled.
    """

    def __init__(self, nodes: NodeColumns) -> None:
        self._nodes = nodes
        self._rows: list[tuple[int, ...]] = []
        self._sums: list[NDArray[np.int64]] = []
        self._imbalance: list[NDArray[np.float64]] = []

    def take(
        self,
        time_us: int,
        pods: tuple[int, int, int],
        queues: tuple[int, int, int],
        typical: NDArray[np.int64],
    ) -> None:
        """Record the columns of this moment.

        Parameters
        ----------
        time_us : int
            Simulated time.
        pods : tuple of int
            Pending, bound and running pods.
        queues : tuple of int
            Pods in the active, backoff and unschedulable queues.
        typical : int64 array of shape [R]
            Request of the pod by which stranded capacity is measured.
        """
        nodes, size = self._nodes, self._nodes.size
        present = nodes.present[:size]
        allocatable = np.where(present, nodes.allocatable[:, :size], 0)
        requested = np.where(present, nodes.requested[:, :size], 0)
        used = requested[PODS] > 0
        self._rows.append((time_us, *pods, int(present.sum()), int(used.sum()), *queues))
        free = allocatable - requested
        wanted = np.zeros(len(free), np.int64)
        wanted[: len(typical)] = typical[: len(free)]
        fits = (free >= wanted[:, None]).all(axis=0) & present
        stranded = np.where(fits, 0, free)
        self._sums.append(np.stack([m.sum(axis=1) for m in (requested, allocatable, stranded)]))
        share = np.divide(requested, allocatable, where=allocatable > 0, out=np.zeros(free.shape))
        offers = (allocatable > 0).sum(axis=1)
        mean = share.sum(axis=1) / np.maximum(offers, 1)
        square = np.where(allocatable > 0, share - mean[:, None], 0.0) ** 2
        self._imbalance.append(np.sqrt(square.sum(axis=1) / np.maximum(offers, 1)))

    def table(self) -> Table:
        """Return the rows as the table ``samples``."""
        names = list(self._nodes.resources)
        fixed = np.array(self._rows, np.int64).reshape(-1, len(_SAMPLED))
        table: Table = {name: fixed[:, i].copy() for i, name in enumerate(_SAMPLED)}
        sums = np.zeros((len(self._sums), 3, len(names)), np.int64)
        spread = np.zeros((len(self._sums), len(names)))
        for i, (row, deviation) in enumerate(zip(self._sums, self._imbalance, strict=True)):
            width = min(row.shape[1], len(names))  # a resource may have come up later
            sums[i, :, :width] = row[:, :width]
            spread[i, :width] = deviation[:width]
        for r, resource in enumerate(names):
            for j, prefix in enumerate(("requested", "allocatable", "stranded")):
                table[resource_column(prefix, resource)] = sums[:, j, r].copy()
            table[resource_column("imbalance", resource)] = spread[:, r].copy()
        return table


_SAMPLED = tuple(column.name for column in SAMPLES)
_DTYPES = {"b": np.int8, "i": np.int32, "q": np.int64, "Q": np.uint64}


def to_numpy(values: array[int]) -> NDArray[Any]:
    """Return a copy of *values* as a numpy array of the same width."""
    return np.array(values, _DTYPES[values.typecode])
