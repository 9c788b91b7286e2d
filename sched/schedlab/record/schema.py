"""The columns of every result table: name, type, unit and meaning in one place.

This is the contract between the simulation, which fills the tables, and everything that reads
them. Units stand in the names (`_us` = microseconds of simulated time since the start of the run).
A time that did not happen is null in Parquet and -1 in the recorder's integer columns.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a result table."""

    name: str
    dtype: str  # "int64", "int32", "float64", "string", "bool", "time" (int64 µs, -1 = null)
    unit: str
    description: str


def _times(*rows: tuple[str, str]) -> tuple[Column, ...]:
    return tuple(Column(name, "time", "us", text) for name, text in rows)


STAGES: tuple[str, ...] = (
    "created_us",
    "stored_us",
    "seen_by_scheduler_us",
    "decided_us",
    "bound_us",
    "seen_by_kubelet_us",
    "pulled_us",
    "started_us",
    "ready_us",
    "finished_us",
)
"""The way of a pod through the control plane, in order."""

OUTCOMES: tuple[str, ...] = (
    "pending",
    "running",
    "succeeded",
    "failed",
    "deleted",
    "evicted",
    "rejected",
    "dropped",
)
"""How a pod ended (or where it stood at the end); the book-keeping closes over these."""

PODS: tuple[Column, ...] = (
    Column("pod", "string", "", "namespace/name"),
    Column("item", "string", "", "workload item (Deployment, Job, trace ...) it belongs to"),
    Column("replica", "int32", "", "logical replica within the item; joins runs for paired tests"),
    Column("incarnation", "int32", "", "0 for the first pod of a replica, 1 for its replacement"),
    Column("owner", "string", "", "Kind/name of the controlling object; empty for a bare pod"),
    Column("scheduler_name", "string", "", "spec.schedulerName"),
    Column("priority", "int32", "", "resolved priority"),
    Column("pod_class", "int32", "", "pods of one class look the same to a scheduler"),
    Column("node", "string", "", "node it was bound to; null when never bound"),
    Column("gpu_index", "string", "", "its GPUs on that node, as 0-3; null when it has none"),
    Column("outcome", "string", "", "one of OUTCOMES"),
    Column(
        "reason", "string", "", "why, for outcomes that have one (kubelet or scheduler message)"
    ),
    Column("attempts", "int32", "", "scheduling attempts"),
    Column("duration_us", "time", "us", "time it runs after its start; null = until deleted"),
    *_times(
        ("created_us", "the client or controller sent the create request"),
        ("stored_us", "etcd committed it"),
        ("seen_by_scheduler_us", "the scheduler's informer delivered it"),
        ("decided_us", "the scheduler chose its node (last attempt)"),
        ("bound_us", "etcd committed the binding"),
        ("seen_by_kubelet_us", "the kubelet's informer delivered it"),
        ("pulled_us", "its images were on the node"),
        ("started_us", "its containers ran"),
        ("ready_us", "the Ready condition was committed"),
        ("finished_us", "its containers ended"),
        ("released_us", "etcd committed its end (phase or removal): its resources are free again"),
        ("deleted_us", "the object was removed from etcd"),
    ),
    # and one int64 column request_<resource> per resource, see `resource_column`
)

NODES: tuple[Column, ...] = (
    Column("node", "string", "", "node name"),
    Column("zone", "string", "", "topology.kubernetes.io/zone"),
    Column("pool", "string", "", "node pool of the cluster spec"),
    *_times(("added_us", "stored in etcd"), ("removed_us", "removed from etcd")),
    # and one int64 column allocatable_<resource> per resource
)

SAMPLES: tuple[Column, ...] = (
    Column("time_us", "int64", "us", "simulated time"),
    Column("pending", "int64", "pods", "stored, not bound, not finished"),
    Column("bound", "int64", "pods", "bound and still holding resources (terminating included)"),
    Column("running", "int64", "pods", "containers running"),
    Column("nodes", "int64", "nodes", "nodes in the cluster"),
    Column("nodes_used", "int64", "nodes", "nodes with at least one bound pod"),
    Column("queue_active", "int64", "pods", "scheduler's active queue"),
    Column("queue_backoff", "int64", "pods", "scheduler's backoff queue"),
    Column("queue_unschedulable", "int64", "pods", "scheduler's unschedulable pods"),
    # then requested_<resource> and allocatable_<resource> (int64: sums over nodes),
    # imbalance_<resource> (float64: standard deviation over nodes of requested / allocatable) and
    # stranded_<resource> (int64: free amount on nodes that can't take the workload's median pod)
)

DECISIONS: tuple[Column, ...] = (
    Column("time_us", "int64", "us", "simulated time at which the decision was made"),
    Column("pod", "string", "", "namespace/name"),
    Column("attempt", "int32", "", "1 for the first attempt"),
    Column("scheduler_name", "string", "", "spec.schedulerName that it serves"),
    Column(
        "verdict",
        "string",
        "",
        "placed, unschedulable, deferred, dropped, stale, waiting (for permission to be bound),"
        " nominated (for a node on which others are evicted to make room)",
    ),
    Column("node", "string", "", "chosen node, or the one it is nominated for; null when none"),
    Column("feasible_nodes", "int32", "nodes", "nodes that passed all filters; -1 = not counted"),
    Column("reason", "string", "", "kube-scheduler's FailedScheduling message; empty when placed"),
    Column("decision_us", "int64", "us", "simulated time that the decision took"),
    Column("work", "int64", "", "deterministic work units that the scheduler declared"),
)

EVENTS: tuple[Column, ...] = (
    Column("revision", "int64", "", "etcd revision"),
    Column("time_us", "int64", "us", "commit time"),
    Column("kind", "string", "", "kind of the object"),
    Column("operation", "string", "", "create, bind, status, finish, update, terminate, delete"),
    Column("object", "string", "", "namespace/name"),
    Column("detail", "string", "", "what changed: node, phase, reason, replicas"),
)

FRAGMENTS: tuple[Column, ...] = (
    Column("time_us", "int64", "us", "simulated time from which on this holds"),
    *(
        Column(f"{cause}_milli", "float64", "milli", f"free GPU, mean over typical pods: {text}")
        for cause, text in (
            ("gpu_and_cpu_short", "neither the GPUs nor the CPU of the node suffice (Q1)"),
            ("gpu_short", "the GPUs of the node, or this one, don't suffice (Q2)"),
            ("usable", "no fragment: the typical pod could use it (Q3)"),
            ("cpu_short", "the GPUs would do, but not the CPU (Q4)"),
            ("no_gpu_wanted", "the typical pod fits and asks for no GPU (XL)"),
            ("no_gpu_wanted_cpu_short", "it asks for no GPU, and the CPU doesn't suffice (XR)"),
            ("wrong_model", "of a model that the typical pod doesn't accept (NA)"),
        )
    ),
)

TABLES: dict[str, tuple[Column, ...]] = {
    "pods": PODS,
    "nodes": NODES,
    "samples": SAMPLES,
    "decisions": DECISIONS,
    "events": EVENTS,
}
"""The tables of every run."""
OPTIONAL_TABLES: dict[str, tuple[Column, ...]] = {"fragments": FRAGMENTS}
"""Tables of some runs: on a cluster with GPUs."""


def resource_column(prefix: str, resource: str) -> str:
    """Return the column of a resource, with its unit: ``request_cpu_milli``.

    >>> resource_column("request", "memory")
    'request_memory_bytes'
    >>> resource_column("allocatable", "nvidia.com/gpu")
    'allocatable_nvidia.com/gpu'
    """
    unit = {"cpu": "_milli", "memory": "_bytes", "ephemeral-storage": "_bytes"}.get(resource, "")
    return f"{prefix}_{resource.replace('-', '_') if unit else resource}{unit}"


def column_resource(column: str, prefix: str) -> str | None:
    """Return the resource that *column* holds under *prefix*, or None when it holds none.

    >>> column_resource("request_ephemeral_storage_bytes", "request")
    'ephemeral-storage'
    """
    if not column.startswith(prefix + "_"):
        return None
    rest = column[len(prefix) + 1 :]
    for resource in ("cpu", "memory", "ephemeral-storage"):
        if resource_column(prefix, resource) == column:
            return resource
    return rest
