"""NodeAffinity: node selectors, required terms as a filter, preferred terms as a score.

A term compiles to boolean masks over label columns, so that nodes are matched by vectors; the
scalar functions of `schedlab.api.selectors` are its oracle. ``addedAffinity`` of the plugin's
arguments counts for every pod of the profile.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from schedlab.api.objects import (
    Node,
    NodeSelector,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    PreferredSchedulingTerm,
)
from schedlab.api.objects import (
    NodeAffinity as NodeAffinityTerms,
)
from schedlab.api.selectors import node_selector_matches, required_node_affinity_matches
from schedlab.cluster.classes import PodClass
from schedlab.cluster.nodes import NodeColumns
from schedlab.scheduling.framework.interface import (
    GO_ON,
    SKIP,
    Code,
    Codes,
    Cycle,
    Depends,
    PreFiltered,
    Rejection,
    Rows,
    Scores,
    default_normalize,
)

REASON = "node(s) didn't match Pod's node affinity/selector"
REASON_CONFLICT = "pod affinity terms conflict"
REASON_ADDED = "node(s) didn't match scheduler-enforced node affinity"
POD, ADDED = 1, 2

Mask = NDArray[np.bool_]


class NodeAffinity:
    """Filter and score by node selectors and node affinity.

    Parameters
    ----------
    added : NodeAffinityTerms, optional
        ``addedAffinity`` of ``NodeAffinityArgs``.
    """

    name = "NodeAffinity"
    depends = Depends.STATIC

    def __init__(self, added: NodeAffinityTerms | None = None) -> None:
        self._added = added

    def pre_filter(self, cycle: Cycle) -> PreFiltered:
        """Name the only nodes that can do, where every term names some; skip without terms."""
        spec = cycle.pod_class.spec
        own = _required(cycle.pod_class)
        if own is None and not spec.node_selector and _required_of(self._added) is None:
            return SKIP
        names: set[str] = set()
        for term in () if own is None else own.node_selector_terms:
            found = _named_nodes(term)
            if found is None:
                return GO_ON
            names |= found
        if own is None:
            return GO_ON
        if not names:
            return PreFiltered(
                rejection=Rejection(Code.UNSCHEDULABLE_AND_UNRESOLVABLE, (REASON_CONFLICT,))
            )
        return PreFiltered(nodes=frozenset(names))

    def filter(self, cycle: Cycle, rows: Rows) -> Codes:
        """Return `ADDED` or `POD` where the profile's or the pod's own terms don't match."""
        nodes, spec = cycle.nodes, cycle.pod_class.spec
        codes = np.zeros(len(rows), np.int64)
        good = np.ones(len(rows), np.bool_)
        for key, value in spec.node_selector.items():
            good &= _equals(nodes, rows, key, value)
        own = _required(cycle.pod_class)
        if own is not None:
            good &= selector_mask(own, nodes, rows)
        codes[~good] = POD
        added = _required_of(self._added)
        if added is not None:
            codes[~selector_mask(added, nodes, rows)] = ADDED
        return codes

    def admits(self, pod: PodClass, node: Node) -> bool:
        """Return whether pods of a class pass on a node, be it among the columns or not."""
        added, name = _required_of(self._added), node.metadata.name
        if added is not None and not node_selector_matches(added, node.metadata.labels, name):
            return False
        return required_node_affinity_matches(pod.spec, node)

    def reasons(self, cycle: Cycle, row: int, code: int) -> tuple[str, ...]:
        """Return upstream's words."""
        return (REASON_ADDED if code == ADDED else REASON,)

    def status(self, cycle: Cycle, row: int, code: int) -> Code:
        """Return that evictions can't help."""
        return Code.UNSCHEDULABLE_AND_UNRESOLVABLE

    def _preferred(self, pod: PodClass) -> tuple[PreferredSchedulingTerm, ...]:
        terms: tuple[PreferredSchedulingTerm, ...] = ()
        own = pod.spec.affinity.node_affinity if pod.spec.affinity is not None else None
        if own is not None:
            terms += own.preferred_during_scheduling_ignored_during_execution
        if self._added is not None:
            terms += self._added.preferred_during_scheduling_ignored_during_execution
        return terms

    def pre_score(self, cycle: Cycle, rows: Rows) -> bool:
        """Return whether neither the pod nor the profile prefers any node."""
        return not self._preferred(cycle.pod_class)

    def score(self, cycle: Cycle, rows: Rows) -> Scores:
        """Sum the weights of the preferred terms that match."""
        total = np.zeros(len(rows), np.int64)
        for preferred in self._preferred(cycle.pod_class):
            total += preferred.weight * term_mask(preferred.preference, cycle.nodes, rows)
        return total

    def normalize(self, cycle: Cycle, rows: Rows, raw: Scores) -> Scores:
        """Scale by the maximum over the feasible nodes."""
        return default_normalize(raw, reverse=False)


def _required(pod: PodClass) -> NodeSelector | None:
    return _required_of(pod.spec.affinity.node_affinity) if pod.spec.affinity is not None else None


def _required_of(affinity: NodeAffinityTerms | None) -> NodeSelector | None:
    return (
        None if affinity is None else affinity.required_during_scheduling_ignored_during_execution
    )


def _named_nodes(term: NodeSelectorTerm) -> set[str] | None:
    """Return the names of the nodes that a term asks for, None when it asks for none."""
    found: set[str] | None = None
    for field in term.match_fields:
        if field.operator == "In":
            found = set(field.values) if found is None else found & set(field.values)
    return found


def selector_mask(selector: NodeSelector, nodes: NodeColumns, rows: Rows) -> Mask:
    """Return which *rows* match one of the terms, bool [len(rows)]."""
    mask = np.zeros(len(rows), np.bool_)
    for term in selector.node_selector_terms:
        mask |= term_mask(term, nodes, rows)
    return mask


def term_mask(term: NodeSelectorTerm, nodes: NodeColumns, rows: Rows) -> Mask:
    """Return which *rows* match all conditions of a term; a term without any matches none."""
    if not term.match_expressions and not term.match_fields:
        return np.zeros(len(rows), np.bool_)
    mask = np.ones(len(rows), np.bool_)
    for requirement in term.match_expressions:
        mask &= _requirement_mask(requirement, nodes, rows)
    for field in term.match_fields:
        named = rows == nodes.row_of.get(field.values[0], -1)
        mask &= named if field.operator == "In" else ~named
    return mask


def _column(nodes: NodeColumns, rows: Rows, key: str) -> NDArray[np.int32]:
    column = nodes.label_column(key)
    return np.full(len(rows), -1, np.int32) if column is None else column[rows]


def _equals(nodes: NodeColumns, rows: Rows, key: str, value: str) -> Mask:
    number = nodes.label_values.get(value)
    if number < 0:
        return np.zeros(len(rows), np.bool_)
    return np.asarray(_column(nodes, rows, key) == number, np.bool_)


def _requirement_mask(requirement: NodeSelectorRequirement, nodes: NodeColumns, rows: Rows) -> Mask:
    column = _column(nodes, rows, requirement.key)
    operator = requirement.operator
    if operator == "Exists":
        return column >= 0
    if operator == "DoesNotExist":
        return column < 0
    if operator in ("In", "NotIn"):
        known = [n for v in requirement.values if (n := nodes.label_values.get(v)) >= 0]
        inside = np.isin(column, known)
        return inside if operator == "In" else ~inside
    bound = _integer(requirement.values[0])
    if bound is None:
        return np.zeros(len(rows), np.bool_)
    compare: Callable[[int], bool] = bound.__lt__ if operator == "Gt" else bound.__gt__
    good = [
        number
        for number in np.unique(column[column >= 0]).tolist()
        if (value := _integer(nodes.label_values[number])) is not None and compare(value)
    ]
    return np.isin(column, good)


def _integer(text: str) -> int | None:
    """Return what Go's ``strconv.ParseInt(text, 10, 64)`` would."""
    digits = text[1:] if text[:1] in ("+", "-") else text
    if not digits.isascii() or not digits.isdigit():
        return None
    value = int(text)
    return value if -(1 << 63) <= value < 1 << 63 else None
