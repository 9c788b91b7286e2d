"""Spread constraints of a pod class, compiled: what PodTopologySpread counts, and where.

Three steps are kept apart, so that each can be kept up to date on its own: what a class asks for
(`Spread`; it follows from the class, the nodes' attributes and the objects that default selectors
come from), how many pods match on each node (`pods_per_node`, which moves with every pod), and what
follows per topology domain (`per_domain`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schedlab.api.meta import LabelSelector, LabelSelectorRequirement
from schedlab.api.pods import TopologySpreadConstraint
from schedlab.api.selectors import label_selector_matches
from schedlab.cluster.classes import PodClass
from schedlab.cluster.nodes import NodeColumns
from schedlab.cluster.state import ClusterState
from schedlab.cluster.terms import PodTerm
from schedlab.scheduling.framework.interface import Cycle
from schedlab.scheduling.plugins.node_affinity import NodeAffinity
from schedlab.scheduling.plugins.taint_toleration import TaintToleration

Mask = NDArray[np.bool_]
Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class SpreadConstraint:
    """One constraint, as it holds for a class.

    Attributes
    ----------
    topology_key : str
        Label of nodes: nodes with the same value form a domain.
    max_skew : int
        How far a domain may be ahead of the emptiest.
    min_domains : int
        With fewer domains than this the emptiest counts as empty; 1 = always the emptiest.
    term : PodTerm
        The pods that are spread.
    counted : bool
        False for an empty selector: upstream counts no pods for it, although every pod matches.
    self_match : bool
        The pod itself is among those that are spread.
    eligible : bool array of shape [N]
        Nodes whose pods count, by ``nodeAffinityPolicy`` and ``nodeTaintsPolicy``; rows without a
        node and, where `Spread.all_keys`, nodes outside `Spread.labelled` are not among them.
    """

    topology_key: str
    max_skew: int
    min_domains: int
    term: PodTerm
    counted: bool
    self_match: bool
    eligible: Mask


@dataclass(frozen=True, slots=True, eq=False)
class Spread:
    """All constraints of one strength, hard or soft, of a class.

    Attributes
    ----------
    constraints : tuple of SpreadConstraint
        In the order of the pod spec.
    labelled : bool array of shape [N]
        Nodes that have the topology keys of all constraints.
    all_keys : bool
        Only those nodes take part; False for the constraints that are built in.
    """

    constraints: tuple[SpreadConstraint, ...]
    labelled: Mask
    all_keys: bool


def compiled(
    cycle: Cycle,
    wanted: Iterable[tuple[TopologySpreadConstraint, LabelSelector | None]],
    *,
    all_keys: bool,
) -> Spread:
    """Return constraints with the selectors that they count by as they hold for a cycle's class."""
    nodes, pod = cycle.nodes, cycle.pod_class
    wanted = tuple(wanted)
    present = nodes.present[: nodes.size].copy()
    labelled = present.copy()
    for constraint, _ in wanted:
        labelled &= domains(nodes, constraint.topology_key) >= 0
    takes_part = labelled if all_keys else present
    found = []
    for constraint, selector in wanted:
        empty = selector is not None and not (selector.match_labels or selector.match_expressions)
        found.append(
            SpreadConstraint(
                constraint.topology_key,
                constraint.max_skew,
                constraint.min_domains or 1,
                PodTerm.of((pod.namespace,), selector, live=True),
                not empty,
                label_selector_matches(selector, pod.labels),
                takes_part & _included(cycle, constraint),
            )
        )
    return Spread(tuple(found), labelled, all_keys)


def _included(cycle: Cycle, constraint: TopologySpreadConstraint) -> Mask:
    """Return the nodes whose pods a constraint counts, bool [N].

    By default those that the pod's own node selector and affinity let it go to (``Honor``),
    whatever their taints (``Ignore``).
    """
    size = cycle.nodes.size
    rows = np.arange(size, dtype=np.int64)
    included = np.ones(size, np.bool_)
    if constraint.node_affinity_policy != "Ignore":
        included &= NodeAffinity().filter(cycle, rows) == 0
    if constraint.node_taints_policy == "Honor":
        included &= TaintToleration().filter(cycle, rows) == 0
    return included


def narrowed(
    state: ClusterState, constraint: TopologySpreadConstraint, pod: PodClass
) -> LabelSelector | None:
    """Return a constraint's selector with its ``matchLabelKeys`` as conditions.

    The values are the pod's own; keys that it lacks don't matter, and neither do any without a
    selector. Admission puts the same conditions there: stating them twice changes nothing.
    """
    selector = constraint.label_selector
    if selector is None or not constraint.match_label_keys:
        return selector
    state.classes.mention(constraint.match_label_keys)
    known = selector.match_expressions
    own = (
        LabelSelectorRequirement(key=key, operator="In", values=(pod.labels[key],))
        for key in constraint.match_label_keys
        if key in pod.labels
    )
    added = tuple(condition for condition in own if condition not in known)
    return selector.model_copy(update={"match_expressions": known + added}) if added else selector


def domains(nodes: NodeColumns, key: str) -> NDArray[np.int32]:
    """Return the domain of each node, int32 [N]: the number of its label value, -1 = none."""
    column = nodes.label_column(key)
    return np.full(nodes.size, -1, np.int32) if column is None else column


def pods_per_node(state: ClusterState, constraint: SpreadConstraint) -> Counts:
    """Return how many pods a constraint counts on each node, int64 [N]; not to be changed.

    Within a trial (`ClusterState.mark`) upstream does not count anew: it adds 1 for every matching
    pod that is put on a node and takes 1 off for every one taken away, also where the count had
    left that pod out, for being deleted already or for an empty selector. So do we.
    """
    size = state.nodes.size
    counts = np.zeros(size, np.int64)
    if constraint.counted:
        counts = state.terms.of(constraint.term, size)
        if not state.leaving:
            return counts
    uncounted = [
        (node, change)
        for change, pod, pod_class, node in state.tried()
        if (pod in state.leaving or not constraint.counted)
        and constraint.term.matches(pod_class, state.objects)
    ]
    if uncounted:
        counts = counts.copy()
        for node, change in uncounted:
            counts[node] += change
    return counts


def per_domain(of: NDArray[np.int32], counts: Counts, where: Mask) -> tuple[Counts, Mask]:
    """Sum counts per topology domain.

    Parameters
    ----------
    of : int32 array of shape [N]
        Domain of each node, -1 = none.
    counts : int64 array of shape [N]
        What is summed.
    where : bool array of shape [N]
        Nodes that take part.

    Returns
    -------
    sums : int64 array of shape [D + 1]
        Sum per domain; that of the domain -1 is at the end.
    known : bool array of shape [D + 1]
        Domains with a node that takes part.
    """
    size = int(of.max(initial=-1)) + 2
    taking_part = of[where] % size
    sums = np.bincount(taking_part, weights=counts[where], minlength=size)
    return sums.astype(np.int64), np.bincount(taking_part, minlength=size) > 0
