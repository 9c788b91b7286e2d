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

from schedlab.api.base import step
from schedlab.api.pods import Container, PodSpec, PodStatus
from schedlab.errors import InputError
from schedlab.units import INT64_MAX

NONZERO_CPU_MILLI = 100
"""What kube-scheduler's scores assume for a container that requests no cpu, in milli-cores."""

NONZERO_MEMORY_BYTES = 200 * 1024 * 1024
"""What they assume for a container that requests no memory, in bytes."""

_ASSUMED: Mapping[str, int] = {"cpu": NONZERO_CPU_MILLI, "memory": NONZERO_MEMORY_BYTES}
_NONE: Mapping[str, int] = {}


def pod_requests(spec: PodSpec, status: PodStatus | None = None) -> dict[str, int]:
    """Return what a pod reserves on its node.

    Parameters
    ----------
    spec : PodSpec
        The pod's spec.
    status : PodStatus, optional
        Where it tells what the kubelet granted a container (one that is resized in place), the
        largest of wish and grant counts, and after an infeasible resize the grant alone.

    Returns
    -------
    dict of str to int
        Resource name to canonical amount (`schedlab.units.amount`). A resource that some container
        names with 0 is present.
    """
    return _pod_requests(spec, status, _NONE, pod_level=True)


def nonzero_requests(
    spec: PodSpec, status: PodStatus | None = None, *, pod_level: bool = True
) -> tuple[int, int]:
    """Return (milli-cores, bytes) that a pod adds to its node's NonZeroRequested.

    A container that requests no cpu counts 100 milli-cores, one that requests no memory 200 MiB.
    Where pod-level requests are set, only a resource that the whole pod leaves out is assumed.

    Parameters
    ----------
    spec : PodSpec
        The pod's spec.
    status : PodStatus, optional
        As in `pod_requests`.
    pod_level : bool, default True
        False leaves out pod-level requests. NodeResourcesFit 1.35 scores the incoming pod so (and
        without its status), although it accounts the pods on the node with them: its scorer isn't
        told of the feature gates. The decisions recorded from the real scheduler show it.
    """
    assumed = _ASSUMED
    if pod_level and _pod_level(spec):
        given = _pod_requests(spec, status, _NONE, pod_level=True)
        assumed = {name: value for name, value in _ASSUMED.items() if name not in given}
    requests = _pod_requests(spec, status, assumed, pod_level=pod_level)
    return requests.get("cpu", 0), requests.get("memory", 0)


def _pod_requests(
    spec: PodSpec, status: PodStatus | None, assumed: Mapping[str, int], *, pod_level: bool
) -> dict[str, int]:
    total = _aggregate(spec, _granted(spec, status), assumed)
    if pod_level:
        total.update(_pod_level(spec))
    _add(total, spec.overhead)
    for name, value in total.items():
        if value > INT64_MAX:
            raise InputError(
                f"requests{step(name)}", found=value, expected="a sum that fits a 64-bit integer"
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
    spec: PodSpec, granted: Mapping[str, Mapping[str, int]], assumed: Mapping[str, int]
) -> dict[str, int]:
    """Return what all containers need; *granted* stands in for the requests of those it names."""

    def request(container: Container) -> Mapping[str, int]:
        found = granted.get(container.name, container.resources.requests)
        return {**assumed, **found} if assumed else found

    total: dict[str, int] = {}
    for container in spec.containers:
        _add(total, request(container))
    sidecars: dict[str, int] = {}
    largest: dict[str, int] = {}
    for init in spec.init_containers:
        if init.restart_policy == "Always":
            _add(total, request(init))
            _add(sidecars, request(init))
            _raise_to(largest, sidecars)
        else:
            moment = dict(request(init))
            _add(moment, sidecars)
            _raise_to(largest, moment)
    _raise_to(total, largest)
    return total


def _granted(spec: PodSpec, status: PodStatus | None) -> dict[str, Mapping[str, int]]:
    """Return what counts for the containers of which the kubelet reported resources."""
    if status is None or not (status.container_statuses or status.init_container_statuses):
        return {}
    infeasible = _resize_is_infeasible(status)
    states = {s.name: s for s in (*status.init_container_statuses, *status.container_statuses)}
    sidecars = [c for c in spec.init_containers if c.restart_policy == "Always"]
    found: dict[str, Mapping[str, int]] = {}
    for container in (*spec.containers, *sidecars):
        state = states.get(container.name)
        if state is None or state.resources is None:
            continue
        largest: dict[str, int] = {}
        _raise_to(largest, state.resources.requests)
        _raise_to(largest, state.allocated_resources or _NONE)
        if not infeasible:
            _raise_to(largest, container.resources.requests)
        found[container.name] = largest
    return found


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
