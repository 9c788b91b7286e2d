"""How much a workload asks of a cluster, and the factor that makes it ask for a given share.

Work is request times duration. The offered load of a resource is the work that arrives in a
window, over capacity times the window. Where durations are longer than the window (services in a
trace, above all) most of that work lies behind it and the cluster stays empty at a load of 0.95;
therefore the mean and the peak of the demand are offered as measures too. All three assume that
nothing waits, grow when arrivals come faster, and need no simulation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from schedlab.api.objects import Deployment, Job, PodTemplate, ReplicaSet
from schedlab.api.requests import pod_requests
from schedlab.errors import InputError
from schedlab.workload.annotations import pod_duration
from schedlab.workload.stream import Cluster, ObjectWrite, PodArrivals, Workload

Counts = Literal["all_work", "within_window", "peak"]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_TOLERANCE: Final = 1e-3


@dataclass(frozen=True)
class Demand:
    """What is asked for, by when and for how long.

    Attributes
    ----------
    resources : tuple of str, length R
        Names.
    amount : float64 array of shape [R, D]
        Requested amounts: milli-cores, bytes, counts.
    time_us : float64 array of shape [D], microseconds
        When; inf = never.
    duration_us : float64 array of shape [D], microseconds
        For how long; inf = for ever.
    """

    resources: tuple[str, ...]
    amount: Floats
    time_us: Floats
    duration_us: Floats


def join_demands(parts: list[Demand]) -> Demand:
    """Return several demands as one, over the union of their resources."""
    resources = tuple(dict.fromkeys(name for part in parts for name in part.resources))
    amounts = []
    for part in parts:
        rows = np.zeros((len(resources), len(part.time_us)))
        rows[[resources.index(name) for name in part.resources]] = part.amount
        amounts.append(rows)
    return Demand(
        resources,
        np.concatenate([np.zeros((len(resources), 0)), *amounts], axis=1),
        np.concatenate([np.empty(0), *(part.time_us for part in parts)]),
        np.concatenate([np.empty(0), *(part.duration_us for part in parts)]),
    )


def capacity(cluster: Cluster) -> dict[str, int]:
    """Return the allocatable amount of each resource, summed over the nodes."""
    total: dict[str, int] = {}
    for node in cluster.nodes:
        for name, value in node.status.allocatable.items():
            total[name] = total.get(name, 0) + value
    return total


def offered_load(
    workload: Workload,
    cluster: Cluster,
    *,
    window_us: int | None = None,
    counts: Counts = "all_work",
) -> dict[str, float]:
    """Return the load that a workload offers to each resource of a cluster.

    Parameters
    ----------
    workload : Workload
        Jobs count with the mean of their duration, a pod of a closed loop as if none waited, what
        runs until deleted until the end of the window.
    cluster : Cluster
        Its nodes are the capacity.
    window_us : int, optional
        The arrival window in microseconds; the last submission where absent.
    counts : {"all_work", "within_window", "peak"}, default "all_work"
        See `schedlab.workload.specs.TargetLoad`.

    Returns
    -------
    dict of str to float
        Share of the capacity per resource; inf where there is none, or no window.
    """
    demand = demand_of(workload)
    known = demand.time_us[np.isfinite(demand.time_us)]
    window = float(known.max(initial=0)) if window_us is None else float(window_us)
    loads = shares(demand, capacity(cluster), window, counts)
    return dict(zip(demand.resources, loads.tolist(), strict=True))


def shares(demand: Demand, total: Mapping[str, int], window_us: float, counts: Counts) -> Floats:
    """Return the load of each resource of a demand, a float64 array of shape [R]."""
    capacities = np.array([float(total.get(name, 0)) for name in demand.resources])
    if counts == "peak":
        asked = _peak(demand)
    else:
        left = np.maximum(window_us - demand.time_us, 0.0)
        endless = ~np.isfinite(demand.duration_us)
        if counts == "within_window":
            held = np.minimum(demand.duration_us, left)
        else:
            held = np.where(endless, left, demand.duration_us)
            held = np.where(np.isfinite(demand.time_us), held, 0.0)
        asked = demand.amount @ held
        capacities = capacities * window_us
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(asked > 0, asked / capacities, 0.0)


def _peak(demand: Demand) -> Floats:
    """Return the highest demand at any time; at one instant ends come before starts."""
    starts = np.isfinite(demand.time_us) & (demand.duration_us > 0)
    time, amount = demand.time_us[starts], demand.amount[:, starts]
    end = time + demand.duration_us[starts]
    order = np.lexsort((np.repeat([1, 0], len(time)), np.concatenate([time, end])))
    level = np.cumsum(np.concatenate([amount, -amount], axis=1)[:, order], axis=1)
    return np.asarray(level.max(axis=1, initial=0.0), np.float64)


def demand_of(workload: Workload) -> Demand:
    """Return what a workload asks for, assuming that nothing waits."""
    pods = workload.pods
    templates = [pod_requests(template.spec) for template in workload.templates]
    names = tuple(dict.fromkeys(["pods", *(name for t in templates for name in t)]))
    per_template = np.zeros((len(names), len(templates)))
    for column, requests in enumerate(templates):
        for name, value in ({"pods": 1} | requests).items():
            per_template[names.index(name), column] = value
    time = free_times(pods)
    duration = np.where(pods.duration_us >= 0, pods.duration_us.astype(np.float64), math.inf)
    deleted = np.where(pods.delete_us >= 0, pods.delete_us - time, math.inf)
    bare = Demand(
        names, per_template[:, pods.template], time, np.maximum(np.minimum(duration, deleted), 0)
    )
    return join_demands([bare, *_object_demands(workload.objects)])


def free_times(pods: PodArrivals) -> Floats:
    """Return when each pod is created if none waits, float64 [A]; inf = never."""
    time = pods.time_us.astype(np.float64)
    chained = np.flatnonzero(pods.after >= 0)
    if len(chained) == 0:
        return time
    times, after = time.tolist(), pods.after.tolist()
    durations = pods.duration_us.tolist()
    for row in chained.tolist():
        before = after[row]
        runs = durations[before]
        times[row] = times[before] + runs + times[row] if runs >= 0 else math.inf
    return np.array(times)


def _object_demands(writes: tuple[ObjectWrite, ...]) -> list[Demand]:
    deleted = {
        (write.object.kind, write.object.key): write.time_us
        for write in writes
        if write.operation == "delete"
    }
    parts = []
    for write in writes:
        if write.operation == "create" and isinstance(write.object, Job | Deployment | ReplicaSet):
            end = deleted.get((write.object.kind, write.object.key), math.inf)
            parts.append(_controller_demand(write.object, write.time_us, end))
    return parts


def _controller_demand(owner: Job | Deployment | ReplicaSet, start: int, end: float) -> Demand:
    template = owner.spec.template
    if isinstance(owner, Job):
        completions = 1 if owner.spec.completions is None else owner.spec.completions
        at_once = 1 if owner.spec.parallelism is None else owner.spec.parallelism
        pods = min(completions, at_once)
        drawn = pod_duration(template.metadata.annotations)
        runs = math.inf if drawn is None else drawn.mean()
        runs = runs * completions / pods if pods else 0.0
    else:
        pods = 1 if owner.spec.replicas is None else owner.spec.replicas
        runs = math.inf
    requests = template_amounts(template)
    return Demand(
        tuple(requests),
        np.array([[float(value * pods)] for value in requests.values()]),
        np.array([float(start)]),
        np.array([min(runs, end - start)]),
    )


def template_amounts(template: PodTemplate) -> dict[str, int]:
    """Return what one pod takes, the pod itself included."""
    return {"pods": 1} | pod_requests(template.spec)


def solve_speed(load: Callable[[float], float], target: float, *, field: str) -> float:
    """Return the speed at which a load that grows with speed reaches *target*.

    Parameters
    ----------
    load : callable
        The load at a speed; not decreasing. Inter-arrivals are divided by the speed.
    target : float
        The load to reach, to within a thousandth where single arrivals don't weigh more.
    field : str
        Path of the field, for errors.

    Raises
    ------
    InputError
        No speed reaches the target: at any speed the load stays below (or above) it.
    """
    low, high = 1.0, 1.0
    while load(high) < target:
        low, high = high, high * 4
        if high > 2.0**60:
            raise _unreachable(
                load(low),
                target,
                field,
                "at most",
                "there is no more work than that: let more pods arrive",
            )
    while load(low) > target:
        low, high = low / 4, low
        if low < 2.0**-20:  # a million times slower: what overlaps now always will
            raise _unreachable(load(high), target, field, "at least", "fixed arrivals exceed it")
    best = min((low, high), key=lambda speed: abs(load(speed) - target))
    error = abs(load(best) - target)
    for _ in range(60):
        if error <= _TOLERANCE * target / 4:
            break
        middle = math.sqrt(low * high)
        found = load(middle)
        if abs(found - target) < error:
            best, error = middle, abs(found - target)
        low, high = (middle, high) if found < target else (low, middle)
    return best


def _unreachable(limit: float, target: float, field: str, bound: str, hint: str) -> InputError:
    return InputError(field, found=target, expected=f"{bound} {limit:.3g} here", hint=hint)
