"""What stands around a decision, by hand."""

import numpy as np
import pytest

from schedlab.api.objects import Node, ObjectMeta
from schedlab.cluster import ClassTable, ClusterState, ResourceNames
from schedlab.scheduling.base import Pod
from schedlab.scheduling.learned.surroundings import SURROUNDINGS, surroundings
from schedlab.testing.gpus import gpu_class, gpu_node

SECOND = 1_000_000


def cluster():
    """Return two nodes of 4 cores in zone a and one in zone b, with two pods on the first."""
    state = ClusterState(ClassTable(ResourceNames()))
    for name, zone in (("n0", "a"), ("n1", "a"), ("n2", "b")):
        node = gpu_node(name, 0, cpu=4_000)
        labels = {**node.metadata.labels, "topology.kubernetes.io/zone": zone}
        state.nodes.add(Node(metadata=ObjectMeta(name=name, labels=labels), status=node.status))
    small, large = (gpu_class(state, 0, cpu=cpu) for cpu in (1_000, 2_000))
    state.add_pod(0, small, 0)
    state.add_pod(1, large, 0)
    state.start_us = {0: 10 * SECOND, 1: 20 * SECOND}
    return state, small


def asked(state, pod_class, estimate_s=60, estimates=None):
    pod = Pod(9, pod_class, "default/p", 9, 1, 0, estimate_s * SECOND if estimate_s >= 0 else -1)
    known = {0: 100 * SECOND, 1: 30 * SECOND} if estimates is None else estimates
    found = surroundings(state, pod, np.arange(3), 30 * SECOND, known, 5)
    return dict(zip((feature.name for feature in SURROUNDINGS), found.tolist(), strict=True))


def test_counts_of_pods_and_the_load_of_zones():
    found = asked(*cluster())
    assert found["pods_on_node"] == [2, 0, 0]
    assert found["like_on_node"] == [1, 0, 0]
    assert found["like_in_zone"] == [1, 1, 0]
    assert found["zone_load"] == [3 / 8, 3 / 8, 0]
    assert found["refused"] == [5, 5, 5]


def test_times_go_by_starts_and_estimates():
    found = asked(*cluster())
    assert found["busy_for"] == [20, 0, 0]
    assert found["remaining"] == [80, 0, 0]  # started at 10 s for 100 s, and it is 30 s
    assert found["outlives"] == [60 - 80, 60, 60]


def test_what_is_late_ends_now_and_what_has_not_started_has_all_before_it():
    state, small = cluster()
    late = {0: 5 * SECOND, 1: 5 * SECOND}
    assert asked(state, small, estimates=late)["remaining"] == [0, 0, 0]
    state.start_us = {0: -1}
    assert asked(state, small)["remaining"] == [100, 0, 0]


def test_what_nobody_estimated_is_unknown():
    found = asked(*cluster(), estimates={0: 100 * SECOND})
    assert found["remaining"] == pytest.approx([np.nan, 0, 0], nan_ok=True)
    found = asked(*cluster(), estimate_s=-1)
    assert found["outlives"] == pytest.approx([np.nan] * 3, nan_ok=True)
