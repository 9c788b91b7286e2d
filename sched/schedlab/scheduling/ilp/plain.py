"""Problems of resources, masks and tiers alone: local search from below, bounds from above.

For each level the search looks for a better placement and the bounds for a proof that there is
none, in turn, until they meet or the level's share of the time is used. On such problems the pair
was measured far ahead of CP-SAT from a few hundred unknowns on. What it leaves open, an integer
program tries, of which the pods that stay anyway are no part.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from schedlab.scheduling.ilp.backend import Backend, Goal
from schedlab.scheduling.ilp.bounds import RELAXED_S, RELAXED_SIZE
from schedlab.scheduling.ilp.budget import TimeBudget
from schedlab.scheduling.ilp.formulation import Formulation
from schedlab.scheduling.ilp.linear import INFINITY
from schedlab.scheduling.ilp.model import (
    AssignmentModel,
    Bools,
    Ints,
    better,
    disruption_of,
    placed_of,
    tiers_of,
)
from schedlab.scheduling.ilp.objectives import Step, expression_of
from schedlab.scheduling.ilp.packing import Packing, packing_of
from schedlab.scheduling.ilp.patterns import PatternBound
from schedlab.scheduling.ilp.relaxation import relaxed_bound
from schedlab.scheduling.ilp.result import Level
from schedlab.scheduling.ilp.rounding import roundable, rounded
from schedlab.scheduling.ilp.search import LocalSearch

FIRST_LOOK = 0.25
"""Share of a level's time that the search may take before the bounds have their turn."""
FIRST_TRIES = 6
"""Annealings without success after which it is the bounds' turn."""
PATTERN_SHARE = 0.4
"""Share of what is left of a level's time that whole fillings may take."""
ROUNDED_SHARE = 0.8
"""The same where nodes are so many that rounding fillings is the best there is."""
PATTERN_SIZE = 100_000
"""Kinds of nodes times groups up to which whole fillings are priced."""
BY_PATTERNS = "bound by patterns"
SMALL = 8000
"""Unknowns up to which an integer program is tried on what is open."""

MakeBackend = Callable[[Formulation], Backend]


def searchable(model: AssignmentModel, steps: Sequence[Step]) -> bool:
    """Return whether the search keeps all the rules of a problem and knows its first level."""
    displace = model.displace
    free = not model.running.any() or (
        displace.moves
        and displace.budget is None
        and not (displace.respect_budgets and model.couplings.budgets)
    )
    return model.plain and free and bool(steps) and steps[0].name == "placed"


class PlainSolver:
    """Solves the first levels of a plain problem.

    Parameters
    ----------
    model : AssignmentModel
        The problem.
    x : int64 array of shape [G, N]
        An admissible placement.
    budget : TimeBudget
        The time of the whole solve.
    make_backend : callable
        Returns a `Backend` for a formulation.
    """

    def __init__(
        self,
        model: AssignmentModel,
        x: Ints,
        budget: TimeBudget,
        make_backend: MakeBackend,
    ) -> None:
        self.model = model
        self.budget = budget
        self.search = LocalSearch(model, x, budget)
        self._make_backend = make_backend
        self._done: list[Level] = []
        self._tiers: list[int] = []
        self._held = np.zeros(model.mask.shape, np.int64)

    def level(self, step: Step, next_: Step | None, seconds: float) -> Level:
        """Solve one level within some time, those before it held.

        Parameters
        ----------
        step : Step
            The level: placed or disruption.
        next_ : Step or None
            The one after it: where it is the disruption of the same tier, placements that leave
            running pods alone are tried first.
        seconds : float
            Time at most.
        """
        tier = len(self.model.priorities) - 1 if step.tier is None else step.tier
        end = self.budget.spent + seconds
        if step.name == "disruption":
            value, bound, by = self._disruption(tier, end)
        else:
            gently = next_ is not None and next_.name == "disruption"
            value, bound, by = self._placed(tier, gently=gently, end=end)
        priority = None if step.tier is None else int(self.model.priorities[step.tier])
        level = Level(step.name, priority, step.maximize, value, float(bound), by)
        self._done.append(level)
        self._tiers.append(tier)
        if step.name == "disruption":
            self._lock(tier, exactly=value == 0)
        return level

    # --- pods placed ---------------------------------------------------------------------------

    def _placed(self, tier: int, *, gently: bool, end: float) -> tuple[int, int, str]:
        search, budget = self.search, self.budget
        total = int(self.model.demand[self.model.tier <= tier].sum())
        packing, start, kind = self._packing(tier)
        held = self._kept(tier)
        bound, by = math.floor(packing.pooled_bound() + 1e-6) + held, "pooled bound"
        many = roundable(self.model, packing)
        if many and total - search.unplaced(tier) < bound:
            bound, by = self._relaxed(packing, held, bound, by)
            bound, by = self._rounded(tier, packing, start, kind, bound, by, end)
        if gently and total - search.unplaced(tier) < bound:
            fixed = search.pods.locked.copy()
            search.lock_at_home(tier)
            look = FIRST_LOOK * (end - budget.spent)
            search.place(tier, total - bound, look, tries=FIRST_TRIES)
            search.pods.locked[:] = fixed
        look = FIRST_LOOK * (end - budget.spent)
        search.place(tier, total - bound, look, tries=FIRST_TRIES)
        value = total - search.unplaced(tier)
        if value < bound and not many:
            bound, by = self._relaxed(packing, held, bound, by)
            bound, by = max(bound, value), by
        if value < bound and not many and packing.most.size <= PATTERN_SIZE:
            patterns = PatternBound(packing, start, kind)
            enough = value - held + 1
            proven = patterns.improve(enough, budget, PATTERN_SHARE * (end - budget.spent))
            if proven + held < bound:
                bound, by = max(math.floor(proven) + held, value), BY_PATTERNS
        if value < bound:
            bound, by = self._integer(Step("placed", tier), tier, bound, by, end)
            search.place(tier, total - bound, max(end - budget.spent, 0.0))
        return total - search.unplaced(tier), bound, by

    def _relaxed(self, packing: Packing, held: int, bound: int, by: str) -> tuple[int, str]:
        """Return the bound of the linear relaxation, where that is tighter."""
        if len(packing.count) == 1 or packing.most.size > RELAXED_SIZE:
            return bound, by
        relaxed = math.floor(relaxed_bound(packing) + 1e-6) + held
        self.budget.spend(packing.most.size * RELAXED_S)
        return (relaxed, "linear relaxation") if relaxed < bound else (bound, by)

    def _rounded(
        self, tier: int, packing: Packing, start: Ints, kind: Ints, bound: int, by: str, end: float
    ) -> tuple[int, str]:
        """Try the placement that comes of whole fillings; return the bound, theirs if tighter."""
        patterns = PatternBound(packing, start, kind)
        # fillings without the last pods are no better than what is there
        enough = placed_of(self.model, self.search.pods.counts(self.model), tier) + 1
        proven = patterns.improve(enough, self.budget, ROUNDED_SHARE * (end - self.budget.spent))
        x = rounded(self.model, tier, patterns, kind)
        if better(self.model, x, self.search.pods.counts(self.model)):
            self.search.adopt(tier, x)
        return (math.floor(proven), BY_PATTERNS) if proven < bound else (bound, by)

    # --- disruption ----------------------------------------------------------------------------

    def _disruption(self, tier: int, end: float) -> tuple[int, int, str]:
        search, budget = self.search, self.budget
        search.calm(tier, 0, 0.5 * (end - budget.spent), tries=FIRST_TRIES)
        bound, by = 0, "nothing is less than none"
        if self._disruption_now(tier) > bound:
            bound, by = self._integer(Step("disruption", tier), tier, bound, by, end)
            search.calm(tier, bound, end - budget.spent)
        return self._disruption_now(tier), bound, by

    def _disruption_now(self, tier: int) -> int:
        return disruption_of(self.model, self.search.pods.counts(self.model), tier)

    def _lock(self, tier: int, *, exactly: bool) -> None:
        """Fix the pods that stay at home.

        They are no choice where nothing is disrupted; else to fix these and not others loses some
        placements, which the search may do, but no proof.
        """
        self.search.lock_at_home(tier)
        if exactly and all(v.value == 0 for v in self._done if v.name == "disruption"):
            self._held = self.search.locked()

    # --- what is left ---------------------------------------------------------------------------

    def _kept(self, tier: int) -> int:
        """Return how many pods of a tier and above stay where they are in every case."""
        return int(self._held[self.model.tier <= tier].sum())

    def _packing(self, tier: int) -> tuple[Packing, Ints, Ints]:
        """Return what is left of the problem for a bound, a placement of it, and kinds of nodes."""
        floors = [
            (above, level.value)
            for level, above in zip(self._done, self._tiers, strict=True)
            if level.name == "placed"
        ]
        packing, kind = packing_of(self.model, tier, floors, self._held)
        here = self.search.pods.counts(self.model) - self._held
        return packing, here[self.model.tier <= tier].T, kind

    def _integer(self, step: Step, tier: int, bound: int, by: str, end: float) -> tuple[int, str]:
        """Try an integer program on what is left; return the bound."""
        model, groups = self._reduced(tier)
        if int((model.mask | (model.running > 0)).sum()) > SMALL or end <= self.budget.spent:
            return bound, by
        form = Formulation(model)
        expression = expression_of(step, form)
        before = [
            (level, above, expression_of(Step(level.name, above), form))
            for level, above in zip(self._done, self._tiers, strict=True)
        ]
        backend = self._make_backend(form)
        kept = self._kept(tier)
        for level, above, earlier in before:
            if level.name == "placed":
                backend.require(earlier, level.value - self._kept(above), INFINITY)
            else:
                backend.require(earlier, -INFINITY, level.value)
        if step.maximize:
            backend.require(expression, -INFINITY, bound - kept)
        else:
            backend.require(expression, bound, INFINITY)
        here = (self.search.pods.counts(self.model) - self._held)[groups]
        answer = backend.solve(
            Goal(expression, step.maximize),
            form.hint(here),
            seconds=end - self.budget.spent,
            deterministic=self.budget.limits.deterministic,
        )
        self.budget.spend(answer.seconds)
        if answer.solution is not None:
            self._adopt(step, tier, form.counts(answer.solution), groups)
        if answer.bound is None:
            return bound, by
        found = (
            math.floor(answer.bound + 1e-6) + kept
            if step.maximize
            else math.ceil(answer.bound - 1e-6)
        )
        tighter = found < bound if step.maximize else found > bound
        if answer.proven and answer.solution is not None:
            value = expression.value(answer.solution)
            return value + (kept if step.maximize else 0), backend.name
        return (found, backend.name) if tighter else (bound, by)

    def _adopt(self, step: Step, tier: int, part: Ints, groups: Ints) -> None:
        """Take over what an integer program found, where it is better."""
        model = self.model
        whole = np.zeros(model.mask.shape, np.int64)
        whole[groups] = part
        whole += np.where((model.tier <= tier)[:, None], self._held, 0)
        here = self.search.pods.counts(model)
        if step.maximize:
            gain = placed_of(model, whole, tier) - placed_of(model, here, tier)
        else:
            gain = disruption_of(model, here, tier) - disruption_of(model, whole, tier)
        if gain > 0:
            self.search.pods.locked &= self._always_held()
            self.search.adopt(tier, whole)

    def _always_held(self) -> Bools:
        """Return which pods are fixed in every case, bool [P]."""
        pods = self.search.pods
        left = self._held.copy()
        held = np.zeros(len(pods.node), np.bool_)
        for p in np.flatnonzero(pods.locked).tolist():
            at = (pods.group[p], pods.node[p])
            if left[at] > 0:
                left[at] -= 1
                held[p] = True
        return held

    def _reduced(self, tier: int) -> tuple[AssignmentModel, Ints]:
        """Return the problem of a tier and above without the pods that stay in every case."""
        model, held = self.model, self._held
        groups = np.flatnonzero(model.tier <= tier)
        room = np.maximum(model.free, model.loads(model.running)) - model.loads(held)
        less = []
        for g in groups.tolist():
            group = model.groups[g]
            running = {n: rows[held[g, n] :] for n, rows in group.running.items()}
            less.append(replace(group, running={n: rows for n, rows in running.items() if rows}))
        priorities, tiers = tiers_of(less)
        return (
            replace(
                model,
                groups=less,
                requests=model.requests[:, groups],
                free=room,
                fixed=model.fixed + held.sum(axis=0),
                mask=model.mask[groups],
                upper=model.upper[groups],
                running=(model.running - held)[groups],
                priorities=priorities,
                tier=tiers,
            ),
            groups,
        )
