"""An independent check of placements: kube-scheduler's own filters are asked about every new pod.

It shares no code with the model. A placement is carried out on the cluster (evictions and moves
first), then each pod that it placed or moved is taken off and has to pass the filters on its node
with everyone else in place. Pods that need partners must also be placeable in some order.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from schedlab.cluster.carried import Kind
from schedlab.cluster.classes import PodClass
from schedlab.cluster.devices import DeviceRequest, Devices
from schedlab.cluster.state import ClusterState
from schedlab.scheduling.base import Pod
from schedlab.scheduling.framework.evaluation import evaluate_filters
from schedlab.scheduling.framework.interface import Cycle
from schedlab.scheduling.framework.profiles import Profile
from schedlab.scheduling.ilp.devices import assign_devices
from schedlab.scheduling.ilp.model import Profiles, profile_of
from schedlab.scheduling.ilp.result import Move
from schedlab.scheduling.plugins.inter_pod_affinity import NEAR, InterPodAffinity

Placed = tuple[int, PodClass, int]
"""Row of a pod, its class, and the row of its node."""


def violations(
    pods: Sequence[Pod],
    node: Sequence[int],
    state: ClusterState,
    *,
    moved: Sequence[Move] = (),
    evicted: Sequence[tuple[int, int]] = (),
    profile: Profiles | None = None,
) -> list[str]:
    """Return what is wrong with a placement; the cluster is as it was afterwards.

    Parameters
    ----------
    pods : sequence of Pod
        The pods that waited.
    node : sequence of int, length P
        Row of the node of each, -1 = none.
    state : ClusterState
        The cluster before.
    moved, evicted : sequence
        What happens to running pods.
    profile : Profile or mapping of str to Profile, optional
        Whose filters decide; the default profile when absent.
    """
    return [text for _, text in offenders(pods, node, state, moved, evicted, profile)]


def offenders(
    pods: Sequence[Pod],
    node: Sequence[int],
    state: ClusterState,
    moved: Sequence[Move] = (),
    evicted: Sequence[tuple[int, int]] = (),
    profile: Profiles | None = None,
) -> list[tuple[int, str]]:
    """Return the rows of the pods that break a rule, each with what is wrong; see `violations`."""
    profile = profile or Profile.default()
    new: list[Placed] = [
        (pod.row, pod.pod_class, row) for pod, row in zip(pods, node, strict=True) if row >= 0
    ]
    new += [(m.pod, state.pods_on[state.node_of[m.pod]][m.pod], m.target) for m in moved]
    gone = [*(move.pod for move in moved), *(row for row, _ in evicted)]
    held = [(p, state.pods_on[state.node_of[p]][p], state.node_of[p]) for p in gone]
    devices = [state.devices_of.get(row) for row in gone]
    nominated = dict(state.nominated)
    for pod in pods:  # where it was nominated before is no matter any more
        state.nominated.pop(pod.row, None)
    # without a mark: within a trial some plugins count as upstream's trials do, which is not meant
    for row in gone:
        state.remove_pod(row)
    unreachable = _unreachable(new, state, profile)
    given = _devices(new, state)
    for placed in new:
        state.add_pod(*placed, given.get(placed[0]))
    failing = _failing(new, state, profile)
    for placed in new:
        state.remove_pod(placed[0])
    for before, had in zip(held, devices, strict=True):
        state.add_pod(*before, had)
    state.nominated.update(nominated)
    return [*unreachable, *failing]


def _devices(new: list[Placed], state: ClusterState) -> dict[int, Devices]:
    """Return GPUs for the new pods of each node that can all be served, by row of the pod."""
    asking: dict[int, list[tuple[int, DeviceRequest]]] = {}
    for row, pod_class, node in new:
        if pod_class.devices is not None:
            asking.setdefault(node, []).append((row, pod_class.devices))
    found: dict[int, Devices] = {}
    for node, pods in asking.items():
        free = state.nodes.devices.free[node].tolist()
        devices = assign_devices(free, [request for _, request in pods])
        if devices is not None:
            found.update(zip([row for row, _ in pods], devices, strict=True))
    return found


def _failing(new: list[Placed], state: ClusterState, profile: Profiles) -> list[tuple[int, str]]:
    found = []
    for row, pod_class, node in new:
        devices = state.devices_of.get(row)
        state.remove_pod(row)
        plugin = rejecting(pod_class, node, state, profile)
        if plugin:
            found.append((row, f"pod {row} on {state.nodes.names[node]}: {plugin}"))
        state.add_pod(row, pod_class, node, devices)
    return found


def rejecting(pod_class: PodClass, node: int, state: ClusterState, profiles: Profiles) -> str:
    """Return the name of the plugin that rejects a node for pods of a class; "" = none."""
    profile = profile_of(profiles, pod_class)
    found = evaluate_filters(profile, Cycle(state, pod_class))
    if found.rejection is not None:
        return found.rejection[0]
    if node in found.feasible:
        return ""
    at = found.rows.tolist().index(node)
    by = int(found.rejected_by[at])
    return "a PreFilter" if by < 0 else str(profile.filters[by].name)


def _unreachable(
    new: list[Placed], state: ClusterState, profile: Profiles
) -> list[tuple[int, str]]:
    """Return the pods that never find the partners they need, in whatever order pods come.

    A pod that needs no partner can come at any time. One that does comes as soon as it has them,
    which never takes a partner away from another. Only the first pod of a series has to come before
    all pods that it means: which pods open a series, and in which order, is searched.
    """
    plugin = InterPodAffinity()
    needy = [p for p in new if _needs_partners(p[1], state, profile)]
    patient = [p for p in new if p not in needy]
    left = _remainder(needy, patient, state, plugin)
    words = "no order gives it the partners it needs"
    return [(row, f"pod {row}: {words}") for row, _, _ in left]


def _needs_partners(pod_class: PodClass, state: ClusterState, profile: Profiles) -> bool:
    """Return whether a pod asks for others near it, and its profile listens."""
    filters = profile_of(profile, pod_class).filters
    return any(isinstance(f, InterPodAffinity) for f in filters) and any(
        term.kind is Kind.NEAR for term in state.carried.own(pod_class)
    )


def _remainder(
    needy: list[Placed], patient: list[Placed], state: ClusterState, plugin: InterPodAffinity
) -> list[Placed]:
    """Return what can't be placed of *needy*, over all ways to open series with some of them."""
    best = _closed(needy, patient, state, plugin)
    tried: set[tuple[int, int]] = set()
    for index, (row, pod_class, node) in enumerate(needy):
        if not best or (pod_class.id, node) in tried:
            continue
        tried.add((pod_class.id, node))
        if _has_partners(pod_class, node, state, plugin):
            state.add_pod(row, pod_class, node)
            rest = needy[:index] + needy[index + 1 :]
            best = min(best, _remainder(rest, patient, state, plugin), key=len)
            state.remove_pod(row)
    return best


def _closed(
    needy: list[Placed], patient: list[Placed], state: ClusterState, plugin: InterPodAffinity
) -> list[Placed]:
    """Place all of *patient*, then of *needy* what finds its partners; return what does not."""
    there = list(patient)
    for placed in patient:
        state.add_pod(*placed)
    left, before = list(needy), len(needy) + 1
    while left and len(left) < before:
        before = len(left)
        for placed in list(left):
            if _has_partners(placed[1], placed[2], state, plugin):
                state.add_pod(*placed)
                there.append(placed)
                left.remove(placed)
    for row, _, _ in there:
        state.remove_pod(row)
    return left


def _has_partners(
    pod_class: PodClass, node: int, state: ClusterState, plugin: InterPodAffinity
) -> bool:
    codes = plugin.filter(Cycle(state, pod_class), np.array([node], np.int64))
    return int(codes[0]) != NEAR
