"""FGD: fragmentation gradient descent (Weng et al., USENIX ATC'23).

A pod goes where it raises fragmentation (`schedlab.cluster.fragmentation`) the least, for the mix
of pods that the cluster is known to get. The score is a sigmoid of the change in thousandths of a
GPU, truncated to 0 .. 100: 50 = no change. Nine decisions in ten are ties, which is no accident of
this code: by the exact values a tenth of the policy's gain is lost (reference in the tests).

Scores depend on what a pod asks of CPU and GPUs alone, so the classes that differ in memory or
labels share one table of them. It follows the log of usage, and drops those not used for long.
"""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

from schedlab.cluster.devices import Shape
from schedlab.cluster.fragmentation import TypicalColumns, TypicalPods, gradient_scores
from schedlab.cluster.state import ClusterState
from schedlab.errors import InputError
from schedlab.scheduling.framework.interface import Cycle, Depends, Rejection, Rows, Scores
from schedlab.scheduling.gpu.asked import Asked, asked_of

BUDGET_BYTES = 128 << 20
"""Memory that the tables of one plugin may take."""
BYTES_PER_NODE = 10
STRANDING = 0.1
"""Weight of stranded GPU beside F_n(M)."""


class FGD:
    """The node, and the GPU on it, where a pod raises fragmentation the least.

    Parameters
    ----------
    coverage : float, default 0.95
        Share of the known mix of pods that the typical ones stand for.
    typical : TypicalPods, optional
        These instead of the cluster's own mix.
    stranding : float, default 0
        Weight of stranded GPU beside fragmentation, see `FGDStranded`.
    """

    name = "FGD"
    depends = Depends.NODE

    def __init__(
        self,
        coverage: float = 0.95,
        typical: TypicalPods | None = None,
        stranding: float = 0.0,
    ) -> None:
        if not 0 < coverage <= 1:
            raise InputError("coverage", found=coverage, expected="a share above 0, at most 1")
        if not stranding >= 0:
            raise InputError("stranding", found=stranding, expected="a weight of at least 0")
        self.coverage = coverage
        self.typical = typical
        self.stranding = stranding
        self._tables: Tables | None = None

    def score(self, cycle: Cycle, rows: Rows) -> Scores:
        """Return 50 where fragmentation would stay as it is, more where it would fall."""
        if not cycle.nodes.devices.width:
            return np.zeros(len(rows), np.int64)
        scores: Scores = self._table(cycle).scores[rows]
        return scores

    def reserve(self, cycle: Cycle, row: int) -> Rejection | None:
        """Choose the GPU of a share: where fragmentation would rise the least."""
        wanted = cycle.pod_class.devices
        if wanted is not None and wanted.shared:
            device = int(self._table(cycle).chosen[row])
            if device >= 0:
                cycle.put("devices", (device,))
        return None

    def _table(self, cycle: Cycle) -> Table:
        tables = self._tables
        if tables is None or tables.state is not cycle.state:
            tables = self._tables = Tables(cycle.state, self._typical(cycle.state), self.stranding)
        return tables.of(asked_of(cycle))

    def _typical(self, state: ClusterState) -> TypicalPods:
        if self.typical is not None:
            return self.typical
        if not state.mix:
            raise InputError(
                "FGD", found="<no pods>", expected="typicalPods, or a workload whose mix is known"
            )
        return TypicalPods.counted(state.mix, self.coverage)


class FGDStranded(FGD):
    """FGD that also keeps GPUs from being stranded without CPU.

    F_n(M) asks of each typical pod whether *one* of it fits. A node with eight idle GPUs and CPU
    for one pod is no fragment then, though seven of its GPUs will stay idle. So the potential whose
    change is scored has a second term: the idle GPU of a node beyond what its free CPU can feed, at
    the CPU per GPU of typical pods that want GPUs, on average.

    The weight was chosen on four variants of the openb trace (default, gpushare60, gpuspec20,
    multigpu30) under seeds used nowhere else; ``experiments/fgd-stranded.yaml`` tells of it.
    """

    name = "FGDStranded"

    def __init__(
        self,
        coverage: float = 0.95,
        typical: TypicalPods | None = None,
        stranding: float = STRANDING,
    ) -> None:
        super().__init__(coverage, typical, stranding)


class Table:
    """Scores of one kind of pod.

    Attributes
    ----------
    scores : int64 array of shape [N]
        0 .. 100; 0 where the pod doesn't fit.
    chosen : int16 array of shape [N]
        GPU of a share, -1 where it doesn't fit or isn't one.
    cursor : int
        How far it has followed the log of usage.
    """

    __slots__ = ("chosen", "cursor", "scores")

    def __init__(self, size: int) -> None:
        self.scores = np.zeros(size, np.int64)
        self.chosen = np.full(size, -1, np.int16)
        self.cursor = -1


class Tables:
    """The tables of one cluster state, by what pods ask for."""

    def __init__(self, state: ClusterState, typical: TypicalPods, stranding: float) -> None:
        self.state = state
        self._typical = typical
        self._stranding = (float(stranding), typical.cpu_per_milli)
        self._columns: TypicalColumns | None = None
        self._models = -1
        self._size = -1
        self._stamps = np.zeros(0, np.int64)
        self._calls = 0
        self._tables: OrderedDict[Shape, Table] = OrderedDict()

    def of(self, asked: Asked) -> Table:
        """Return the scores of a kind of pod, up to date."""
        nodes = self.state.nodes
        devices, size = nodes.devices, nodes.size
        if self._columns is None or (self._models, self._size) != (len(devices.models), size):
            self._columns = self._typical.columns(devices)
            self._models, self._size = len(devices.models), size
            self._stamps = np.zeros(size, np.int64)
            self._tables.clear()
        table = self._tables.get(asked.shape)
        if table is None:
            limit = max(16, BUDGET_BYTES // max(1, BYTES_PER_NODE * size))
            while len(self._tables) >= limit:
                self._tables.popitem(last=False)
            table = self._tables[asked.shape] = Table(size)
        else:
            self._tables.move_to_end(asked.shape)
        if table.cursor != nodes.usage.count:
            self._calls += 1
            gradient_scores(
                self._changed(table),
                nodes.allocatable,
                nodes.requested,
                devices.free,
                devices.count,
                devices.model,
                self._columns,
                self._stranding,
                asked.pod,
                asked.models,
                table.scores,
                table.chosen,
                self._stamps,
                self._calls,
            )
        return table

    def _changed(self, table: Table) -> NDArray[np.int32]:
        log, seen = self.state.nodes.usage, table.cursor
        table.cursor = log.count
        rows = log.since(seen) if seen >= 0 else None
        if rows is None or len(rows) > self._size:
            return np.arange(self._size, dtype=np.int32)
        return rows
