"""Topology spreading, node by node: builders, and the rules in their plainest form.

`SpreadOracle` and `spread_scores` walk over nodes and pods with dictionaries, as kube-scheduler
does. PodTopologySpread answers by columns; the two are held to each other.

>>> spread("zone", 2, "web").label_selector.match_labels
{'app': 'web'}
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from schedlab.api.meta import LabelSelector
from schedlab.api.nodes import Node
from schedlab.api.pods import TopologySpreadConstraint
from schedlab.api.selectors import (
    label_selector_matches,
    required_node_affinity_matches,
    tolerates_all,
)
from schedlab.cluster import ClusterState
from schedlab.cluster.classes import PodClass

HOSTNAME = "kubernetes.io/hostname"


def spread(
    topology_key: str,
    max_skew: int = 1,
    selector: str | Mapping[str, Any] | None = "web",
    *,
    soft: bool = False,
    **fields: Any,
) -> TopologySpreadConstraint:
    """Return a constraint.

    Parameters
    ----------
    topology_key : str
        Label of nodes.
    max_skew : int
        How far a domain may be ahead.
    selector : str, mapping or None
        A value of the label ``app``, or a ``labelSelector``.
    soft : bool, default False
        ``ScheduleAnyway`` instead of ``DoNotSchedule``.
    **fields
        Further fields: ``minDomains``, ``matchLabelKeys``, ``nodeTaintsPolicy`` and so on.
    """
    if isinstance(selector, str):
        selector = {"matchLabels": {"app": selector}}
    return TopologySpreadConstraint.model_validate(
        {
            "topologyKey": topology_key,
            "maxSkew": max_skew,
            "whenUnsatisfiable": "ScheduleAnyway" if soft else "DoNotSchedule",
            "labelSelector": selector,
            **fields,
        }
    )


class _Rule:
    """One constraint as it holds for a pod."""

    def __init__(
        self, pod: PodClass, constraint: TopologySpreadConstraint, default: LabelSelector | None
    ) -> None:
        self.pod = pod
        self.constraint = constraint
        self.key = constraint.topology_key
        self.selector = default or constraint.label_selector
        self.own = {
            key: pod.labels[key]
            for key in (constraint.match_label_keys if default is None else ())
            if key in pod.labels
        }

    def means(self, labels: Mapping[str, str]) -> bool:
        return label_selector_matches(self.selector, labels) and all(
            labels.get(key) == value for key, value in self.own.items()
        )

    def counts(self, state: ClusterState, row: int) -> int:
        """Return how many pods of a node count: with an empty selector none do."""
        if self.selector == LabelSelector() and not self.own:
            return 0
        pods = state.pods_on[row] if row < len(state.pods_on) else {}
        return sum(
            self.means(other.labels)
            for pod, other in pods.items()
            if pod not in state.leaving and other.namespace == self.pod.namespace
        )

    def includes(self, node: Node) -> bool:
        constraint, spec = self.constraint, self.pod.spec
        if constraint.node_affinity_policy != "Ignore":
            if not required_node_affinity_matches(spec, node):
                return False
        if constraint.node_taints_policy != "Honor":
            return True
        return tolerates_all(spec.tolerations, node.spec.taints, ("NoSchedule", "NoExecute"))


def _rules(
    pod: PodClass,
    constraints: Iterable[TopologySpreadConstraint],
    default: LabelSelector | None,
    strength: str,
) -> list[_Rule]:
    return [_Rule(pod, c, default) for c in constraints if c.when_unsatisfiable == strength]


def _nodes(state: ClusterState) -> list[tuple[int, Node]]:
    return [(row, node) for row, node in enumerate(state.nodes.nodes) if node is not None]


def _has_all(node: Node, rules: Iterable[_Rule]) -> bool:
    return all(rule.key in node.metadata.labels for rule in rules)


class SpreadOracle:
    """The hard constraints of a pod, as counted when it was made.

    Parameters
    ----------
    state : ClusterState
        The cluster.
    pod : PodClass
        The incoming pod.
    constraints : sequence of TopologySpreadConstraint
        Its own, or the profile's.
    default : LabelSelector, optional
        The selector of the profile's constraints.
    """

    def __init__(
        self,
        state: ClusterState,
        pod: PodClass,
        constraints: Sequence[TopologySpreadConstraint],
        default: LabelSelector | None = None,
    ) -> None:
        self._pod = pod
        self._rules = _rules(pod, constraints, default, "DoNotSchedule")
        self._counts: list[dict[str, int]] = [{} for _ in self._rules]
        self._nodes = dict(_nodes(state))
        for row, node in self._nodes.items():
            for rule, counts in self._counted_on(row):
                value = node.metadata.labels[rule.key]
                counts[value] = counts.get(value, 0) + rule.counts(state, row)

    def _counted_on(self, row: int) -> list[tuple[_Rule, dict[str, int]]]:
        node = self._nodes[row]
        pairs = zip(self._rules, self._counts, strict=True)
        if not _has_all(node, self._rules):
            return []
        return [(rule, counts) for rule, counts in pairs if rule.includes(node)]

    def move(self, pod: PodClass, row: int, change: int) -> None:
        """Count *change* pods more on a node, without a look at whether they are being deleted."""
        for rule, counts in self._counted_on(row):
            if pod.namespace == self._pod.namespace and rule.means(pod.labels):
                counts[self._nodes[row].metadata.labels[rule.key]] += change

    def verdict(self, row: int) -> str:
        """Return "" when a node passes, "label" when it lacks one, "skew" otherwise."""
        labels = self._nodes[row].metadata.labels
        for rule, counts in zip(self._rules, self._counts, strict=True):
            if rule.key not in labels:
                return "label"
            few = len(counts) < (rule.constraint.min_domains or 1)
            least = 0 if few else min(counts.values())
            matching = counts.get(labels[rule.key], 0)
            if matching + rule.means(self._pod.labels) - least > rule.constraint.max_skew:
                return "skew"
        return ""


def spread_scores(
    state: ClusterState,
    pod: PodClass,
    constraints: Sequence[TopologySpreadConstraint],
    feasible: Sequence[int],
    *,
    default: LabelSelector | None = None,
    all_keys: bool = True,
) -> tuple[list[int], list[int]]:
    """Return raw and normalised scores of the *feasible* rows by a pod's soft constraints.

    Parameters
    ----------
    state, pod, constraints, default
        As in `SpreadOracle`.
    feasible : sequence of int
        Rows of nodes.
    all_keys : bool, default True
        Leave nodes out that lack one of the topology keys.
    """
    rules = _rules(pod, constraints, default, "ScheduleAnyway")
    nodes = _nodes(state)
    labels = {row: node.metadata.labels for row, node in nodes}
    scored = [
        row for row in feasible if not all_keys or all(rule.key in labels[row] for rule in rules)
    ]
    total = dict.fromkeys(scored, 0.0)
    for rule in rules:
        counts = {labels[row].get(rule.key, ""): 0 for row in scored}
        weight = math.log((len(scored) if rule.key == HOSTNAME else len(counts)) + 2)
        for row, node in nodes:
            value = labels[row].get(rule.key, "")
            if value in counts and rule.includes(node) and (not all_keys or _has_all(node, rules)):
                counts[value] += rule.counts(state, row)
        for row in scored:
            if rule.key in labels[row]:
                here = rule.key == HOSTNAME
                count = rule.counts(state, row) if here else counts[labels[row][rule.key]]
                total[row] += count * weight + (rule.constraint.max_skew - 1)
    raw = {row: math.floor(x) + (x - math.floor(x) >= 0.5) for row, x in total.items()}
    most, least = max(raw.values(), default=0), min(raw.values(), default=0)
    scaled = {row: 100 * (most + least - x) // most if most else 100 for row, x in raw.items()}
    return [raw.get(row, 0) for row in feasible], [scaled.get(row, 0) for row in feasible]
