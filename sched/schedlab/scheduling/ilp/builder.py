"""From a cluster and a batch of pods to an `AssignmentModel`.

Running pods that may be displaced are taken off the cluster for a moment, so that the plugins'
own filters say what each node could take of each class; what depends on the other pods of the
problem becomes a coupling. The view is as it was afterwards.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from schedlab.cluster.classes import PodClass
from schedlab.cluster.devices import Devices
from schedlab.cluster.state import ClusterState
from schedlab.cluster.vocabulary import CPU
from schedlab.errors import InputError
from schedlab.scheduling.base import Pod
from schedlab.scheduling.framework.interface import SKIP, Cycle, fit_error, prepared
from schedlab.scheduling.framework.profiles import Profile
from schedlab.scheduling.ilp.coupled import couplings_of
from schedlab.scheduling.ilp.model import (
    AssignmentModel,
    Bools,
    Displacement,
    Group,
    Ints,
    Profiles,
    profile_of,
    tiers_of,
)
from schedlab.scheduling.plugins.node_resources_fit import NodeResourcesFit

COST = "schedlab.io/cost"
"""Label of a node: what it costs while it is in use, an integer in any unit."""
POD_GROUP = "pod-group.scheduling.sigs.k8s.io"
"""Label that names the gang of a pod, as the coscheduling plugin reads it."""
COUPLED = frozenset(
    {"NodeResourcesFit", "NodePorts", "PodTopologySpread", "InterPodAffinity", "GpuShare"}
)
"""Filters that the model expresses itself; all others become masks."""
STATIC = frozenset(
    {"NodeUnschedulable", "NodeName", "TaintToleration", "NodeAffinity", "DynamicResources"}
)
"""Filters whose answer depends on the node and the class alone: as masks they are exact."""
VOLUMES = frozenset({"VolumeRestrictions", "NodeVolumeLimits", "VolumeBinding", "VolumeZone"})
"""Filters that only look at pods with volumes."""


_Key = tuple[int, str, int, Devices]
"""What tells groups apart: class, gang, and the node on which its pods hold which GPUs."""


@dataclass(eq=False)
class _Gathered:
    """Pods of one group, while they are being collected."""

    pod_class: PodClass
    gang: str = ""
    held: Devices = ()
    pending: list[int] = field(default_factory=list)
    running: dict[int, list[int]] = field(default_factory=dict)


def build_model(
    pods: Sequence[Pod],
    state: ClusterState,
    *,
    profile: Profiles | None = None,
    displace: Displacement | None = None,
) -> AssignmentModel:
    """Return the problem of placing *pods* on a cluster.

    Parameters
    ----------
    pods : sequence of Pod
        The pods that wait, in queue order.
    state : ClusterState
        The cluster; it is changed for a moment and restored.
    profile : Profile, optional
        Whose filters decide; the default profile when absent.
    displace : Displacement, optional
        Which running pods may be moved or evicted; none when absent.
    """
    profile = profile or Profile.default()
    displace = displace or Displacement()
    nodes = state.nodes
    nodes.reserve_resources()
    rows = np.flatnonzero(nodes.present[: nodes.size]).astype(np.int64)
    column = {row: n for n, row in enumerate(rows.tolist())}
    movable = _movable(pods, state, displace)
    gathered = _gather(pods, state, movable, column)
    with _without(state, [pod for pod, _, _ in movable], {pod.row for pod in pods}):
        groups, mask = _masked(gathered, state, profile, rows)
        wanted = _resources(groups, profile, state)
        keys = sorted({row for request in wanted for row, _ in request})
        requests = np.zeros((len(keys), len(groups)), np.int64)
        for g, request in enumerate(wanted):
            for row, amount in request:
                requests[keys.index(row), g] = amount
        chosen = np.ix_(np.array(keys, np.int64), rows)
        allocatable = nodes.allocatable[chosen].copy()
        free = allocatable - nodes.requested[chosen]
        fixed = np.array([len(_on(state, row)) for row in rows.tolist()], np.int64)
        running = _running(groups, len(rows))
        free = np.maximum(free, 0)
        couplings, mask, most = couplings_of(groups, mask, state, profile, rows)
    upper = np.minimum(_fitting(requests, free), most)
    demand = np.array([group.size for group in groups], np.int64)
    upper = np.where(mask, np.minimum(upper, demand[:, None]), 0)
    priorities, tier = tiers_of(groups)
    return AssignmentModel(
        rows=rows,
        names=[nodes.names[row] for row in rows.tolist()],
        groups=groups,
        resources=[nodes.resources[row] for row in keys],
        requests=requests,
        free=free,
        allocatable=allocatable,
        fixed=fixed,
        costs=_costs(state, rows),
        mask=mask & (upper > 0),
        upper=upper,
        running=running,
        priorities=priorities,
        tier=tier,
        couplings=couplings,
        displace=displace,
        pods=len(pods),
        unmodelled=tuple(sorted(_unmodelled(groups, profile))),
    )


def _movable(
    pods: Sequence[Pod], state: ClusterState, displace: Displacement
) -> list[tuple[int, PodClass, int]]:
    """Return (row, class, node) of the running pods that may be displaced."""
    if displace.kind == "none":
        return []
    highest = max((pod.pod_class.priority for pod in pods), default=0)
    return [
        (pod, pod_class, row)
        for row, on in enumerate(state.pods_on)
        for pod, pod_class in on.items()
        if pod not in state.leaving
        and state.nodes.present[row]
        and (displace.kind == "any" or pod_class.priority < highest)
        and (not displace.owned or pod_class.owner != ("", ""))
    ]


def _gather(
    pods: Sequence[Pod],
    state: ClusterState,
    movable: list[tuple[int, PodClass, int]],
    column: dict[int, int],
) -> list[_Gathered]:
    found: dict[_Key, _Gathered] = {}
    for index, pod in enumerate(pods):
        gang = _gang(pod.pod_class)
        waits: _Key = (pod.pod_class.id, gang, -1, ())
        found.setdefault(waits, _Gathered(pod.pod_class, gang)).pending.append(index)
    for row, pod_class, node in movable:
        held = state.devices_of.get(row, ())
        runs: _Key = (pod_class.id, "", column[node] if held else -1, held)
        group = found.setdefault(runs, _Gathered(pod_class, held=held))
        group.running.setdefault(column[node], []).append(row)
    order = sorted(found.values(), key=lambda g: (-g.pod_class.priority, g.pod_class.id, g.gang))
    for group in order:
        for rows in group.running.values():
            rows.sort()
    return order


def _gang(pod_class: PodClass) -> str:
    reference = pod_class.spec.workload_ref
    if reference is not None:
        parts = (reference.name, reference.pod_group, reference.pod_group_replica_key)
        return f"{pod_class.namespace}/{'/'.join(parts)}"
    name = pod_class.labels.get(POD_GROUP, "")
    return f"{pod_class.namespace}/{name}" if name else ""


@contextmanager
def _without(state: ClusterState, pods: list[int], batch: set[int]) -> Iterator[None]:
    """Take *pods* off the cluster; put nominated pods that are not in the batch on their nodes."""
    mark = state.mark()
    try:
        for pod in reversed(pods):  # put back in reverse, they stand in their order again
            state.remove_pod(pod)
        for pod, (node, pod_class) in state.nominated.items():
            if pod not in batch and pod not in state.node_of:
                state.add_pod(pod, pod_class, node)
        yield
    finally:
        state.undo(mark)


def _on(state: ClusterState, row: int) -> dict[int, PodClass]:
    return state.pods_on[row] if row < len(state.pods_on) else {}


def _unmodelled(groups: Sequence[Group], profile: Profiles) -> set[str]:
    """Return the filters whose answers may depend on the other pods of the problem in vain."""
    found = set()
    for group in groups:
        for plugin in profile_of(profile, group.pod_class).filters:
            known = plugin.name in COUPLED | STATIC
            if not known and (group.pod_class.spec.volumes or plugin.name not in VOLUMES):
                found.add(plugin.name)
    return found


def _masked(
    gathered: list[_Gathered], state: ClusterState, profile: Profiles, rows: Ints
) -> tuple[list[Group], Bools]:
    """Ask the filters that the model does not express itself, once per class."""
    mask = np.ones((len(gathered), len(rows)), np.bool_)
    known: dict[int, Bools] = {}
    groups = []
    for g, group in enumerate(gathered):
        pod_class = group.pod_class
        if pod_class.id not in known:
            known[pod_class.id] = _mask(pod_class, state, profile_of(profile, pod_class), rows)
        mask[g] = known[pod_class.id]
        groups.append(
            Group(
                pod_class,
                tuple(group.pending),
                {n: tuple(found) for n, found in group.running.items()},
                group.gang,
                _Why(pod_class, state, profile_of(profile, pod_class)),
                group.held,
            )
        )
    return groups, mask


def _mask(pod_class: PodClass, state: ClusterState, profile: Profile, rows: Ints) -> Bools:
    cycle = Cycle(state, pod_class)
    open_ = np.ones(len(rows), np.bool_)
    skipped = set()
    for plugin in profile.plugins("pre_filter"):
        if plugin.name in COUPLED:
            continue
        answer = prepared(plugin, cycle)
        if answer is SKIP or answer.skip:
            skipped.add(plugin.name)
        if answer.rejection is not None:
            return np.zeros(len(rows), np.bool_)
        if answer.nodes is not None:
            names = state.nodes.names
            open_ &= np.array([names[row] in answer.nodes for row in rows.tolist()], np.bool_)
    for plugin in profile.filters:
        if plugin.name not in COUPLED and plugin.name not in skipped and open_.any():
            open_ &= plugin.filter(cycle, rows) == 0
    return open_


class _Why:
    """Says why a class fits nowhere on the cluster as it is, in kube-scheduler's words."""

    def __init__(self, pod_class: PodClass, state: ClusterState, profile: Profile) -> None:
        self._pod_class, self._state, self._profile = pod_class, state, profile

    def __call__(self) -> str:
        from schedlab.scheduling.framework.evaluation import PREFILTER, evaluate_filters

        cycle = Cycle(self._state, self._pod_class)
        found = evaluate_filters(self._profile, cycle)
        size = len(self._state.nodes.row_of)
        if found.rejection is not None:
            return fit_error(size, Counter(found.rejection[1].reasons))
        counts: Counter[str] = Counter()
        for row, by, code in zip(found.rows, found.rejected_by, found.codes, strict=True):
            if by == PREFILTER:
                counts["node(s) didn't satisfy the pod's required nodes"] += 1
            elif by >= 0:
                counts.update(self._profile.filters[by].reasons(cycle, int(row), int(code)))
        return fit_error(size, counts)


def _resources(
    groups: list[Group], profile: Profiles, state: ClusterState
) -> list[tuple[tuple[int, int], ...]]:
    """Return what each group asks for, as far as its profile looks at it."""
    wanted = []
    for group in groups:
        filters = profile_of(profile, group.pod_class).filters
        fit = next((f for f in filters if isinstance(f, NodeResourcesFit)), NodeResourcesFit())
        wanted.append(fit.wanted(group.pod_class, state.nodes))
    return wanted


def _costs(state: ClusterState, rows: Ints) -> Ints:
    """Return what each node costs: its label `COST`, else its milli-cores, int64 [N]."""
    costs: Ints = state.nodes.allocatable[CPU, rows].copy()
    for n, row in enumerate(rows.tolist()):
        text = state.nodes.labels(row).get(COST)
        if text is None:
            continue
        if not text.isdecimal():
            name = state.nodes.names[row]
            raise InputError(f"Node/{name}: labels[{COST!r}]", found=text, expected="an integer")
        costs[n] = int(text)
    return costs


def _running(groups: list[Group], nodes: int) -> Ints:
    running = np.zeros((len(groups), nodes), np.int64)
    for g, group in enumerate(groups):
        for n, pods in group.running.items():
            running[g, n] = len(pods)
    return running


def _fitting(requests: Ints, free: Ints) -> Ints:
    """Return how many pods of each group fit each node were they alone, int64 [G, N]."""
    most = np.full((requests.shape[1], free.shape[1]), np.iinfo(np.int64).max, np.int64)
    for resource in range(len(requests)):
        for g in np.flatnonzero(requests[resource]).tolist():
            np.minimum(most[g], free[resource] // requests[resource, g], out=most[g])
    return most
