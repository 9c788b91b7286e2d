"""What InterPodAffinity's answers are made of: counts of pods per node, and how they are read.

This is the part that a class of pods and the cluster decide; which nodes form a domain, and what
follows for each of them, is the plugin's. The counts are live columns of the cluster state (see
`TermCounts.of` and `CarriedTerms.of`): they move with every pod, and the log `nodes.usage` says
which rows moved. What is told here holds until ``state.carried.about(pod)`` returns another object,
the ``epoch`` of `terms` or `carried` grows, the version of Namespaces does, or nodes are added.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schedlab.cluster.carried import AffinityTerm, Kind
from schedlab.cluster.classes import PodClass
from schedlab.cluster.state import ClusterState
from schedlab.cluster.terms import PodTerm

Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Entry:
    """Pods that count for every node of their domain.

    Attributes
    ----------
    topology_key : str
        Label of nodes: nodes with the same value form a domain.
    counts : int64 array of shape [N]
        How many such pods are on each node, live.
    weight : int
        What each of them adds to the raw score; 1 where no score is asked.
    """

    topology_key: str
    counts: Counts
    weight: int = 1


@dataclass(frozen=True, slots=True)
class Required:
    """What the verdicts on nodes are made of; a filter without any of it passes every node.

    Attributes
    ----------
    near : tuple of Entry
        One per required affinity term, all with the same counts: pods that match all the terms.
        A node needs each of the keys, and such a pod in each of its domains.
    alone : bool
        The pod matches its own affinity terms: where no domain at all has such a pod, it may be
        the first, on any node that has the keys.
    apart : tuple of Entry
        One per required anti-affinity term: a domain with such a pod won't do.
    repelling : tuple of Entry
        Placed pods whose required anti-affinity means this pod: nor will their domains.
    """

    near: tuple[Entry, ...]
    alone: bool
    apart: tuple[Entry, ...]
    repelling: tuple[Entry, ...]


def required(state: ClusterState, pod: PodClass) -> Required:
    """Return what the verdicts on nodes for pods of a class are made of."""
    terms = state.carried.own(pod)
    near = [term for term in terms if term.kind is Kind.NEAR]
    alone = bool(near) and all(term.pods.matches(pod, state.objects) for term in near)
    together: tuple[Entry, ...] = ()
    if near:
        every = PodTerm.all_of(tuple({term.pods.key: term.pods for term in near}.values()))
        counts = state.terms.of(every, state.nodes.size)
        together = tuple(Entry(term.topology_key, counts) for term in near)
    apart = tuple(_meant(state, term) for term in terms if term.kind is Kind.APART)
    repelling = tuple(
        _carried(state, term, 1) for term in state.carried.about(pod) if term.kind is Kind.APART
    )
    return Required(together, alone, apart, repelling)


def preferred(
    state: ClusterState, pod: PodClass, hard_weight: int, *, ignore_existing: bool
) -> tuple[Entry, ...]:
    """Return what the raw scores of nodes for pods of a class are made of.

    Parameters
    ----------
    state : ClusterState
        The cluster.
    pod : PodClass
        The class.
    hard_weight : int
        What a placed pod adds whose required affinity means this pod.
    ignore_existing : bool
        Nothing counts unless the pod has preferred terms of its own.
    """
    own = [term for term in state.carried.own(pod) if term.kind is Kind.PREFERRED]
    if ignore_existing and not own:
        return ()
    found = [_meant(state, term) for term in own]
    for term in state.carried.about(pod):
        weight = hard_weight if term.kind is Kind.NEAR else term.weight
        if weight:
            found.append(_carried(state, term, weight))
    return tuple(found)


def _meant(state: ClusterState, term: AffinityTerm) -> Entry:
    """Return the placed pods that a term of the incoming pod means."""
    counts = state.terms.of(term.pods, state.nodes.size)
    return Entry(term.topology_key, counts, term.weight or 1)


def _carried(state: ClusterState, term: AffinityTerm, weight: int) -> Entry:
    """Return the placed pods that carry a term."""
    return Entry(term.topology_key, state.carried.of(term, state.nodes.size), weight)
