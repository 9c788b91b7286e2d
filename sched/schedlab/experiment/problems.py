"""From a scenario's cluster and workload to the arrays that training replays.

Only what the replay knows is taken: CPU, memory, GPUs and their models. A pod that asks for
anything else (affinity but for GPU models, tolerations, volumes, other resources) is refused with
what it asks for, since a replay without it would train on another problem than the one asked for.
"""

from __future__ import annotations

import numpy as np

from schedlab.api.objects import PodSpec, PodTemplate
from schedlab.cluster.devices import GPU_MILLI, DeviceRequest, device_request
from schedlab.cluster.fragmentation import TypicalPods, accepted
from schedlab.cluster.mix import memory_per_milli, mix_of
from schedlab.cluster.nodes import NodeColumns
from schedlab.cluster.vocabulary import ResourceNames
from schedlab.errors import InputError
from schedlab.scheduling.learned.features import columns_of, known_of
from schedlab.scheduling.learned.problem import Problem
from schedlab.workload.load import template_amounts
from schedlab.workload.stream import Cluster, Workload

KNOWN_RESOURCES = frozenset({"cpu", "memory", "pods", GPU_MILLI})


def problem_of(cluster: Cluster, workload: Workload, coverage: float = 0.95) -> Problem:
    """Return the arrays of a cluster and the bare pods that come to it.

    Parameters
    ----------
    cluster : Cluster
        Its nodes, in the order in which ties are broken.
    workload : Workload
        Bare pods; its mix is what a model is told of the pods to come.
    coverage : float
        Share of the mix that typical pods stand for.

    Raises
    ------
    InputError
        The workload holds what a replay doesn't know.
    """
    if workload.objects:
        kinds = sorted({write.object.kind for write in workload.objects})
        raise InputError("workload", found=", ".join(kinds), expected="bare pods alone")
    pods = workload.pods
    if (pods.after >= 0).any() or (pods.delete_us >= 0).any():
        raise InputError(
            "workload",
            found="pods that wait for others, or are deleted",
            expected="pods with times of arrival and durations",
        )
    nodes = NodeColumns(ResourceNames())
    for node in cluster.nodes:
        if node.spec.taints or node.spec.unschedulable:
            raise InputError("cluster", found=f"a taint of {node.metadata.name}", expected="none")
        nodes.add(node)
    models = tuple(nodes.devices.models)
    shapes = [_ask(template) for template in workload.templates]
    asks: dict[tuple[int, int, int, int, tuple[str, ...]], int] = {}
    ask_of = np.array(
        [asks.setdefault(_key(*shape), len(asks)) for shape in shapes], np.int32
    ).reshape(-1)
    columns = columns_of(nodes)
    numbers = np.bincount(pods.template, minlength=len(shapes)).tolist()
    asked = [(*shape, number) for shape, number in zip(shapes, numbers, strict=True)]
    typical = TypicalPods.counted(workload.mix or mix_of(asked), coverage)
    known = known_of(typical, memory_per_milli(asked), columns, nodes.devices)
    return Problem(
        workload.name,
        columns,
        known,
        np.array([key[:4] for key in asks], np.int64).reshape(-1, 4),
        np.array([accepted(models, key[4]) for key in asks], np.bool_).reshape(len(asks), -1),
        ask_of[pods.template],
        pods.time_us,
        pods.duration_us,
    )


def _key(
    cpu: int, memory: int, devices: DeviceRequest | None
) -> tuple[int, int, int, int, tuple[str, ...]]:
    if devices is None:
        return (cpu, memory, 0, 0, ())
    return (cpu, memory, devices.milli, devices.count, devices.models)


def _ask(template: PodTemplate) -> tuple[int, int, DeviceRequest | None]:
    amounts = template_amounts(template)
    other = sorted(set(amounts) - KNOWN_RESOURCES)
    spec: PodSpec = template.spec
    devices = device_request(template.metadata.annotations)
    models = () if devices is None else devices.models
    extra = (
        other
        or (["tolerations"] if spec.tolerations else [])
        or (["nodeSelector"] if spec.node_selector else [])
        or (["volumes"] if spec.volumes else [])
        or (["topologySpreadConstraints"] if spec.topology_spread_constraints else [])
        or (["affinity"] if spec.affinity is not None and not models else [])
    )
    if extra:
        raise InputError(
            "workload", found=extra[0], expected="pods that ask for CPU, memory and GPUs alone"
        )
    return amounts.get("cpu", 0), amounts.get("memory", 0), devices
