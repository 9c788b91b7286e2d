"""Kinds of nodes: nodes that nothing tells apart."""

from __future__ import annotations

import numpy as np

from schedlab.scheduling.ilp.model import Ints


def kinds_of(room: Ints, most: Ints) -> tuple[Ints, Ints]:
    """Return the kind of each node [N], by what it has and what may go there, and a node of each.

    Parameters
    ----------
    room : int64 array of shape [N, K]
        What the nodes have.
    most : int64 array of shape [N, G]
        Pods of each group at most.
    """
    seen: dict[bytes, int] = {}
    kind = np.zeros(len(room), np.int64)
    chosen: list[int] = []
    rows = np.ascontiguousarray(np.hstack([room, most]))
    for n in range(len(rows)):
        key = rows[n].tobytes()
        if key not in seen:
            seen[key] = len(chosen)
            chosen.append(n)
        kind[n] = seen[key]
    return kind, np.array(chosen, np.int64)
