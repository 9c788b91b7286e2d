"""From the columns of a finished run to the tables of its record."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from schedlab.cluster.devices import device_text
from schedlab.cluster.nodes import ZONE, NodeColumns
from schedlab.cluster.pods import TIMES, PodTable
from schedlab.cluster.vocabulary import Vocabulary
from schedlab.controlplane.etcd import Etcd
from schedlab.record.recorder import Coded, Table, to_numpy
from schedlab.record.schema import OUTCOMES, resource_column
from schedlab.workload.clusters import POOL

Rows = NDArray[np.intp]


def counts(pods: PodTable, rows: Rows, dropped: Mapping[str, int]) -> dict[str, int]:
    """Return how the pods in *rows* ended, and what was never submitted, by reason.

    ``pods_in`` is what the workload's source held, and the sum over
    `schedlab.record.schema.OUTCOMES`; of these, ``dropped`` has what a scheduler gave up and what
    was never submitted, and ``dropped_<reason>`` the latter apart. ``arrived`` counts the rows of
    the table ``pods``.
    """
    outcome = to_numpy(pods.outcome)[rows]
    never_sent = sum(dropped.values())
    found = {"pods_in": len(rows) + never_sent, "arrived": len(rows)}
    for number, name in enumerate(OUTCOMES):
        found[name] = int((outcome == number).sum())
    found["dropped"] += never_sent
    for reason, count in dropped.items():
        found[f"dropped_{reason}"] = count
    return found


def digest(pods: PodTable, etcd: Etcd) -> str:
    """Return the SHA-256 of the event log and of the times of all pods."""
    sha = hashlib.sha256(etcd.digest().encode())
    for name in TIMES:
        sha.update(getattr(pods, name).tobytes())
    if pods.devices:
        sha.update(repr(sorted(pods.devices.items())).encode())
    return sha.hexdigest()


def without_scheduler(pods: PodTable, rows: Rows, schedulers: Sequence[str]) -> int:
    """Return how many pods name a scheduler that does not exist, and no node either."""
    lost = np.array(
        [c.spec.scheduler_name not in schedulers and not c.spec.node_name for c in pods.classes],
        np.bool_,
    )
    return int(lost[to_numpy(pods.pod_class)[rows]].sum()) if len(lost) else 0


def pods_table(pods: PodTable, rows: Rows, nodes: Sequence[str]) -> Table:
    """Return the table ``pods`` of the pods in *rows*."""
    classes = list(pods.classes)
    of_class = to_numpy(pods.pod_class)[rows]
    schedulers: Vocabulary[str] = Vocabulary()
    scheduler = np.array([schedulers.add(c.spec.scheduler_name) for c in classes], np.int32)
    priority = np.array([c.priority for c in classes], np.int32)
    table: Table = {
        "pod": [pods.names[i] for i in rows.tolist()],
        "item": Coded(to_numpy(pods.item)[rows], list(pods.items)),
        "replica": to_numpy(pods.replica)[rows],
        "incarnation": to_numpy(pods.incarnation)[rows],
        "owner": Coded(to_numpy(pods.owner)[rows], list(pods.owners)),
        "scheduler_name": Coded(scheduler[of_class], list(schedulers)),
        "priority": priority[of_class],
        "pod_class": of_class,
        "node": Coded(to_numpy(pods.node)[rows], nodes),
        "gpu_index": _gpu_index(pods, rows),
        "outcome": Coded(to_numpy(pods.outcome)[rows].astype(np.int32), OUTCOMES),
        "reason": Coded(to_numpy(pods.reason)[rows], list(pods.reasons)),
        "attempts": to_numpy(pods.attempts)[rows],
        "duration_us": to_numpy(pods.duration_us)[rows],
    }
    for name in TIMES:
        table[name] = to_numpy(getattr(pods, name))[rows]
    resources = pods.classes.resources
    requests = np.zeros((len(resources), max(1, len(classes))), np.int64)
    for pod_class in classes:
        requests[:, pod_class.id] = pod_class.request_vector(len(resources))
    for r, resource in enumerate(resources):
        table[resource_column("request", resource)] = requests[r][of_class]
    return table


def _gpu_index(pods: PodTable, rows: Rows) -> Coded:
    texts: Vocabulary[str] = Vocabulary()
    codes = np.full(len(rows), -1, np.int32)
    if pods.devices:
        by_row = pods.devices
        for i, row in enumerate(rows.tolist()):
            held = by_row.get(row)
            if held:
                codes[i] = texts.add(device_text(held))
    return Coded(codes, list(texts))


def nodes_table(nodes: NodeColumns) -> Table:
    """Return the table ``nodes``."""
    size = nodes.size
    labels = [nodes.labels(row) for row in range(size)]
    nodes.reserve_resources()
    table: Table = {
        "node": list(nodes.names),
        "zone": [found.get(ZONE, "") for found in labels],
        "pool": [found.get(POOL, "") for found in labels],
        "added_us": np.zeros(size, np.int64),
        "removed_us": np.full(size, -1, np.int64),
    }
    for r, resource in enumerate(nodes.resources):
        table[resource_column("allocatable", resource)] = nodes.allocatable[r, :size].copy()
    return table
