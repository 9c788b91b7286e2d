"""Simulated annealing on overload: the compiled heart of the local search.

All pods that are to be placed stand on nodes, too many on some; the energy is what is too much,
in units of a typical node, summed over resources and nodes. A step moves a pod to another node, or
exchanges two pods, also with one that is left out. When the energy is zero the placement is
feasible. Searching through infeasible placements was measured far better on tight problems than
inserting pods into feasible ones: 256 pods at 95 % load of two resources take some 0.05 s.

Pods that are left out stand on one more node without limits, so that every step is an exchange
between two nodes; a move exchanges a pod with nobody, the last row of the requests.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from schedlab.cluster.compiled import compiled

RELOCATE = 0.2
"""Share of the steps that try to move a pod instead of exchanging two."""
STEPS_PER_SECOND = 8_000_000
"""Steps that count as a second of deterministic work."""
UNIT = 1.0 / 9007199254740992.0


@compiled
def _next(state: Any) -> Any:
    """Return the next state of a xorshift generator (Marsaglia 2003), 64 bits."""
    state ^= state << np.uint64(13)
    state ^= state >> np.uint64(7)
    state ^= state << np.uint64(17)
    return state


@compiled
def _excess(load: Any, room: Any, scale: Any, n: int) -> float:
    """Return how much too much is on a node."""
    total = 0.0
    for k in range(len(scale)):
        if load[k, n] > room[k, n]:
            total += (load[k, n] - room[k, n]) * scale[k]
    return total


@compiled
def _excess_with(load: Any, room: Any, scale: Any, n: int, gain: Any, loss: Any) -> float:
    """Return the same with one request added and another taken off."""
    total = 0.0
    for k in range(len(scale)):
        over = load[k, n] + gain[k] - loss[k] - room[k, n]
        if over > 0:
            total += over * scale[k]
    return total


@compiled
def _cost(home: int, at: int, outside: int) -> float:
    """Return what it costs that a pod is not where it runs: half when it is left out."""
    if home < 0 or home == at:
        return 0.0
    return 0.5 if at == outside else 1.0


@compiled
def _allowed(a: int, b: int, g: int, h: int, mask: Any, tier: Any) -> bool:
    """Return whether pods of groups *g* on *a* and *h* on *b* may change places.

    Nobody is a group of its own, whose tier is none: a pod does not leave the placement alone.
    """
    outside = mask.shape[1] - 1
    if (a == outside or b == outside) and tier[g] != tier[h]:
        return False
    return bool(mask[g, b]) and bool(mask[h, a])


@compiled
def _displacement(home: Any, node: Any, outside: int) -> float:
    total = 0.0
    for p in range(len(node)):
        total += _cost(home[p], node[p], outside)
    return total


@compiled
def _shift(p: Any, q: Any, a: Any, b: Any, home: Any, outside: int) -> float:
    """Return the change of displacement when *p* goes from *a* to *b*, and *q* the other way."""
    shift = _cost(home[p], b, outside) - _cost(home[p], a, outside)
    if q >= 0:
        shift += _cost(home[q], a, outside) - _cost(home[q], b, outside)
    return shift


@compiled
def anneal(
    group: Any,
    node: Any,
    home: Any,
    requests: Any,
    room: Any,
    load: Any,
    scale: Any,
    mask: Any,
    tier: Any,
    steps: int,
    hot: float,
    cold: float,
    stick: float,
    seed: int,
    best: Any,
) -> tuple[int, float]:
    """Anneal the pods of *node* in place.

    Parameters
    ----------
    group : int64 array of shape [P]
        Group of each pod that may move.
    node : int64 array of shape [P]
        Its node; N = left out. The number of pods left out of each tier stays what it is.
    home : int64 array of shape [P]
        Where it runs now, -1 = nowhere.
    requests : int64 array of shape [G + 1, K]
        What a pod of each group asks for; nobody is the last group.
    room, load : int64 array of shape [K, N + 1]
        What the nodes have for these pods, and what stands on them; *load* moves with *node*.
    scale : float64 array of shape [K]
        One over the size of a typical node.
    mask : bool array of shape [G + 1, N + 1]
        Where pods of a group may go.
    tier : int64 array of shape [G + 1]
        Tier of each group: only pods of one tier change places with one that is left out.
    steps : int
        Steps at most.
    hot, cold : float
        First and last temperature, in the unit of the energy.
    stick : float
        Energy of a pod that is not where it runs now (half of it when it is left out). 0 = stop at
        the first feasible placement; else go on, and keep the feasible one of least displacement.
    seed : int
        Seed.
    best : int64 array of shape [P]
        The feasible placement that was found.

    Returns
    -------
    tuple of (int, float)
        Steps made, and the displacement of *best* in units of *stick* (infinite = none was found).
    """
    pods, outside, nobody = len(group), room.shape[1] - 1, len(requests) - 1
    state = np.uint64(seed) * np.uint64(2685821657736338717) + np.uint64(88172645463325252)
    crowded = 0
    for n in range(outside):
        crowded += _excess(load, room, scale, n) > 0.0
    displaced, found = _displacement(home, node, outside), np.inf
    cooling, heat = (cold / hot) ** (1.0 / max(steps, 1)), hot
    for step in range(steps + 1):
        if crowded == 0 and displaced < found:
            found = displaced
            best[:] = node
            if stick == 0.0:
                return step, found
        heat *= cooling
        state = _next(state)
        p = np.int64(state % np.uint64(pods))
        state = _next(state)
        q = np.int64(state % np.uint64(pods))
        state = _next(state)
        u = np.float64(state >> np.uint64(11)) * UNIT
        a, g, b, h = node[p], group[p], node[q], group[q]
        if u < RELOCATE:
            b, h, q = np.int64(state % np.uint64(outside)), nobody, np.int64(-1)
        if a == b or not _allowed(a, b, g, h, mask, tier):
            continue
        mine, other = requests[g], requests[h]
        before_a, before_b = _excess(load, room, scale, a), _excess(load, room, scale, b)
        after_a = _excess_with(load, room, scale, a, other, mine)
        after_b = _excess_with(load, room, scale, b, mine, other)
        shift = 0.0 if stick == 0.0 else _shift(p, q, a, b, home, outside)
        rise = after_a + after_b - before_a - before_b + stick * shift
        state = _next(state)
        if rise > 0.0 and np.float64(state >> np.uint64(11)) * UNIT >= np.exp(-rise / heat):
            continue
        for k in range(len(scale)):
            load[k, a] += other[k] - mine[k]
            load[k, b] += mine[k] - other[k]
        node[p] = b
        if q >= 0:
            node[q] = a
        displaced += shift
        crowded += (after_a > 0.0) - (before_a > 0.0) + (after_b > 0.0) - (before_b > 0.0)
    return steps, found
