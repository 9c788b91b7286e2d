"""How much of each resource a pod reserves, as upstream's PodRequests computes it.

The pod's containers and sidecars run together, so their requests add up. An init container runs
alone but for the sidecars that stand before it, so the pod needs the largest of those moments. On
top come the pod-level requests, which replace the sums of cpu, memory and huge pages, and the
overhead, which is always added.

Upstream adds quantities and rounds the sum; here each container is rounded first. The API server
rounds cpu to milli-cores itself, so that differs only for fractions of a byte.
"""

from __future__ import annotations

from collections.abc import Mapping

from schedlab.api.base import Amounts
from schedlab.api.pods import Container, ContainerStatus, PodSpec, PodStatus
from schedlab.errors import InputError
from schedlab.units import INT64_MAX

NONZERO_CPU_MILLI = 100
"""What kube-scheduler's scores assume for a container that requests no cpu, in milli-cores."""

NONZERO_MEMORY_BYTES = 200 * 1024 * 1024
"""What they assume for a container that requests no memory, in bytes."""

_NONE: Mapping[str, int] = {}


def pod_requests(spec: PodSpec, status: PodStatus | None = None) -> dict[str, int]:
    """Return what a pod reserves on its node.

    Parameters
    ----------
    spec : PodSpec
        The pod's spec.
    status : PodStatus, optional
        Where it tells what the kubelet granted (a pod being resized in place), the larger of
        wish and grant counts, and after an infeasible resize the grant alone.

    Returns
    -------
    dict of str to int
        Resource name to canonical amount (`schedlab.units.amount`). A resource that some container
        names with 0 is present.
    """
    return _pod_requests(spec, status, _NONE)


def nonzero_requests(spec: PodSpec, status: PodStatus | None = None) -> tuple[int, int]:
    """Return (milli-cores, bytes) as LeastAllocated and MostAllocated score them.

    A container that requests no cpu counts 100 milli-cores, one that requests no memory 200 MiB.
    Where pod-level requests are set, only a resource that the whole pod leaves out is assumed.
    """
    assumed = {"cpu": NONZERO_CPU_MILLI, "memory": NONZERO_MEMORY_BYTES}
    if _pod_level(spec):
        given = _pod_requests(spec, status, _NONE)
        assumed = {name: value for name, value in assumed.items() if name not in given}
    requests = _pod_requests(spec, status, assumed)
    return requests.get("cpu", 0), requests.get("memory", 0)


def _pod_requests(
    spec: PodSpec, status: PodStatus | None, assumed: Mapping[str, int]
) -> dict[str, int]:
    total = _aggregate(spec, _wished(spec), assumed)
    if status is not None and (status.container_statuses or status.init_container_statuses):
        infeasible = _resize_is_infeasible(status)
        granted = _aggregate(spec, _granted(spec, status, infeasible), assumed)
        actual = _aggregate(spec, _actual(spec, status, infeasible), assumed)
        if infeasible:
            total = {}
        _raise_to(total, granted)
        _raise_to(total, actual)
    total.update(_pod_level(spec))
    _add(total, spec.overhead)
    for name, value in total.items():
        if value > INT64_MAX:
            raise InputError(
                f"requests.{name}", found=value, expected="a sum that fits a 64-bit integer"
            )
    return total


def _pod_level(spec: PodSpec) -> dict[str, int]:
    """Return the pod-level requests that count: cpu, memory and huge pages."""
    if spec.resources is None:
        return {}
    return {
        name: value
        for name, value in spec.resources.requests.items()
        if name in ("cpu", "memory") or name.startswith("hugepages-")
    }


def _aggregate(
    spec: PodSpec, requests: list[Mapping[str, int]], assumed: Mapping[str, int]
) -> dict[str, int]:
    """Return the need of all containers; *requests* has those of the containers, then the inits."""
    if assumed:
        requests = [{**assumed, **request} for request in requests]
    total: dict[str, int] = {}
    for request in requests[: len(spec.containers)]:
        _add(total, request)
    sidecars: dict[str, int] = {}
    largest: dict[str, int] = {}
    for init, request in zip(spec.init_containers, requests[len(spec.containers) :], strict=True):
        if init.restart_policy == "Always":
            _add(total, request)
            _add(sidecars, request)
            _raise_to(largest, sidecars)
        else:
            moment = dict(request)
            _add(moment, sidecars)
            _raise_to(largest, moment)
    _raise_to(total, largest)
    return total


def _wished(spec: PodSpec) -> list[Mapping[str, int]]:
    return [c.resources.requests for c in (*spec.containers, *spec.init_containers)]


def _granted(spec: PodSpec, status: PodStatus, infeasible: bool) -> list[Mapping[str, int]]:
    """Return what the kubelet allocated, else the wish (nothing where the wish can't be met)."""
    found = []
    for container, state in _states(spec, status):
        if state is not None and state.allocated_resources is not None:
            found.append(state.allocated_resources)
        else:
            found.append(_NONE if infeasible else container.resources.requests)
    return found


def _actual(spec: PodSpec, status: PodStatus, infeasible: bool) -> list[Mapping[str, int]]:
    """Return what the containers run with, else what was granted."""
    granted = _granted(spec, status, infeasible)
    return [
        state.resources.requests
        if state is not None and state.resources is not None and state.resources.requests
        else grant
        for (_, state), grant in zip(_states(spec, status), granted, strict=True)
    ]


def _states(spec: PodSpec, status: PodStatus) -> list[tuple[Container, ContainerStatus | None]]:
    by_name = {s.name: s for s in (*status.init_container_statuses, *status.container_statuses)}
    return [(c, by_name.get(c.name)) for c in (*spec.containers, *spec.init_containers)]


def _resize_is_infeasible(status: PodStatus) -> bool:
    for condition in status.conditions:
        if condition.type == "PodResizePending":
            return condition.reason == "Infeasible"
    return False


def _add(total: dict[str, int], more: Mapping[str, int]) -> None:
    for name, value in more.items():
        total[name] = total.get(name, 0) + value


def _raise_to(total: dict[str, int], other: Mapping[str, int]) -> None:
    for name, value in other.items():
        if value > total.get(name, -1):
            total[name] = value


__all__ = [
    "NONZERO_CPU_MILLI",
    "NONZERO_MEMORY_BYTES",
    "Amounts",
    "nonzero_requests",
    "pod_requests",
]
