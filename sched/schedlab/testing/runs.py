"""Small runs for tests: a cluster of a few nodes, pods by the line, invariants after every event.

>>> record = checked(small_run(pods_at((0.0, 5.0), (1.0, 5.0))))
>>> record.counts["succeeded"]
2
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from schedlab.api.base import Amounts
from schedlab.api.objects import (
    ApiObject,
    Container,
    Node,
    NodeSpec,
    NodeStatus,
    ObjectMeta,
    PodSpec,
    PodTemplate,
    ResourceRequirements,
    Taint,
)
from schedlab.controlplane.config import ControlPlaneConfig
from schedlab.controlplane.simulation import Simulation
from schedlab.record.recorder import Coded, RunRecord
from schedlab.record.schema import OUTCOMES
from schedlab.rng import Draws, entity_key
from schedlab.scheduling.base import Placement, PodBatch, Scheduler
from schedlab.scheduling.view import ClusterView
from schedlab.units import SECOND
from schedlab.workload.stream import Cluster, ObjectWrite, Workload, pod_arrivals


class PlainFirstFit:
    """The first node with room, in three lines of numpy: it shares no code with the framework.

    Parameters
    ----------
    last : bool, default False
        Take the last node with room instead: other placements, other events.
    """

    def __init__(self, *, last: bool = False) -> None:
        self._last = last

    def schedule(self, pods: PodBatch, view: ClusterView, rng: Draws) -> Placement:
        """Place each pod where it fits; one unit of work per node."""
        placement = Placement.of(pods)
        with view.fork() as trial:
            for i, pod in enumerate(pods):
                request = pod.pod_class.request_vector(len(view.allocatable))
                room = (view.requested + request[:, None] <= view.allocatable).all(axis=0)
                rows = np.flatnonzero(room & view.present)
                placement.feasible[i] = len(rows)
                placement.work[i] = view.size
                if len(rows):
                    node = int(rows[-1 if self._last else 0])
                    placement.place(i, node)
                    trial.assume(pod, node)
                else:
                    placement.reason[i] = f"0/{view.size} nodes have room"
        return placement


def small_node(
    name: str = "n0",
    *,
    cpu: int = 4_000,
    memory: int = 8 << 30,
    pods: int = 110,
    labels: Mapping[str, str] | None = None,
    taints: tuple[Taint, ...] = (),
) -> Node:
    """Return a node; *cpu* in milli-cores, *memory* in bytes."""
    return Node(
        metadata=ObjectMeta(name=name, labels={"kubernetes.io/hostname": name, **(labels or {})}),
        spec=NodeSpec(taints=taints),
        status=NodeStatus(allocatable=Amounts(cpu=cpu, memory=memory, pods=pods)),
    )


def pod_template(
    cpu: int = 1_000,
    *,
    annotations: Mapping[str, str] | None = None,
    image: str = "app:1",
    **spec: Any,
) -> PodTemplate:
    """Return a template of one container that asks for *cpu* milli-cores and never restarts."""
    container = Container(
        name="main", image=image, resources=ResourceRequirements(requests=Amounts(cpu=cpu))
    )
    return PodTemplate(
        metadata=ObjectMeta(labels={"app": "test"}, annotations=annotations or {}),
        spec=PodSpec(**{"containers": (container,), "restart_policy": "Never", **spec}),
    )


def pods_at(
    *pods: tuple[float, float | None],
    templates: tuple[PodTemplate, ...] = (),
    template: Iterable[int] = (),
    objects: tuple[ObjectWrite, ...] = (),
    **columns: Any,
) -> Workload:
    """Return a workload of bare pods, each (arrival in s, duration in s or None).

    Parameters
    ----------
    *pods : tuple
        Arrival and duration.
    templates : tuple of PodTemplate, optional
        Templates; one of 1 cpu when absent.
    template : iterable of int, optional
        Template of each pod; the first when absent.
    objects : tuple of ObjectWrite, optional
        Other requests.
    **columns
        More columns of `PodArrivals`.
    """
    count = len(pods)
    which = list(template) or [0] * count
    return Workload(
        "test",
        templates or (pod_template(),),
        pod_arrivals(
            np.array([round(at * SECOND) for at, _ in pods], np.int64),
            np.array(which, np.int32),
            tuple(f"p{i}" for i in range(count)),
            item=("trace",) * count,
            duration_us=np.array([-1 if d is None else round(d * SECOND) for _, d in pods], int),
            key=np.array([entity_key("trace", i) for i in range(count)], np.uint64),
            replica=np.arange(count, dtype=np.int32),
            **columns,
        ),
        objects,
        {},
        (),
    )


def created(found: ApiObject, at: float = 0.0) -> ObjectWrite:
    """Return the request to create an object at a time in seconds."""
    return ObjectWrite(round(at * SECOND), "create", found, found.metadata.name)


def deleted(found: ApiObject, at: float) -> ObjectWrite:
    """Return the request to delete an object at a time in seconds."""
    return ObjectWrite(round(at * SECOND), "delete", found, found.metadata.name)


def small_run(
    workload: Workload,
    *,
    nodes: Iterable[Node] | None = None,
    scheduler: Scheduler | Mapping[str, Scheduler] | None = None,
    config: str | Mapping[str, Any] = "ideal",
    objects: tuple[ApiObject, ...] = (),
    **options: Any,
) -> Simulation:
    """Return a run of *workload*: one node of 4 cpus, `PlainFirstFit` and no latency by default.

    Parameters
    ----------
    workload : Workload
        What is asked of the cluster.
    nodes : iterable of Node, optional
        The nodes.
    scheduler : Scheduler or mapping, optional
        A policy, or policies by ``schedulerName``.
    config : str or mapping, default "ideal"
        A profile of the control plane, or a whole section.
    objects : tuple of ApiObject, optional
        Objects there at time 0.
    **options
        Passed on to `Simulation`.
    """
    settings = {"profile": config} if isinstance(config, str) else dict(config)
    policy: Any = PlainFirstFit() if scheduler is None else scheduler
    return Simulation(
        Cluster("test", (small_node(),) if nodes is None else tuple(nodes), objects),
        workload,
        policy if isinstance(policy, Mapping) else {"default-scheduler": policy},
        config=ControlPlaneConfig.model_validate(settings),
        **options,
    )


def checked(run: Simulation) -> RunRecord:
    """Run event by event, with every invariant after each, and return the record.

    Raises
    ------
    AssertionError
        An invariant is broken, or the book-keeping does not close.
    """
    while run.step():
        wrong = run.violations()
        if wrong:
            raise AssertionError(f"at {run.now_us} us: {'; '.join(wrong)}")
    record = run.record()
    if record.counts["pods_in"] != sum(record.counts[name] for name in OUTCOMES):
        raise AssertionError(f"the book-keeping does not close: {record.counts}")
    return record


def seconds(record: RunRecord, column: str, table: str = "pods") -> list[float | None]:
    """Return a column of times in seconds, None where it did not happen."""
    values: Any = record.tables[table][column]
    return [None if us < 0 else us / SECOND for us in values.tolist()]


def texts(record: RunRecord, column: str, table: str = "pods") -> list[str | None]:
    """Return a column of strings."""
    data = record.tables[table][column]
    if isinstance(data, Coded):
        return [None if code < 0 else data.values[code] for code in data.codes.tolist()]
    return [str(value) for value in data]
