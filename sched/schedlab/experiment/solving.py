"""The best placement of the pending pods of a scenario, with what is proven of it.

Where `decide` takes the pods one after the other, this takes them together. It starts from what
kube-scheduler would do without preemption, and what comes out is never worse. Pods that are held
back by gates, are being deleted, or ask for a scheduler that is not there are left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from schedlab.cluster.state import ClusterState
from schedlab.errors import InputError
from schedlab.experiment.decide import in_order, pod_of
from schedlab.experiment.scenario import Scenario
from schedlab.rng import Draws
from schedlab.scheduling.base import Pod, PodBatch
from schedlab.scheduling.framework.profiles import Profile
from schedlab.scheduling.ilp.builder import build_model
from schedlab.scheduling.ilp.flow import flow_result
from schedlab.scheduling.ilp.greedy import counts_of, make_greedy
from schedlab.scheduling.ilp.model import AssignmentModel, Displacement, Ints
from schedlab.scheduling.ilp.objectives import Spec
from schedlab.scheduling.ilp.partitioned import solve_partitioned
from schedlab.scheduling.ilp.planner import METHODS
from schedlab.scheduling.ilp.result import Limits, SolveResult, Status
from schedlab.scheduling.ilp.solve import solve
from schedlab.scheduling.ilp.validate import offenders
from schedlab.scheduling.view import ClusterView

DEFAULT_OBJECTIVE = "placed,disruption"


@dataclass(frozen=True)
class Solved:
    """What was found.

    Attributes
    ----------
    state : ClusterState
        The cluster, as it was before.
    pods : tuple of Pod
        The pods that were placed or not, in the order in which they were taken.
    result : SolveResult
        The placement.
    left_out : mapping of str to str
        Pending pods that took no part, with the reason.
    """

    state: ClusterState
    pods: tuple[Pod, ...]
    result: SolveResult
    left_out: Mapping[str, str]

    def as_json(self) -> dict[str, Any]:
        """Return it in plain values, with names instead of rows."""
        names, nodes, result = self.state.names, self.state.nodes.names, self.result
        placement: dict[str, str | None] = {
            pod.name: nodes[row] if row >= 0 else None
            for pod, row in zip(self.pods, result.node, strict=True)
        }
        reasons = {
            pod.name: reason
            for pod, reason in zip(self.pods, result.reasons, strict=True)
            if reason
        }
        return {
            "status": result.status.value,
            "objective": result.objective,
            "bound": _finite(result.bound),
            "gap": _finite(result.gap),
            "levels": [
                {
                    "name": level.name,
                    "priority": level.priority,
                    "value": level.value,
                    "bound": _finite(level.bound),
                    "gap": _finite(level.gap),
                    "optimal": level.optimal,
                    "by": level.by,
                }
                for level in result.levels
            ],
            "placed_by_tier": {str(p): n for p, n in result.placed_by_tier.items()},
            "placement": placement | dict.fromkeys(self.left_out),
            "moved": [
                {"pod": names[m.pod], "from": nodes[m.source], "to": nodes[m.target]}
                for m in result.moved
            ],
            "evicted": [{"pod": names[pod], "node": nodes[row]} for pod, row in result.evicted],
            "reasons": reasons | dict(self.left_out),
            "wall_s": result.wall_s,
        }


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def solve_scenario(
    scenario: Scenario,
    profiles: Sequence[Profile],
    limits: Limits,
    *,
    objective: str | Sequence[Spec] = DEFAULT_OBJECTIVE,
    method: str = "auto",
    displace: Displacement | None = None,
    parts: int = 16,
) -> Solved:
    """Solve for the pending pods of a scenario.

    Parameters
    ----------
    scenario : Scenario
        The cluster and its pods; unchanged afterwards.
    profiles : sequence of Profile
        A pod is judged by the filters of the one that its ``schedulerName`` names.
    limits : Limits
        How long it may take.
    objective : str or sequence
        See `schedlab.scheduling.ilp.objectives`.
    method : {"auto", "cp-sat", "highs", "partitioned", "flow"}
        What solves.
    displace : Displacement, optional
        What may be done to running pods; nothing when absent.
    parts : int
        Parts, where the method is partitioned.

    Raises
    ------
    InputError
        There is no such method or objective.
    """
    if method not in METHODS:
        raise InputError("--solver", found=method, expected=f"one of {', '.join(METHODS)}")
    by_name = {profile.scheduler_name: profile for profile in profiles}
    pods, left_out = _taking_part(scenario, by_name, in_order(scenario, profiles))
    state = scenario.state
    start = _greedy(pods, state, by_name)
    model = build_model(pods, state, profile=by_name, displace=displace)
    x = counts_of(model, start)
    result = _solved(model, x, limits, objective, method, parts)
    if model.unmodelled:
        result = _repaired(result, pods, start, state, by_name)
    return Solved(state, tuple(pods), result, left_out)


def _taking_part(
    scenario: Scenario, profiles: Mapping[str, Profile], order: Sequence[int]
) -> tuple[list[Pod], dict[str, str]]:
    pods, left_out = [], {}
    for row in order:
        pod = pod_of(scenario, row)
        wanted = pod.pod_class.spec.scheduler_name
        gates = [gate.name for gate in pod.pod_class.spec.scheduling_gates]
        if wanted not in profiles:
            left_out[pod.name] = f"no profile for schedulerName {wanted}"
        elif gates:
            left_out[pod.name] = f"held back by scheduling gates: {', '.join(gates)}"
        elif scenario.pods[row].metadata.deletion_timestamp is not None:
            left_out[pod.name] = "being deleted"
        else:
            pods.append(pod)
    return pods, left_out


def _greedy(pods: Sequence[Pod], state: ClusterState, profiles: Mapping[str, Profile]) -> list[int]:
    """Return the row of the node that each pod gets when they come one by one, -1 = none."""
    schedulers = {name: make_greedy(profile) for name, profile in profiles.items()}
    view, draws = ClusterView(state), Draws(0)
    found = []
    nominated = dict(state.nominated)
    with view.fork() as trial:
        for pod in pods:
            scheduler = schedulers[pod.pod_class.spec.scheduler_name]
            placement = scheduler.schedule(PodBatch([pod]), view, draws)
            found.append(placement.node[0])
            if placement.node[0] >= 0:
                state.nominated.pop(pod.row, None)
                trial.assume(pod, placement.node[0], placement.devices.get(0))
    state.nominated.update(nominated)
    return found


def _solved(
    model: AssignmentModel,
    x: Ints,
    limits: Limits,
    objective: str | Sequence[Spec],
    method: str,
    parts: int,
) -> SolveResult:
    if method == "flow":
        return flow_result(model, x, limits)
    if method == "partitioned":
        return solve_partitioned(model, limits, parts=parts, objective=objective, start=x)
    return solve(model, limits, objective=objective, solver=method, start=x)  # type: ignore[arg-type]


def _repaired(
    result: SolveResult,
    pods: Sequence[Pod],
    start: Sequence[int],
    state: ClusterState,
    profiles: Mapping[str, Profile],
) -> SolveResult:
    """Leave out pods that filters beyond the model reject beside the others.

    Volumes are such a case: how many of them a node can attach, and which claims exclude others.
    Where that leaves less than the start has, the start is returned.
    """
    node, reasons = list(result.node), list(result.reasons)
    rows = {pod.row: i for i, pod in enumerate(pods)}
    changed = False
    while True:
        wrong = offenders(pods, node, state, result.moved, result.evicted, profiles)
        batch = [(rows[row], text) for row, text in wrong if row in rows]
        if not batch:
            break
        changed = True
        index, text = batch[-1]  # the less important one of those that are in each other's way
        node[index], reasons[index] = -1, f"rejected beside the other pods: {text}"
    if not changed:
        return result
    kept = _by_tier(pods, node) >= _by_tier(pods, start)
    if not kept:
        node = list(start)
        reasons = ["" if row >= 0 else "no room in kube-scheduler's order" for row in start]
    lost = [_by_tier(pods, result.node)[i] - n for i, n in enumerate(_by_tier(pods, node))]
    levels = [
        replace(level, value=level.value - lost[_tier(pods, level.priority)])
        if level.name == "placed" and level.priority is not None
        else level
        for level in result.levels
    ]
    tiers = dict(result.placed_by_tier)
    for pod, before, after in zip(pods, result.node, node, strict=True):
        tiers[pod.pod_class.priority] += (after >= 0) - (before >= 0)
    return replace(
        result,
        status=Status.FEASIBLE,
        node=node,
        reasons=reasons,
        moved=result.moved if kept else [],
        evicted=result.evicted if kept else [],
        levels=levels,
        placed_by_tier=tiers,
    )


def _priorities(pods: Sequence[Pod]) -> list[int]:
    return sorted({pod.pod_class.priority for pod in pods}, reverse=True)


def _tier(pods: Sequence[Pod], priority: int) -> int:
    """Return the lowest of the pods' priorities that is not below one, as an index."""
    above = [p for p in _priorities(pods) if p >= priority]
    return max(len(above) - 1, 0)


def _by_tier(pods: Sequence[Pod], node: Sequence[int]) -> list[int]:
    """Return how many pods of each priority and above are placed, highest first."""
    return [
        sum(row >= 0 and pod.pod_class.priority >= p for pod, row in zip(pods, node, strict=True))
        for p in _priorities(pods)
    ]
