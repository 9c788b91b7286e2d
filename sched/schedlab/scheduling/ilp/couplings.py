"""What ties groups of pods and nodes together beyond resources and masks.

Each kind is one small record over groups (indices g), nodes (columns n) and domains (numbers; -1 =
the node is in none). "New" pods are those that a placement places or moves; only they have to
satisfy rules, but every pod counts for the rules of others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Exclusive:
    """Something that at most one pod of a node can have: a host port.

    Attributes
    ----------
    groups : tuple of int
        Groups whose pods want it; nodes where an immovable pod has it are masked out.
    """

    groups: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Apart:
    """Required anti-affinity: a pod that carries the term keeps the pods it means off its domain.

    Attributes
    ----------
    owners : tuple of int
        Groups that carry the term.
    meant : tuple of int
        Groups that the term means.
    domain : int64 array of shape [N]
        Domain of each node.
    exempt : frozenset of int
        Groups whose profile doesn't ask: their pods count for others, but may go anywhere.
    """

    owners: tuple[int, ...]
    meant: tuple[int, ...]
    domain: Ints
    exempt: frozenset[int] = frozenset()


@dataclass(frozen=True, eq=False)
class Near:
    """Required affinity of one group: in each of its domains a pod has to be that it means.

    Attributes
    ----------
    group : int
        The group that asks.
    meant : tuple of int
        Groups whose pods match all of its terms.
    domains : list of int64 array of shape [N]
        One per topology key.
    fixed : list of int64 array of shape [N]
        Per topology key: how many immovable pods that are meant are in the node's domain.
    alone : bool
        Its pods match its own terms: where nothing that is meant is anywhere, one of them may be
        the first.
    """

    group: int
    meant: tuple[int, ...]
    domains: list[Ints]
    fixed: list[Ints]
    alone: bool

    @property
    def nothing_fixed(self) -> bool:
        """Whether no immovable pod is meant, in any domain."""
        return not any(counts.any() for counts in self.fixed)


@dataclass(frozen=True, eq=False)
class Spread:
    """A topology spread constraint (DoNotSchedule) of one group.

    Attributes
    ----------
    group : int
        The group that asks.
    meant : tuple of int
        Groups whose pods are counted.
    domain : int64 array of shape [N]
        Domain of each node that is counted; -1 = pods there are not.
    fixed : int64 array of shape [D]
        Immovable pods counted in each domain.
    max_skew : int
        How many more than in the emptiest domain there may be.
    enough_domains : bool
        There are at least ``minDomains``; else the emptiest domain counts as empty.
    """

    group: int
    meant: tuple[int, ...]
    domain: Ints
    fixed: Ints
    max_skew: int
    enough_domains: bool


@dataclass(frozen=True, eq=False)
class Gang:
    """Pods that are placed as a whole or not at all."""

    name: str
    groups: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Budget:
    """At most *allowed* running pods of some groups may be displaced (a PodDisruptionBudget)."""

    groups: tuple[int, ...]
    allowed: int


@dataclass(frozen=True, eq=False)
class Devices:
    """The GPUs of the nodes, one by one, where a group asks for some.

    Attributes
    ----------
    milli : int64 array of shape [G]
        Thousandths of each GPU that a pod asks for; 0 = none.
    count : int64 array of shape [G]
        How many GPUs.
    free : int64 array of shape [N, D]
        Thousandths free of each GPU, immovable pods taken off; 0 beyond the node's.
    home : int64 array of shape [G]
        Node on which the pods of a group run now, and hold GPUs as long as they stay; -1 = none.
    held : tuple of tuple of int, length G
        Those GPUs: all pods of a group that run hold the same ones.
    """

    milli: Ints
    count: Ints
    free: Ints
    home: Ints
    held: tuple[tuple[int, ...], ...]

    def held_on(self, n: int) -> frozenset[int]:
        """Return the GPUs of a node that pods hold which may stay there."""
        homes = np.flatnonzero(self.home == n).tolist()
        return frozenset(device for g in homes for device in self.held[g])

    def part(self, groups: Ints, nodes: Ints) -> Devices:
        """Return those of some groups and nodes; homes elsewhere are none."""
        number = {n: i for i, n in enumerate(nodes.tolist())}
        return Devices(
            self.milli[groups],
            self.count[groups],
            self.free[nodes],
            np.array([number.get(n, -1) for n in self.home[groups].tolist()], np.int64),
            tuple(self.held[g] for g in groups.tolist()),
        )


@dataclass(frozen=True, eq=False)
class Couplings:
    """All of them."""

    exclusive: tuple[Exclusive, ...] = ()
    apart: tuple[Apart, ...] = ()
    near: tuple[Near, ...] = ()
    spread: tuple[Spread, ...] = ()
    gangs: tuple[Gang, ...] = ()
    budgets: tuple[Budget, ...] = ()
    devices: Devices | None = None

    @property
    def empty(self) -> bool:
        """Whether there is nothing beyond resources and masks (and budgets of displacement)."""
        return not (
            self.exclusive
            or self.apart
            or self.near
            or self.spread
            or self.gangs
            or self.devices is not None
        )

    def domain_columns(self) -> list[Ints]:
        """Return everything that may tell nodes apart, one int64 array of shape [N] each."""
        columns = [apart.domain for apart in self.apart]
        for near in self.near:
            columns += [*near.domains, *near.fixed]
        columns += [spread.domain for spread in self.spread]
        if self.devices is not None:
            columns += list(self.devices.free.T)
        return columns

    def groups(self) -> frozenset[int]:
        """Return the groups that more than resources and masks decide about."""
        found = set(self.bound_groups())
        for exclusive in self.exclusive:
            found.update(exclusive.groups)
        for apart in self.apart:
            found.update(apart.owners, apart.meant)
        if self.devices is not None:
            found.update(np.flatnonzero(self.devices.milli).tolist())
        return frozenset(found)

    def bound_groups(self) -> frozenset[int]:
        """Return the groups whose pods depend on pods of other nodes."""
        found: set[int] = set()
        for apart in self.apart:
            if not _one_node_each(apart.domain):
                found.update(apart.owners, apart.meant)
        for near in self.near:
            found.update((near.group,), near.meant)
        for spread in self.spread:
            found.update((spread.group,), spread.meant)
        for gang in self.gangs:
            found.update(gang.groups)
        for budget in self.budgets:
            found.update(budget.groups)
        return frozenset(found)

    def part(self, groups: Ints, nodes: Ints) -> Couplings:
        """Return what is left of those within single nodes, for some groups and nodes.

        Parameters
        ----------
        groups, nodes : int64 array
            Which ones, by their old numbers; their new numbers are their positions.
        """
        number = {g: i for i, g in enumerate(groups.tolist())}

        def renumbered(old: tuple[int, ...]) -> tuple[int, ...]:
            return tuple(number[g] for g in old if g in number)

        apart = [
            replace(
                a,
                owners=renumbered(a.owners),
                meant=renumbered(a.meant),
                domain=a.domain[nodes],
                exempt=frozenset(renumbered(tuple(a.exempt))),
            )
            for a in self.apart
            if _one_node_each(a.domain)
        ]
        return Couplings(
            tuple(Exclusive(renumbered(e.groups)) for e in self.exclusive),
            tuple(a for a in apart if a.owners and a.meant),
            devices=None if self.devices is None else self.devices.part(groups, nodes),
        )


def _one_node_each(domain: Ints) -> bool:
    """Return whether every domain is a single node, as with host names."""
    inside = domain[domain >= 0]
    return len(np.unique(inside)) == len(inside)
