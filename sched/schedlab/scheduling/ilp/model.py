"""The assignment problem as arrays: which pods could go where, and what stands in the way.

Pods that look alike are one *group*: the unknowns are counts ``x[g, n]``, how many pods of group g
end up on node n, running ones included where they may be moved or evicted. That takes away the
symmetry between equal pods, and with it most of the search.

A placement is admissible when every pod that it places or moves passes kube-scheduler's filters
with all other pods of the final state in place, and when the pods can be placed in an order in
which required affinity never lacks its partners. Pods that stay where they run are not asked again,
as in Kubernetes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from schedlab.cluster.classes import PodClass
from schedlab.cluster.devices import Devices
from schedlab.scheduling.framework.profiles import Profile
from schedlab.scheduling.ilp.couplings import Couplings

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Why = Callable[[], str]
Profiles = Profile | Mapping[str, Profile]
"""One profile for all pods, or those of a configuration by ``schedulerName``."""


@dataclass(frozen=True, eq=False)
class Group:
    """Pods that are interchangeable.

    Attributes
    ----------
    pod_class : PodClass
        What they are.
    pending : tuple of int
        Positions in the batch of those that wait, in queue order.
    running : mapping of int to tuple of int
        Node (a column of the model) -> rows of the pods that run there and may be displaced; the
        first ones stay longest.
    gang : str
        Name of the gang that is placed as a whole or not at all; empty = none.
    why : callable
        Says why no node will do, in kube-scheduler's words.
    held : tuple of int
        GPUs that each of the pods that run holds on the one node where they do; empty = none.
    """

    pod_class: PodClass
    pending: tuple[int, ...]
    running: dict[int, tuple[int, ...]]
    gang: str
    why: Why
    held: Devices = ()

    @property
    def size(self) -> int:
        """Number of pods."""
        return len(self.pending) + sum(map(len, self.running.values()))


@dataclass(frozen=True, slots=True)
class Displacement:
    """Which running pods may be displaced, and how many.

    Attributes
    ----------
    kind : {"none", "lower", "any"}
        None; pods below the highest priority that waits; or every pod.
    moves : bool
        Displaced pods may be placed again at once; else they can only stay or be evicted.
    budget : int or None
        Most pods displaced; None = no limit.
    respect_budgets : bool
        Keep PodDisruptionBudgets.
    owned : bool
        Only pods that a controller would make anew.
    """

    kind: str = "none"
    moves: bool = True
    budget: int | None = None
    respect_budgets: bool = True
    owned: bool = False


@dataclass(frozen=True, eq=False)
class AssignmentModel:
    """One assignment problem: G groups of pods, N nodes, K resources.

    Attributes
    ----------
    rows : int64 array of shape [N]
        Row of each node in the cluster state.
    names : list of str, length N
        Names of the nodes.
    groups : list of Group, length G
        In order of priority, highest first.
    resources : list of str, length K
        Resources that some group asks for.
    requests : int64 array of shape [K, G]
        What one pod of each group asks for.
    free : int64 array of shape [K, N]
        What the nodes offer to the groups: allocatable less what immovable pods hold, >= 0.
    allocatable : int64 array of shape [K, N]
        What the nodes have.
    fixed : int64 array of shape [N]
        Number of pods on the node that can't be displaced.
    costs : int64 array of shape [N]
        What a node costs while it is in use.
    mask : bool array of shape [G, N]
        Whether a pod of the group could go to the node as far as the node's own nature and the
        immovable pods decide.
    upper : int64 array of shape [G, N]
        Most pods of the group that the node could take, were it alone; 0 where masked out.
    running : int64 array of shape [G, N]
        How many of the group's pods run there now.
    priorities : int64 array of shape [T]
        The priorities that occur, highest first: the tiers.
    tier : int64 array of shape [G]
        Index into `priorities`.
    couplings : Couplings
        What ties groups and nodes together beyond resources.
    displace : Displacement
        What may be done to running pods.
    pods : int
        Number of pods in the batch.
    unmodelled : tuple of str
        Filters that the unknowns don't express: they were asked about the immovable pods only, and
        the result has to be validated.
    """

    rows: Ints
    names: list[str]
    groups: list[Group]
    resources: list[str]
    requests: Ints
    free: Ints
    allocatable: Ints
    fixed: Ints
    costs: Ints
    mask: Bools
    upper: Ints
    running: Ints
    priorities: Ints
    tier: Ints
    couplings: Couplings
    displace: Displacement
    pods: int
    unmodelled: tuple[str, ...] = ()
    _demand: Ints = field(init=False)

    def __post_init__(self) -> None:
        demand = np.array([group.size for group in self.groups], np.int64)
        object.__setattr__(self, "_demand", demand)

    @property
    def demand(self) -> Ints:
        """Number of pods of each group, int64 [G]."""
        return self._demand

    @property
    def plain(self) -> bool:
        """Whether resources and masks are all there is."""
        return self.couplings.empty

    @property
    def overcommitted(self) -> Bools:
        """Where more is running than there is room for, bool [K, N].

        It may stay so as long as nothing new comes to the node.
        """
        return self.loads(self.running) > self.free

    def loads(self, x: Ints) -> Ints:
        """Return what a placement asks of each node, int64 [K, N]."""
        loads: Ints = self.requests @ x
        return loads

    def placed_by_tier(self, x: Ints) -> Ints:
        """Return how many pods of each tier a placement places, int64 [T]."""
        placed = np.zeros(len(self.priorities), np.int64)
        np.add.at(placed, self.tier, x.sum(axis=1))
        return placed

    def identical_nodes(self) -> list[list[int]]:
        """Return sets of nodes that nothing tells apart, each increasing; single nodes left out."""
        seen: dict[tuple[bytes, ...], list[int]] = {}
        domains = self.couplings.domain_columns()
        for n in range(len(self.rows)):
            key = (
                self.free[:, n].tobytes(),
                self.allocatable[:, n].tobytes(),
                self.mask[:, n].tobytes(),
                self.running[:, n].tobytes(),
                self.fixed[n : n + 1].tobytes(),
                *(column[n : n + 1].tobytes() for column in domains),
            )
            seen.setdefault(key, []).append(n)
        return [nodes for nodes in seen.values() if len(nodes) > 1]


def tiers_of(groups: Sequence[Group]) -> tuple[Ints, Ints]:
    """Return the priorities that occur, highest first [T], and the tier of each group [G]."""
    priorities = sorted({group.pod_class.priority for group in groups}, reverse=True)
    index = {priority: i for i, priority in enumerate(priorities)}
    tier = np.array([index[group.pod_class.priority] for group in groups], np.int64)
    return np.array(priorities, np.int64), tier


def groups_of(model: AssignmentModel, tier: int | None) -> list[int]:
    """Return the groups of a tier and above."""
    if tier is None:
        return list(range(len(model.groups)))
    return np.flatnonzero(model.tier <= tier).tolist()


def disruption_of(model: AssignmentModel, x: Ints, tier: int | None = None) -> int:
    """Return the disruption of a placement: 1 for an eviction, 2 for a move."""
    groups = groups_of(model, tier)
    stay = np.minimum(x, model.running)
    displaced = (model.running - stay)[groups].sum(axis=1)
    unplaced = model.demand[groups] - x[groups].sum(axis=1)
    return int((2 * displaced - np.minimum(displaced, unplaced)).sum())


def placed_of(model: AssignmentModel, x: Ints, tier: int | None = None) -> int:
    """Return how many pods of a tier and above a placement places."""
    return int(x[groups_of(model, tier)].sum())


def better(model: AssignmentModel, one: Ints, other: Ints) -> bool:
    """Return whether a placement places more than another, tier by tier."""
    tiers = range(len(model.priorities))
    return [placed_of(model, one, t) for t in tiers] > [placed_of(model, other, t) for t in tiers]


def profile_of(profiles: Profiles, pod_class: PodClass) -> Profile:
    """Return the profile of a class; the first one where none has its ``schedulerName``."""
    if isinstance(profiles, Profile):
        return profiles
    own = profiles.get(pod_class.spec.scheduler_name)
    return next(iter(profiles.values())) if own is None else own
