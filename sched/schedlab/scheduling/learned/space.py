"""The space that a search walks through: vectors of numbers of like size <-> models.

Features differ in size by orders of magnitude, so each weight is counted in units of how much its
feature varies among the nodes that one pod could take.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schedlab.rng import Draws
from schedlab.scheduling.learned import kernels
from schedlab.scheduling.learned.features import KINDS, NAMES, Columns
from schedlab.scheduling.learned.model import Model
from schedlab.scheduling.learned.problem import Problem
from schedlab.scheduling.learned.replay import replay_on

Vector = NDArray[np.float64]
POINTS = (0.3, 0.6, 0.8, 0.95)
"""After which shares of the pods features are looked at."""
PODS = 40
"""For how many pods at each point."""


@dataclass(frozen=True, eq=False)
class Space:
    """Which weights are searched, and their units.

    Attributes
    ----------
    scale : float64 array of shape [F]
        How much each feature varies; 0 = it isn't searched.
    by_kind : bool
        Kinds of pods have weights of their own, beside the common ones.
    hidden : int
        Number of hidden units.
    levels : float
        The resolution of values that the vector 0 stands for; it is searched by powers of 4.
    """

    scale: Vector
    by_kind: bool
    hidden: int
    levels: float

    @property
    def used(self) -> NDArray[np.int64]:
        """Indices of the features that are searched, int64 [U]."""
        return np.flatnonzero(self.scale)

    @property
    def size(self) -> int:
        """Length of a vector."""
        used, kinds = len(self.used), len(KINDS)
        linear = used * (1 + kinds * self.by_kind)
        return 1 + linear + self.hidden * (used + kinds + 1)

    def decode(self, vector: Vector) -> Model:
        """Return the model that a vector stands for."""
        used, kinds = self.used, len(KINDS)
        units = self.scale[used]
        parts = iter(np.split(vector, np.cumsum(self._lengths())[:-1]))
        levels = self.levels * 4.0 ** float(next(parts)[0])
        linear = np.zeros((kinds, len(NAMES)))
        linear[:, used] = next(parts) / units
        if self.by_kind:
            linear[:, used] += next(parts).reshape(kinds, -1) / units
        hidden = np.zeros((self.hidden, len(NAMES)))
        hidden[:, used] = next(parts).reshape(self.hidden, len(used)) / units
        bias = next(parts).reshape(kinds, self.hidden)
        return Model(linear, hidden, np.ascontiguousarray(bias), next(parts).copy(), levels)

    def encode(self, model: Model, draws: Draws) -> Vector:
        """Return a vector for a linear model; hidden units start with drawn weights and no say."""
        vector = np.zeros(self.size)
        used = self.used
        common = model.linear.mean(0) if self.by_kind else model.linear[0]
        vector[0] = np.log(model.levels / self.levels) / np.log(4.0)
        vector[1 : 1 + len(used)] = (common * self.scale)[used]
        if self.by_kind:
            own = ((model.linear - common) * self.scale)[:, used]
            vector[1 + len(used) : 1 + len(used) + own.size] = own.ravel()
        lengths = self._lengths()
        start = sum(lengths[:-3])
        weights = draws.stream("hidden").generator().normal(size=lengths[-3])
        vector[start : start + lengths[-3]] = weights / max(1, len(used)) ** 0.5
        return vector

    def _lengths(self) -> list[int]:
        used, kinds = len(self.used), len(KINDS)
        own = [kinds * used] if self.by_kind else []
        return [1, used, *own, self.hidden * used, self.hidden * kinds, self.hidden]


def feature_scales(problems: Sequence[Problem], model: Model) -> Vector:
    """Return how much each feature varies among the nodes that a pod could take, float64 [F].

    Parameters
    ----------
    problems : sequence of Problem
        Where to look: on the way of *model* through them.
    model : Model
        Places the pods.

    Returns
    -------
    float64 array of shape [F]
        Root of the mean variance; 0 where a feature never varies.
    """
    total, count = np.zeros(len(NAMES)), 0
    for problem in problems:
        for point in POINTS:
            columns = problem.fresh_columns()
            done = int(point * len(problem.ask))
            replay_on(problem.head(done), model, columns)
            for ask in problem.ask[done : done + PODS].tolist():
                found, _, _ = features_at(problem, columns, ask, model)
                if found.shape[1] > 1:
                    total += found.var(1)
                    count += 1
    return np.sqrt(total / max(1, count)).round(12)


def features_at(
    problem: Problem, columns: Columns, ask: int, model: Model
) -> tuple[Vector, NDArray[np.int64], NDArray[np.int64]]:
    """Return features [F, K], rows [K] and values [K] of the nodes that can take a request."""
    size = len(columns[0])
    rows = np.arange(size)
    before = np.zeros((size, kernels.POTENTIALS))
    kernels.refresh_potentials(rows, columns, *problem.known[:2], before)
    values, devices = np.zeros(size, np.int64), np.zeros(size, np.int64)
    out = np.zeros((len(NAMES), size))
    kernels.feature_rows(
        rows,
        problem.asks[ask],
        problem.accepts[ask],
        columns,
        before,
        *problem.known,
        model.weights,
        values,
        devices,
        out,
    )
    fits = values > kernels.NOT_FEASIBLE
    return out[:, fits], rows[fits], values[fits]
