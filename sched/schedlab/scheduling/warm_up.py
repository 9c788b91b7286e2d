"""Compile and load the kernels before anything is timed.

The first decision of a process otherwise pays for it: about 0.2 s to load them from numba's cache,
a few seconds where they were never compiled on this machine.
"""

from __future__ import annotations

from functools import cache

from schedlab.api.base import Amounts
from schedlab.api.objects import Container, Node, NodeStatus, ObjectMeta, PodSpec
from schedlab.cluster.classes import ClassTable
from schedlab.cluster.state import ClusterState
from schedlab.cluster.vocabulary import ResourceNames
from schedlab.rng import Draws
from schedlab.scheduling.base import Pod, PodBatch
from schedlab.scheduling.heuristics import FirstFit, RandomFit
from schedlab.scheduling.kube_scheduler import KubeScheduler
from schedlab.scheduling.view import ClusterView

SAMPLED_FROM = 101
"""With fewer nodes than this all are looked at, whatever the share."""


@cache
def warm_up() -> None:
    """Let each kernel run once on a small cluster; only the first call does anything."""
    state = ClusterState(ClassTable(ResourceNames()))
    status = NodeStatus(allocatable=Amounts(cpu=1_000, memory=1 << 30, pods=1))
    for i in range(SAMPLED_FROM):
        state.nodes.add(Node(metadata=ObjectMeta(name=f"n{i}"), status=status))
    pod_class = state.classes.intern("default", PodSpec(containers=(Container(name="c"),)), 0)
    batch = PodBatch([Pod(0, pod_class, "default/p", 0, 1, 0, -1)])
    view = ClusterView(state)
    whole = KubeScheduler(percentage_of_nodes_to_score=100)
    sampled = KubeScheduler(percentage_of_nodes_to_score=10)
    schedulers = (whole, sampled, FirstFit(), RandomFit())
    for scheduler in schedulers:
        scheduler.schedule(batch, view, Draws(0))
    for i in range(SAMPLED_FROM):
        state.add_pod(1 + i, pod_class, i)
    for scheduler in schedulers:  # now it fits nowhere: the message is counted in compiled code too
        scheduler.schedule(batch, view, Draws(0))
