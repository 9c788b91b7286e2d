"""Greedy scheduling: pods one at a time, each on the cluster that the one before left behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from schedlab.cluster.devices import Devices
from schedlab.scheduling.base import Eviction, Placement, Pod, PodBatch, Verdict
from schedlab.scheduling.view import ClusterView


class Decision(NamedTuple):
    """What a greedy policy says of one pod."""

    row: int
    """Row of the chosen node, or -1."""
    feasible: int
    """Nodes found feasible."""
    work: int
    """Nodes looked at."""
    reason: str
    """Why no node will do; empty otherwise."""
    devices: Devices | None = None
    """GPUs of the node; None = those that the pod best fits, if it asks for any."""
    nominated: int = -1
    """Row of the node that evictions make room on, or -1."""
    evictions: tuple[Eviction, ...] = ()
    """Running pods to evict."""
    rejected_by: frozenset[str] | None = None
    """Plugins that rejected the pod; None = not said."""
    withdrawn: bool = False
    """The pod was nominated for a node before, and is no longer."""


def schedule_greedily(
    pods: PodBatch,
    view: ClusterView,
    decide: Callable[[Pod], Decision],
    reserve: Callable[[Pod, int], object] | None = None,
) -> Placement:
    """Return the placement that *decide* makes of *pods*, each assumed before the next.

    *reserve* is called after a pod was assumed on a node and changes whatever else follows from it
    in the view's state, which is rolled back in the end with all the rest.
    """
    placement = Placement.of(pods)
    if len(pods) == 1:  # nothing comes after it: no overlay is needed
        _note(placement, 0, decide(pods[0]))
        return placement
    nominated = view.state.nominated
    before = dict(nominated)
    with view.fork() as trial:
        for i, pod in enumerate(pods):
            decision = decide(pod)
            _note(placement, i, decision)
            if decision.row >= 0:
                nominated.pop(pod.row, None)  # it has its node, and needs no room kept any more
                trial.assume(pod, decision.row, decision.devices)
                if reserve is not None:
                    reserve(pod, decision.row)
    if len(nominated) < len(before):
        nominated.clear()
        nominated.update(before)
    return placement


def _note(placement: Placement, index: int, decision: Decision) -> None:
    placement.feasible[index] = decision.feasible
    placement.work[index] = decision.work
    if decision.row >= 0:
        placement.verdict[index] = Verdict.PLACED
        placement.node[index] = decision.row
        if decision.devices is not None:
            placement.devices[index] = decision.devices
    else:
        placement.reason[index] = decision.reason
        placement.evictions += decision.evictions
        if decision.rejected_by is not None:
            placement.rejected_by[index] = decision.rejected_by
        if decision.nominated >= 0:
            placement.nominations[index] = decision.nominated
        elif decision.withdrawn:
            placement.withdrawn.add(index)
