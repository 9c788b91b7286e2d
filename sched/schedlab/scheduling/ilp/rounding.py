"""Placements from whole fillings of nodes: the mixture that bounds a problem, rounded.

`PatternBound` gives every kind of node a mixture of fillings, in which no more fillings have a
share than there are groups and kinds. On thousands of nodes nearly all of it is whole numbers:
rounded down, it packs all but some hundred nodes as tightly as the bound itself does. What is left
goes where it fits best, the most important pods first. Random partitions (POP) were measured far
behind on large problems of two tight resources, since each part has to pack as well as the whole.
"""

from __future__ import annotations

import numpy as np

from schedlab.scheduling.ilp.model import AssignmentModel, Ints
from schedlab.scheduling.ilp.packing import Packing
from schedlab.scheduling.ilp.patterns import PatternBound

FEW = 2
"""There have to be so many times more nodes than groups and kinds of nodes."""


def roundable(model: AssignmentModel, packing: Packing) -> bool:
    """Return whether rounding has a chance: nothing runs, and there are nodes enough of each kind.

    Parameters
    ----------
    model : AssignmentModel
        A plain problem.
    packing : Packing
        What of it is looked at.
    """
    rows = len(packing.demand) + len(packing.count) + len(packing.floors)
    return not model.running.any() and len(model.rows) > FEW * rows


def rounded(model: AssignmentModel, tier: int, patterns: PatternBound, kind: Ints) -> Ints:
    """Return a placement by fillings, int64 [G, N].

    Parameters
    ----------
    model : AssignmentModel
        A plain problem with nothing running.
    tier : int
        The mixture holds pods of this tier and above; what room is left goes to the others.
    patterns : PatternBound
        The mixture.
    kind : int64 array of shape [N]
        Kind of each node.
    """
    x = np.zeros(model.mask.shape, np.int64)
    groups = np.flatnonzero(model.tier <= tier)
    x[groups] = _whole(model.demand[groups], patterns, kind)
    return _filled(model, x)


def _whole(demand: Ints, patterns: PatternBound, kind: Ints) -> Ints:
    """Give nodes the whole part of the mixture, and of the rest the largest shares first."""
    x = np.zeros((len(demand), len(kind)), np.int64)
    left = demand.copy()
    free = [np.flatnonzero(kind == v).tolist() for v in range(len(patterns.packing.count))]
    mixture = sorted(patterns.mixture(), key=lambda entry: -entry[2])
    for filling, v, share in mixture:
        for _ in range(min(int(share + 1e-6), len(free[v]))):
            if (filling > left).any():
                break
            x[:, free[v].pop(0)] = filling
            left -= filling
    for filling, v, _ in sorted(mixture, key=lambda entry: -(entry[2] + 1e-6) % 1.0):
        part = np.minimum(filling, left)
        if free[v] and part.any():
            x[:, free[v].pop(0)] = part
            left -= part
    return x


def _filled(model: AssignmentModel, x: Ints) -> Ints:
    """Place what is left where it fits best, the most important and largest first."""
    left = model.demand - x.sum(axis=1)
    room = model.free - model.loads(x)
    scale = 1.0 / np.maximum(model.allocatable.mean(axis=1), 1.0)
    sizes = (model.requests * scale[:, None]).max(axis=0)
    for g in np.lexsort((-sizes, model.tier)).tolist():
        request = model.requests[:, g]
        while left[g] > 0:
            fits = model.mask[g] & (room >= request[:, None]).all(axis=0) & (x[g] < model.upper[g])
            if fits.any():
                rank = np.where(fits, (room * scale[:, None]).sum(axis=0), np.inf)
                n = int(np.argmin(rank))
            else:
                n = _cleared(model, x, room, left, g)
            if n < 0:
                break
            x[g, n] += 1
            left[g] -= 1
            room[:, n] -= request
    return x


def _cleared(model: AssignmentModel, x: Ints, room: Ints, left: Ints, g: int) -> int:
    """Take less important pods off a node until one of a group fits there; return it, or -1.

    It is the node on which the least of them would do. What is taken off is left to be placed.
    """
    request = model.requests[:, g]
    below = np.flatnonzero(model.tier > model.tier[g])[::-1]
    lower = model.requests[:, below] @ x[below]
    fits = model.mask[g] & (room + lower >= request[:, None]).all(axis=0) & (x[g] < model.upper[g])
    if not fits.any():
        return -1
    lack = np.maximum(request[:, None] - room, 0) / np.maximum(request[:, None], 1)
    n = int(np.argmin(np.where(fits, lack.max(axis=0), np.inf)))
    for h in below.tolist():
        while x[h, n] and (room[:, n] < request).any():
            x[h, n] -= 1
            left[h] += 1
            room[:, n] += model.requests[:, h]
    return n
