"""Reads the couplings of a problem off the pods' specs and the immovable pods of the cluster.

Called while the displaceable pods are off the cluster (see `builder`), so that the counts in the
cluster state are those of immovable pods.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from schedlab.cluster.carried import AffinityTerm, Kind
from schedlab.cluster.classes import ANY_ADDRESS, PodClass
from schedlab.cluster.devices import WHOLE, DeviceRequest
from schedlab.cluster.state import ClusterState
from schedlab.cluster.terms import PodTerm
from schedlab.scheduling.framework.disruption import Budgets
from schedlab.scheduling.framework.interface import Cycle
from schedlab.scheduling.ilp.couplings import (
    Apart,
    Budget,
    Couplings,
    Devices,
    Exclusive,
    Gang,
    Near,
    Spread,
)
from schedlab.scheduling.ilp.model import Bools, Group, Ints, Profiles, profile_of
from schedlab.scheduling.plugins.node_ports import NodePorts
from schedlab.scheduling.plugins.pod_topology_spread import PodTopologySpread
from schedlab.scheduling.plugins.spread_constraints import SpreadConstraint


def couplings_of(
    groups: list[Group], mask: Bools, state: ClusterState, profile: Profiles, rows: Ints
) -> tuple[Couplings, Bools, Ints]:
    """Return the couplings, the mask with what immovable pods rule out, and the most per node.

    Parameters
    ----------
    groups : list of Group
        The groups.
    mask : bool array of shape [G, N]
        What is open so far.
    state : ClusterState
        The cluster with immovable pods only.
    profile : Profile or mapping of str to Profile
        Whose filters count.
    rows : int64 array of shape [N]
        The nodes.

    Returns
    -------
    tuple of (Couplings, bool array [G, N], int64 array [G, N])
        The third is the most pods of a group on a node as far as couplings alone decide.
    """
    reader = _Reader(groups, mask.copy(), state, rows, profile)
    reader.ports()
    reader.apart()
    reader.near()
    reader.spread()
    reader.devices()
    reader.gangs()
    reader.budgets()
    return reader.couplings(), reader.mask, reader.most


class _Reader:
    def __init__(
        self,
        groups: list[Group],
        mask: Bools,
        state: ClusterState,
        rows: Ints,
        profile: Profiles,
    ) -> None:
        self._profile = profile
        self.groups = groups
        self.mask = mask
        self.state = state
        self.rows = rows
        self.most = np.full(mask.shape, np.iinfo(np.int64).max, np.int64)
        self._exclusive: list[Exclusive] = []
        self._apart: list[Apart] = []
        self._near: list[Near] = []
        self._spread: list[Spread] = []
        self._gangs: list[Gang] = []
        self._budgets: list[Budget] = []
        self._devices: Devices | None = None

    def couplings(self) -> Couplings:
        return Couplings(
            tuple(self._exclusive),
            tuple(self._apart),
            tuple(self._near),
            tuple(self._spread),
            tuple(self._gangs),
            tuple(self._budgets),
            self._devices,
        )

    def ports(self) -> None:
        plugin = NodePorts()
        users: dict[tuple[str, int], dict[str, list[int]]] = {}
        for g, group in self._asked("NodePorts"):
            for port in group.pod_class.host_ports:
                by_address = users.setdefault((port.protocol, port.port), {})
                by_address.setdefault(port.ip, []).append(g)
            if group.pod_class.host_ports:
                self.mask[g] &= plugin.filter(self._cycle(group), self.rows) == 0
                self.most[g] = 1
        sets = {groups for by_address in users.values() for groups in _port_sets(by_address)}
        self._exclusive = [Exclusive(groups) for groups in sorted(sets)]

    def apart(self) -> None:
        owners: dict[str, tuple[AffinityTerm, list[int]]] = {}
        asked = {g for g, _ in self._asked("InterPodAffinity")}
        for g, group in enumerate(self.groups):
            for term in self._terms(group.pod_class, Kind.APART):
                owners.setdefault(term.key, (term, []))[1].append(g)
                if g in asked:
                    self._forbid(g, term.topology_key, self._counts(term.pods))
            if g not in asked:
                continue
            for term in self.state.carried.about(group.pod_class):
                if term.kind is Kind.APART:
                    carried = self.state.carried.of(term, self.state.nodes.size)
                    self._forbid(g, term.topology_key, carried[self.rows])
        for term, carriers in owners.values():
            meant = self._meant(term.pods)
            domain = self._domain(term.topology_key)
            if meant and (domain >= 0).any():
                exempt = frozenset({*carriers, *meant} - asked)
                self._apart.append(Apart(tuple(carriers), meant, domain, exempt))
                for g in set(carriers) & set(meant) & asked:
                    self.most[g, domain >= 0] = 1

    def near(self) -> None:
        for g, group in self._asked("InterPodAffinity"):
            terms = self._terms(group.pod_class, Kind.NEAR)
            if not terms:
                continue
            every = PodTerm.all_of(tuple({term.pods.key: term.pods for term in terms}.values()))
            counts = self._counts(every)
            keys = dict.fromkeys(term.topology_key for term in terms)
            domains = [self._domain(key) for key in keys]
            fixed = [_domain_sums(domain, counts) for domain in domains]
            alone = every.matches(group.pod_class, self.state.objects)
            near = Near(g, self._meant(every), domains, fixed, alone)
            self._near.append(near)
            for domain, there in zip(domains, fixed, strict=True):
                self.mask[g] &= domain >= 0
                if not near.meant:
                    self.mask[g] &= there > 0

    def spread(self) -> None:
        for g, group in self._asked("PodTopologySpread"):
            plugin = self._plugin(group, "PodTopologySpread")
            if not isinstance(plugin, PodTopologySpread):
                continue
            for constraint in plugin.hard_constraints(self._cycle(group)).constraints:
                column = self._domain(constraint.topology_key)
                self.mask[g] &= column >= 0
                if constraint.counted:
                    counted = np.where(constraint.eligible[self.rows], column, -1)
                    self.mask[g] &= counted >= 0
                    self._spread.append(self._spread_of(g, constraint, counted))

    def _spread_of(self, g: int, constraint: SpreadConstraint, column: Ints) -> Spread:
        values, numbers = np.unique(column[column >= 0], return_inverse=True)
        domain = np.full(len(column), -1, np.int64)
        domain[column >= 0] = numbers
        fixed = np.zeros(len(values), np.int64)
        np.add.at(fixed, domain[domain >= 0], self._counts(constraint.term)[domain >= 0])
        enough = len(values) >= constraint.min_domains
        meant = self._meant(constraint.term)
        return Spread(g, meant, domain, fixed, constraint.max_skew, enough)

    def devices(self) -> None:
        asked: list[DeviceRequest | None] = [None] * len(self.groups)
        for g, group in self._asked("GpuShare"):
            asked[g] = group.pod_class.devices
        columns = self.state.nodes.devices
        if not any(asked):
            return
        milli = np.array([0 if a is None else a.milli for a in asked], np.int64)
        count = np.array([0 if a is None else a.count for a in asked], np.int64)
        free = np.zeros((len(self.rows), columns.width), np.int64)
        if columns.width:
            there = self.rows < len(columns.count)
            free[there] = columns.free[self.rows[there]]
        for g, request in enumerate(asked):
            if request is None:
                continue
            accepted = [bool(columns.width) and columns.accepts(r, request) for r in self.rows]
            self.mask[g] &= np.array(accepted, np.bool_)
            if request.milli < WHOLE:
                fits = (free // request.milli).sum(axis=1)
            else:
                fits = (free == WHOLE).sum(axis=1) // request.count
            self.most[g] = np.minimum(self.most[g], fits)
        home = [next(iter(group.running), -1) if group.held else -1 for group in self.groups]
        held = tuple(group.held for group in self.groups)
        self._devices = Devices(milli, count, free, np.array(home, np.int64), held)

    def gangs(self) -> None:
        members: dict[str, list[int]] = {}
        for g, group in enumerate(self.groups):
            if group.gang:
                members.setdefault(group.gang, []).append(g)
        self._gangs = [Gang(name, tuple(groups)) for name, groups in members.items()]

    def budgets(self) -> None:
        budgets = Budgets(self.state)
        covered: dict[int, list[int]] = {}
        for g, group in enumerate(self.groups):
            if group.running:
                for number in budgets.of(group.pod_class):
                    covered.setdefault(number, []).append(g)
        self._budgets = [
            Budget(tuple(groups), max(budgets.allowed[number], 0))
            for number, groups in covered.items()
        ]

    def _plugin(self, group: Group, name: str) -> object | None:
        filters = profile_of(self._profile, group.pod_class).filters
        return next((plugin for plugin in filters if plugin.name == name), None)

    def _asked(self, name: str) -> list[tuple[int, Group]]:
        """Return the groups whose profile runs a filter."""
        pairs = enumerate(self.groups)
        return [(g, group) for g, group in pairs if self._plugin(group, name) is not None]

    def _cycle(self, group: Group) -> Cycle:
        return Cycle(self.state, group.pod_class)

    def _terms(self, pod_class: PodClass, kind: Kind) -> list[AffinityTerm]:
        return [term for term in self.state.carried.own(pod_class) if term.kind is kind]

    def _meant(self, term: PodTerm) -> tuple[int, ...]:
        objects = self.state.objects
        return tuple(
            g for g, group in enumerate(self.groups) if term.matches(group.pod_class, objects)
        )

    def _counts(self, term: PodTerm) -> Ints:
        """Return how many immovable pods a term means on each node, int64 [N]."""
        counts: Ints = self.state.terms.of(term, self.state.nodes.size)[self.rows]
        return counts

    def _domain(self, key: str) -> Ints:
        column = self.state.nodes.label_column(key)
        if column is None:
            return np.full(len(self.rows), -1, np.int64)
        return column[self.rows].astype(np.int64)

    def _forbid(self, g: int, key: str, counts: Ints) -> None:
        """Rule out the domains in which something is counted."""
        self.mask[g] &= _domain_sums(self._domain(key), counts) == 0


def _port_sets(by_address: dict[str, list[int]]) -> Iterable[tuple[int, ...]]:
    """Yield the sets of groups of which a node can take one pod: one set per address.

    0.0.0.0 stands for all addresses, so its users are in every set.
    """
    everywhere = by_address.get(ANY_ADDRESS, [])
    addresses = [address for address in by_address if address != ANY_ADDRESS]
    for address in addresses or [ANY_ADDRESS]:
        yield tuple(sorted({*everywhere, *by_address[address]}))


def _domain_sums(domain: Ints, counts: Ints) -> Ints:
    """Return the sum of *counts* over the domain of each node, int64 [N]; 0 outside of domains."""
    sums = np.zeros(len(domain), np.int64)
    inside = domain >= 0
    if inside.any():
        of_domain = np.bincount(domain[inside], weights=counts[inside]).astype(np.int64)
        sums[inside] = of_domain[domain[inside]]
    return sums
