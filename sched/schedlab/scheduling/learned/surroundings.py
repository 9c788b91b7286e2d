"""What stands around a decision: features of (pod, node) that change while nothing happens there.

`features` holds what a node's answer can be kept for. These depend on the clock, on other nodes or
on the queue, so that a score plugin would have to ask all nodes anew at each decision; they are for
data sets (`schedlab export-decisions`). Of durations they know estimates alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from schedlab.cluster.state import ClusterState
from schedlab.cluster.vocabulary import CPU
from schedlab.scheduling.base import Pod
from schedlab.scheduling.learned.features import Feature

ZONE: Final = "topology.kubernetes.io/zone"
SURROUNDINGS: Final[tuple[Feature, ...]] = (
    Feature("pods_on_node", "pods", "pods on the node"),
    Feature("like_on_node", "pods", "pods on the node that are of this pod's class"),
    Feature("like_in_zone", "pods", "pods in the node's zone that are of this pod's class"),
    Feature("zone_load", "share", "CPU that is requested in the node's zone; 0 without zones"),
    Feature("busy_for", "s", "time since the first of the node's pods started; 0 = none has"),
    Feature("remaining", "s", "longest estimated time until a pod of the node ends; NaN = unknown"),
    Feature("outlives", "s", "by how much the pod is estimated to end after them; NaN = unknown"),
    Feature("refused", "pods", "pods that were refused so far and still have no node"),
)
"""The features in the order of `surroundings`."""


def surroundings(
    state: ClusterState,
    pod: Pod,
    rows: NDArray[np.int64],
    now_us: int,
    estimates: Mapping[int, int],
    refused: int,
) -> NDArray[np.float64]:
    """Return the features of placing a pod on each of some nodes.

    Parameters
    ----------
    state : ClusterState
        The cluster as the scheduler sees it.
    pod : Pod
        The pod.
    rows : int64 array of shape [K]
        Rows of nodes.
    now_us : int
        Simulated time of the decision, in microseconds.
    estimates : mapping of int to int
        Estimated duration in microseconds by row of the pods that were placed; -1 = unknown.
    refused : int
        Pods that were refused and still wait.

    Returns
    -------
    float64 array of shape [8, K]
        In the order of `SURROUNDINGS`.
    """
    alike = state.placed.get(pod.pod_class.id, {})
    out = np.zeros((len(SURROUNDINGS), len(rows)))
    zone = state.nodes.domains(ZONE).of
    load, like = _of_zones(state, zone, alike)
    for k, row in enumerate(rows.tolist()):
        pods = state.pods_on[row] if row < len(state.pods_on) else {}
        started = [state.start_us[p] for p in pods if _has_started(state, p)]
        ends = [_end_us(state, p, now_us, estimates) for p in pods]
        remaining = (np.max(ends) - now_us) / 1e6 if ends else 0.0  # NaN if one is unknown
        own = pod.estimated_duration_us / 1e6 if pod.estimated_duration_us >= 0 else np.nan
        out[:, k] = (
            len(pods),
            alike.get(row, 0),
            like[zone[row]] if zone[row] >= 0 else 0,
            load[zone[row]] if zone[row] >= 0 else 0,
            (now_us - min(started)) / 1e6 if started else 0,
            remaining,
            own - remaining,
            refused,
        )
    return out


def _of_zones(
    state: ClusterState, zone: NDArray[np.int32], alike: Mapping[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the share of CPU that is requested in each zone, and the pods of a class there."""
    nodes, zones = state.nodes, int(zone.max(initial=-1)) + 1
    there = zone >= 0
    sums = [
        np.bincount(zone[there], column[CPU, : nodes.size][there].astype(float), zones)
        for column in (nodes.requested, nodes.allocatable)
    ]
    like = np.zeros(zones)
    for row, count in alike.items():
        if zone[row] >= 0:
            like[zone[row]] += count
    return sums[0] / np.maximum(sums[1], 1.0), like


def _start_us(state: ClusterState, pod: int) -> int:
    start = state.start_us
    known = pod in start if isinstance(start, Mapping) else pod < len(start)
    return start[pod] if known else -1


def _has_started(state: ClusterState, pod: int) -> bool:
    return _start_us(state, pod) >= 0


def _end_us(state: ClusterState, pod: int, now_us: int, estimates: Mapping[int, int]) -> float:
    """Return when a pod is estimated to end, but not before now; NaN = unknown."""
    estimate = estimates.get(pod, -1)
    if estimate < 0:
        return np.nan
    start = _start_us(state, pod)
    return float(max(now_us, (start if start >= 0 else now_us) + estimate))
