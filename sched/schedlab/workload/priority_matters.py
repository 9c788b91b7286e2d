"""The instances of "Priority Matters": small clusters that kube-scheduler can't quite fill.

Christensen's optimiser for kube-scheduler (arXiv 2511.08373, github.com/henrikdchristensen/
scheduler-plugins, ``scripts/kwok_workload_once``) is evaluated on clusters of equal nodes, sized so
that the pods of some ReplicaSets ask for a stated share of them. A ReplicaSet has 1 to 4 pods of
100m to 1000m and 100 to 1000 MB, and one of the priorities. Its pods are created when those of the
one before it run, or won't.

The same seed gives the same instance as there, byte for byte: each draw comes from Python's own
generator, seeded with a BLAKE2b hash of seed and label.
"""

from __future__ import annotations

import hashlib
import math
import random  # noqa: TID251 - the published instances are drawn by it
from dataclasses import dataclass

from schedlab.api.controllers import ReplicaSet, ReplicaSetSpec
from schedlab.api.objects import (
    Amounts,
    Container,
    LabelSelector,
    Node,
    NodeStatus,
    ObjectMeta,
    PodSpec,
    PodTemplate,
    ResourceRequirements,
)

CPU_MILLI = (100, 1000)
MEMORY_BYTES = (100 * 10**6, 1000 * 10**6)
REPLICAS = (1, 4)
PODS_PER_NODE = 512
"""Allocatable pods: more than there are, as in the original."""
NAMESPACE = "test"


@dataclass(frozen=True)
class PodSet:
    """The pods of one ReplicaSet.

    Attributes
    ----------
    name : str
        Its name.
    priority : int
        Priority of its pods.
    replicas : int
        How many there are.
    template : PodTemplate
        What they look like.
    """

    name: str
    priority: int
    replicas: int
    template: PodTemplate

    def object(self) -> ReplicaSet:
        """Return it as Kubernetes has it."""
        labels = self.template.metadata.labels
        return ReplicaSet(
            metadata=ObjectMeta(name=self.name, namespace=NAMESPACE),
            spec=ReplicaSetSpec(
                replicas=self.replicas,
                selector=LabelSelector(match_labels=labels),
                template=self.template,
            ),
        )


@dataclass(frozen=True)
class Instance:
    """One instance.

    Attributes
    ----------
    nodes : tuple of Node
        Equal nodes, by name.
    sets : tuple of PodSet
        In the order in which they are created.
    """

    nodes: tuple[Node, ...]
    sets: tuple[PodSet, ...]

    @property
    def pods(self) -> int:
        """Number of pods."""
        return sum(pods.replicas for pods in self.sets)


def priority_matters(
    seed: int, *, nodes: int, pods_per_node: int, priorities: int, utilisation: float
) -> Instance:
    """Return the instance of a seed.

    Parameters
    ----------
    seed : int
        Seed of the original, >= 0.
    nodes, pods_per_node : int
        Nodes, and pods for each of them.
    priorities : int
        Priorities 1 .. *priorities*, drawn per ReplicaSet.
    utilisation : float
        Share of the cluster's CPU and memory that all pods ask for.

    Examples
    --------
    >>> small = priority_matters(
    ...     484806185843093489, nodes=4, pods_per_node=4, priorities=1, utilisation=0.9
    ... )
    >>> [pods.replicas for pods in small.sets], small.nodes[0].status.allocatable["cpu"]
    ([4, 2, 2, 4, 1, 3], 2033)
    """
    sizes = _sizes(_generator(seed, "rs-sizes"), nodes * pods_per_node)
    by_cpu, by_memory = _generator(seed, "rs-cpu"), _generator(seed, "rs-mem")
    cpu = [by_cpu.randint(*CPU_MILLI) for _ in sizes]
    memory = [by_memory.randint(*MEMORY_BYTES) for _ in sizes]
    by_priority = _generator(seed, "base")
    drawn = [by_priority.randint(1, priorities) for _ in sizes]
    size = Amounts(
        cpu=_per_node(cpu, sizes, nodes, utilisation),
        memory=_per_node(memory, sizes, nodes, utilisation),
        pods=PODS_PER_NODE,
    )
    names = sorted(f"kwok-node-{i}" for i in range(1, nodes + 1))
    return Instance(
        tuple(_node(name, size) for name in names),
        tuple(
            _set(i, *each)
            for i, each in enumerate(zip(drawn, sizes, cpu, memory, strict=True), start=1)
        ),
    )


def _generator(seed: int, label: str) -> random.Random:
    digest = hashlib.blake2b(seed.to_bytes(16, "big") + b"\0" + label.encode(), digest_size=16)
    return random.Random(int.from_bytes(digest.digest(), "big"))


def _sizes(generator: random.Random, pods: int) -> list[int]:
    """Return the sizes of ReplicaSets that have *pods* pods together."""
    sizes: list[int] = []
    while pods > 0:
        sizes.append(generator.randint(REPLICAS[0], min(REPLICAS[1], pods)))
        pods -= sizes[-1]
    return sizes


def _per_node(amounts: list[int], sizes: list[int], nodes: int, utilisation: float) -> int:
    """Return what a node has, so that the pods ask for a share of all; any pod fits alone."""
    asked = sum(amount * size for amount, size in zip(amounts, sizes, strict=True))
    return max(max(amounts), math.ceil(math.ceil(asked / utilisation) / nodes))


def _node(name: str, size: Amounts) -> Node:
    return Node(
        metadata=ObjectMeta(name=name, labels={"kubernetes.io/hostname": name, "type": "kwok"}),
        status=NodeStatus(capacity=size, allocatable=size),
    )


def _set(number: int, priority: int, replicas: int, cpu: int, memory: int) -> PodSet:
    name = f"rs-{number:02d}-p{priority}"
    amounts = Amounts(cpu=cpu, memory=memory)
    container = Container(
        name="filler",
        image="registry.k8s.io/pause:3.9",
        resources=ResourceRequirements(requests=amounts, limits=amounts),
    )
    template = PodTemplate(
        metadata=ObjectMeta(labels={"app": name}), spec=PodSpec(containers=(container,))
    )
    return PodSet(name, priority, replicas, template)
