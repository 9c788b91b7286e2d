"""From a cluster spec to nodes: pools, manifests and traces."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from schedlab.api.manifests import read_manifests
from schedlab.api.objects import (
    Amounts,
    ApiObject,
    Namespace,
    Node,
    NodeSpec,
    NodeStatus,
    ObjectMeta,
    PriorityClass,
    Service,
)
from schedlab.errors import InputError
from schedlab.rng import Draws, entity_key
from schedlab.units import amount
from schedlab.workload.openb import read_openb_nodes
from schedlab.workload.openb_order import SHUFFLED
from schedlab.workload.sizes import parse_size
from schedlab.workload.specs import ClusterSpec, Pool
from schedlab.workload.stream import Cluster

HOSTNAME = "kubernetes.io/hostname"
ZONE = "topology.kubernetes.io/zone"
REGION = "topology.kubernetes.io/region"
INSTANCE_TYPE = "node.kubernetes.io/instance-type"
POOL = "schedlab.io/pool"
GPU_PRODUCT = "nvidia.com/gpu.product"
_TRACES = {"node_info_df.csv": "spot2026", "disaggregated_DLRM_trace.csv": "dlrm2025"}
"""Files that ``schedlab fetch`` keeps elsewhere than openb's."""
DEFAULT_PODS = 110
"""Pods per node where a pool doesn't say, the kubelet's own default."""


def build_cluster(spec: ClusterSpec, draws: Draws, base: Path | None = None) -> Cluster:
    """Make the cluster that a spec describes.

    Parameters
    ----------
    spec : ClusterSpec
        The description.
    draws : Draws
        For allocatable amounts that are distributions, keyed by (pool, ordinal).
    base : Path, optional
        Directory to which the files of the spec are relative.

    Raises
    ------
    InputError
        Bad quantities, unreadable files, or two nodes with one name.
    """
    nodes: list[Node] = []
    objects: list[ApiObject] = []
    for i, pool in enumerate(spec.pools):
        nodes += _pool_nodes(pool, draws.stream("pools"), base, f"pools[{i}]")
    for i, name in enumerate(spec.manifests):
        path = (base or Path()) / name
        for entry in read_manifests(path):
            if isinstance(entry, Node):
                nodes.append(entry)
            elif isinstance(entry, Namespace | PriorityClass | Service):
                objects.append(entry)
            else:
                raise InputError(
                    f"{entry.kind} {entry.key}",
                    found=entry.kind,
                    expected="Node, Namespace, PriorityClass or Service in a cluster",
                    file=path,
                    hint=f"list manifests[{i}] under the workload's manifests instead",
                )
    if spec.trace is not None:
        openb = spec.trace.openb
        order: str | Path | None = openb.order
        if order not in (None, SHUFFLED):
            order = order_file(str(order), base, draws.seed)
        nodes += read_openb_nodes(
            openb_file(openb.data, openb.nodes, base),
            pods_per_node=openb.pods_per_node,
            order=order,
            draws=draws.stream("openb"),
        ).nodes
    _check_unique(nodes, objects)
    return Cluster(spec.name, tuple(nodes), tuple(objects))


def openb_file(data: str | None, name: str, base: Path | None) -> Path:
    """Return where a file of a GPU trace is; the user's cache where no directory is given."""
    from schedlab.workload.fetch import cache_dir  # only who replays a trace needs it

    trace = _TRACES.get(Path(name).name, "openb")
    return (cache_dir(trace) if data is None else (base or Path()) / data) / name


def list_name(pods: str) -> str:
    """Return the name of a pod list: ``default`` of ``openb_pod_list_default.csv``."""
    return Path(pods).name.removeprefix("openb_pod_list_").removesuffix(".csv")


def order_file(template: str, base: Path | None, seed: int) -> Path:
    """Return the file of a recorded order."""
    return (base or Path()) / template.replace("{seed}", str(seed))


def _pool_nodes(pool: Pool, draws: Draws, base: Path | None, field: str) -> list[Node]:
    keys = np.array([entity_key(pool.name, i) for i in range(pool.count)], np.uint64)
    columns = {"pods": np.full(pool.count, DEFAULT_PODS, np.int64)}
    for name, value in pool.allocatable.items():
        size = parse_size(name, value, field=f"{field}.allocatable.{name}", base=base)
        columns[name] = size.quantiles(draws.stream(name).uniforms(keys))
    statuses: dict[tuple[int, ...], NodeStatus] = {}  # nodes of one size share it
    spec = NodeSpec(taints=pool.taints)
    nodes = []
    for i, row in enumerate(zip(*(column.tolist() for column in columns.values()), strict=True)):
        if row not in statuses:
            statuses[row] = _status(pool, dict(zip(columns, row, strict=True)), field)
        meta = ObjectMeta(name=f"{pool.name}-{i:04d}", labels=_labels(pool, i))
        nodes.append(Node(metadata=meta, spec=spec, status=statuses[row]))
    return nodes


def _status(pool: Pool, allocatable: dict[str, int], field: str) -> NodeStatus:
    whole = dict(allocatable)
    for name, text in (pool.capacity or {}).items():
        where = f"{field}.capacity.{name}"
        try:
            whole[name] = amount(name, text)
        except InputError as error:
            raise InputError(where, found=error.found, expected=error.expected) from None
        if whole[name] < allocatable.get(name, 0):
            raise InputError(where, found=text, expected="at least the allocatable amount")
    return NodeStatus(capacity=Amounts(whole), allocatable=Amounts(allocatable))


def _labels(pool: Pool, ordinal: int) -> dict[str, str]:
    labels = {HOSTNAME: f"{pool.name}-{ordinal:04d}", POOL: pool.name}
    if pool.zones:
        labels[ZONE] = pool.zones[ordinal % len(pool.zones)]
    named = ((REGION, pool.region), (INSTANCE_TYPE, pool.instance_type))
    for key, value in (*named, (GPU_PRODUCT, pool.gpu_model)):
        if value is not None:
            labels[key] = value
    return labels | dict(pool.labels)


def _check_unique(nodes: list[Node], objects: list[ApiObject]) -> None:
    seen: set[tuple[str, str]] = set()
    for entry in (*nodes, *objects):
        if (entry.kind, entry.key) in seen:
            raise InputError(
                f"{entry.kind} {entry.key}", found=entry.key, expected="each name once"
            )
        seen.add((entry.kind, entry.key))
