"""Placements by best fit, pods sorted by size: where single GPUs decide, the best start there is.

kube-scheduler spreads, and leaves no node with eight idle GPUs for those that ask for them. Pods
sorted by what they ask for of the scarcest resources, and put where the least is left over, pack
GPUs far better: largest first where nearly all fit, smallest first where many don't. To place what
the linear relaxation would, on its kinds of nodes, was measured to be worse.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from schedlab.cluster.devices import WHOLE
from schedlab.scheduling.ilp.couplings import Devices
from schedlab.scheduling.ilp.model import AssignmentModel, Bools, Ints, better

FIT_S = 2e-7
"""Deterministic seconds that a pod and a node count for."""


def fitting(model: AssignmentModel) -> bool:
    """Return whether GPUs are all that ties pods and nodes together, and nothing runs yet."""
    c = model.couplings
    tied = c.exclusive or c.apart or c.near or c.spread or c.gangs
    return c.devices is not None and not tied and not model.running.any()


def best_fit(model: AssignmentModel, x: Ints) -> Ints:
    """Return the best of *x* and two placements by best fit, int64 [G, N].

    Parameters
    ----------
    model : AssignmentModel
        A problem that is `fitting`.
    x : int64 array of shape [G, N]
        A placement.
    """
    devices = model.couplings.devices
    if devices is None:
        return x
    for largest_first in (True, False):
        fit = _Fit(model, devices)
        fit.place(largest_first=largest_first)
        if better(model, fit.x, x):
            x = fit.x
    return x


class _Fit:
    def __init__(self, model: AssignmentModel, devices: Devices) -> None:
        self._model, self._devices = model, devices
        self.x = np.zeros(model.mask.shape, np.int64)
        self._room = model.free.copy()
        self._free = devices.free.copy()
        # of what everybody wants a unit is worth more: the scarcest resource leads
        asked = (model.requests @ model.demand).astype(np.float64)
        total = np.maximum(model.allocatable.sum(axis=1), 1)
        self._weight = (asked / total) ** 2 / np.maximum(model.allocatable.max(axis=1), 1)

    def place(self, *, largest_first: bool) -> None:
        """Place all pods, as far as there is room."""
        model = self._model
        size = self._weight @ model.requests
        sign = -1.0 if largest_first else 1.0
        for g in np.lexsort((sign * size, model.tier)).tolist():
            for _ in range(int(model.demand[g])):
                if not self._place(g):
                    break

    def _place(self, g: int) -> bool:
        model = self._model
        request = model.requests[:, g]
        fits = model.mask[g] & (self._room >= request[:, None]).all(axis=0)
        fits &= self.x[g] < model.upper[g]
        over, fits = self._left_over(g, fits)
        if not fits.any():
            return False
        rank = over + self._weight @ self._room
        n = int(np.argmin(np.where(fits, rank, np.inf)))
        self.x[g, n] += 1
        self._room[:, n] -= request
        self._take(g, n)
        return True

    def _left_over(self, g: int, fits: Bools) -> tuple[NDArray[np.float64], Bools]:
        """Return what is left on the GPU that fits best, on each node, and where any does."""
        milli, count = int(self._devices.milli[g]), int(self._devices.count[g])
        if not milli:
            return np.zeros(len(fits)), fits
        if milli == WHOLE:
            idle = (self._free == WHOLE).sum(axis=1)
            return (idle - count).astype(np.float64), fits & (idle >= count)
        room = np.where(self._free >= milli, self._free, 10 * WHOLE).min(axis=1, initial=10 * WHOLE)
        return (room - milli) / WHOLE, fits & (room <= WHOLE)

    def _take(self, g: int, n: int) -> None:
        milli, count = int(self._devices.milli[g]), int(self._devices.count[g])
        if not milli:
            return
        free = self._free[n]
        if milli == WHOLE:
            free[np.flatnonzero(free == WHOLE)[:count]] = 0
        else:
            free[int(np.argmin(np.where(free >= milli, free, 10 * WHOLE)))] -= milli
