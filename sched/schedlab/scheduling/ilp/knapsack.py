"""The best filling of one node: a bounded knapsack with several resources, solved exactly.

Depth first over the groups by worth per size, as many pods of each as fit first, cut off by the
fractional filling of one weighted sum of the resources. The weights are chosen for a tight bound.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from schedlab.cluster.compiled import compiled

NODES_PER_SECOND = 10_000_000
"""Search nodes that count as a second of deterministic work."""
EPSILON = 1e-9


@compiled
def _surrogate_bound(worth: Any, size: Any, most: Any, start: int, left: float) -> Any:
    """Return the worth of the fractional filling of *left* by items from *start* on."""
    total = 0.0
    for i in range(start, len(worth)):
        if worth[i] <= 0.0:
            break
        need = most[i] * size[i]
        if need <= left:
            total += most[i] * worth[i]
            left -= need
        else:
            return total + worth[i] * left / size[i]
    return total


@compiled
def _fitting(request: Any, left: Any, most: int) -> int:
    """Return how many pods of an item fit into what is left."""
    count = most
    for k in range(len(left)):
        if request[k] > 0:
            count = min(count, left[k] // request[k])
    return count


@compiled
def fill(
    worth: Any,
    requests: Any,
    room: Any,
    most: Any,
    size: Any,
    space: float,
    least: float,
    limit: int,
    best: Any,
) -> tuple[float, float, int]:
    """Find the filling of a node that is worth most, if it is worth more than *least*.

    Parameters
    ----------
    worth : float64 array of shape [I]
        What one pod of each item is worth; items in decreasing order of worth per *size*.
    requests : int64 array of shape [I, K]
        What it asks for.
    room : int64 array of shape [K]
        What the node has.
    most : int64 array of shape [I]
        Pods at most.
    size : float64 array of shape [I]
        Weighted sum of the requests, >= 0.
    space : float
        The same sum of the room.
    least : float
        Only better fillings are of interest.
    limit : int
        Search nodes at most.
    best : int64 array of shape [I]
        The best filling that was found; unchanged if none was.

    Returns
    -------
    tuple of (float, float, int)
        Worth of the best filling found (or *least*), an upper bound of all, search nodes used.
    """
    items = len(worth)
    taken = np.zeros(items, np.int64)
    left = room.copy()
    free, value, found = space, 0.0, least
    root = _surrogate_bound(worth, size, most, 0, space)
    i, used = 0, 0
    while True:
        used += 1
        if used > limit:
            return found, max(root, found), used
        if value > found + EPSILON:
            found = value
            best[:] = taken
        open_ = i < items and worth[i] > 0.0
        if open_ and value + _surrogate_bound(worth, size, most, i, free) > found + EPSILON:
            count = _fitting(requests[i], left, most[i])
            taken[i] = count
            for k in range(len(left)):
                left[k] -= count * requests[i, k]
            free -= count * size[i]
            value += count * worth[i]
            i += 1
            continue
        i -= 1
        while i >= 0 and taken[i] == 0:
            i -= 1
        if i < 0:
            return found, found, used
        taken[i] -= 1
        for k in range(len(left)):
            left[k] += requests[i, k]
        free += size[i]
        value -= worth[i]
        i += 1
