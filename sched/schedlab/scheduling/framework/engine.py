"""The incremental engine: kube-scheduler's decisions without asking every plugin about every node.

Per class of pods an `Outlook` holds what the plugins say, in parts that are kept apart because they
change at different times and are shared by different classes::

    StaticPart     labels, taints, images        classes that look alike to the STATIC plugins
    NodePart       resources                     classes that ask for the same
    FormPart       static part, pods in          classes that differ in nothing but
                   domains, other plugins        what they ask for

A decision brings the parts up to date by the rows that changed, and takes the fastest of three ways
that is exact: groups of like nodes (`choice.decide_groups`), single nodes (`choice.decide_nodes`),
or numpy over the nodes that are left, for plugins that aren't compiled and for nominated pods.
`schedlab.scheduling.framework.evaluation` is the same without memory, and the tests hold both to
the same decisions.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from schedlab.cluster.classes import PodClass
from schedlab.cluster.state import ClusterState
from schedlab.scheduling.base import Pod
from schedlab.scheduling.framework.choice import decide_nodes
from schedlab.scheduling.framework.class_cache import Cursor, LeastRecent
from schedlab.scheduling.framework.domains import NO_ENTRIES
from schedlab.scheduling.framework.evaluation import Evaluation, evaluate_filters, rivals
from schedlab.scheduling.framework.form_part import FormPart
from schedlab.scheduling.framework.interface import Cycle, Rows
from schedlab.scheduling.framework.parts import Parts
from schedlab.scheduling.framework.profiles import Profile
from schedlab.scheduling.framework.ranking import Ranking
from schedlab.scheduling.framework.rejections import Rejections, explain
from schedlab.scheduling.framework.runs import place_run
from schedlab.scheduling.framework.visiting import Visits
from schedlab.scheduling.plugins.node_resources_fit import NodeResourcesFit

BYTES_PER_NODE = 64


class Choice(NamedTuple):
    """What the engine says of one pod."""

    row: int
    """Row of the chosen node, or -1."""
    feasible: int
    """Nodes found feasible."""
    visited: int
    """Nodes looked at."""


class Outlook:
    """What the plugins say of pods of one class.

    Parameters
    ----------
    parts : Parts
        Where it gets its parts.
    form : FormPart
        That of the class.
    pod : PodClass
        The class.
    keep : bool
        It will be asked again. Otherwise it lives on spare parts: it holds for the decision that it
        was made for, until the next outlook is asked for.
    """

    def __init__(self, parts: Parts, form: FormPart, pod: PodClass, *, keep: bool) -> None:
        self._parts = parts
        self._state = parts.state
        self._form = form
        self._keep = keep
        self.pod = pod
        self._version = -1
        self._ranking: Ranking | None = None
        self._cursor = Cursor()
        self._message: tuple[tuple[int, ...], str] = ((), "")
        self._rejections: Rejections | None = None
        self._verdicts: tuple[tuple[int, ...], Evaluation] | None = None
        filters = parts.profile.filters
        self._fit = next((i for i, p in enumerate(filters) if isinstance(p, NodeResourcesFit)), -1)

    def refresh(self, visits: Visits) -> None:
        """Bring all parts up to date."""
        form = self._form
        form.refresh(visits)
        if form.version != self._version:
            self._version = form.version
            self._build()
        if form.answers.folds:
            self._fold()

    def _build(self) -> None:
        parts, form, nodes = self._parts, self._form, self._state.nodes
        node_key, self.node = parts.node(self.pod, keep=self._keep)
        self.node.resize(nodes)
        self._codes, self._scores = self.node.codes, self.node.scores
        if form.answers.folds:
            self._codes, self._scores = self._codes.copy(), self._scores.copy()
            self._cursor = Cursor()
            self._cursor.outgrown(nodes)
        self._ranking = None
        if form.layout is not None:
            key = (*form.layout_key, *node_key)
            self._ranking = parts.ranking(key, form.layout, keep=self._keep)
            self._kept = (
                self.node.codes, self.node.scores, form.static.ok, form.static.extra, form.blocked,
            )  # fmt: skip

    def _fold(self) -> None:
        """Add what other plugins say to what resources say, where it changed."""
        nodes = self._state.nodes
        if self._cursor.usage != nodes.usage.count:
            self.node.refresh(nodes)
            rows = self._cursor.changed_usage(nodes)
            self._form.answers.fold(rows, self.node, self._codes, self._scores)

    def choose(self, pod: Pod, visits: Visits, wanted: int, u: float) -> Choice:
        """Decide on a pod of the class.

        Parameters
        ----------
        pod : Pod
            The pod.
        visits : Visits
            Order of visit, up to date.
        wanted : int
            How many feasible nodes end the search.
        u : float
            In [0, 1): draws one of the best nodes; negative: the first visited of them.
        """
        form = self._form
        if form.slow or self._state.nominated:
            cycle = Cycle(self._state, self.pod, pod)
            pending = rivals(cycle)
            if form.slow or pending:
                return self._choose_slowly(cycle, visits, wanted, u, pending)
        size = len(visits.order)
        if self._ranking is not None and wanted >= size and (u >= 0 or visits.start == 0):
            rows, found = self.place_run(np.array([u]), visits)
            return Choice(rows[0], found[0], size) if rows else Choice(-1, 0, size)
        if not form.answers.folds:
            self.node.refresh(self._state.nodes)
        static = form.static
        row, feasible, visited = decide_nodes(
            (visits.order, visits.start, wanted),
            static.ok,
            self._codes,
            self._scores,
            static.extra,
            static.taints,
            static.affinity,
            NO_ENTRIES if form.domains is None else form.domains.arrays,
            form.weights,
            u,
        )
        return Choice(row, feasible, visited)

    @property
    def runs(self) -> bool:
        """Return whether `place_run` is exact for the class in the present state."""
        return self._ranking is not None and not self._state.nominated

    def place_run(self, us: NDArray[np.float64], visits: Visits) -> tuple[list[int], list[int]]:
        """Decide on pods of the class one after the other; see `runs.place_run`.

        Returns
        -------
        rows, found : list of int
            For each pod placed, its node and how many were feasible. They are fewer than *us* where
            the next pod fits nowhere.
        """
        nodes, ranking, form = self._state.nodes, self._ranking, self._form
        if ranking is None:
            raise RuntimeError("the class has no ranking")
        rows, found = np.empty((2, len(us)), np.int64)
        moved, changed = ranking.cursor.changed_usage_of_two(self.node.cursor, nodes)
        placed = place_run(
            changed,
            moved,
            (nodes.requested, nodes.nonzero_requested, nodes.allocatable),
            self.node.plan,
            self._kept,
            ranking.layout.arrays,
            ranking.arrays,
            form.entries,
            form.own,
            form.weights,
            us,
            rows,
            found,
        )
        chosen: list[int] = rows[:placed].tolist()
        if len(us) > 1:  # what is kept has run ahead of the columns there
            for row in chosen:
                nodes.usage.append(row)
        return chosen, found[:placed].tolist()

    def passing(self, cycle: Cycle, rows: Rows, pending: dict[int, list[int]]) -> Rows:
        """Return which of *rows* pass all filters, in the same order."""
        form = self._form
        self.node.refresh(self._state.nodes)
        rows = rows[form.static.ok[rows] & (self.node.codes[rows] == 0)]
        rows = form.answers.passing(cycle, rows)
        if form.domains is not None:
            rows = self._parts.domain_plugins.passing(cycle, rows)
        if pending:
            rows = form.answers.beside(self._parts.profile, cycle, rows, pending)
        return rows

    @property
    def by_resources(self) -> bool:
        """Return whether STATIC plugins and resources alone decide, in the present state."""
        form = self._form
        return not (
            form.slow or form.answers.any or form.domains is not None or self._state.nominated
        )

    def feasible(self, pod: Pod) -> Rows:
        """Return the rows of the nodes that pass all filters, increasing, int64 [F]."""
        cycle = Cycle(self._state, self.pod, pod)
        every = np.arange(self._state.nodes.size, dtype=np.int64)
        return self.passing(cycle, every, rivals(cycle) if self._state.nominated else {})

    def passes(self, pod: Pod, row: int) -> bool:
        """Return whether a pod of the class passes all filters on one node."""
        cycle = Cycle(self._state, self.pod, pod)
        one = np.array([row], np.int64)
        return bool(len(self.passing(cycle, one, rivals(cycle))))

    def _judge(self) -> Rejections:
        """Return which filter rejects each node, STATIC ones and NodeResourcesFit."""
        nodes = self._state.nodes
        if self._rejections is None:
            self._rejections = Rejections(self._fit, len(self._parts.profile.filters))
        self.node.refresh(nodes)
        self._rejections.refresh(nodes, self._form.static, self.node)
        return self._rejections

    def verdicts(self, cycle: Cycle) -> Evaluation:
        """Return what the filters say of each node, for a pod of the class that fits nowhere.

        It holds until the cluster changes.
        """
        profile, nodes, form = self._parts.profile, self._state.nodes, self._form
        if not form.kept_whole or form.domains is not None or self._fit < 0 or rivals(cycle):
            return evaluate_filters(profile, cycle)
        now = (nodes.usage.count, *form.mark)
        if self._verdicts is not None and self._verdicts[0] == now:
            return self._verdicts[1]
        judged = self._judge()
        by, codes, counts = judged.by, judged.codes, judged.counts
        if len(nodes.row_of) < nodes.size:
            rows = np.flatnonzero(nodes.present[: nodes.size]).astype(np.int64)
            by, codes = by[rows], codes[rows]
        else:
            rows = form.every
        asked: frozenset[str] = frozenset()
        if form.answers.any:
            by, codes = by.copy(), codes.copy()
            asked = form.answers.reject(rows, by, codes)
            counts = np.bincount(by[by >= 0], minlength=len(profile.filters))
        feasible = rows[:0] if counts.sum() == len(rows) else rows[by == -1]
        skipped = [name for name in self._parts.moving if name not in asked]
        rejectors = tuple(counts.nonzero()[0].tolist())
        found = Evaluation(rows, by, codes, feasible, skip_filter=skipped, rejectors=rejectors)
        self._verdicts = (now, found)
        return found

    def message(self, pod: Pod) -> str:
        """Return why a pod of the class fits nowhere, in kube-scheduler's words."""
        nodes, state, form = self._state.nodes, self._state, self._form
        now = (nodes.usage.count, *form.mark)
        cycle = Cycle(state, self.pod, pod)
        filters = self._parts.profile.filters
        if not form.kept_whole or form.domains is not None or self._fit < 0 or rivals(cycle):
            return evaluate_filters(self._parts.profile, cycle).message(cycle, filters)
        if self._message[0] != now:
            if form.answers.any:
                text = self.verdicts(cycle).message(cycle, filters)
            else:
                text = explain(filters, cycle, form.static.verdicts, self._judge().short)
            self._message = (now, text)
        return self._message[1]

    def _choose_slowly(
        self,
        cycle: Cycle,
        visits: Visits,
        wanted: int,
        u: float,
        pending: dict[int, list[int]],
    ) -> Choice:
        order = np.roll(visits.order, -visits.start)
        rows = self.passing(cycle, order, pending)[:wanted]
        size = len(order)
        if not len(rows):
            return Choice(-1, 0, size)
        visited = size
        if len(rows) == wanted < size:
            visited = int(np.flatnonzero(order == rows[-1])[0]) + 1
        total = self.node.scores[rows] + self._form.static.extra[rows]
        total += self._form.answers.scores(cycle, rows, self._form.static)
        best = np.flatnonzero(total == total.max())
        pick = best[int(u * len(best))] if u >= 0 else best[0]
        return Choice(int(rows[pick]), len(rows), visited)


class Engine:
    """Decides for pods of any class on one cluster under one profile.

    Parameters
    ----------
    profile : Profile
        The plugins.
    """

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._parts: Parts | None = None

    def outlook(self, pod: PodClass, state: ClusterState, visits: Visits) -> Outlook:
        """Return the outlook of a class, up to date; it holds until the next is asked for."""
        parts = self._parts
        if parts is None or parts.state is not state:
            parts = self._parts = Parts(self._profile, state)
            each = BYTES_PER_NODE * max(1, state.nodes.size)
            self._forms: LeastRecent[FormPart] = LeastRecent(each)
            self._outlooks: LeastRecent[Outlook] = LeastRecent(each)
        found = self._outlooks.again(pod.id, lambda keep: self._make(parts, pod, keep=keep))
        found.refresh(visits)
        return found

    def _make(self, parts: Parts, pod: PodClass, *, keep: bool) -> Outlook:
        form = pod.form if parts.by_form else pod.id
        of_form = self._forms.again(form, lambda _: FormPart(parts, pod))
        return Outlook(parts, of_form, pod, keep=keep)

    def forget(self) -> None:
        """Forget everything that is kept: the next decision starts from nothing."""
        self._parts = None
