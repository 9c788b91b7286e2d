"""Reach: the nodes that a selector of node labels means, as rows, kept from decision to decision.

Volumes say by such selectors where they can be used: node affinity, allowed topologies, storage
capacities. There may be one per node, as with local disks; a mask over all nodes for each was
rejected, for it costs volumes x nodes. Here a selector costs about as much as the nodes it means.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from schedlab.api.meta import (
    LabelSelector,
    NodeSelector,
    NodeSelectorRequirement,
    NodeSelectorTerm,
)
from schedlab.api.selectors import node_selector_term_matches
from schedlab.api.volumes import TopologySelectorTerm
from schedlab.cluster.nodes import NodeColumns

BUDGET_BYTES = 64 << 20
"""Memory that the rows of one `Reach` may take; beyond that it starts anew."""

NodeRows = NDArray[np.int64]


class Reach:
    """Rows of the nodes that selectors mean, remembered until a node's labels change.

    Parameters
    ----------
    nodes : NodeColumns
        The nodes and their labels.
    """

    def __init__(self, nodes: NodeColumns) -> None:
        self._nodes = nodes
        self._seen = -1
        self._bytes = 0
        self._known: dict[str, NodeRows] = {}
        self._by_value: dict[str, tuple[NodeRows, dict[int, tuple[int, int]]]] = {}
        self._texts: dict[int, tuple[object, str]] = {}

    def everywhere(self) -> NodeRows:
        """Return the rows of all nodes, increasing, int64."""
        nodes = self._nodes
        return np.flatnonzero(nodes.present[: nodes.size]).astype(np.int64)

    def of_nodes(self, selector: NodeSelector | None) -> NodeRows:
        """Return the rows that a volume's node affinity means, increasing, int64; None = all.

        Only labels count: a volume that names nodes by ``matchFields`` is compared with a node
        without a name, as upstream does.
        """
        if selector is None:
            return self._rows("", None)
        return self._rows(self._text(selector), selector.node_selector_terms)

    def of_labels(self, selector: LabelSelector | None) -> NodeRows:
        """Return the rows whose labels *selector* selects; None selects none."""
        if selector is None:
            return np.zeros(0, np.int64)
        conditions = [
            NodeSelectorRequirement(key=key, operator="In", values=(value,))
            for key, value in selector.match_labels.items()
        ]
        conditions += [
            NodeSelectorRequirement(key=r.key, operator=r.operator, values=r.values)
            for r in selector.match_expressions
        ]
        if not conditions:
            return self._rows("", None)
        term = NodeSelectorTerm(match_expressions=tuple(conditions))
        return self._rows(f"labels {self._text(selector)}", (term,))

    def of_topologies(self, allowed: tuple[TopologySelectorTerm, ...]) -> NodeRows:
        """Return the rows that a StorageClass's ``allowedTopologies`` mean; none given = all."""
        if not allowed:
            return self._rows("", None)
        terms = tuple(
            NodeSelectorTerm(
                match_expressions=tuple(
                    NodeSelectorRequirement(key=r.key, operator="In", values=r.values)
                    for r in term.match_label_expressions
                )
            )
            for term in allowed
            if all(r.values for r in term.match_label_expressions)
        )
        key = "|".join(term.model_dump_json() for term in allowed)
        return self._rows(f"topologies {key}", terms)

    def _text(self, selector: NodeSelector | LabelSelector) -> str:
        known = self._texts.get(id(selector))
        if known is None:  # the object is kept, and its id with it
            known = self._texts[id(selector)] = (selector, selector.model_dump_json())
        return known[1]

    def _rows(self, key: str, terms: tuple[NodeSelectorTerm, ...] | None) -> NodeRows:
        if self._seen != self._nodes.attributes.count or self._bytes > BUDGET_BYTES:
            self._seen = self._nodes.attributes.count
            self._bytes = 0
            for kept in (self._known, self._by_value, self._texts):
                kept.clear()
        found = self._known.get(key)
        if found is None:
            found = self.everywhere() if terms is None else self._any_of(terms)
            self._known[key] = found
            self._bytes += found.nbytes + 256
        return found

    def _any_of(self, terms: tuple[NodeSelectorTerm, ...]) -> NodeRows:
        found = [self._all_of(term) for term in terms]
        if len(found) == 1:
            return found[0]
        return np.unique(np.concatenate(found)) if found else np.zeros(0, np.int64)

    def _all_of(self, term: NodeSelectorTerm) -> NodeRows:
        named = NodeSelectorTerm(match_fields=term.match_fields)
        if term.match_fields and not node_selector_term_matches(named, {}, ""):
            return np.zeros(0, np.int64)
        if not term.match_expressions and not term.match_fields:
            return np.zeros(0, np.int64)
        found: NodeRows | None = None
        for requirement in term.match_expressions:
            rows = self._holding(requirement)
            found = rows if found is None else np.intersect1d(found, rows, assume_unique=True)
        return self.everywhere() if found is None else found

    def _holding(self, requirement: NodeSelectorRequirement) -> NodeRows:
        """Return the rows that meet one condition, increasing."""
        rows, spans = self._values(requirement.key)
        values = self._nodes.label_values
        if requirement.operator == "In":
            numbers = {values.get(value) for value in requirement.values} - {-1}
        else:
            term = NodeSelectorTerm(match_expressions=(requirement,))
            numbers = {
                number
                for number in spans
                if node_selector_term_matches(
                    term, {} if number < 0 else {requirement.key: values[number]}, ""
                )
            }
        parts = [rows[slice(*spans[number])] for number in sorted(numbers & spans.keys())]
        if len(parts) == 1:
            return parts[0]
        return np.sort(np.concatenate(parts)) if parts else np.zeros(0, np.int64)

    def _values(self, key: str) -> tuple[NodeRows, dict[int, tuple[int, int]]]:
        """Return all rows, grouped by their value of a label, and where each value's rows stand."""
        known = self._by_value.get(key)
        if known is None:
            everywhere = self.everywhere()
            column = self._nodes.label_column(key)
            numbers = np.full(len(everywhere), -1) if column is None else column[everywhere]
            order = np.argsort(numbers, kind="stable")
            found, starts = np.unique(numbers[order], return_index=True)
            bounds = [*starts.tolist(), len(order)]
            spans = dict(zip(found.tolist(), pairwise(bounds), strict=True))
            known = self._by_value[key] = (everywhere[order], spans)
        return known
