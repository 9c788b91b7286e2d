"""Nodes with GPUs and pods that ask for them, for tests."""

from __future__ import annotations

from schedlab.api.base import Amounts
from schedlab.api.objects import Node, NodeStatus, ObjectMeta, PodTemplate
from schedlab.cluster.classes import PodClass
from schedlab.cluster.devices import GPU_COUNT, GPU_MILLI, GPU_MODEL
from schedlab.cluster.state import ClusterState
from schedlab.testing.runs import pod_template


def gpu_node(
    name: str = "n0",
    gpus: int = 2,
    *,
    model: str = "T4",
    cpu: int = 64_000,
    memory: int = 256 << 30,
    pods: int = 1_001,
) -> Node:
    """Return a node with GPUs of one model; *cpu* in milli-cores, *memory* in bytes."""
    offered = Amounts(cpu=cpu, memory=memory, pods=pods)
    labels = {"kubernetes.io/hostname": name}
    if gpus:
        offered[GPU_MILLI] = 1000 * gpus
        labels[GPU_MODEL] = model
    return Node(
        metadata=ObjectMeta(name=name, labels=labels), status=NodeStatus(allocatable=offered)
    )


def gpu_template(
    gpus: int = 1, milli: int = 1000, *, models: str = "", cpu: int = 1_000
) -> PodTemplate:
    """Return a template that asks for GPUs, or *milli* thousandths of one; none where *gpus* 0."""
    annotations = {GPU_COUNT: str(gpus), GPU_MILLI: str(milli)} if gpus else {}
    if models:
        annotations[GPU_MODEL] = models
    return pod_template(cpu, annotations=annotations)


def gpu_class(
    state: ClusterState, gpus: int = 1, milli: int = 1000, *, models: str = "", cpu: int = 1_000
) -> PodClass:
    """Return the class of pods of such a template."""
    template = gpu_template(gpus, milli, models=models, cpu=cpu)
    annotations = template.metadata.annotations
    return state.classes.intern("default", template.spec, 0, annotations=annotations)
