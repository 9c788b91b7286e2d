"""The openb trace: nodes and pods of a GPU cluster of Alibaba, recorded in 2023.

A GPU is shared in thousandths. What a pod asks of GPUs stands in the annotations that the trace's
own YAML has (see `schedlab.cluster.devices`), but for its ``creation-time``: pods with equal specs
share one template. Beside them the pod requests the sum as ``alibabacloud.com/gpu-milli``, of which
a node has 1000 per GPU, for schedulers that know resources alone: two pods of 600 and one of 700
fit a pool of two GPUs, but not the GPUs. A second resource with the number of GPUs was rejected:
whole GPUs are already counted by their thousandths, and a share that also took one would make
sharing impossible.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from schedlab.api.objects import (
    Affinity,
    Amounts,
    Container,
    Node,
    NodeAffinity,
    NodeSelector,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    NodeStatus,
    ObjectMeta,
    PodSpec,
    PodTemplate,
    ResourceRequirements,
)
from schedlab.cluster.devices import GPU_COUNT, GPU_MILLI, GPU_MODEL, Shape
from schedlab.errors import InputError
from schedlab.rng import Draws, entity_key
from schedlab.units import SECOND, format_duration
from schedlab.workload.dlrm import read_dlrm_pods
from schedlab.workload.load import Demand, capacity, shares, solve_speed, template_amounts
from schedlab.workload.openb_csv import (
    NODE_COLUMNS,
    PodList,
    cell_error,
    check_names,
    header_of,
    numbers,
    read_pod_list,
    read_table,
)
from schedlab.workload.openb_order import node_order, recorded_pods, shuffled_pods
from schedlab.workload.specs import TargetLoad
from schedlab.workload.spot import read_spot_nodes
from schedlab.workload.stream import Cluster, Workload, pod_arrivals

QOS: Final = "alibabacloud.com/qos"
HOSTNAME: Final = "kubernetes.io/hostname"
POOL: Final = "schedlab.io/pool"
ALL_NODES: Final = "openb_node_list_all_node.csv"
ITEM: Final = "openb"
IMAGE: Final = "openb/pod"
MIB: Final = 2**20

Ints = NDArray[np.int64]
TimeMode = Literal["trace", "load", "static", "shuffled"]


def read_openb_nodes(
    path: str | Path,
    *,
    pods_per_node: int = 1001,
    order: str | Path | None = None,
    draws: Draws | None = None,
) -> Cluster:
    """Read a node list of the openb trace.

    Parameters
    ----------
    path : str or Path
        The CSV file, or the directory that holds the list of all 1,523 nodes.
    pods_per_node : int, default 1001
        Allocatable pods; the trace doesn't say.
    order : str or Path, optional
        The order of the nodes: "shuffled", or a file with ranks (see `openb_order.node_order`).
    draws : Draws, optional
        Of the run's seed; needed where they are shuffled.

    Returns
    -------
    Cluster
        Nodes in the order of the file where nothing else is asked for. Those with GPUs have the
        label ``alibabacloud.com/gpu-card-model``; ``schedlab.io/pool`` is the model, or "cpu".

    Raises
    ------
    InputError
        With file, row, column, found and expected.
    """
    path = Path(path)
    if path.is_dir():
        path = path / ALL_NODES
    if "gpu_capacity_num" in header_of(path):
        table = read_spot_nodes(path)
    else:
        table = read_table(path, NODE_COLUMNS)
        check_names(path, table["sn"], "sn")
    cpu, memory, gpus = (numbers(path, table, name) for name in ("cpu_milli", "memory_mib", "gpu"))
    sizes = list(zip(cpu.tolist(), memory.tolist(), gpus.tolist(), strict=True))
    statuses: dict[tuple[int, int, int], NodeStatus] = {}
    nodes = []
    for i, (name, model, size) in enumerate(zip(table["sn"], table["model"], sizes, strict=True)):
        gpu = size[2]
        if bool(model) != bool(gpu):
            expected = "a model, as it has GPUs" if gpu else "nothing, as gpu is 0"
            raise cell_error(path, i, "model", model, expected)
        if size not in statuses:
            amounts = _node_amounts(*size, pods_per_node)
            statuses[size] = NodeStatus(capacity=amounts, allocatable=amounts)
        labels = {HOSTNAME: name, POOL: model.lower() or "cpu"}
        if model:
            labels |= {GPU_MODEL: model, GPU_COUNT: str(gpu)}
        nodes.append(Node(metadata=ObjectMeta(name=name, labels=labels), status=statuses[size]))
    rows = node_order(table["sn"], order, draws)
    return Cluster(ITEM, tuple(nodes[row] for row in rows), ())


def _node_amounts(cpu_milli: int, memory_mib: int, gpus: int, pods: int) -> Amounts:
    amounts = Amounts(cpu=cpu_milli, memory=memory_mib * MIB, pods=pods)
    if gpus:
        amounts[GPU_MILLI] = 1000 * gpus
    return amounts


def read_openb_pods(
    path: str | Path,
    *,
    time: TimeMode | None = None,
    target_load: float | TargetLoad | None = None,
    cluster: Cluster | None = None,
    copies: int = 1,
    packing: Packing | None = None,
) -> Workload:
    """Read a pod list of the openb trace.

    Parameters
    ----------
    path : str or Path
        The CSV file.
    time : {"trace", "load", "static", "shuffled"}, optional
        ``trace``: created at their creation times, running for deletion - scheduled; pods that
        were never scheduled are dropped and counted. ``load``: the same with inter-arrival times
        scaled to *target_load*. ``static``: all pods, at time 0, without an end. ``shuffled``: all
        pods in the order of *packing*, one after the other, without an end. Where absent:
        ``load`` with a target load, else ``trace``, and ``static`` for a list without times.
    target_load : float or TargetLoad, optional
        A number is a share of the GPUs (``counts: all_work``).
    cluster : Cluster, optional
        The capacity; needed for ``load``.
    copies : int, default 1
        Replay the list so many times, one copy after the other (before scaling).
    packing : Packing, optional
        Order and number of the pods; needed for ``shuffled``.

    Raises
    ------
    InputError
        With file, row, column, found and expected.
    """
    path = Path(path)
    pods = read_dlrm_pods(path) if "instance_sn" in header_of(path) else read_pod_list(path)
    mode = _mode(path, pods, time, target_load)
    if mode == "shuffled":
        return _packed(path, pods, packing or Packing(), cluster)
    notes: list[str] = []
    if mode == "static":
        rows = np.arange(len(pods.name))
        created = np.zeros(len(rows), np.int64)
        runs = np.full(len(rows), -1, np.int64)
        dropped: dict[str, int] = {}
        notes.append("openb: all pods arrive at time 0 and run until the end")
    else:
        rows, created, runs, dropped = _replayed(pods, notes)
    templates, template = _templates(pods, rows)
    span = int(created.max(initial=0))
    arrive = np.concatenate([created + copy * span for copy in range(copies)])
    runs, column = np.tile(runs, copies), np.tile(template, copies)
    if mode == "load":
        load = target_load
        if not isinstance(load, TargetLoad):
            load = TargetLoad(value=float(load or 0), resource=GPU_MILLI)
        arrive = _scaled(templates, column, arrive, runs, load, cluster, notes)
    names, replicas = _names(pods, rows, copies)
    arrivals = pod_arrivals(
        arrive,
        column.astype(np.int32),
        names,
        item=(ITEM,) * len(names),
        duration_us=runs,
        key=np.array([entity_key(ITEM, r) for r in replicas], np.uint64),
        replica=np.array(replicas, np.int32),
    )
    return Workload(
        path.stem.removeprefix("openb_pod_list_"),
        templates,
        arrivals.sorted(),
        (),
        {reason: number * copies for reason, number in dropped.items()},
        tuple(notes),
        _mix(pods, rows),
    )


@dataclass(frozen=True)
class Packing:
    """How pods without an end come to a cluster, one after the other.

    Attributes
    ----------
    draws : Draws
        Of the run's seed, for the order and the clones.
    inflate : float, optional
        Add clones, or leave pods out, until they ask for this share of the cluster's GPUs.
    order : Path, optional
        A file with the order, clones included, in place of draws.
    interval_us : int
        Time between two arrivals.
    """

    draws: Draws = field(default_factory=lambda: Draws(0))
    inflate: float | None = None
    order: Path | None = None
    interval_us: int = SECOND


def _packed(path: Path, pods: PodList, packing: Packing, cluster: Cluster | None) -> Workload:
    """Return the pods of a list one after the other, as in FGD's experiments."""
    if packing.order is not None:
        ordered = recorded_pods(pods, packing.order)
    else:
        target = None
        if packing.inflate is not None:
            if cluster is None:
                raise InputError(
                    "inflate", found=packing.inflate, expected="a cluster to relate it to"
                )
            target = packing.inflate * capacity(cluster).get(GPU_MILLI, 0)
        ordered = shuffled_pods(pods, packing.draws, target)
    templates, template = _templates(pods, ordered.rows)
    count = len(ordered.names)
    arrivals = pod_arrivals(
        np.arange(count, dtype=np.int64) * packing.interval_us,
        template.astype(np.int32),
        ordered.names,
        item=(ITEM,) * count,
        key=np.array([entity_key(ITEM, r) for r in ordered.replicas], np.uint64),
        replica=np.array(ordered.replicas, np.int32),
    )
    notes = ["openb: pods come one after the other and run until the end"]
    clones = sum(replica >= len(pods.name) for replica in ordered.replicas)
    if clones:
        notes.append(f"openb: {clones} of the pods are clones of others")
    left_out = len(pods.name) + clones - count
    return Workload(
        path.stem.removeprefix("openb_pod_list_"),
        templates,
        arrivals,
        (),
        {"deflated": left_out} if left_out else {},
        tuple(notes),
        _mix(pods, np.arange(len(pods.name))),
    )


def _mix(pods: PodList, rows: Ints) -> dict[Shape, int]:
    """Return how many of the pods in *rows* have each shape."""
    found: dict[Shape, int] = {}
    sizes = (pods.cpu_milli, pods.gpu_milli, pods.num_gpu)
    cells = zip(*(size[rows].tolist() for size in sizes), strict=True)
    for row, (cpu, milli, gpus) in zip(rows.tolist(), cells, strict=True):
        shape = (cpu, milli, gpus, pods.gpu_spec[row] if gpus else "")
        found[shape] = found.get(shape, 0) + 1
    return found


def _mode(
    path: Path, pods: PodList, time: TimeMode | None, load: float | TargetLoad | None
) -> TimeMode:
    if pods.created is None and (time in ("trace", "load") or load is not None):
        raise InputError(
            "time",
            found=time or "load",
            expected="static, as this list has no times",
            file=path,
        )
    if time == "load" and load is None:
        raise InputError("target_load", found="<nothing>", expected="a value, as time is load")
    if time is not None:
        return time
    if load is not None:
        return "load"
    return "trace" if pods.created is not None else "static"


def _replayed(pods: PodList, notes: list[str]) -> tuple[Ints, Ints, Ints, dict[str, int]]:
    """Return the rows that ran, their creation and duration (microseconds), and what is dropped."""
    assert pods.created is not None
    assert pods.scheduled is not None
    assert pods.deleted is not None
    ran = pods.scheduled >= 0
    rows = np.flatnonzero(ran)
    created = pods.created[rows]
    first = int(created.min()) if len(rows) else 0
    ended = pods.deleted[rows] >= 0
    runs = np.where(ended, (pods.deleted[rows] - pods.scheduled[rows]) * SECOND, -1)
    if first:
        notes.append(f"openb: time 0 is second {first} of the trace, its first creation")
    failed = sum(pods.phase[row] == "Failed" for row in rows.tolist())
    if failed:
        notes.append(
            f"openb: pod_phase isn't replayed: {failed} pods that failed in the trace run for "
            "their recorded time and succeed"
        )
    never = len(ran) - len(rows)
    return rows, (created - first) * SECOND, runs, {"never_scheduled": never} if never else {}


def _scaled(
    templates: tuple[PodTemplate, ...],
    template: Ints,
    arrive: Ints,
    runs: Ints,
    load: TargetLoad,
    cluster: Cluster | None,
    notes: list[str],
) -> Ints:
    """Return the arrival times whose offered load is *load*."""
    if cluster is None:
        raise InputError("target_load", found=load.value, expected="a cluster to relate it to")
    total = capacity(cluster)
    requests = [template_amounts(t) for t in templates]
    names = tuple(dict.fromkeys(name for r in requests for name in r))
    if load.resource != "dominant" and load.resource not in names:
        raise InputError(
            "target_load.resource", found=load.resource, expected=f"one of {', '.join(names)}"
        )
    per_template = np.array([[float(r.get(name, 0)) for r in requests] for name in names])
    amount = per_template[:, template]
    endless = np.where(runs >= 0, runs.astype(np.float64), np.inf)
    window = float(arrive.max(initial=0))

    def demand(speed: float) -> NDArray[np.float64]:
        times = arrive / speed
        return shares(Demand(names, amount, times, endless), total, window / speed, load.counts)

    def measured(speed: float) -> float:
        return _pick(demand(speed), names, load.resource)

    speed = solve_speed(measured, load.value, field="target_load.value")
    result = np.rint(arrive / speed).astype(np.int64)
    notes += _load_notes(load, names, measured, speed, window)
    times = result.astype(np.float64)
    peak = shares(Demand(names, amount, times, endless), total, window, "peak")
    asked = _pick(peak, names, load.resource)
    notes.append(
        f"openb: if nothing waited, at most {asked:.1%} of {_resource(load)} would be in use at "
        "any time"
        + (": most of the work lies behind the last arrival" if asked < load.value / 2 else "")
    )
    return result


def _pick(loads: NDArray[np.float64], names: tuple[str, ...], resource: str) -> float:
    return float(loads.max() if resource == "dominant" else loads[names.index(resource)])


def _resource(load: TargetLoad) -> str:
    return "the dominant resource" if load.resource == "dominant" else load.resource


def _load_notes(
    load: TargetLoad,
    names: tuple[str, ...],
    measured: Callable[[float], float],
    speed: float,
    window: float,
) -> list[str]:
    return [
        f"target load: inter-arrival times x {1 / speed:.6g}; offered load ({load.counts}) of "
        f"{_resource(load)} {measured(speed):.4f}, wanted {load.value:g}; arrivals end after "
        f"{format_duration(round(window / speed))}"
    ]


def _names(pods: PodList, rows: Ints, copies: int) -> tuple[tuple[str, ...], list[int]]:
    """Return names and ordinals; a copy has its number in the name and ordinals of its own."""
    kept = rows.tolist()
    names, replicas = [], []
    for copy in range(copies):
        suffix = f"-copy{copy}" if copy else ""
        names += [pods.name[row] + suffix for row in kept]
        replicas += [copy * len(pods.name) + row for row in kept]
    return tuple(names), replicas


def _templates(pods: PodList, rows: Ints) -> tuple[tuple[PodTemplate, ...], Ints]:
    """Return the distinct templates of some rows, and the template of each."""
    seen: dict[tuple[str, str, int, int, int, int], int] = {}
    column = np.empty(len(rows), np.int64)
    sizes = (pods.cpu_milli, pods.memory_mib, pods.num_gpu, pods.gpu_milli)
    cells = zip(*(size[rows].tolist() for size in sizes), strict=True)
    for i, (row, (cpu, memory, gpus, milli)) in enumerate(zip(rows.tolist(), cells, strict=True)):
        spec = pods.gpu_spec[row] if gpus else ""
        column[i] = seen.setdefault((spec, pods.qos[row], cpu, memory, gpus, milli), len(seen))
    return tuple(_template(*key) for key in seen), column


def _template(gpu_spec: str, qos: str, cpu: int, memory: int, gpus: int, milli: int) -> PodTemplate:
    requests = Amounts(cpu=cpu, memory=memory * MIB)
    annotations: Mapping[str, str] = {}
    if gpus:
        requests[GPU_MILLI] = gpus * milli
        annotations = {GPU_COUNT: str(gpus), GPU_MILLI: str(milli)}
        if gpu_spec:
            annotations = {**annotations, GPU_MODEL: gpu_spec}
    limits = Amounts({GPU_MILLI: requests[GPU_MILLI]} if gpus else {})
    container = Container(
        name="main", image=IMAGE, resources=ResourceRequirements(requests=requests, limits=limits)
    )
    return PodTemplate(
        metadata=ObjectMeta(labels={QOS: qos} if qos else {}, annotations=annotations),
        spec=PodSpec(
            containers=(container,),
            restart_policy="Never",
            affinity=_model_affinity(gpu_spec) if gpu_spec else None,
        ),
    )


def _model_affinity(gpu_spec: str) -> Affinity:
    """Return the affinity for the models of a constraint such as ``V100M16|V100M32``."""
    models = tuple(model for model in gpu_spec.split("|") if model)
    needed = NodeSelectorRequirement(key=GPU_MODEL, operator="In", values=models)
    term = NodeSelectorTerm(match_expressions=(needed,))
    selector = NodeSelector(node_selector_terms=(term,))
    return Affinity(
        node_affinity=NodeAffinity(required_during_scheduling_ignored_during_execution=selector)
    )
