"""InterPodAffinity: near to some pods, away from others, and what those say themselves.

As in kube-scheduler 1.35. A node belongs to one domain per topology key, the nodes with the same
value of that label. The filter asks, in this order:

- required affinity: the node has the key of every term, and each of its domains holds a pod that
  matches *all* the terms. Where no domain does, the first pod of a series may start one, if it
  matches its own terms.
- required anti-affinity: no domain of the node holds a pod that matches the term of its key.
- symmetry: none holds a placed pod whose required anti-affinity matches the incoming pod.

The score sums, over the domains of a node, the weights of preferred terms, the pod's own as well as
those of placed pods that match it; required affinity of placed pods counts with
``hardPodAffinityWeight``. Pods that are being deleted count like all others.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from schedlab.cluster.carried import Kind
from schedlab.cluster.classes import PodClass
from schedlab.cluster.nodes import NodeColumns
from schedlab.scheduling.framework.interface import (
    GO_ON,
    MAX_NODE_SCORE,
    SKIP,
    Code,
    Codes,
    Cycle,
    Depends,
    PreFiltered,
    Rows,
    Scores,
)
from schedlab.scheduling.plugins.inter_pod_counts import (
    Counts,
    Entry,
    Required,
    preferred,
    required,
)

REASONS = {
    1: "node(s) didn't match pod affinity rules",
    2: "node(s) didn't match pod anti-affinity rules",
    3: "node(s) didn't satisfy existing pods anti-affinity rules",
}
NEAR, APART, REPELLED = REASONS


class InterPodAffinity:
    """Filter and score by the pods that are placed already.

    Parameters
    ----------
    hard_pod_affinity_weight : int, default 1
        ``hardPodAffinityWeight``, 0 to 100: what a placed pod adds whose required affinity matches
        the incoming one.
    ignore_preferred_terms_of_existing_pods : bool, default False
        ``ignorePreferredTermsOfExistingPods``: don't score pods that have no preferred terms.
    """

    name = "InterPodAffinity"
    depends = Depends.DOMAIN

    def __init__(
        self,
        hard_pod_affinity_weight: int = 1,
        ignore_preferred_terms_of_existing_pods: bool = False,
    ) -> None:
        self.hard_pod_affinity_weight = hard_pod_affinity_weight
        self.ignore_preferred_terms_of_existing_pods = ignore_preferred_terms_of_existing_pods

    def pre_filter(self, cycle: Cycle) -> PreFiltered:
        """Skip pods that ask for nothing and that no placed pod wants away."""
        found = self._required(cycle)
        if found.near or found.apart or _any(cycle.nodes, found.repelling):
            return GO_ON
        return SKIP

    def filter(self, cycle: Cycle, rows: Rows) -> Codes:
        """Return `NEAR`, `APART` or `REPELLED` for the first of the three rules that is broken."""
        return _kept(cycle, (self.name, "filter"), lambda: self._codes(cycle))[rows]

    def moved_by(self, cycle: Cycle, other: PodClass) -> bool:
        """Return whether required terms of the pod mean those pods, or theirs the pod."""
        state, pod = cycle.state, cycle.pod_class
        return any(
            term.kind is not Kind.PREFERRED and term.pods.matches(other, state.objects)
            for term in state.carried.own(pod)
        ) or any(
            term.kind is Kind.APART and term.pods.matches(pod, state.objects)
            for term in state.carried.own(other)
        )

    def _codes(self, cycle: Cycle) -> Codes:
        nodes, found = cycle.nodes, self._required(cycle)
        codes = np.zeros(nodes.size, np.int64)
        for code, entries in ((REPELLED, found.repelling), (APART, found.apart)):
            for entry in entries:
                codes[domain_sums(nodes, entry.topology_key, entry.counts) > 0] = code
        if found.near:
            codes[~_near_enough(nodes, found)] = NEAR
        return codes

    def reasons(self, cycle: Cycle, row: int, code: int) -> tuple[str, ...]:
        """Return upstream's words."""
        return (REASONS[code],)

    def status(self, cycle: Cycle, row: int, code: int) -> Code:
        """Return that evictions can take away pods that are in the way, but not bring others."""
        return Code.UNSCHEDULABLE_AND_UNRESOLVABLE if code == NEAR else Code.UNSCHEDULABLE

    def pre_score(self, cycle: Cycle, rows: Rows) -> bool:
        """Return whether no pod on any node says anything, not even what cancels out."""
        return not _any(cycle.nodes, self._preferred(cycle))

    def score(self, cycle: Cycle, rows: Rows) -> Scores:
        """Sum the weights over the domains of each node."""
        return _kept(cycle, (self.name, "score"), lambda: self._sums(cycle))[rows]

    def _sums(self, cycle: Cycle) -> Scores:
        weighted: dict[str, Counts] = {}
        for entry in self._preferred(cycle):
            counts = entry.weight * entry.counts
            weighted[entry.topology_key] = counts + weighted.get(entry.topology_key, 0)
        total = np.zeros(cycle.nodes.size, np.int64)
        for key, counts in weighted.items():
            total += domain_sums(cycle.nodes, key, counts)
        return total

    def normalize(self, cycle: Cycle, rows: Rows, raw: Scores) -> Scores:
        """Scale to 0 .. 100 between the lowest and the highest, in float64, truncating."""
        if not len(raw):
            return raw
        low, high = int(raw.min()), int(raw.max())
        if low == high:
            return np.zeros_like(raw)
        return (MAX_NODE_SCORE * ((raw - low) / (high - low))).astype(np.int64)

    def _required(self, cycle: Cycle) -> Required:
        return required(cycle.state, cycle.pod_class)

    def _preferred(self, cycle: Cycle) -> tuple[Entry, ...]:
        return preferred(
            cycle.state,
            cycle.pod_class,
            self.hard_pod_affinity_weight,
            ignore_existing=self.ignore_preferred_terms_of_existing_pods,
        )


def domain_sums(nodes: NodeColumns, topology_key: str, counts: Counts) -> Counts:
    """Return the sum of *counts* over the domain of each node, int64 [N]; 0 without the key."""
    sums = np.zeros(nodes.size, np.int64)
    values, inside = _domains(nodes, topology_key)
    if values is not None:
        # float64 is exact here: sums of counts times weights stay far below 2^53
        of_value = np.bincount(values[inside], weights=counts[inside])
        sums[inside] = of_value[values[inside]].astype(np.int64)
    return sums


def _domains(
    nodes: NodeColumns, topology_key: str
) -> tuple[NDArray[np.int32] | None, NDArray[np.bool_]]:
    """Return a label's values (None where no node has it), and which nodes are in a domain."""
    values = nodes.label_column(topology_key)
    if values is None:
        return None, np.zeros(nodes.size, np.bool_)
    return values, (values >= 0) & nodes.present[: nodes.size]


def _any(nodes: NodeColumns, entries: tuple[Entry, ...]) -> bool:
    """Return whether a pod of one of *entries* is in a domain at all."""
    return any(
        bool(entry.counts[_domains(nodes, entry.topology_key)[1]].any()) for entry in entries
    )


def _near_enough(nodes: NodeColumns, found: Required) -> NDArray[np.bool_]:
    """Return which nodes satisfy required affinity, bool [N]."""
    complete = np.ones(nodes.size, np.bool_)
    good = np.ones(nodes.size, np.bool_)
    for entry in found.near:
        complete &= _domains(nodes, entry.topology_key)[1]
        good &= domain_sums(nodes, entry.topology_key, entry.counts) > 0
    if found.alone and not _any(nodes, found.near):
        return complete
    return good


def _kept(cycle: Cycle, key: object, make: Callable[[], Counts]) -> Counts:
    """Return what *make* made, again only when pods or nodes have changed since."""
    nodes, known = cycle.nodes, cycle.memo(key, dict[tuple[int, int], Counts])
    now = (nodes.usage.count, nodes.attributes.count)
    if now not in known:
        known.clear()
        known[now] = make()
    return known[now]
