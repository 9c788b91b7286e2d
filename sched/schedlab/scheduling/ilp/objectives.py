"""Named objectives, and their order of importance.

An objective is a list of names, most important first; each is optimised with those before it held.

==============  ==================================================================================
``placed``      most pods placed, tier by tier: all of priority p and above, for each p downwards
``disruption``  least disruption of running pods: 1 for an eviction, 2 for a move (as the Priority
                Matters plugin weighs them)
``placed+disruption``  both, in turn for each tier: the order of Priority Matters
``evictions``   fewest running pods that lose their node, for good or to another one
``moves``       fewest of those that get another node at once
``nodes``       fewest nodes in use
``cost``        least cost of the nodes in use (label ``schedlab.io/cost``, else their milli-cores)
``balance``     smallest utilisation of the fullest node, in thousandths
``spread``      fewest pods of one group on one node, summed over the groups
``fragmentation``  least of what is free where typical pods of the batch don't fit, in thousandths
                of a mean node, of the scarcest resource
==============  ==================================================================================

A mapping of names to weights in the list stands for the weighted sum of its members; only names
with a single level can be summed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from schedlab.api.invalid import nearest
from schedlab.errors import InputError
from schedlab.scheduling.ilp.formulation import Formulation, added
from schedlab.scheduling.ilp.linear import Expression
from schedlab.scheduling.ilp.model import AssignmentModel, groups_of

Spec = str | Mapping[str, int]
"""One entry of an objective."""

DEFAULT: tuple[Spec, ...] = ("placed",)
TYPICAL = 8
"""Groups that stand for what may come, in the objective ``fragmentation``."""
THOUSAND = 1000


@dataclass(frozen=True, slots=True)
class Step:
    """One level, before it is solved.

    Attributes
    ----------
    name : str
        The objective.
    tier : int or None
        Only pods of this tier and above count; None = all.
    weights : tuple of (str, int)
        Members of a weighted sum; empty = the objective alone.
    """

    name: str
    tier: int | None = None
    weights: tuple[tuple[str, int], ...] = ()

    @property
    def maximize(self) -> bool:
        """Whether more is better."""
        return self.name == "placed"


def read_objective(objective: Sequence[Spec] | str, tiers: int) -> list[Step]:
    """Return the levels of an objective for a problem with a number of *tiers*.

    Raises
    ------
    InputError
        A name is not known, or can't be summed.
    """
    entries: Sequence[Spec] = objective.split(",") if isinstance(objective, str) else objective
    steps: list[Step] = []
    for entry in entries:
        if isinstance(entry, str):
            steps += _named(entry.strip(), tiers)
        else:
            for name, weight in entries_of(entry):
                if not isinstance(weight, int) or weight < 0:
                    raise InputError(f"objective.{name}", found=weight, expected="a weight >= 0")
            steps.append(Step("weighted", None, tuple(entries_of(entry))))
    if not steps:
        raise InputError("objective", found=objective, expected="at least one name")
    return steps


def entries_of(entry: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return the members of a weighted sum.

    Raises
    ------
    InputError
        A name is not known, or stands for several levels.
    """
    for name in entry:
        if name not in SINGLE:
            raise _unknown(name, sorted(SINGLE))
    return list(entry.items())


def _named(name: str, tiers: int) -> list[Step]:
    every = range(tiers)
    if name == "placed":
        return [Step("placed", t) for t in every]
    if name == "placed+disruption":
        return [Step(part, t) for t in every for part in ("placed", "disruption")]
    if name in SINGLE:
        return [Step(name)]
    raise _unknown(name, sorted({*SINGLE, "placed", "placed+disruption"}))


def _unknown(name: str, known: list[str]) -> InputError:
    return InputError(
        "objective",
        found=name,
        expected=f"one of {', '.join(known)}",
        hint=nearest(name, known),
    )


def expression_of(step: Step, form: Formulation) -> Expression:
    """Return a level as an expression over the columns of a formulation, adding what it needs."""
    if step.name == "placed":
        groups = groups_of(form.model, step.tier)
        return Expression(*form.total(groups))
    if step.name == "disruption":
        return _disruption(form, step.tier)
    if step.weights:
        columns: list[int] = []
        coefficients: list[int] = []
        constant = 0
        for name, weight in step.weights:
            part = SINGLE[name](form)
            columns += part.columns
            coefficients += [weight * k for k in part.coefficients]
            constant += weight * part.constant
        return Expression(columns, coefficients, constant)
    return SINGLE[step.name](form)


def _displaced(form: Formulation, groups: list[int]) -> Expression:
    columns, ones = form.staying(groups)
    return Expression(columns, [-k for k in ones], int(form.model.running[groups].sum()))


def _disruption(form: Formulation, tier: int | None) -> Expression:
    groups = groups_of(form.model, tier)
    displaced = _displaced(form, groups)
    gone = [form.evicted(g) for g in groups if form.model.groups[g].running]
    return Expression(
        [*displaced.columns, *gone],
        [*(2 * k for k in displaced.coefficients), *[-1] * len(gone)],
        2 * displaced.constant,
    )


def _moves(form: Formulation) -> Expression:
    groups = groups_of(form.model, None)
    displaced = _displaced(form, groups)
    gone = [form.evicted(g) for g in groups if form.model.groups[g].running]
    return Expression(
        [*displaced.columns, *gone],
        [*displaced.coefficients, *[-1] * len(gone)],
        displaced.constant,
    )


def _used(form: Formulation) -> list[tuple[int, int]]:
    """Return (node, 0/1 column that is 1 where it is used) for nodes without immovable pods."""
    found = []
    model = form.model
    room = np.maximum(model.free, model.loads(model.running))
    for n in np.flatnonzero(model.fixed == 0).tolist():
        columns, ones = form.total(range(len(model.groups)), [n])
        if not columns:
            continue
        flag = form.linear.flag()
        most = sum(form.linear.upper[c] for c in columns)
        form.linear.row([*columns, flag], [*ones, -most], high=0)
        for k in range(len(model.resources)):  # the same per resource: a tighter relaxation
            groups = np.flatnonzero((form.x[:, n] >= 0) & (model.requests[k] > 0))
            asked = model.requests[k, groups].tolist()
            held = [*form.x[groups, n].tolist(), flag]
            form.linear.row(held, [*asked, -int(room[k, n])], high=0)
        found.append((n, flag))
    return found


def _nodes(form: Formulation) -> Expression:
    used = _used(form)
    busy = int((form.model.fixed > 0).sum())
    return Expression([flag for _, flag in used], [1] * len(used), busy)


def _cost(form: Formulation) -> Expression:
    costs = form.model.costs
    used = _used(form)
    busy = int(costs[form.model.fixed > 0].sum())
    return Expression([flag for _, flag in used], [int(costs[n]) for n, _ in used], busy)


def _balance(form: Formulation) -> Expression:
    model = form.model
    fullest = form.linear.column(0, THOUSAND)
    for k, name in enumerate(model.resources):
        if name == "pods":
            continue
        for n in np.flatnonzero(model.allocatable[k]).tolist():
            groups = np.flatnonzero((form.x[:, n] >= 0) & (model.requests[k] > 0))
            size = int(model.allocatable[k, n])
            held = THOUSAND * (size - int(model.free[k, n]))
            columns = [*form.x[groups, n].tolist(), fullest]
            asked = [THOUSAND * a for a in model.requests[k, groups].tolist()]
            form.linear.row(columns, [*asked, -size], high=-min(held, THOUSAND * size))
    return Expression([fullest], [1])


def _spread(form: Formulation) -> Expression:
    columns = []
    for g in range(len(form.model.groups)):
        counts = form.x[g][form.x[g] >= 0].tolist()
        if counts:
            most = form.linear.column(0, max(form.linear.upper[c] for c in counts))
            columns.append(most)
            for count in counts:
                form.linear.row([count, most], [1, -1], high=0)
    return Expression(columns, [1] * len(columns))


def typical(model: AssignmentModel) -> tuple[int, list[tuple[int, int]]]:
    """Return the scarcest resource, and (group, weight) of the commonest groups.

    The weights are the sizes of the groups, the resource the one with the largest share of its
    capacity asked for (pods aside).
    """
    asked = model.requests @ model.demand
    capacity = np.maximum(model.allocatable.sum(axis=1), 1)
    share = np.where([name == "pods" for name in model.resources], -1.0, asked / capacity)
    common = np.argsort(-model.demand, kind="stable")[:TYPICAL].tolist()
    return int(np.argmax(share)), [(g, int(model.demand[g])) for g in common]


def _fragmentation(form: Formulation) -> Expression:
    model, linear = form.model, form.linear
    scarce, common = typical(model)
    unit = max(int(model.allocatable[scarce].mean()) // THOUSAND, 1)
    columns: list[int] = []
    weights: list[int] = []
    for n in range(len(model.rows)):
        groups = np.flatnonzero(form.x[:, n] >= 0)
        free = int(model.free[scarce, n])
        held = (form.x[groups, n].tolist(), model.requests[scarce, groups].tolist())
        for g, weight in common:
            lost = linear.column(0, -(-free // unit))
            columns.append(lost)
            weights.append(weight)
            fits = linear.flag()
            # where the pod does not fit, everything free is lost to it: unit * lost >= free - held
            sum_ = added(([lost], [unit]), held)
            linear.row(*sum_, low=free, when=(fits, 0))
            for k in np.flatnonzero(model.requests[:, g]).tolist():
                room = int(model.free[k, n] - model.requests[k, g])
                taken = (form.x[groups, n].tolist(), model.requests[k, groups].tolist())
                linear.row(*taken, high=room, when=(fits, 1))
            if not model.mask[g, n]:
                linear.row([fits], [1], high=0)
    return Expression(columns, weights)


SINGLE: dict[str, Callable[[Formulation], Expression]] = {
    "disruption": lambda form: _disruption(form, None),
    "evictions": lambda form: _displaced(form, groups_of(form.model, None)),
    "moves": _moves,
    "nodes": _nodes,
    "cost": _cost,
    "balance": _balance,
    "spread": _spread,
    "fragmentation": _fragmentation,
}
"""Objectives of one level: name -> what makes its expression."""
