# ruff: noqa: A005 - "selector" is Kubernetes' word; nothing here runs with this folder on its path
"""Scalar matching of selectors, affinities and tolerations, one object at a time.

These functions state the rules of Kubernetes 1.35 in their plainest form. They serve where speed
doesn't matter, and as the oracle that the vectorized masks of `schedlab.cluster` are tested
against.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping

from schedlab.api.meta import (
    LabelSelector,
    LabelSelectorRequirement,
    NodeSelector,
    NodeSelectorRequirement,
    NodeSelectorTerm,
)
from schedlab.api.nodes import Node, Taint
from schedlab.api.pods import PodSpec, Toleration
from schedlab.units import INT64_MAX

_INTEGER = re.compile(r"[+-]?[0-9]{1,100}", re.ASCII)


def labels_match(required: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Return whether *labels* has every pair of *required* (a node selector, say)."""
    return all(labels.get(key) == value for key, value in required.items())


def label_selector_matches(selector: LabelSelector | None, labels: Mapping[str, str]) -> bool:
    """Return whether *selector* selects an object with *labels*.

    An absent selector selects nothing, an empty one everything.
    """
    if selector is None:
        return False
    return labels_match(selector.match_labels, labels) and all(
        _requirement_holds(requirement, labels) for requirement in selector.match_expressions
    )


def _requirement_holds(
    requirement: LabelSelectorRequirement | NodeSelectorRequirement, labels: Mapping[str, str]
) -> bool:
    value = labels.get(requirement.key)
    match requirement.operator:
        case "In":
            return value is not None and value in requirement.values
        case "NotIn":
            return value is None or value not in requirement.values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt":
            have, bound = _int64(value), _int64(requirement.values[0])
            if have is None or bound is None:
                return False
            return have > bound if requirement.operator == "Gt" else have < bound


def _int64(text: str | None) -> int | None:
    """Return the integer that Go's ``strconv.ParseInt`` reads, or None."""
    if text is None or not _INTEGER.fullmatch(text):
        return None
    number = int(text)
    return number if -INT64_MAX - 1 <= number <= INT64_MAX else None


def node_selector_term_matches(
    term: NodeSelectorTerm, labels: Mapping[str, str], name: str
) -> bool:
    """Return whether one term selects the node; an empty term selects none."""
    if not term.match_expressions and not term.match_fields:
        return False
    return all(_requirement_holds(r, labels) for r in term.match_expressions) and all(
        _requirement_holds(r, {"metadata.name": name}) for r in term.match_fields
    )


def node_selector_matches(
    node_selector: NodeSelector, labels: Mapping[str, str], name: str
) -> bool:
    """Return whether any term of *node_selector* selects the node."""
    return any(
        node_selector_term_matches(term, labels, name) for term in node_selector.node_selector_terms
    )


def required_node_affinity_matches(spec: PodSpec, node: Node) -> bool:
    """Return whether a node has what the pod's nodeSelector and required affinity ask for."""
    labels = node.metadata.labels
    if not labels_match(spec.node_selector, labels):
        return False
    affinity = spec.affinity.node_affinity if spec.affinity is not None else None
    required = affinity.required_during_scheduling_ignored_during_execution if affinity else None
    return required is None or node_selector_matches(required, labels, node.metadata.name)


def preferred_node_affinity_score(spec: PodSpec, node: Node) -> int:
    """Return the sum of the weights of the preferred terms that select the node.

    A term without conditions adds nothing, as upstream.
    """
    affinity = spec.affinity.node_affinity if spec.affinity is not None else None
    if affinity is None:
        return 0
    labels, name = node.metadata.labels, node.metadata.name
    return sum(
        term.weight
        for term in affinity.preferred_during_scheduling_ignored_during_execution
        if node_selector_term_matches(term.preference, labels, name)
    )


def toleration_tolerates(toleration: Toleration, taint: Taint) -> bool:
    """Return whether one toleration covers one taint."""
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if toleration.key and toleration.key != taint.key:
        return False
    return toleration.operator == "Exists" or toleration.value == taint.value


def first_untolerated(
    tolerations: Iterable[Toleration], taints: Iterable[Taint], effects: Collection[str]
) -> Taint | None:
    """Return the first taint with one of *effects* that no toleration covers, or None."""
    tolerations = tuple(tolerations)
    for taint in taints:
        if taint.effect in effects and not any(toleration_tolerates(t, taint) for t in tolerations):
            return taint
    return None


def tolerates_all(
    tolerations: Iterable[Toleration], taints: Iterable[Taint], effects: Collection[str]
) -> bool:
    """Return whether every taint with one of *effects* is covered."""
    return first_untolerated(tolerations, taints, effects) is None
