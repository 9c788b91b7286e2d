"""What a simulation is given: a cluster at time 0 and a time-ordered stream of requests.

Bare pods come in columns (`PodArrivals`), since traces and generators make tens of thousands of
them from a few hundred templates; everything else is an object that a client creates or deletes
(`ObjectWrite`). A true duration stands here and in the kubelet, never in what a scheduler sees.
One Python object per arrival was rejected: 50,000 of them cost more than the whole generation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Final, Literal, cast

import numpy as np
from numpy.typing import NDArray

from schedlab.api.objects import ApiObject, Node, PodTemplate
from schedlab.cluster.devices import Shape

DURATION_ANNOTATION: Final = "schedlab.io/duration"
"""On a pod (template): how long a pod runs, a duration or a distribution in JSON."""
ESTIMATE_ANNOTATION: Final = "schedlab.io/estimated-duration"
"""On a pod (template): the duration that schedulers are told."""


@dataclass(frozen=True)
class PodArrivals:
    """Bare pods in columns: timed rows sorted by (time, row), then the rows with a trigger.

    Attributes
    ----------
    time_us : int64 array of shape [A], microseconds
        When the create request is sent. Where ``after >= 0``: the delay after pod ``after``
        finished (the think time of a closed loop).
    after : int32 array of shape [A]
        Row whose end triggers this arrival, or -1.
    template : int32 array of shape [A]
        Row of `Workload.templates`.
    name : tuple of str, length A
        Pod names; the namespace is the template's.
    duration_us : int64 array of shape [A], microseconds
        How long the pod runs after its start; -1 = until deleted.
    estimated_duration_us : int64 array of shape [A], microseconds
        What a scheduler may know of the duration; -1 = nothing.
    delete_us : int64 array of shape [A], microseconds
        When the client deletes the pod; -1 = never.
    key : uint64 array of shape [A]
        Entity key for keyed draws: ``entity_key(item, replica)``.
    item : tuple of str, length A
        Workload item that the pod belongs to.
    replica : int32 array of shape [A]
        Ordinal within the item.
    """

    time_us: NDArray[np.int64]
    after: NDArray[np.int32]
    template: NDArray[np.int32]
    name: tuple[str, ...]
    duration_us: NDArray[np.int64]
    estimated_duration_us: NDArray[np.int64]
    delete_us: NDArray[np.int64]
    key: NDArray[np.uint64]
    item: tuple[str, ...]
    replica: NDArray[np.int32]

    def __post_init__(self) -> None:
        lengths = {column.name: len(getattr(self, column.name)) for column in fields(self)}
        if len(set(lengths.values())) != 1:
            raise ValueError(f"columns of different length: {lengths}")
        for column in fields(self):
            values = getattr(self, column.name)
            if isinstance(values, np.ndarray):
                values.flags.writeable = False

    def __len__(self) -> int:
        return len(self.name)

    @staticmethod
    def empty() -> PodArrivals:
        """Return no pods."""
        return pod_arrivals(np.empty(0, np.int64), np.empty(0, np.int32), (), item=())

    def sorted(self) -> PodArrivals:
        """Return the rows in the order that the class promises, `after` following its rows."""
        order = np.lexsort((np.arange(len(self)), self.time_us, self.after >= 0))
        chained = self.after[order] >= 0
        order[chained] = np.sort(order[chained])  # a chain keeps its own order
        place = np.empty(len(self), np.int32)
        place[order] = np.arange(len(self), dtype=np.int32)
        after = self.after[order]
        after[chained] = place[after[chained]]
        rows = order.tolist()
        return PodArrivals(
            time_us=self.time_us[order],
            after=after,
            template=self.template[order],
            name=tuple([self.name[i] for i in rows]),
            duration_us=self.duration_us[order],
            estimated_duration_us=self.estimated_duration_us[order],
            delete_us=self.delete_us[order],
            key=self.key[order],
            item=tuple([self.item[i] for i in rows]),
            replica=self.replica[order],
        )


def pod_arrivals(
    time_us: NDArray[np.int64],
    template: NDArray[np.int32],
    name: tuple[str, ...],
    *,
    item: tuple[str, ...],
    after: NDArray[np.int32] | None = None,
    duration_us: NDArray[np.int64] | None = None,
    estimated_duration_us: NDArray[np.int64] | None = None,
    delete_us: NDArray[np.int64] | None = None,
    key: NDArray[np.uint64] | None = None,
    replica: NDArray[np.int32] | None = None,
) -> PodArrivals:
    """Return pods whose columns that aren't given say "nothing": -1, and 0 for key and replica."""
    n = len(name)
    never = np.full(n, -1, np.int64)
    return PodArrivals(
        time_us=time_us,
        after=np.full(n, -1, np.int32) if after is None else after,
        template=template,
        name=name,
        duration_us=never.copy() if duration_us is None else duration_us,
        estimated_duration_us=(
            never.copy() if estimated_duration_us is None else estimated_duration_us
        ),
        delete_us=never.copy() if delete_us is None else delete_us,
        key=np.zeros(n, np.uint64) if key is None else key,
        item=item,
        replica=np.zeros(n, np.int32) if replica is None else replica,
    )


@dataclass(frozen=True)
class ObjectWrite:
    """A request of a client at a time: create, change or delete one API object.

    Attributes
    ----------
    time_us : int
        When the request is sent, microseconds.
    operation : {"create", "update", "delete"}
        What is asked.
    object : ApiObject
        The object, as it should be after an update; for a delete only its kind and name matter.
        A pod can be updated to lift its scheduling gates, controllers of pods can't be at all.
    item : str
        Workload item; unique per Deployment or Job, so that (item, replica) names one logical pod.
    """

    time_us: int
    operation: Literal["create", "update", "delete"]
    object: ApiObject
    item: str


@dataclass(frozen=True)
class Workload:
    """Everything that is asked of the cluster.

    Attributes
    ----------
    name : str
        For tables and plots.
    templates : tuple of PodTemplate
        Distinct templates of the bare pods.
    pods : PodArrivals
        The bare pods.
    objects : tuple of ObjectWrite
        Sorted by time; at one time Namespaces and PriorityClasses come first.
    dropped : mapping of str to int
        What the source held and the workload doesn't, counted by reason.
    notes : tuple of str
        What a reader of the results should know: scale factors, what isn't modelled.
    mix : mapping of (int, int, int, str) to int
        How many pods of each shape (see `cluster.devices.Shape`) an operator knows the
        cluster to get, before any clones; empty = what the bare pods are.
    """

    name: str
    templates: tuple[PodTemplate, ...]
    pods: PodArrivals
    objects: tuple[ObjectWrite, ...]
    dropped: Mapping[str, int]
    notes: tuple[str, ...]
    mix: Mapping[Shape, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Cluster:
    """The cluster at time 0.

    Attributes
    ----------
    name : str
        For tables and plots.
    nodes : tuple of Node
        In the order of the input, which is the order of rows.
    objects : tuple of ApiObject
        Namespaces, priority classes and services that are present at time 0.
    """

    name: str
    nodes: tuple[Node, ...]
    objects: tuple[ApiObject, ...]


def join_arrivals(blocks: list[PodArrivals], templates: list[int]) -> PodArrivals:
    """Return several blocks as one, sorted.

    Parameters
    ----------
    blocks : list of PodArrivals
        The `template` column of each counts from 0.
    templates : list of int
        Number of templates of each block.
    """
    if not blocks:
        return PodArrivals.empty()
    first_row = np.cumsum([0, *map(len, blocks)])
    first_template = np.cumsum([0, *templates])

    def column(name: str) -> NDArray[np.int64]:
        return np.concatenate([getattr(block, name) for block in blocks])

    after = [
        np.where(block.after >= 0, block.after + np.int32(start), np.int32(-1))
        for block, start in zip(blocks, first_row, strict=False)
    ]
    shifted = [
        block.template + np.int32(start)
        for block, start in zip(blocks, first_template, strict=False)
    ]
    return PodArrivals(
        time_us=column("time_us"),
        after=np.concatenate(after),
        template=np.concatenate(shifted),
        name=tuple(name for block in blocks for name in block.name),
        duration_us=column("duration_us"),
        estimated_duration_us=column("estimated_duration_us"),
        delete_us=column("delete_us"),
        key=cast(NDArray[np.uint64], column("key")),
        item=tuple(item for block in blocks for item in block.item),
        replica=cast(NDArray[np.int32], column("replica")),
    ).sorted()
