"""What pods hold on nodes over time, as exact step functions.

A pod holds its requests on its node from the commit of its binding until the commit of its end
(``bound_us`` to ``released_us``), or until the node left, or until the run ended: what the API
server shows as requested. All amounts follow from the times in `pods` and `nodes`, so integrals are
exact whatever the sampling period was.

Replaying samples instead was rejected: a sampled mean depends on the period, and misses every pod
that came and went between two samples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from schedlab.record.schema import column_resource, resource_column

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_JOIN, _RELEASE, _BIND, _LEAVE = range(4)


def micros(frame: pd.DataFrame, column: str) -> Ints:
    """Return a time column as int64 microseconds of shape [rows], with -1 where it is null."""
    return frame[column].to_numpy(dtype=np.int64, na_value=-1)


@dataclass(frozen=True, eq=False)
class Steps:
    """A total over the cluster that changes at given times.

    Parameters
    ----------
    time_us : int64 array of shape [T]
        Times of change, not decreasing; the value holds until the next one.
    value : float64 array of shape [T]
    """

    time_us: Ints
    value: Floats

    def integral(self, edges: Ints) -> Floats:
        """Return the integral (value x microseconds) between successive *edges* [B + 1] -> [B].

        Before the first change the value is 0.
        """
        if not len(self.time_us):
            return np.zeros(len(edges) - 1)
        reached = np.concatenate(([0.0], np.cumsum(self.value[:-1] * np.diff(self.time_us))))
        row = np.searchsorted(self.time_us, edges, side="right") - 1
        at = np.maximum(row, 0)
        grown = reached[at] + self.value[at] * (edges - self.time_us[at])
        return np.diff(np.where(row >= 0, grown, 0.0))

    def within(self, start_us: int, stop_us: int) -> Floats:
        """Return the values taken anywhere in [start_us, stop_us), in order of time."""
        first = max(int(np.searchsorted(self.time_us, start_us, side="right")) - 1, 0)
        return self.value[first : int(np.searchsorted(self.time_us, stop_us, side="left"))]


@dataclass(frozen=True, eq=False)
class _Holds:
    """Which pod holds something on which node, and when: columns of shape [H]."""

    pod: Ints
    node: Ints
    start_us: Ints
    stop_us: Ints


class Usage:
    """Requests per node and resource as functions of time.

    Parameters
    ----------
    pods, nodes : DataFrame
        Tables of one run, as of `schema.PODS` and `schema.NODES`.
    end_us : int
        Simulated time at which the run ended.
    start_us : int, default 0
        Start of the measured window, which ends at *end_us*.
    """

    def __init__(
        self, pods: pd.DataFrame, nodes: pd.DataFrame, end_us: int, start_us: int = 0
    ) -> None:
        self.start_us = start_us
        self.end_us = end_us
        offered = [column_resource(str(column), "allocatable") for column in nodes.columns]
        self.resources: tuple[str, ...] = tuple(
            resource
            for resource in offered
            if resource is not None and nodes[resource_column("allocatable", resource)].any()
        )
        self.allocatable = _stack(nodes, "allocatable", self.resources)  # [R, N]
        self.request = _stack(pods, "request", self.resources)  # [R, P]
        nothing = np.zeros((len(self.resources), 1), dtype=np.int64)
        self._request_of = np.append(self.request, nothing, axis=1)  # pod -1 requests nothing
        self.node_names: tuple[str, ...] = tuple(nodes["node"].tolist())
        self.first_incarnation: NDArray[np.bool_] = pods["incarnation"].to_numpy() == 0
        removed = micros(nodes, "removed_us")
        self._join_us = np.clip(micros(nodes, "added_us"), 0, end_us)  # [N]
        self._leave_us = np.clip(np.where(removed < 0, end_us, removed), self._join_us, end_us)
        self._holds = _holds(pods, nodes, self._join_us, self._leave_us)
        self._build(self._holds)

    def _build(self, holds: _Holds) -> None:
        """Lay out one event per change of a node, sorted by node and time: columns [E]."""
        rows = np.arange(len(self._join_us))
        node = np.concatenate((rows, holds.node, holds.node, rows))
        time_us = np.concatenate((self._join_us, holds.stop_us, holds.start_us, self._leave_us))
        sizes = (len(rows), len(holds.pod), len(holds.pod), len(rows))
        kind = np.repeat((_JOIN, _RELEASE, _BIND, _LEAVE), sizes)
        nobody = np.full(len(rows), -1)
        pod = np.concatenate((nobody, holds.pod, holds.pod, nobody))
        order = np.lexsort((kind, time_us, node))
        self._node, self._time_us, self._kind = node[order], time_us[order], kind[order]
        self._pod = pod[order]
        sign = np.array((0, -1, 1, 0))[self._kind]
        # Every hold is released by the time its node leaves, so one running sum over all events
        # starts each node at 0.
        self._count = np.cumsum(sign)  # [E] pods on the node after the event
        self._amount = np.cumsum(sign * self._request_of[:, self._pod], axis=1)  # [R, E]
        until = np.concatenate((self._time_us[1:], self._time_us[-1:]))
        until = np.where(self._kind == _LEAVE, self._time_us, until)
        start = np.maximum(self._time_us, self.start_us)
        self._length_us = np.maximum(until - start, 0)  # [E] time inside the window

    @cached_property
    def _by_time(self) -> tuple[Ints, Ints, Ints]:
        """Order of the events by time, the last event of each instant, and the instants."""
        order = np.argsort(self._time_us, kind="stable")
        times = self._time_us[order]
        last = np.flatnonzero(np.append(times[1:] != times[:-1], True)) if len(times) else order
        return order, last, times[last]

    def _total(self, change: Floats | Ints) -> Steps:
        """Return the running sum over the cluster of a change per event [E]."""
        order, last, times = self._by_time
        return Steps(times, np.cumsum(change[order])[last].astype(np.float64))

    def requested(self, resource: str) -> Steps:
        """Return the amount of *resource* that bound pods request, over time."""
        row = self.resources.index(resource)
        sign = np.array((0, -1, 1, 0))[self._kind]
        return self._total(sign * self._request_of[row, self._pod])

    def offered(self, resource: str) -> Steps:
        """Return the allocatable amount of *resource* over all nodes, over time."""
        sign = np.array((1, 0, 0, -1))[self._kind]
        return self._total(sign * self.allocatable[self.resources.index(resource), self._node])

    def mean_allocation(self, resource: str) -> float:
        """Return requested / allocatable over the window, weighted by time and capacity."""
        row = self.resources.index(resource)
        holds = self._holds
        start = np.maximum(holds.start_us, self.start_us)
        length = np.maximum(holds.stop_us - start, 0).astype(np.float64)
        # An exactly rounded sum: equal for equal times, whichever nodes the pods are on.
        held = math.fsum((self.request[row, holds.pod] * length).tolist())
        return _ratio(held, self._capacity(row))

    def peak_allocation(self, resource: str) -> float:
        """Return the largest requested / allocatable of the whole cluster within the window."""
        requested = self.requested(resource).within(self.start_us, self.end_us)
        offered = self.offered(resource).within(self.start_us, self.end_us)
        shares = requested[offered > 0] / offered[offered > 0]
        return float(shares.max()) if len(shares) else float("nan")

    def imbalance(self, resource: str) -> float:
        """Return the time-weighted mean, over the window, of the spread over nodes.

        The spread is the population standard deviation of requested / allocatable over the nodes
        that offer the resource.
        """
        row = self.resources.index(resource)
        offered = self.allocatable[row, self._node]
        has = offered > 0
        share: Floats = np.where(has, self._amount[row] / np.maximum(offered, 1), 0.0)
        before = np.where(self._kind == _JOIN, 0.0, np.concatenate(([0.0], share[:-1])))
        present = np.array((1, 0, 0, -1))[self._kind] * has
        nodes = self._total(present)
        count = np.maximum(nodes.value, 1.0)
        mean = self._total(share - before).value / count
        square = self._total(share**2 - before**2).value / count
        variance = square - mean**2
        spread = np.sqrt(np.where(variance > 1e-12, variance, 0.0))  # below: what rounding leaves
        window = np.array((self.start_us, self.end_us))
        busy = Steps(nodes.time_us, (nodes.value > 0).astype(np.float64)).integral(window)
        return _ratio(float(Steps(nodes.time_us, spread).integral(window)[0]), float(busy[0]))

    def stranded(self, resource: str) -> float:
        """Return the share of *resource* that is free but out of the median pod's reach.

        A node is out of reach while it has less of any resource than the median, over the pods of
        the workload, of what is requested. The share is weighted by time and capacity.
        """
        row = self.resources.index(resource)
        free = np.maximum(self.allocatable[row, self._node] - self._amount[row], 0)
        return _ratio(free[self._short] @ self._weights[self._short], self._capacity(row))

    def nodes_used(self) -> tuple[float, float]:
        """Return the time-weighted mean and the maximum number of nodes with a bound pod."""
        used = (self._count > 0).astype(np.int64)
        before = np.where(self._kind == _JOIN, 0, np.concatenate(([0], used[:-1])))
        total = self._total(used - before)
        if self.end_us <= self.start_us:
            return float("nan"), float("nan")
        window = np.array((self.start_us, self.end_us))
        mean = float(total.integral(window)[0]) / (self.end_us - self.start_us)
        values = total.within(self.start_us, self.end_us)
        return mean, float(values.max()) if len(values) else 0.0

    def node_shares(self, resource: str, edges_us: Ints) -> Floats:
        """Return mean requested / allocatable per node and time bin.

        Parameters
        ----------
        resource : str
        edges_us : int64 array of shape [B + 1]
            Increasing bin edges, in microseconds.

        Returns
        -------
        float64 array of shape [N, B]
            NaN where a node doesn't offer the resource or wasn't there at all during the bin.
        """
        row = self.resources.index(resource)
        capacity = self.allocatable[row].astype(np.float64)
        shares = np.full((len(capacity), len(edges_us) - 1), np.nan)
        first = np.searchsorted(self._node, np.arange(len(capacity) + 1))
        for node in np.flatnonzero(capacity > 0):
            events = slice(first[node], first[node + 1])
            steps = Steps(self._time_us[events], self._amount[row, events].astype(np.float64))
            inside = np.clip(edges_us, self._join_us[node], self._leave_us[node])
            present = np.diff(inside) * capacity[node]
            held = steps.integral(edges_us)
            np.divide(held, present, out=shares[node], where=present > 0)
        return shares

    @cached_property
    def _weights(self) -> Floats:
        weights: Floats = self._length_us.astype(np.float64)
        return weights

    @cached_property
    def _short(self) -> NDArray[np.bool_]:
        """Events after which the node can't take the median pod: bool [E]."""
        free = self.allocatable[:, self._node] - self._amount
        pods = self.request[:, self.first_incarnation]
        if not pods.shape[1]:
            return np.zeros(free.shape[1], dtype=np.bool_)
        return np.asarray((free < np.median(pods, axis=1)[:, None]).any(axis=0))

    def _capacity(self, row: int) -> float:
        start = np.maximum(self._join_us, self.start_us)
        length = np.maximum(self._leave_us - start, 0).astype(np.float64)
        return math.fsum((self.allocatable[row] * length).tolist())


def _ratio(part: float, whole: float) -> float:
    return float(part) / whole if whole > 0 else float("nan")


def _stack(frame: pd.DataFrame, prefix: str, resources: tuple[str, ...]) -> Ints:
    """Return the columns of *resources* as an array of shape [R, rows]; absent ones are 0."""
    stack = np.zeros((len(resources), len(frame)), dtype=np.int64)
    for row, resource in enumerate(resources):
        column = resource_column(prefix, resource)
        if column in frame:
            stack[row] = frame[column].to_numpy()
    return stack


def _holds(pods: pd.DataFrame, nodes: pd.DataFrame, join_us: Ints, leave_us: Ints) -> _Holds:
    bound = micros(pods, "bound_us")
    pod = np.flatnonzero(bound >= 0)
    released = micros(pods, "released_us")[pod]
    stop = np.where(released < 0, np.iinfo(np.int64).max, released)
    start = bound[pod]
    node = _node_rows(pods["node"].iloc[pod], start, nodes["node"], join_us)
    start = np.clip(start, join_us[node], leave_us[node])
    stop = np.clip(stop, start, leave_us[node])
    lasting = stop > start
    return _Holds(pod[lasting], node[lasting], start[lasting], stop[lasting])


def _node_rows(wanted: pd.Series, at_us: Ints, names: pd.Series, join_us: Ints) -> Ints:
    """Return the row of each wanted node: the latest of that name to have joined by *at_us*."""
    codes, known = pd.factorize(names)
    code = pd.Index(known).get_indexer(pd.Index(wanted))
    if (code < 0).any():
        missing = wanted[code < 0].iloc[0]
        raise ValueError(f"a pod is bound to node {missing!r}, which the table of nodes lacks")
    if len(known) == len(names):
        return np.asarray(code, dtype=np.int64)
    span = int(max(join_us.max(initial=0), at_us.max(initial=0))) + 1
    key = codes * span + join_us
    order = np.argsort(key, kind="stable")
    found = np.searchsorted(key[order], code * span + at_us, side="right") - 1
    first = np.searchsorted(codes[order], code)  # codes ascend along the order
    return np.asarray(order[np.maximum(found, first)], dtype=np.int64)
