"""Local search on the plain part of a problem: pods, resources, masks, tiers.

It knows nothing of affinity, spreading or devices, and is asked only where there are none. What it
finds is a placement; that nothing is better, others have to prove.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from schedlab.scheduling.ilp.annealing import STEPS_PER_SECOND, anneal
from schedlab.scheduling.ilp.budget import TimeBudget
from schedlab.scheduling.ilp.model import AssignmentModel, Bools, Ints, disruption_of

HOT, COLD = 0.02, 0.0005
"""Temperatures in units of a typical node: a small pod's size at first, far less in the end."""
STICK = (0.02, 0.005)
"""Energies of a displaced pod that are tried in turn."""
STEPS_PER_POD = 1500
"""Steps of one annealing."""


@dataclass(eq=False)
class Pods:
    """The pods of a problem one by one.

    Attributes
    ----------
    group : int64 array of shape [P]
        Group of each.
    home : int64 array of shape [P]
        Node it runs on, -1 = it waits.
    node : int64 array of shape [P]
        Where it is placed; N = nowhere.
    locked : bool array of shape [P]
        It stays where it is.
    """

    group: Ints
    home: Ints
    node: Ints
    locked: Bools

    @classmethod
    def of(cls, model: AssignmentModel, x: Ints) -> Pods:
        """Return the pods of a placement in counts; those that can stay at home do."""
        groups, homes, places = [], [], []
        nodes = len(model.rows)
        stay = np.minimum(x, model.running)
        for g, group in enumerate(model.groups):
            slots = np.repeat(np.arange(nodes), x[g] - stay[g]).tolist()
            home = np.repeat(np.arange(nodes), model.running[g])
            keeps = np.concatenate(
                [np.arange(r) < s for r, s in zip(model.running[g], stay[g], strict=True)]
            )
            # what is new goes to pods that wait before it goes to those that lost their node
            order = [-1] * len(group.pending)
            for where in (order, home.tolist()):
                for i, at in enumerate(where):
                    kept = at >= 0 and bool(keeps[i])
                    groups.append(g)
                    homes.append(at)
                    places.append(at if kept else (slots.pop(0) if slots else nodes))
        size = len(groups)
        return cls(
            np.array(groups, np.int64),
            np.array(homes, np.int64),
            np.array(places, np.int64),
            np.zeros(size, np.bool_),
        )

    def counts(self, model: AssignmentModel) -> Ints:
        """Return the placement in counts, int64 [G, N]."""
        x = np.zeros(model.mask.shape, np.int64)
        placed = self.node < len(model.rows)
        np.add.at(x, (self.group[placed], self.node[placed]), 1)
        return x


class LocalSearch:
    """Improves a placement level by level.

    Parameters
    ----------
    model : AssignmentModel
        A plain problem.
    x : int64 array of shape [G, N]
        An admissible placement.
    budget : TimeBudget
        The time of the whole solve.
    """

    def __init__(self, model: AssignmentModel, x: Ints, budget: TimeBudget) -> None:
        self.model = model
        self.budget = budget
        self.pods = Pods.of(model, x)
        nodes = len(model.rows)
        groups = len(model.groups)
        self._requests = np.zeros((groups + 1, len(model.resources)), np.int64)
        self._requests[:groups] = model.requests.T
        self._room = np.full((len(model.resources), nodes + 1), np.iinfo(np.int64).max // 2)
        self._room[:, :nodes] = np.maximum(model.free, model.loads(model.running))
        self._mask = np.ones((groups + 1, nodes + 1), np.bool_)
        # nothing new on nodes that are overcommitted
        self._mask[:groups, :nodes] = model.mask & ~model.overcommitted.any(axis=0)
        self._tier = np.append(model.tier, -1)
        mean = self._room[:, :nodes].mean(axis=1)
        self._scale = 1.0 / np.maximum(mean, 1.0)
        self._seed = budget.limits.seed

    def unplaced(self, tier: int) -> int:
        """Return how many pods of a tier and above are left out."""
        counted = self.model.tier[self.pods.group] <= tier
        return int((self.pods.node[counted] == len(self.model.rows)).sum())

    def lock_at_home(self, tier: int) -> None:
        """Fix the pods of a tier and above that are where they run."""
        pods = self.pods
        at_home = (pods.home >= 0) & (pods.node == pods.home)
        pods.locked |= at_home & (self.model.tier[pods.group] <= tier)

    def locked(self) -> Ints:
        """Return how many pods are fixed, int64 [G, N]."""
        pods = self.pods
        counts = np.zeros(self.model.mask.shape, np.int64)
        np.add.at(counts, (pods.group[pods.locked], pods.node[pods.locked]), 1)
        return counts

    def adopt(self, tier: int, x: Ints) -> None:
        """Take over a placement of the pods of a tier and above that keeps what is fixed."""
        model, locked = self.model, self.locked()
        whole = np.where((model.tier <= tier)[:, None], x, self.pods.counts(model))
        pods = self.pods = Pods.of(model, whole)
        left = locked
        for p in np.flatnonzero((pods.home >= 0) & (pods.node == pods.home)).tolist():
            at = (pods.group[p], pods.node[p])
            if left[at] > 0:
                left[at] -= 1
                pods.locked[p] = True
        self._settle(np.flatnonzero(model.tier[pods.group] > tier))
        self._refill(tier)

    def place(self, tier: int, least: int, seconds: float, *, tries: int = 1_000_000) -> None:
        """Place more pods of a tier, keeping as many of those above it; stop at *least* left out.

        Parameters
        ----------
        tier : int
            The tier; pods below it lose their place where that helps.
        least : int
            Fewest pods of this tier and above that can be left out.
        seconds : float
            Time to take at most.
        tries : int
            Give up after so many annealings in a row that found nothing.
        """
        end = self.budget.spent + seconds
        failures = 0
        while self.unplaced(tier) > least and self.budget.spent < end and failures < tries:
            gap = self.unplaced(tier) - least
            step = max(gap >> min(failures + 1, 30), 1)
            if self._insert(tier, step, end):
                failures = 0
            else:
                failures += 1
        self._refill(tier)

    def _active(self, tier: int) -> Ints:
        pods = self.pods
        return np.flatnonzero((self.model.tier[pods.group] <= tier) & ~pods.locked)

    def _insert(self, tier: int, step: int, end: float) -> bool:
        """Try to place *step* more pods of a tier; return whether they are."""
        model, pods = self.model, self.pods
        nodes = len(model.rows)
        active = self._active(tier)
        load = self._load(tier)
        node = pods.node[active].copy()
        group = pods.group[active]
        waiting = np.flatnonzero((node == nodes) & (model.tier[group] == tier))
        sizes = (self._requests[group[waiting]] * self._scale).max(axis=1)
        for i in waiting[np.argsort(sizes, kind="stable")][:step]:
            request = self._requests[group[i]]
            over = np.maximum(load + request[:, None] - self._room, 0) * self._scale[:, None]
            total = np.where(self._mask[group[i]], over.sum(axis=0), np.inf)[:nodes]
            n = int(np.argmin(total))
            if not np.isfinite(total[n]):
                return False
            node[i] = n
            load[:, n] += request
        best = node.copy()
        feasible = self._anneal(active, node, load, 0.0, end, best)
        if feasible:
            pods.node[active] = best
            below = np.flatnonzero(model.tier[pods.group] > tier)
            self._settle(below)
        return feasible

    def calm(self, tier: int, least: int, seconds: float, *, tries: int = 1_000_000) -> None:
        """Bring pods of a tier and above back to where they run now, as far as others allow.

        Parameters
        ----------
        tier : int
            The tier.
        least : int
            Disruption (`objectives.disruption_of`) below which it can't go.
        seconds : float
            Time to take at most.
        tries : int
            Give up after so many annealings in a row that found nothing.
        """
        active = self._active(tier)
        end = self.budget.spent + seconds
        stick, value, failures = STICK[0], self._disruption(tier), 0
        while self.budget.spent < end and value > least and failures < tries:
            node, load = self.pods.node[active].copy(), self._load(tier)
            best = node.copy()
            self._anneal(active, node, load, stick, end, best)
            kept = self.pods.node[active].copy()
            self.pods.node[active] = best
            reached = self._disruption(tier)
            if reached < value:
                value, failures = reached, 0
            else:
                self.pods.node[active] = kept
                failures += 1
                stick = STICK[0] + STICK[1] - stick
        self._settle(np.flatnonzero(self.model.tier[self.pods.group] > tier))
        self._refill(tier)

    def _disruption(self, tier: int) -> int:
        return disruption_of(self.model, self.pods.counts(self.model), tier)

    def _anneal(
        self, active: Ints, node: Ints, load: Ints, stick: float, end: float, best: Ints
    ) -> bool:
        left = max(end - self.budget.spent, 0.0)
        wanted = STEPS_PER_POD * max(len(active), 16)
        steps = int(min(wanted, max(left * STEPS_PER_SECOND, 1000)))
        self._seed += 1
        done, found = anneal(
            self.pods.group[active],
            node,
            self.pods.home[active],
            self._requests,
            self._room,
            load,
            self._scale,
            self._mask,
            self._tier,
            steps,
            HOT,
            COLD,
            stick,
            self._seed,
            best,
        )
        self.budget.spend(done / STEPS_PER_SECOND)
        return bool(np.isfinite(found))

    def _load(self, tier: int) -> Ints:
        """Return what stands on the nodes when pods below a tier are left aside, int64 [K, N]."""
        pods = self.pods
        nodes = len(self.model.rows)
        load = np.zeros(self._room.shape, np.int64)
        counted = (self.model.tier[pods.group] <= tier) & (pods.node < nodes)
        np.add.at(load.T, pods.node[counted], self._requests[pods.group[counted]])
        return load

    def _settle(self, below: Ints) -> None:
        """Let pods below keep their nodes as far as there is room."""
        pods, nodes = self.pods, len(self.model.rows)
        others = np.setdiff1d(np.arange(len(pods.node)), below)
        others = others[pods.node[others] < nodes]
        load = np.zeros(self._room.shape, np.int64)
        np.add.at(load.T, pods.node[others], self._requests[pods.group[others]])
        for p in below[np.argsort(self.model.tier[pods.group[below]], kind="stable")].tolist():
            n = int(pods.node[p])
            if n == nodes:
                continue
            request = self._requests[pods.group[p]]
            if (load[:, n] + request <= self._room[:, n]).all():
                load[:, n] += request
            else:
                pods.node[p] = nodes

    def _refill(self, tier: int) -> None:
        """Give what room is left to pods below a tier, best fit, more important ones first."""
        pods, nodes = self.pods, len(self.model.rows)
        tiers = self.model.tier[pods.group]
        waiting = np.flatnonzero((pods.node == nodes) & (tiers > tier))
        if not len(waiting):
            return
        placed = pods.node < nodes
        load = np.zeros(self._room.shape, np.int64)
        np.add.at(load.T, pods.node[placed], self._requests[pods.group[placed]])
        for p in waiting[np.argsort(tiers[waiting], kind="stable")].tolist():
            g = pods.group[p]
            request = self._requests[g]
            left = self._room - load - request[:, None]
            fits = (left >= 0).all(axis=0) & self._mask[g]
            fits[nodes] = False
            if fits.any():
                rank = np.where(fits, (left * self._scale[:, None]).sum(axis=0), np.inf)
                n = int(np.argmin(rank))
                pods.node[p] = n
                load[:, n] += request
