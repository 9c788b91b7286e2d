"""LearnedScore: a score plugin whose weights come from a model file.

It depends on the node alone, so the engine keeps what it said and asks again about nodes that
changed. A score is the model's value in steps of its resolution, above `CENTRE`: kube-scheduler's
0 .. 100 would make ties of what the model tells apart. Beside other plugins, a weight of 1 hence
weighs as many of their points as the model has levels.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from schedlab.cluster.fragmentation import TypicalPods, accepted
from schedlab.cluster.state import ClusterState
from schedlab.cluster.vocabulary import CPU, MEMORY
from schedlab.errors import InputError
from schedlab.scheduling.framework.interface import Cycle, Depends, Rejection, Rows, Scores
from schedlab.scheduling.learned import kernels
from schedlab.scheduling.learned.features import (
    Columns,
    Known,
    columns_of,
    known_of,
)
from schedlab.scheduling.learned.model import Model, load_model

CENTRE: Final = kernels.CENTRE
"""The score of a value of 0; scores must not be negative."""
NONE: Final = np.zeros(0, np.int32)
GPU_MODEL, RESOURCE_MODEL = "gpu", "resources"
"""The models that come with the package: for clusters with GPUs, and without."""
AUTO: Final = "auto"


class LearnedScore:
    """The node that a model says is best for a pod, and the GPU on it.

    Parameters
    ----------
    model : str, Path or Model, default "auto"
        A file, or the name of a model that comes with the package; "auto" takes "gpu" where the
        cluster has GPUs, else "resources".
    coverage : float, default 0.95
        Share of the known mix of pods that typical pods stand for.
    base : str or Path, optional
        Directory to which a file is relative.
    """

    name = "LearnedScore"
    depends = Depends.NODE

    def __init__(
        self,
        model: str | Path | Model = AUTO,
        *,
        coverage: float = 0.95,
        base: str | Path | None = None,
    ) -> None:
        if not 0 < coverage <= 1:
            raise InputError("coverage", found=coverage, expected="a share above 0, at most 1")
        self.coverage = coverage
        if isinstance(model, Model):
            self.model: Model | None = model
        elif model == AUTO:
            self.model = None
        else:
            file = str(model).endswith((".npz", ".json"))
            self.model = load_model(Path(base or "") / model if file else model)
        self._followed: Followed | None = None

    def score(self, cycle: Cycle, rows: Rows) -> Scores:
        """Return `CENTRE` plus the model's value in steps; 0 where resources or GPUs lack."""
        return self._follow(cycle).scores(cycle, rows)

    def reserve(self, cycle: Cycle, row: int) -> Rejection | None:
        """Choose the GPU of a share: the one that the model values most."""
        wanted = cycle.pod_class.devices
        if wanted is not None and wanted.shared:
            _, devices = self._follow(cycle).values(cycle, np.array([row], np.int64))
            if devices[0] >= 0:
                cycle.put("devices", (int(devices[0]),))
        return None

    def features(self, cycle: Cycle, rows: Rows) -> NDArray[np.float64]:
        """Return what the model sees of placing the pod on each of *rows*, float64 [F, rows].

        NaN where the pod doesn't fit. Of a share, the GPU is the one that the model would choose.
        """
        return self._follow(cycle).features(cycle, rows)

    def model_for(self, cycle: Cycle) -> Model:
        """Return the model that decides in the cluster of a cycle."""
        return self._follow(cycle).model

    def _follow(self, cycle: Cycle) -> Followed:
        state = cycle.state
        if self._followed is None or self._followed.outgrown(state):
            model = self.model
            if model is None:
                model = load_model(GPU_MODEL if state.nodes.devices.width else RESOURCE_MODEL)
            typical = TypicalPods.counted(state.mix or {(0, 0, 0, ""): 1}, self.coverage)
            self._followed = Followed(state, typical, model)
        return self._followed


class Followed:
    """A cluster as a model sees it, kept up to date by the log of usage.

    Parameters
    ----------
    state : ClusterState
        The cluster.
    typical : TypicalPods
        The pods that it gets.
    model : Model
        The model.
    """

    def __init__(self, state: ClusterState, typical: TypicalPods, model: Model) -> None:
        nodes = state.nodes
        self.state = state
        self.model = model
        self._weights = model.weights
        self._requests: dict[int, tuple[NDArray[np.int64], NDArray[np.bool_]]] = {}
        self._shape = self._shape_of(state)
        self._columns: Columns = columns_of(nodes)
        self._known: Known = known_of(typical, state.memory_per_milli, self._columns, nodes.devices)
        self._before = np.zeros((nodes.size, kernels.POTENTIALS), np.float64)
        self._seen = -1
        self._attributes = nodes.attributes.count

    @staticmethod
    def _shape_of(state: ClusterState) -> tuple[int, int, int, int]:
        nodes = state.nodes
        devices = nodes.devices
        return nodes.size, id(nodes.requested), id(devices.free), len(devices.models)

    def outgrown(self, state: ClusterState) -> bool:
        """Return whether the columns that are followed are no longer those of *state*."""
        return (
            state is not self.state
            or self._shape != self._shape_of(state)
            or self._attributes != state.nodes.attributes.count
        )

    def _changed(self) -> NDArray[np.int32]:
        """Return the rows that changed since this was asked last."""
        usage, size = self.state.nodes.usage, self.state.nodes.size
        seen, self._seen = self._seen, usage.count
        if seen == usage.count:
            return NONE
        rows = usage.since(seen) if seen >= 0 else None
        if rows is None or len(rows) > size:
            return np.arange(size, dtype=np.int32)
        return rows

    def scores(self, cycle: Cycle, rows: Rows) -> Scores:
        """Return `LearnedScore.score`."""
        nodes = self.state.nodes
        pod, models = self._asked(cycle)
        scores: Scores = kernels.plugin_scores(
            self._changed(),
            rows,
            pod,
            models,
            nodes.allocatable,
            nodes.requested,
            self._columns,
            self._before,
            *self._known,
            self._weights,
        )
        return scores

    def _refresh(self) -> None:
        nodes = self.state.nodes
        mix, demand, _ = self._known
        kernels.follow(
            self._changed(),
            nodes.allocatable,
            nodes.requested,
            self._columns,
            mix,
            demand,
            self._before,
        )

    def values(self, cycle: Cycle, rows: Rows) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the model's values in steps, and the GPU of a share, both int64 [rows]."""
        self._refresh()
        values, devices = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.int64)
        pod, models = self._asked(cycle)
        kernels.score_rows(
            rows,
            pod,
            models,
            self._columns,
            self._before,
            *self._known,
            self._weights,
            values,
            devices,
        )
        return values, devices

    def features(self, cycle: Cycle, rows: Rows) -> NDArray[np.float64]:
        """Return the features, float64 [F, rows]; see `LearnedScore.features`."""
        self._refresh()
        values, devices = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.int64)
        out = np.zeros((kernels.FEATURES, len(rows)), np.float64)
        pod, models = self._asked(cycle)
        kernels.feature_rows(
            rows,
            pod,
            models,
            self._columns,
            self._before,
            *self._known,
            self._weights,
            values,
            devices,
            out,
        )
        return out

    def _asked(self, cycle: Cycle) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        pod = cycle.pod_class
        found = self._requests.get(pod.id)
        if found is None:
            asked = dict(pod.requests)
            devices = pod.devices
            milli, gpus = (0, 0) if devices is None else (devices.milli, devices.count)
            request = np.array([asked.get(CPU, 0), asked.get(MEMORY, 0), milli, gpus], np.int64)
            wanted = () if devices is None else devices.models
            found = request, accepted(tuple(self.state.nodes.devices.models), wanted)
            self._requests[pod.id] = found
        return found
