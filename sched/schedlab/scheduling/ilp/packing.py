"""What bounds look at: groups of pods, kinds of nodes, and what has to be placed in any case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from schedlab.scheduling.ilp.devices import share_rows
from schedlab.scheduling.ilp.kinds import kinds_of
from schedlab.scheduling.ilp.model import AssignmentModel, Ints

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Packing:
    """Pods of some groups to be placed on kinds of nodes: what is left of a problem for a bound.

    Attributes
    ----------
    requests : int64 array of shape [G, K]
        What a pod of each group asks for.
    demand : int64 array of shape [G]
        How many pods there are.
    room : int64 array of shape [V, K]
        What a node of each kind has.
    most : int64 array of shape [V, G]
        Pods of a group on one node of a kind at most.
    count : int64 array of shape [V]
        Nodes of each kind.
    worth : float64 array of shape [G]
        What a placed pod of a group counts in the objective.
    floors : list of (bool array of shape [G], int)
        Of these groups together at least so many pods are placed.
    """

    requests: Ints
    demand: Ints
    room: Ints
    most: Ints
    count: Ints
    worth: Floats
    floors: list[tuple[NDArray[np.bool_], int]]

    def pooled_bound(self) -> float:
        """Return the bound by resources pooled over all nodes: quick, and often enough."""
        if not len(self.demand):
            return 0.0
        supply = np.minimum(self.demand, self.count @ self.most)
        total = (self.count @ self.room).astype(np.float64)
        size = np.maximum(total, 1.0)[:, None]
        rows = [self.requests.T / size]
        limits = [total / size[:, 0]]
        if self.floors:
            rows.append(-np.array([groups for groups, _ in self.floors], np.float64))
            limits.append(-np.array([least for _, least in self.floors], np.float64))
        found = linprog(
            -self.worth,
            A_ub=np.vstack(rows),
            b_ub=np.concatenate(limits),
            bounds=[(0.0, float(most)) for most in supply],
            method="highs",
        )
        return -float(found.fun or 0.0) if found.status == 0 else float(self.worth @ supply)


def packing_of(
    model: AssignmentModel,
    tier: int,
    floors: Sequence[tuple[int, int]] = (),
    held: Ints | None = None,
) -> tuple[Packing, Ints]:
    """Return the problem of placing most pods of a tier and above, and the kind of each node.

    Couplings are left out: what is placed without them is a bound for what is placed with them. Of
    GPUs that are shared only what `devices.share_rows` says of them is kept.

    Parameters
    ----------
    model : AssignmentModel
        The problem.
    tier : int
        The tier.
    floors : sequence of (int, int)
        Of a tier and above, at least so many pods are placed.
    held : int64 array of shape [G, N], optional
        Pods that stay where they are in every case: they are left out, of the floors too.
    """
    held = np.zeros(model.mask.shape, np.int64) if held is None else held
    groups = np.flatnonzero(model.tier <= tier)
    requests, room = model.requests, np.maximum(model.free, model.loads(model.running))
    if model.couplings.devices is not None:
        shares, free = share_rows(model.couplings.devices)
        requests, room = np.vstack([requests, shares]), np.vstack([room, free])
    room = (room - requests @ held).T
    most = np.minimum(np.maximum(model.upper, model.running), model.demand[:, None])[groups].T
    kind, chosen = kinds_of(room, most)
    packing = Packing(
        requests[:, groups].T,
        (model.demand - held.sum(axis=1))[groups],
        room[chosen],
        most[chosen],
        np.bincount(kind, minlength=len(chosen)),
        np.ones(len(groups)),
        [
            (model.tier[groups] <= above, least - int(held[model.tier <= above].sum()))
            for above, least in floors
        ],
    )
    return packing, kind
