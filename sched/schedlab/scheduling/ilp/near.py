"""Required inter-pod affinity as rows: partners in every domain, and an order to place pods in.

A pod that needs a partner can only come after it. Without that, two pods that need each other
could hold each other up anywhere, a state that no scheduler reaches. The rows therefore say where
a group's first pod in a domain finds its partner: among pods that stay or that ask for nothing
themselves, among other new pods that come earlier (their *rank* is lower), or, for the first pod
of a series that matches its own terms, nowhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from schedlab.scheduling.ilp.couplings import Near

if TYPE_CHECKING:
    from schedlab.scheduling.ilp.formulation import Formulation

Place = tuple[int, tuple[int, ...]]
"""A group that needs partners, and its domains (one per topology key)."""


def add_near(form: Formulation) -> None:
    """Add the rows of all required affinity to a formulation."""
    asking = {near.group: near for near in form.model.couplings.near}
    if asking:
        _Places(form, asking).add()


class _Places:
    """Where the groups that need partners can be, and when they come there."""

    def __init__(self, form: Formulation, asking: dict[int, Near]) -> None:
        self._form = form
        self._asking = asking
        self._nodes: dict[Place, list[int]] = {}
        for g, near in asking.items():
            for n in np.flatnonzero(form.model.mask[g]).tolist():
                place = (g, tuple(int(domain[n]) for domain in near.domains))
                self._nodes.setdefault(place, []).append(n)
        self._flag = {place: form.flag(place[0], nodes) for place, nodes in self._nodes.items()}
        self._nodes = {p: nodes for p, nodes in self._nodes.items() if self._flag[p] >= 0}
        most = len(self._nodes)
        self._rank = {place: form.linear.column(0, most) for place in self._nodes}
        self._lonely: dict[int, int] = {}
        self._first: dict[Place, int] = {}

    def add(self) -> None:
        for near in self._asking.values():
            if near.alone and near.nothing_fixed:
                self._series(near)
        for place in self._nodes:
            near = self._asking[place[0]]
            for key, domain in enumerate(near.domains):
                n = self._nodes[place][0]
                if not near.fixed[key][n]:
                    inside = np.flatnonzero(domain == domain[n]).tolist()
                    self._partner(place, near, key, inside)

    def _series(self, near: Near) -> None:
        """Let one place hold the first pod of a series, where nothing that is meant is anywhere."""
        form, linear = self._form, self._form.linear
        places = [place for place in self._nodes if place[0] == near.group]
        somewhere = np.flatnonzero(np.any([d >= 0 for d in near.domains], axis=0)).tolist()
        firsts = []
        for place in places:
            first = self._first[place] = linear.flag()
            firsts.append(first)
            linear.row([first, self._flag[place]], [1, -1], high=0)
            columns, ones = form.staying(near.meant, somewhere)
            linear.row(columns, ones, high=0, when=(first, 1))
            for other in self._nodes:
                if other != place and other[0] in near.meant:
                    self._after(other, place, first)
        linear.row(firsts, [1] * len(firsts), high=1)
        lonely = self._lonely[near.group] = linear.flag()
        linear.row([lonely, *firsts], [1, *[-1] * len(firsts)], high=0)
        linear.row(*form.total(near.meant, somewhere), high=1, when=(lonely, 1))

    def _after(self, later: Place, earlier: Place, when: int) -> None:
        """Place *earlier* before *later* where *when* is 1, if anything is there later."""
        linear = self._form.linear
        both = linear.flag()
        linear.row([both, when, self._flag[later]], [1, -1, -1], low=-1)
        ranks = [self._rank[later], self._rank[earlier]]
        linear.row(ranks, [1, -1], low=1, when=(both, 1))

    def _partner(self, place: Place, near: Near, key: int, inside: Sequence[int]) -> None:
        """Demand a partner in one domain of a place."""
        form, linear = self._form, self._form.linear
        patient = [h for h in near.meant if h not in self._asking]
        sources = form.total(patient, inside)
        waiting = [h for h in near.meant if h in self._asking]
        columns, ones = form.staying(waiting, inside)
        columns, ones = [*sources[0], *columns], [*sources[1], *ones]
        first = self._first.get(place)
        if first is not None:
            columns, ones = [*columns, first], [*ones, 1]
        for other, nodes in self._nodes.items():
            shared = [n for n in nodes if n in inside]
            if other != place and other[0] in waiting and shared:
                there = form.flag(other[0], shared)
                if there >= 0:
                    columns.append(self._source(place, other, there))
                    ones.append(1)
        linear.row(columns, ones, low=1, when=(self._flag[place], 1))
        if first is not None:  # in the end the first pod, too, has company or is alone at all
            lonely = self._lonely[place[0]]
            columns, ones = form.total(near.meant, inside)
            linear.row([*columns, lonely], [*ones, 1], low=2, when=(first, 1))

    def _source(self, place: Place, other: Place, there: int) -> int:
        """Return a flag: *other* has something new where *there* says, earlier than *place*.

        Whatever comes to a place may follow its first pod at once.
        """
        linear = self._form.linear
        source = linear.flag()
        linear.row([source, there], [1, -1], high=0)
        ranks = [self._rank[place], self._rank[other]]
        linear.row(ranks, [1, -1], low=1, when=(source, 1))
        return source
