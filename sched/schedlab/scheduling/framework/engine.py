"""The incremental engine: kube-scheduler's decisions without asking every plugin about every node.

Per class of pods an `Outlook` holds what the plugins say, in parts that are kept apart because they
change at different times and are shared by different classes::

    StaticPart     labels, taints, images        classes that look alike to the STATIC plugins
    NodePart       resources                     classes that ask for the same
    DomainCounts   pods in topology domains      one class
    Answers        other plugins by node         one class

A decision brings the parts up to date by the rows that changed, and takes the fastest of three ways
that is exact: groups of like nodes (`choice.decide_groups`), single nodes (`choice.decide_nodes`),
or numpy over the nodes that are left, for plugins that aren't compiled and for nominated pods.
`schedlab.scheduling.framework.evaluation` is the same without memory, and the tests hold both to
the same decisions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from schedlab.api.objects import LabelSelector
from schedlab.cluster.classes import PodClass
from schedlab.cluster.state import ClusterState
from schedlab.cluster.vocabulary import Vocabulary
from schedlab.scheduling.base import Pod
from schedlab.scheduling.framework.answers import Answers, AskedPlugins
from schedlab.scheduling.framework.choice import (
    DOMAINS,
    PREFERRED,
    SOFT,
    decide_nodes,
)
from schedlab.scheduling.framework.class_cache import ClassCaches, LeastRecent
from schedlab.scheduling.framework.domain_plugins import DomainPlugins
from schedlab.scheduling.framework.domains import NO_ENTRIES, DomainCounts, keeps_single_nodes
from schedlab.scheduling.framework.evaluation import Evaluation, evaluate_filters, rivals
from schedlab.scheduling.framework.filter_cache import explain
from schedlab.scheduling.framework.interface import Cycle, Depends, Rows, depends_on
from schedlab.scheduling.framework.node_part import NodePart, asks
from schedlab.scheduling.framework.profiles import Profile
from schedlab.scheduling.framework.ranking import MOST_GROUPS, NOTHING_BLOCKED, Layout, Ranking
from schedlab.scheduling.framework.runs import place_run
from schedlab.scheduling.framework.static_part import StaticPart, looks_anywhere, looks_at
from schedlab.scheduling.framework.visiting import Visits
from schedlab.scheduling.plugins.default_selector import default_selector
from schedlab.scheduling.plugins.node_resources_fit import NodeResourcesFit

NO_GROUP_ENTRIES = (*NO_ENTRIES, NO_ENTRIES[0])
NO_OWN = (np.zeros(0, np.int64), np.zeros((0, 0), np.bool_))


class Choice(NamedTuple):
    """What the engine says of one pod."""

    row: int
    """Row of the chosen node, or -1."""
    feasible: int
    """Nodes found feasible."""
    visited: int
    """Nodes looked at."""


class Parts:
    """The parts of all outlooks on one cluster, shared where classes are alike.

    Parameters
    ----------
    profile : Profile
        The plugins.
    state : ClusterState
        The cluster.
    """

    def __init__(self, profile: Profile, state: ClusterState) -> None:
        self.profile = profile
        self.state = state
        self.domain_plugins = DomainPlugins(profile)
        self.asked = AskedPlugins(profile)
        self._anywhere = looks_anywhere(profile)
        self._numbers: Vocabulary[tuple[object, ...]] = Vocabulary()  # short keys for long ones
        self._static_keys: dict[int, tuple[object, ...]] = {}
        self._node_keys: dict[int, tuple[object, ...]] = {}
        size = max(1, state.nodes.size)
        self._statics: LeastRecent[StaticPart] = LeastRecent(34 * size)
        self._nodes: LeastRecent[NodePart] = LeastRecent(16 * size)
        self._layouts: LeastRecent[Layout] = LeastRecent(17 * size)
        self._rankings: LeastRecent[Ranking] = LeastRecent(17 * size)

    def static(self, pod: PodClass) -> tuple[tuple[object, ...], StaticPart]:
        """Return the static part of a class, up to date, and its key."""
        key = self._static_keys.get(pod.id)
        if key is None:
            looks = (pod.id,) if self._anywhere else looks_at(pod)
            key = self._static_keys[pod.id] = (self._numbers.add(("static", looks)),)
        found = self._statics.get(key, lambda: StaticPart(self.profile, pod, self.state))
        found.refresh(self.state.nodes)
        return key, found

    def node(self, pod: PodClass) -> tuple[tuple[object, ...], NodePart]:
        """Return the resource part of a class, up to date, and its key."""
        key = self._node_keys.get(pod.id)
        if key is None:
            key = self._node_keys[pod.id] = (self._numbers.add(("node", asks(pod))),)
        found = self._nodes.get(key, lambda: NodePart(self.profile, pod, self.state))
        return key, found

    def layout(self, key: tuple[object, ...], make: Callable[[], Layout]) -> Layout:
        """Return the layout under a key."""
        return self._layouts.get(key, make)

    def ranking(self, key: tuple[object, ...], make: Callable[[], Ranking]) -> Ranking:
        """Return the ranking under a key."""
        return self._rankings.get(key, make)


class Outlook:
    """What the plugins say of pods of one class.

    Parameters
    ----------
    parts : Parts
        Where it gets its parts.
    pod : PodClass
        The class.
    """

    def __init__(self, parts: Parts, pod: PodClass) -> None:
        self._parts = parts
        self._state = parts.state
        self.pod = pod
        self._mark: tuple[int, ...] = ()
        self._about: object = None
        self._ranking: Ranking | None = None
        self._blocked = NOTHING_BLOCKED
        self._alone: list[int] = []
        self._message: tuple[tuple[int, ...], str] = ((), "")
        self._verdicts: tuple[tuple[int, ...], Evaluation] | None = None
        self._changes = -1
        self._selector: LabelSelector | None = None
        filters = parts.profile.filters
        self._fit = next((i for i, p in enumerate(filters) if isinstance(p, NodeResourcesFit)), -1)

    def refresh(self, visits: Visits) -> None:
        """Bring all parts up to date."""
        state = self._state
        nodes = state.nodes
        mark = (
            nodes.attributes.count,
            nodes.size,
            len(nodes.resources),
            state.objects.versions["Namespace"],
            state.carried.epoch,
            state.terms.epoch,
        )
        about = state.carried.about(self.pod)
        reselected = self._reselected()  # noted whatever else has changed
        if reselected or mark != self._mark or about is not self._about:
            self._build(visits)
            # building may have asked for columns, which can move others
            self._mark = (*mark[:4], state.carried.epoch, state.terms.epoch)
            self._about = state.carried.about(self.pod)
        if self.domains is not None:
            rows = self.domains.refresh(nodes)
            if len(self._blocked):
                self._block(rows)
        changed = self.answers.refresh(nodes)
        if self.answers.folds and len(changed):
            self.node.refresh(nodes)
            self.answers.fold(changed, self.node, self._codes, self._scores)

    def _reselected(self) -> bool:
        """Return whether other pods than before belong to those of the class by default."""
        changes = self._state.objects.changes
        if changes == self._changes:
            return False
        self._changes, before = changes, self._selector
        self._selector = default_selector(self._state, self.pod)
        return self._selector != before or bool(self.pod.spec.volumes)

    def _build(self, visits: Visits) -> None:
        parts, state, pod = self._parts, self._state, self.pod
        if state.carried.own(pod):
            with state.one_more(pod, 0):
                pass  # the terms that its own pods will carry mean something from now on
        static_key, self.static = parts.static(pod)
        node_key, self.node = parts.node(pod)
        self.node.resize(state.nodes)
        found = parts.domain_plugins.entries(Cycle(state, pod))
        entries, nodes = found.entries, state.nodes
        self.domains = DomainCounts(entries, nodes) if entries else None
        if self.domains is not None:
            self._measure(self.domains)
        self.answers = Answers(parts.asked, pod, state)
        kinds = {entry.kind for entry in entries}
        spreading = found.weight_spreading if SOFT in kinds else 0
        near = found.weight_affinity if PREFERRED in kinds else 0
        # in the order of choice.TAINTS, NODE_AFFINITY, SPREADING, POD_AFFINITY, ALL_KEYS
        self.weights = np.array([*self.static.weights, spreading, near, found.all_keys], np.int64)
        self._ranking, self._blocked, self._alone = None, NOTHING_BLOCKED, []
        self._entries: tuple[NDArray[Any], ...] = NO_GROUP_ENTRIES
        self._own = NO_OWN
        self._slow = not found.exact or (self.answers.any and not self.answers.folds)
        self._codes, self._scores = self.node.codes, self.node.scores
        if self.answers.folds:
            self.node.refresh(nodes)
            self._codes, self._scores = self._codes.copy(), self._scores.copy()
            every = np.arange(nodes.size, dtype=np.int64)
            self.answers.fold(every, self.node, self._codes, self._scores)
        self._kept_whole = found.exact and self.answers.keeps_filters
        if not self._slow and not self.answers.any:
            self._rank(static_key, node_key, visits)

    def _rank(
        self, static_key: tuple[object, ...], node_key: tuple[object, ...], visits: Visits
    ) -> None:
        """Make groups, if they pay for the class."""
        parts, nodes, domains = self._parts, self._state.nodes, self.domains
        entries = () if domains is None else domains.entries
        self._alone = [e for e, entry in enumerate(entries) if keeps_single_nodes(entry, nodes)]
        whole = [e for e in range(len(entries)) if e not in self._alone]
        keys, doms = [], []
        for e in whole:
            if domains is None or entries[e].by_node() or domains.params[e, DOMAINS] > MOST_GROUPS:
                return
            keys.append(entries[e].topology_key)
            doms.append(domains.doms[e])
        version = (*static_key, self.static.version, nodes.attributes.count, *keys)
        layout = parts.layout(version, lambda: Layout(self.static, visits.order, doms))
        if not layout.pays:
            return
        if domains is not None:
            of_groups = np.full((len(entries), len(layout.members)), -1, np.int32)
            of_groups[whole] = domains.doms[whole][:, layout.members]
            self._entries = (
                of_groups, domains.counts, domains.sizes, domains.params, domains.doms,
            )  # fmt: skip
            self._own = (domains.own, domains.eligible)
        own = -1
        if self._alone:  # what these entries reject is kept by node, for this class alone
            own = self.pod.id
            self._blocked = np.zeros(nodes.size, np.bool_)
        self._ranking = parts.ranking((*version, *node_key, own), lambda: Ranking(layout, nodes))
        self._kept = (
            self.node.codes, self.node.scores, self.static.ok, self.static.extra, self._blocked,
        )  # fmt: skip

    def _measure(self, domains: DomainCounts) -> None:
        """Let the entries know what one more pod of the class adds to them, by a trial."""
        before = domains.totals(0)
        with self._state.one_more(self.pod, 0):
            domains.own[:] = domains.totals(0) - before

    def _block(self, rows: NDArray[np.int32]) -> None:
        """Note which of *rows* the entries reject whose domains are single nodes."""
        if self.domains is None:
            return
        blocked = np.zeros(len(rows), np.bool_)
        for e in self._alone:
            of = self.domains.doms[e, rows]
            blocked |= (of >= 0) & (self.domains.counts[e, of] > 0)
        self._blocked[rows] = blocked

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
        if self._slow or self._state.nominated:
            cycle = Cycle(self._state, self.pod, pod)
            pending = rivals(cycle)
            if self._slow or pending:
                return self._choose_slowly(cycle, visits, wanted, u, pending)
        size = len(visits.order)
        if self._ranking is not None and wanted >= size and (u >= 0 or visits.start == 0):
            rows, found = self.place_run(np.array([u]), visits)
            return Choice(rows[0], found[0], size) if rows else Choice(-1, 0, size)
        if not self.answers.folds:
            self.node.refresh(self._state.nodes)
        static = self.static
        row, feasible, visited = decide_nodes(
            (visits.order, visits.start, wanted),
            static.ok,
            self._codes,
            self._scores,
            static.extra,
            static.taints,
            static.affinity,
            NO_ENTRIES if self.domains is None else self.domains.arrays,
            self.weights,
            u,
        )
        return Choice(row, feasible, visited)

    @property
    def runs(self) -> bool:
        """Return whether `place_run` is exact for the class in the present state."""
        return self._ranking is not None and not self._state.nominated

    def place_run(self, us: NDArray[np.float64], visits: Visits) -> tuple[list[int], list[int]]:
        """Decide on pods of the class one after the other; see `choice.place_run`.

        Returns
        -------
        rows, found : list of int
            For each pod placed, its node and how many were feasible. They are fewer than *us* where
            the next pod fits nowhere.
        """
        nodes, ranking = self._state.nodes, self._ranking
        if ranking is None:
            raise RuntimeError("the class has no ranking")
        rows, found = np.empty((2, len(us)), np.int64)
        placed = place_run(
            ranking.cursor.changed_usage(nodes),
            (nodes.requested, nodes.nonzero_requested, nodes.allocatable),
            self.node.plan,
            self._kept,
            ranking.layout.arrays,
            ranking.arrays,
            self._entries,
            self._own,
            self.weights,
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
        self.node.refresh(self._state.nodes)
        rows = rows[self.static.ok[rows] & (self.node.codes[rows] == 0)]
        rows = self.answers.passing(cycle, rows)
        if self.domains is not None:
            rows = self._parts.domain_plugins.passing(cycle, rows)
        if pending:
            rows = self.answers.beside(self._parts.profile, cycle, rows, pending)
        return rows

    @property
    def by_resources(self) -> bool:
        """Return whether STATIC plugins and resources alone decide, in the present state."""
        return not (
            self._slow or self.answers.any or self.domains is not None or self._state.nominated
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

    def verdicts(self, cycle: Cycle) -> Evaluation:
        """Return what the filters say of each node, for a pod of the class that fits nowhere."""
        profile, nodes = self._parts.profile, self._state.nodes
        if not self._kept_whole or self.domains is not None or self._fit < 0 or rivals(cycle):
            return evaluate_filters(profile, cycle)
        now = (nodes.usage.count, *self._mark)
        if self._verdicts is not None and self._verdicts[0] == now:
            return self._verdicts[1]
        self.node.refresh(nodes)
        verdicts = self.static.verdicts
        rows = np.flatnonzero(nodes.present[: nodes.size]).astype(np.int64)
        every = slice(None) if len(rows) == nodes.size else rows  # a slice costs no copy
        lacking = self.node.codes[every]
        short = verdicts.ok[every] & (lacking != 0)
        by = np.where(short, self._fit, verdicts.plugin[every].astype(np.int64))
        codes = np.where(short, lacking, verdicts.code[every])
        asked = self.answers.reject(rows, by, codes)
        skipped = [
            plugin.name
            for plugin in profile.filters
            if depends_on(plugin) is not Depends.STATIC and plugin.name not in asked
        ]
        skipped.remove(profile.filters[self._fit].name)
        found = Evaluation(rows, by, codes, rows[by == -1], skip_filter=skipped)
        self._verdicts = (now, found)
        return found

    def message(self, pod: Pod) -> str:
        """Return why a pod of the class fits nowhere, in kube-scheduler's words."""
        nodes, state = self._state.nodes, self._state
        now = (nodes.usage.count, *self._mark)
        cycle = Cycle(state, self.pod, pod)
        filters = self._parts.profile.filters
        self.node.refresh(nodes)
        if not self._kept_whole or self.domains is not None or rivals(cycle):
            return evaluate_filters(self._parts.profile, cycle).message(cycle, filters)
        if self._message[0] != now:
            if self.answers.any:
                text = self.verdicts(cycle).message(cycle, filters)
            else:
                text = explain(filters, cycle, self.static.verdicts, self.node.codes)
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
        total = self.node.scores[rows] + self.static.extra[rows]
        total += self.answers.scores(cycle, rows, self.static)
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
        self._outlooks: ClassCaches[Outlook] = ClassCaches(self._make, 64)

    def _make(self, pod: PodClass, state: ClusterState) -> Outlook:
        if self._parts is None or self._parts.state is not state:
            self._parts = Parts(self._profile, state)
        return Outlook(self._parts, pod)

    def outlook(self, pod: PodClass, state: ClusterState, visits: Visits) -> Outlook:
        """Return the outlook of a class, up to date."""
        found = self._outlooks.get(pod, state)
        found.refresh(visits)
        return found

    def forget(self) -> None:
        """Forget everything that is kept: the next decision starts from nothing."""
        self._parts = None
        self._outlooks = ClassCaches(self._make, 64)
