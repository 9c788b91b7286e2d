"""From arrays to a linear model: columns for the counts, rows for capacity and couplings.

Columns: ``x[g, n]``, pods of group g on node n in the end; ``stay[g, n]``, how many of those that
run there stay. Their difference is what is new on the node, and only new pods have to satisfy
rules. A *flag* of a group and a domain says that something new of the group is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np

from schedlab.cluster.devices import WHOLE, DeviceRequest
from schedlab.scheduling.ilp.couplings import Apart, Devices, Spread
from schedlab.scheduling.ilp.devices import assign_devices
from schedlab.scheduling.ilp.linear import Expression, LinearModel
from schedlab.scheduling.ilp.model import AssignmentModel, Ints
from schedlab.scheduling.ilp.near import add_near

Sum = tuple[list[int], list[int]]
"""Columns and coefficients."""


class Formulation:
    """The linear model of an assignment problem, and where its unknowns stand.

    Parameters
    ----------
    model : AssignmentModel
        The problem.
    ordered : bool, default True
        Order identical nodes by load, so that a solver need not look at their permutations.

    Attributes
    ----------
    linear : LinearModel
        Columns and rows.
    x, stay : int64 array of shape [G, N]
        Column of each unknown; -1 = it is always 0.
    """

    def __init__(self, model: AssignmentModel, *, ordered: bool = True) -> None:
        self.model = model
        self.linear = LinearModel()
        self.x = np.full(model.mask.shape, -1, np.int64)
        self.stay = np.full(model.mask.shape, -1, np.int64)
        self._flags: dict[tuple[int, bytes], int] = {}
        self._evicted: dict[int, int] = {}
        self._part: dict[tuple[int, int, int], int] = {}  # of a group, node and GPU
        self._whole: dict[tuple[int, int], int] = {}  # of a node and GPU
        self._counts()
        self._capacity()
        self._supply()
        self._exclusive()
        for apart in model.couplings.apart:
            self._apart(apart)
        add_near(self)
        for spread in model.couplings.spread:
            self._spread(spread)
        self._gangs()
        if model.couplings.devices is not None:
            self._devices(model.couplings.devices)
        if ordered:
            self._order()

    # --- columns -------------------------------------------------------------------------------

    def _counts(self) -> None:
        model, linear = self.model, self.linear
        most = np.minimum(np.maximum(model.upper, model.running), model.demand[:, None])
        for g, n in zip(*np.nonzero(most), strict=True):
            x = self.x[g, n] = linear.column(0, int(most[g, n]))
            if model.running[g, n]:
                stay = self.stay[g, n] = linear.column(0, int(model.running[g, n]))
                linear.row([stay, x], [1, -1], high=0)
                # what runs there may stay, but nothing may come
                if not model.mask[g, n] or model.groups[g].held:
                    linear.row([x, stay], [1, -1], high=0)

    def total(self, groups: Iterable[int], nodes: Sequence[int] | None = None) -> Sum:
        """Return the number of pods of *groups* on *nodes* (all when absent) as a sum."""
        part = self.x[list(groups)]
        columns = part if nodes is None else part[:, nodes]
        found = columns[columns >= 0].tolist()
        return found, [1] * len(found)

    def staying(self, groups: Iterable[int], nodes: Sequence[int] | None = None) -> Sum:
        """Return the number of running pods of *groups* that stay on *nodes* as a sum."""
        part = self.stay[list(groups)]
        columns = part if nodes is None else part[:, nodes]
        found = columns[columns >= 0].tolist()
        return found, [1] * len(found)

    def new(self, groups: Iterable[int], nodes: Sequence[int] | None = None) -> Sum:
        """Return the number of new pods of *groups* on *nodes* as a sum."""
        groups = list(groups)
        return added(self.total(groups, nodes), scaled(self.staying(groups, nodes), -1))

    def flag(self, g: int, nodes: Sequence[int]) -> int:
        """Return the 0/1 column that is 1 exactly where something new of group *g* is on *nodes*.

        -1 where nothing can be.
        """
        where = np.asarray(nodes, np.int64)
        key = (g, where.tobytes())
        if key not in self._flags:
            self._flags[key] = self._make_flag(g, where)
        return self._flags[key]

    def _make_flag(self, g: int, nodes: Ints) -> int:
        columns = self.x[g, nodes]
        open_ = columns[(columns >= 0) & self.model.mask[g, nodes]]
        if not len(open_):
            return -1
        alone = len(open_) == 1 and (self.stay[g, nodes] < 0).all()
        if alone and self.linear.upper[open_[0]] == 1:
            return int(open_[0])
        flag = self.linear.flag()
        columns_, coefficients = self.new([g], nodes.tolist())
        most = sum(self.linear.upper[c] for c in open_)
        self.linear.row([*columns_, flag], [*coefficients, -most], high=0)
        self.linear.row([*columns_, flag], [*coefficients, -1], low=0)
        return flag

    def _anything_new(self, groups: Ints, n: int) -> int:
        """Return a 0/1 column that is 1 where something new of *groups* is on a node."""
        columns, coefficients = self.new(groups.tolist(), [n])
        if not columns:
            return -1
        flag = self.linear.flag()
        most = sum(self.linear.upper[c] for c in columns)
        self.linear.row([*columns, flag], [*coefficients, -most], high=0)
        return flag

    # --- rows ----------------------------------------------------------------------------------

    def _capacity(self) -> None:
        model = self.model
        most = np.where(self.x >= 0, np.maximum(model.upper, model.running), 0)
        heaviest, held = model.requests @ most, model.loads(model.running)
        for k in range(len(model.resources)):
            for n in np.flatnonzero(heaviest[k] > model.free[k]).tolist():
                groups = np.flatnonzero((self.x[:, n] >= 0) & (model.requests[k] > 0))
                columns = self.x[groups, n].tolist()
                amounts = model.requests[k, groups].tolist()
                free = int(model.free[k, n])
                self.linear.row(columns, amounts, high=max(free, int(held[k, n])))
                if held[k, n] > free and (flag := self._anything_new(groups, n)) >= 0:
                    self.linear.row(columns, amounts, high=free, when=(flag, 1))

    def _supply(self) -> None:
        model, linear, displace = self.model, self.linear, self.model.displace
        every = range(len(model.groups))
        for g, group in enumerate(model.groups):
            linear.row(*self.total([g]), high=group.size)
            if group.running and not displace.moves:
                linear.row(*self.new([g]), high=len(group.pending))
        if displace.budget is not None:
            least = int(model.running.sum()) - displace.budget
            linear.row(*self.staying(every), low=least)
        if displace.respect_budgets:
            for budget in model.couplings.budgets:
                least = int(model.running[list(budget.groups)].sum()) - budget.allowed
                linear.row(*self.staying(budget.groups), low=least)

    def _exclusive(self) -> None:
        for exclusive in self.model.couplings.exclusive:
            groups = list(exclusive.groups)
            for n in range(len(self.model.rows)):
                if (self.x[groups, n] >= 0).any():
                    self._at_most_one(groups, n)

    def _at_most_one(self, groups: list[int], n: int) -> None:
        sum_ = self.total(groups, [n])
        if not self.model.running[groups, n].any():
            if len(groups) > 1:
                self.linear.row(*sum_, high=1)
            return
        for g in groups:
            flag = self.flag(g, [n])
            if flag >= 0:
                self.linear.row(*sum_, high=1, when=(flag, 1))

    def _apart(self, apart: Apart) -> None:
        owners, meant = set(apart.owners), set(apart.meant)
        running = self.model.running
        for nodes in domains(apart.domain):
            every = sorted(owners | meant)
            plain = owners == meant and not apart.exempt
            if plain and not running[np.ix_(every, nodes)].any():
                self.linear.row(*self.total(every, nodes), high=1)
                continue
            for g in every:
                flag = -1 if g in apart.exempt else self.flag(g, nodes)
                if flag < 0:
                    continue
                if g in owners:  # nothing that it means may be there, itself left out
                    self.linear.row(*self.total(meant, nodes), high=int(g in meant), when=(flag, 1))
                if g in meant:  # nobody who carries the term may be there
                    self.linear.row(
                        *self.total(owners, nodes), high=int(g in owners), when=(flag, 1)
                    )

    def _spread(self, spread: Spread) -> None:
        """Let no domain with something new hold *max_skew* more than the emptiest one."""
        counts = [self.total(spread.meant, nodes) for nodes in domains(spread.domain)]
        if not counts:
            return
        fixed = spread.fixed.tolist()
        least = -1
        if spread.enough_domains:
            most = min(
                there + self.linear.limits(Expression(*sum_))[1]
                for there, sum_ in zip(fixed, counts, strict=True)
            )
            least = self.linear.column(0, most)
            for there, (columns, ones) in zip(fixed, counts, strict=True):
                self.linear.row([*columns, least], [*ones, -1], low=-there)
        for nodes, there, (columns, ones) in zip(
            domains(spread.domain), fixed, counts, strict=True
        ):
            flag = self.flag(spread.group, nodes)
            if flag >= 0:
                low = ([least], [-1]) if least >= 0 else ([], [])
                sum_ = added((columns, ones), low)
                self.linear.row(*sum_, high=spread.max_skew - there, when=(flag, 1))

    def _gangs(self) -> None:
        for gang in self.model.couplings.gangs:
            whole = self.linear.flag()
            for g in gang.groups:
                columns, ones = self.total([g])
                size = int(self.model.demand[g])
                self.linear.row([*columns, whole], [*ones, -size], low=0, high=0)

    def _devices(self, devices: Devices) -> None:
        """Give every pod that asks for GPUs some on its node."""
        shared = np.flatnonzero((devices.milli > 0) & (devices.milli < WHOLE)).tolist()
        whole = np.flatnonzero(devices.milli == WHOLE).tolist()
        asking = [*shared, *whole]
        for n in range(len(self.model.rows)):
            if not (self.x[asking, n] >= 0).any():
                continue
            taken: list[Sum] = [([], []) for _ in devices.free[n]]
            self._stays(n, devices, taken)
            for g in shared:
                if self.x[g, n] >= 0 and devices.home[g] != n:
                    self._shares(g, n, devices, taken)
            wholes = self._wholes(n, whole, devices, taken)
            for device, (columns, amounts) in enumerate(taken):
                free = int(devices.free[n, device])
                if columns and self.linear.limits(Expression(columns, amounts))[1] > free:
                    self.linear.row(columns, amounts, high=free)
            asked = [g for g in whole if self.x[g, n] >= 0 and devices.home[g] != n]
            if asked:
                columns = [int(self.x[g, n]) for g in asked]
                counts = [int(devices.count[g]) for g in asked]
                self.linear.row([*columns, *wholes], [*counts, *[-1] * len(wholes)], 0, 0)

    def _stays(self, n: int, devices: Devices, taken: list[Sum]) -> None:
        """Let pods that stay keep their GPUs."""
        for g in np.flatnonzero((devices.home == n) & (devices.milli > 0)).tolist():
            if self.x[g, n] >= 0:
                for device in devices.held[g]:
                    taken[device][0].append(int(self.x[g, n]))
                    taken[device][1].append(int(devices.milli[g]))

    def _shares(self, g: int, n: int, devices: Devices, taken: list[Sum]) -> None:
        milli = int(devices.milli[g])
        parts = []
        for device, free in enumerate(devices.free[n].tolist()):
            most = min(free // milli, self.linear.upper[self.x[g, n]])
            if most:
                part = self._part[g, n, device] = self.linear.column(0, most)
                parts.append(part)
                taken[device][0].append(part)
                taken[device][1].append(milli)
        self.linear.row([*parts, int(self.x[g, n])], [*[1] * len(parts), -1], 0, 0)

    def _wholes(self, n: int, whole: list[int], devices: Devices, taken: list[Sum]) -> list[int]:
        if not (self.x[whole, n] >= 0).any():
            return []
        found: list[int] = []
        held = devices.held_on(n)
        before = -1
        for device in np.flatnonzero(devices.free[n] == WHOLE).tolist():
            flag = self._whole[n, device] = self.linear.flag()
            taken[device][0].append(flag)
            taken[device][1].append(WHOLE)
            if device not in held:  # idle GPUs are alike: the first ones are taken as a whole
                if before >= 0:
                    self.linear.row([before, flag], [1, -1], low=0)
                before = flag
            found.append(flag)
        return found

    def _order(self) -> None:
        """Order nodes that nothing tells apart by the weight of their pods."""
        weights = np.arange(len(self.model.groups), 0, -1)
        for nodes in self.model.identical_nodes():
            for a, b in pairwise(nodes):
                groups = np.flatnonzero((self.x[:, a] >= 0) & (self.x[:, b] >= 0))
                more, less = self.x[groups, a].tolist(), self.x[groups, b].tolist()
                size = weights[groups].tolist()
                self.linear.row([*more, *less], [*size, *[-w for w in size]], low=0)

    # --- reading and writing solutions ---------------------------------------------------------

    def evicted(self, g: int) -> int:
        """Return the column that counts the pods of a group that are evicted for good.

        It is bounded from above alone: objectives reward it.
        """
        if g not in self._evicted:
            group = self.model.groups[g]
            running = int(self.model.running[g].sum())
            column = self._evicted[g] = self.linear.column(0, running)
            columns, ones = self.staying([g])
            self.linear.row([column, *columns], [1, *ones], high=running)
            columns, ones = self.total([g])
            self.linear.row([column, *columns], [1, *ones], high=group.size)
        return self._evicted[g]

    def counts(self, solution: Sequence[int]) -> Ints:
        """Return ``x`` of a solution, int64 [G, N]."""
        counts = np.zeros(self.x.shape, np.int64)
        there = self.x >= 0
        counts[there] = np.asarray(solution, np.int64)[self.x[there]]
        return counts

    def stays(self, solution: Sequence[int]) -> Ints:
        """Return how many running pods stay in a solution, int64 [G, N].

        As many as the counts allow: that never breaks a rule, but for the order in which pods find
        partners, where the solution's own numbers are needed.
        """
        if not self.model.couplings.near:
            return np.minimum(self.counts(solution), self.model.running)
        stays = np.zeros(self.x.shape, np.int64)
        there = self.stay >= 0
        stays[there] = np.asarray(solution, np.int64)[self.stay[there]]
        return stays

    def hint(self, x: Ints) -> dict[int, int]:
        """Return values of the counts' columns for a placement, identical nodes put in order."""
        x = self.in_order(x)
        values = {int(c): int(v) for c, v in zip(self.x[self.x >= 0], x[self.x >= 0], strict=True)}
        stay = np.minimum(x, self.model.running)
        there = self.stay >= 0
        pairs = zip(self.stay[there], stay[there], strict=True)
        values.update({int(c): int(v) for c, v in pairs})
        if self.model.couplings.devices is not None:
            values.update(self._device_hint(x, self.model.couplings.devices))
        return values

    def _device_hint(self, x: Ints, devices: Devices) -> dict[int, int]:
        """Return values of the columns of single GPUs for a placement."""
        values = dict.fromkeys((*self._part.values(), *self._whole.values()), 0)
        asking = np.flatnonzero(devices.milli)
        for n in np.flatnonzero(x[asking].any(axis=0)).tolist():
            coming = asking[devices.home[asking] != n]
            groups = np.repeat(coming, x[coming, n]).tolist()
            asked = [
                DeviceRequest(int(devices.count[g]), int(devices.milli[g]), ()) for g in groups
            ]
            held = devices.held_on(n)
            free = devices.free[n].tolist()
            for g in np.flatnonzero(devices.home == n).tolist():
                for d in devices.held[g]:
                    free[d] -= int(devices.milli[g] * x[g, n])
            found = assign_devices(free, asked)
            if found is None:
                continue
            # idle GPUs are alike, and the formulation takes the first ones as a whole
            idle = [d for d, milli in enumerate(free) if milli == WHOLE and d not in held]
            wholes = {d for g, own in zip(groups, found, strict=True) for d in own
                      if devices.milli[g] == WHOLE}  # fmt: skip
            order = sorted(idle, key=lambda d: d not in wholes)
            renamed = dict(zip(order, idle, strict=True))
            for g, own in zip(groups, found, strict=True):
                for d in own:
                    d = renamed.get(d, d)
                    column = self._whole.get((n, d)) if devices.milli[g] == WHOLE else None
                    column = self._part.get((g, n, d)) if column is None else column
                    if column is not None:
                        values[column] += 1
        return values

    def in_order(self, x: Ints) -> Ints:
        """Return a placement with identical nodes permuted the way the model orders them."""
        weights = np.arange(len(self.model.groups), 0, -1)
        ordered = x.copy()
        for nodes in self.model.identical_nodes():
            weight = weights @ x[:, nodes]
            ordered[:, nodes] = x[:, np.array(nodes)[np.argsort(-weight, kind="stable")]]
        return ordered


def domains(column: Ints) -> list[list[int]]:
    """Return the nodes of each domain, by number; nodes outside of domains left out."""
    numbers = np.unique(column[column >= 0])
    return [np.flatnonzero(column == number).tolist() for number in numbers.tolist()]


def added(one: Sum, other: Sum) -> Sum:
    """Return the sum of two sums."""
    return [*one[0], *other[0]], [*one[1], *other[1]]


def scaled(sum_: Sum, factor: int) -> Sum:
    """Return a multiple of a sum."""
    return sum_[0], [factor * k for k in sum_[1]]
