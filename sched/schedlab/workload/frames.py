"""Clusters and workloads from DataFrames, for notebooks.

One row is one node, or one bare pod. A column that isn't known is an error, not a comment. This is
the only module of the package that knows pandas.

Columns of a cluster (`cluster_from_frame`):

==================  ==========================================================================
``name``            node name; ``node-0000``, ... where the column is absent
``cpu``             allocatable cores, a number or a quantity such as ``500m``; required
``memory``          allocatable bytes, a number or a quantity such as ``64Gi``; required
``pods``            how many pods fit; 110 where absent
``gpu``             allocatable ``nvidia.com/gpu``
``zone``, ``region``, ``pool``, ``instance_type``, ``gpu_model``
                    labels, as in a pool of a cluster spec; an empty cell means no label
``taints``          ``key=value:Effect`` or ``key:Effect``, several separated by commas
``label:<key>``     one label
``<domain>/<name>`` an extended resource
==================  ==========================================================================

Columns of a workload (`workload_from_frame`):

==================  ==========================================================================
``name``            pod name; ``<item>-0000``, ... where the column is absent
``item``            what the pod belongs to in results and draws; ``pods`` where absent
``arrival_s``       when it is created, seconds; 0 where absent
``cpu``, ``memory``, ``gpu``, ``<domain>/<name>``
                    requests, written as above; a 0 of a device means none
``duration_s``      how long it runs, seconds; an empty cell or no column: until deleted
``estimated_duration_s``
                    what a scheduler may know of it; an empty cell: nothing
``delete_s``        when the client deletes it, seconds; an empty cell: never
``priority``        an integer; a PriorityClass is made for each value
``namespace``, ``image``, ``scheduler_name``
                    as in Kubernetes
``label:<key>``, ``node_selector:<key>``
                    one label, one entry of nodeSelector; an empty cell means none
==================  ==========================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, Final, TypeVar

import numpy as np
import pandas as pd

from schedlab.api.objects import (
    Amounts,
    Container,
    Node,
    NodeSpec,
    NodeStatus,
    ObjectMeta,
    PodSpec,
    PodTemplate,
    PriorityClass,
    ResourceRequirements,
    Taint,
)
from schedlab.errors import InputError
from schedlab.rng import entity_key
from schedlab.units import amount, parse_duration_us
from schedlab.workload.clusters import (
    DEFAULT_PODS,
    GPU_PRODUCT,
    HOSTNAME,
    INSTANCE_TYPE,
    POOL,
    REGION,
    ZONE,
)
from schedlab.workload.generate import missing_namespaces
from schedlab.workload.model import unknown_key, validated
from schedlab.workload.stream import Cluster, ObjectWrite, Workload, pod_arrivals

GPU: Final = "nvidia.com/gpu"
_NODE_LABELS: Final = {
    "zone": ZONE,
    "region": REGION,
    "pool": POOL,
    "instance_type": INSTANCE_TYPE,
    "gpu_model": GPU_PRODUCT,
}
_NODE_COLUMNS: Final = ("name", "cpu", "memory", "pods", "gpu", "taints", *_NODE_LABELS)
_POD_COLUMNS: Final = (
    "name",
    "item",
    "arrival_s",
    "cpu",
    "memory",
    "gpu",
    "duration_s",
    "estimated_duration_s",
    "delete_s",
    "priority",
    "namespace",
    "image",
    "scheduler_name",
)
_LABEL: Final = "label:"
_SELECTOR: Final = "node_selector:"
T = TypeVar("T")


class _Frame:
    """A DataFrame whose cells are read with errors that name row and column."""

    def __init__(
        self, frame: pd.DataFrame, name: str, known: Sequence[str], prefixes: Sequence[str]
    ) -> None:
        if not isinstance(frame, pd.DataFrame):
            raise InputError(name, found=type(frame).__name__, expected="a pandas DataFrame")
        self.name = name
        self.labels: list[Hashable] = frame.index.tolist()
        self.columns: dict[str, list[Any]] = {}
        self.resources: dict[str, str] = {}
        for column in map(str, frame.columns):
            prefixed = any(column.startswith(p) and len(column) > len(p) for p in prefixes)
            amount_of = ("cpu", "memory", "gpu", "pods")
            if (column in amount_of and column in known) or ("/" in column and not prefixed):
                self.resources[column] = GPU if column == "gpu" else column
            elif not prefixed and column not in known:
                raise unknown_key(column, [*known, *(f"{p}<key>" for p in prefixes)]).under(
                    f"{name}: column"
                )
            if column in self.columns:
                raise InputError(f"{name}: column", found=column, expected="each column once")
            self.columns[column] = frame[column].tolist()
        for column in ("cpu", "memory"):
            if column not in self.columns:
                raise InputError(
                    f"{name}: column", found="<nothing>", expected=f"a column {column}"
                )

    def __len__(self) -> int:
        return len(self.labels)

    def error(self, row: int, column: str, found: object, expected: str) -> InputError:
        return InputError(
            f"{self.name}: row {self.labels[row]}: {column}", found=found, expected=expected
        )

    def read(
        self, column: str, parse: Callable[[Any], T], *, absent: T, empty: T | None = None
    ) -> list[T]:
        """Return a column; *absent* where there is none, *empty* for a cell without a value."""
        if column not in self.columns:
            return [absent] * len(self)
        result = []
        for row, cell in enumerate(self.columns[column]):
            if empty is not None and _is_missing(cell):
                result.append(empty)
                continue
            try:
                result.append(parse(cell))
            except InputError as error:
                raise self.error(row, column, error.found, error.expected) from None
        return result

    def amounts(self) -> list[Amounts]:
        """Return the resources of each row."""
        columns = {
            resource: self.read(column, _amount_of(resource), absent=0)
            for column, resource in self.resources.items()
        }
        rows = zip(*columns.values(), strict=True)
        return [Amounts(zip(columns, row, strict=True)) for row in rows]

    def prefixed(self, prefix: str) -> list[dict[str, str]]:
        """Return the entries of the columns ``<prefix><key>`` of each row."""
        columns = {
            name.removeprefix(prefix): self.read(name, str, absent="", empty="")
            for name in self.columns
            if name.startswith(prefix)
        }
        if not columns:
            return [{}] * len(self)
        return [
            {key: value for key, value in zip(columns, row, strict=True) if value}
            for row in zip(*columns.values(), strict=True)
        ]


def _is_missing(cell: Any) -> bool:
    return cell is None or cell is pd.NA or cell is pd.NaT or cell == "" or cell != cell


def _amount_of(resource: str) -> Callable[[Any], int]:
    def parse(cell: Any) -> int:
        value = amount(resource, cell)
        if value < 0:
            raise InputError("", found=cell, expected="a quantity >= 0")
        return value

    return parse


def _priority(cell: Any) -> int:
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    if isinstance(cell, bool) or not isinstance(cell, int) or not -(2**31) <= cell < 2**31:
        raise InputError("", found=cell, expected="an integer of 32 bits")
    return cell


def cluster_from_frame(frame: pd.DataFrame, *, name: str = "frame") -> Cluster:
    """Make a cluster of a DataFrame with one row per node.

    Parameters
    ----------
    frame : DataFrame
        See the module for its columns.
    name : str, default "frame"
        Name of the cluster.

    Raises
    ------
    InputError
        An unknown or missing column, or a cell that isn't what it should be.

    Examples
    --------
    >>> cluster = cluster_from_frame(pd.DataFrame({"cpu": [4, "500m"], "memory": "8Gi"}))
    >>> [dict(node.status.allocatable) for node in cluster.nodes]  # doctest: +NORMALIZE_WHITESPACE
    [{'pods': 110, 'cpu': 4000, 'memory': 8589934592},
     {'pods': 110, 'cpu': 500, 'memory': 8589934592}]
    """
    table = _Frame(frame, "cluster", _NODE_COLUMNS, (_LABEL,))
    names = table.read("name", str, absent="")
    columns = {
        label: table.read(column, str, absent="", empty="")
        for column, label in _NODE_LABELS.items()
    }
    none: tuple[Taint, ...] = ()
    taints = table.read("taints", _taints, absent=none, empty=none)
    extra = table.prefixed(_LABEL)
    nodes = []
    for i, amounts in enumerate(table.amounts()):
        node_name = names[i] or f"node-{i:04d}"
        labels = {HOSTNAME: node_name}
        labels |= {label: cells[i] for label, cells in columns.items() if cells[i]}
        allocatable = Amounts({"pods": DEFAULT_PODS} | amounts)
        body = {
            "metadata": {"name": node_name, "labels": labels | extra[i]},
            "spec": NodeSpec(taints=taints[i]),
            "status": NodeStatus(capacity=allocatable, allocatable=allocatable),
        }
        nodes.append(_row_checked(table, i, Node, body))
    _check_names(table, [node.metadata.name for node in nodes])
    return Cluster(name, tuple(nodes), ())


def _row_checked(table: _Frame, row: int, model: Any, body: Any) -> Any:
    try:
        return validated(model, body)
    except InputError as error:
        raise error.under(f"{table.name}: row {table.labels[row]}") from None


def _taints(cell: Any) -> tuple[Taint, ...]:
    taints = []
    for text in str(cell).split(","):
        marked, _, effect = text.strip().rpartition(":")
        key, _, value = marked.partition("=")
        try:
            taints.append(validated(Taint, {"key": key, "value": value, "effect": effect}))
        except InputError:
            raise InputError(
                "", found=cell, expected="taints such as key=value:NoSchedule"
            ) from None
    return tuple(taints)


def _check_names(table: _Frame, names: list[str]) -> None:
    first: dict[str, int] = {}
    for row, name in enumerate(names):
        if first.setdefault(name, row) != row:
            raise table.error(row, "name", name, "each name once")


def workload_from_frame(frame: pd.DataFrame, *, name: str = "frame") -> Workload:
    """Make a workload of a DataFrame with one row per bare pod.

    Parameters
    ----------
    frame : DataFrame
        See the module for its columns.
    name : str, default "frame"
        Name of the workload.

    Raises
    ------
    InputError
        An unknown or missing column, or a cell that isn't what it should be.

    Examples
    --------
    >>> workload = workload_from_frame(pd.DataFrame({"cpu": [1, 2], "memory": "1Gi"}))
    >>> (workload.pods.name, len(workload.templates))
    (('pods-0000', 'pods-0001'), 2)
    """
    table = _Frame(frame, "workload", _POD_COLUMNS, (_LABEL, _SELECTOR))
    items = table.read("item", str, absent="pods")
    replicas = _ordinals(items)
    given = table.read("name", str, absent="")
    names = [n or f"{item}-{r:04d}" for n, item, r in zip(given, items, replicas, strict=True)]
    priorities = table.read("priority", _priority, absent=0, empty=0)
    templates, template = _templates(table, priorities)
    spaces = [templates[t].metadata.namespace for t in template]
    _check_names(table, [f"{s}/{n}" if s else n for s, n in zip(spaces, names, strict=True)])

    def times(column: str, absent: int) -> Any:
        return np.array(table.read(column, parse_duration_us, absent=absent, empty=-1), np.int64)

    arrival = np.array(table.read("arrival_s", parse_duration_us, absent=0), np.int64)
    end = times("delete_s", -1)
    early = (end >= 0) & (end < arrival)
    if early.any():
        row = int(np.argmax(early))
        raise table.error(row, "delete_s", table.columns["delete_s"][row], "a time >= arrival_s")
    pods = pod_arrivals(
        arrival,
        np.array(template, np.int32),
        tuple(names),
        item=tuple(items),
        duration_us=times("duration_s", -1),
        estimated_duration_us=times("estimated_duration_s", -1),
        delete_us=end,
        key=np.array([entity_key(i, r) for i, r in zip(items, replicas, strict=True)], np.uint64),
        replica=np.array(replicas, np.int32),
    )
    writes = missing_namespaces(templates, [], ())
    writes += [_priority_class(value) for value in sorted(set(priorities) - {0})]
    return Workload(name, templates, pods.sorted(), tuple(writes), {}, ())


def _ordinals(items: list[str]) -> list[int]:
    """Return the ordinal of each row within its item."""
    count: dict[str, int] = {}
    result = []
    for item in items:
        result.append(count.get(item, 0))
        count[item] = result[-1] + 1
    return result


def _templates(table: _Frame, priorities: list[int]) -> tuple[tuple[PodTemplate, ...], list[int]]:
    """Return the distinct templates and the template of each row."""
    amounts = table.amounts()
    spaces = table.read("namespace", str, absent="", empty="")
    images = table.read("image", str, absent="registry.k8s.io/pause:3.10")
    schedulers = table.read("scheduler_name", str, absent="default-scheduler")
    labels, selectors = table.prefixed(_LABEL), table.prefixed(_SELECTOR)
    seen: dict[Hashable, int] = {}
    templates: list[PodTemplate] = []
    column = []
    for i, requests in enumerate(amounts):
        space = "" if spaces[i] == "default" else spaces[i]
        key = (
            *requests.values(),
            *(space, images[i], schedulers[i], priorities[i]),
            *(tuple(labels[i].items()), tuple(selectors[i].items())),
        )
        if key not in seen:
            seen[key] = len(templates)
            asked = Amounts({k: v for k, v in requests.items() if v or "/" not in k})
            limits = Amounts({k: v for k, v in asked.items() if "/" in k})
            resources = ResourceRequirements(requests=asked, limits=limits)
            spec = PodSpec(
                containers=(Container(name="main", image=images[i], resources=resources),),
                node_selector=selectors[i],
                scheduler_name=schedulers[i],
                priority_class_name=_class_name(priorities[i]),
                restart_policy="Never",
            )
            body = {"metadata": {"namespace": space, "labels": labels[i]}, "spec": spec}
            templates.append(_row_checked(table, i, PodTemplate, body))
        column.append(seen[key])
    return tuple(templates), column


def _class_name(priority: int) -> str:
    if priority == 0:
        return ""
    return f"priority-{priority}" if priority > 0 else f"priority-minus-{-priority}"


def _priority_class(value: int) -> ObjectWrite:
    name = _class_name(value)
    return ObjectWrite(
        0, "create", PriorityClass(metadata=ObjectMeta(name=name), value=value), name
    )
