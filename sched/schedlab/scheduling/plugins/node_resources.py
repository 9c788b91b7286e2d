"""What NodeResourcesFit and NodeResourcesBalancedAllocation share: which resources are scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schedlab.cluster.classes import PodClass
from schedlab.cluster.nodes import NodeColumns
from schedlab.cluster.vocabulary import CPU, EPHEMERAL_STORAGE, MEMORY, PODS
from schedlab.scheduling.framework.interface import Rows

ResourceWeights = tuple[tuple[str, int], ...]
DEFAULT_RESOURCES: ResourceWeights = (("cpu", 1), ("memory", 1))


@dataclass(frozen=True, eq=False)
class ScoredResources:
    """The resources by which a class is scored, as columns.

    Attributes
    ----------
    rows : int64 array of shape [S]
        Rows of the resources.
    asked : int64 array of shape [S]
        What the pod asks for.
    weights : int64 array of shape [S]
        Their weights.
    """

    rows: NDArray[np.int64]
    asked: NDArray[np.int64]
    weights: NDArray[np.int64]


def scored_resources(
    pod: PodClass, nodes: NodeColumns, resources: Sequence[tuple[str, int]], *, nonzero: bool
) -> ScoredResources:
    """Return what of *resources* counts for a class.

    An extended resource that the pod doesn't ask for, or that no node of the cluster offers, does
    not count, and neither does the number of pods. With *nonzero* cpu and memory count as
    upstream's 100m and 200Mi where a container asks for nothing.
    """
    found = scored_list(pod, nodes, resources, nonzero=nonzero)
    rows, amounts, weights = np.array(found, np.int64).reshape(-1, 3).T
    return ScoredResources(rows, amounts, weights)


def scored_list(
    pod: PodClass, nodes: NodeColumns, resources: Sequence[tuple[str, int]], *, nonzero: bool
) -> list[tuple[int, int, int]]:
    """Return `scored_resources` as a list of (row, amount, weight)."""
    asked = dict(pod.requests)
    least = pod.scored if nonzero else (0, 0)
    found = []
    for name, weight in resources:
        row = nodes.resources.get(name)
        if row < 0 or row == PODS or row >= len(nodes.allocatable):
            continue
        amount = least[row] if nonzero and row in (CPU, MEMORY) else asked.get(row, 0)
        if amount or row <= EPHEMERAL_STORAGE:
            found.append((row, amount, weight))
    return found


def used_and_capacity(
    scored: ScoredResources, nodes: NodeColumns, rows: Rows, *, nonzero: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return what is used with the pod in place, and the capacity; int64 [S, len(rows)] each."""
    capacity = nodes.allocatable[np.ix_(scored.rows, rows)]
    used = nodes.requested[np.ix_(scored.rows, rows)]
    if nonzero:
        for i, resource in enumerate(scored.rows.tolist()):
            if resource in (CPU, MEMORY):
                used[i] = nodes.nonzero_requested[resource, rows]
    return used + scored.asked[:, None], capacity
