"""What the plugins say alike of all classes of one form: of pods that differ in what they ask for.

It has everything but resources: the static part, pods in topology domains, the answers of other
plugins, and the groups of nodes that follow from these.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from schedlab.api.objects import LabelSelector
from schedlab.cluster.classes import PodClass
from schedlab.scheduling.framework.answers import Answers
from schedlab.scheduling.framework.choice import DOMAINS, PREFERRED, SOFT
from schedlab.scheduling.framework.domains import (
    NO_ENTRIES,
    DomainCounts,
    block_rows,
    keeps_single_nodes,
)
from schedlab.scheduling.framework.interface import Cycle
from schedlab.scheduling.framework.parts import Key, Parts
from schedlab.scheduling.framework.ranking import MOST_GROUPS, NOTHING_BLOCKED, Layout
from schedlab.scheduling.framework.visiting import Visits
from schedlab.scheduling.plugins.default_selector import default_selector

NO_GROUP_ENTRIES = (*NO_ENTRIES, NO_ENTRIES[0])
NO_OWN = (np.zeros(0, np.int64), np.zeros((0, 0), np.bool_))


class FormPart:
    """What is the same for all classes of one form.

    Parameters
    ----------
    parts : Parts
        Where it gets its parts.
    pod : PodClass
        A class of that form.

    Attributes
    ----------
    version : int
        Grows whenever all is built anew.
    mark : tuple of int
        What it was built from; the same until then.
    static : StaticPart
        Labels, taints, images.
    domains : DomainCounts or None
        Pods in topology domains, where the form asks for any.
    answers : Answers
        Other plugins.
    every : int64 array of shape [N]
        All rows.
    weights : int64 array
        See `choice.normalized_sum`.
    slow : bool
        Some plugin has to be asked at each decision.
    kept_whole : bool
        The verdicts of all filters are kept.
    layout : Layout or None
        Groups of nodes, where they pay.
    entries, own : tuple of array
        The domains as `runs.place_run` takes them.
    blocked : bool array of shape [N] or [0]
        Nodes that an entry rejects whose domains are single nodes.
    """

    def __init__(self, parts: Parts, pod: PodClass) -> None:
        self._parts = parts
        self._state = parts.state
        self._pod = pod
        self.version = 0
        self.mark: tuple[int, ...] = ()
        self._about: object = None
        self._changes = -1
        self._selector: LabelSelector | None = None

    def refresh(self, visits: Visits) -> None:
        """Bring everything up to date."""
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
        about = state.carried.about(self._pod)
        reselected = self._reselected()  # noted whatever else has changed
        if reselected or mark != self.mark or about is not self._about:
            self._build(visits)
            # building may have asked for columns, which can move others
            self.mark = (*mark[:4], state.carried.epoch, state.terms.epoch)
            self._about = state.carried.about(self._pod)
        if self.domains is not None:
            rows = self.domains.refresh(nodes)
            if len(self.blocked):
                block_rows(rows, self._alone, self.domains.doms, self.domains.counts, self.blocked)
        if self.answers.any:
            self.answers.refresh(nodes)

    def _reselected(self) -> bool:
        """Return whether other pods than before belong to those of the form by default."""
        changes = self._state.objects.changes
        if changes == self._changes:
            return False
        self._changes, before = changes, self._selector
        self._selector = default_selector(self._state, self._pod)
        return self._selector != before or bool(self._pod.spec.volumes)

    def _build(self, visits: Visits) -> None:
        parts, state, pod = self._parts, self._state, self._pod
        self.version += 1
        self.every = np.arange(state.nodes.size, dtype=np.int64)
        if state.carried.own(pod):
            with state.one_more(pod, 0):
                pass  # the terms that its own pods will carry mean something from now on
        key, self.static = parts.static(pod)
        found = parts.domain_plugins.entries(Cycle(state, pod))
        entries = found.entries
        self.domains = DomainCounts(entries, state.nodes) if entries else None
        if self.domains is not None:
            self._measure(self.domains)
        self.answers = Answers(parts.asked, pod, state)
        kinds = {entry.kind for entry in entries}
        spreading = found.weight_spreading if SOFT in kinds else 0
        near = found.weight_affinity if PREFERRED in kinds else 0
        # in the order of choice.TAINTS, NODE_AFFINITY, SPREADING, POD_AFFINITY, ALL_KEYS
        self.weights = np.array([*self.static.weights, spreading, near, found.all_keys], np.int64)
        self.layout: Layout | None = None
        self.layout_key: Key = ()
        self.entries: tuple[NDArray[Any], ...] = NO_GROUP_ENTRIES
        self.own = NO_OWN
        self.blocked = NOTHING_BLOCKED
        self.slow = not found.exact or (self.answers.any and not self.answers.folds)
        self.kept_whole = found.exact and self.answers.keeps_filters
        if not self.slow and not self.answers.any:
            self._group(key, visits)

    def _measure(self, domains: DomainCounts) -> None:
        """Let the entries know what one more pod of the form adds to them, by a trial."""
        before = domains.totals(0)
        with self._state.one_more(self._pod, 0):
            domains.own[:] = domains.totals(0) - before

    def _group(self, static_key: Key, visits: Visits) -> None:
        """Make groups of nodes, if they pay."""
        parts, nodes, domains = self._parts, self._state.nodes, self.domains
        entries = () if domains is None else domains.entries
        alone = [e for e, entry in enumerate(entries) if keeps_single_nodes(entry, nodes)]
        whole = [e for e in range(len(entries)) if e not in alone]
        keys, doms = [], []
        for e in whole:
            if domains is None or entries[e].by_node() or domains.params[e, DOMAINS] > MOST_GROUPS:
                return
            keys.append(entries[e].topology_key)
            doms.append(domains.doms[e])
        key = (*static_key, self.static.version, nodes.attributes.count, *keys)
        layout = parts.layout(key, lambda: Layout(self.static, visits.order, doms))
        if not layout.pays:
            return
        if domains is not None:
            of_groups = np.full((len(entries), len(layout.members)), -1, np.int32)
            for e in whole:
                of_groups[e] = domains.doms[e][layout.members]
            self.entries = (
                of_groups, domains.counts, domains.sizes, domains.params, domains.doms,
            )  # fmt: skip
            self.own = (domains.own, domains.eligible)
        if alone:  # what these entries reject is kept by node
            self._alone = np.array(alone, np.int64)
            self.blocked = np.zeros(nodes.size, np.bool_)
            key = (*key, self._pod.id)
        self.layout, self.layout_key = layout, key
