"""What the solving schedulers share: from a batch and a view to a placement, by way of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from schedlab.cluster.devices import Devices
from schedlab.cluster.state import ClusterState
from schedlab.errors import InputError
from schedlab.rng import Draws
from schedlab.scheduling.base import Eviction, Move, Placement, Pod, PodBatch, Solution
from schedlab.scheduling.framework.profiles import Profile, read_profiles
from schedlab.scheduling.ilp.builder import build_model
from schedlab.scheduling.ilp.devices import assign_devices
from schedlab.scheduling.ilp.flow import flow_result
from schedlab.scheduling.ilp.greedy import counts_of, greedy_nodes, make_greedy
from schedlab.scheduling.ilp.model import Displacement
from schedlab.scheduling.ilp.objectives import Spec, read_objective
from schedlab.scheduling.ilp.partitioned import solve_partitioned
from schedlab.scheduling.ilp.result import Limits, SolveResult
from schedlab.scheduling.ilp.solve import SOLVERS, Solver, solve
from schedlab.scheduling.ilp.validate import rejecting
from schedlab.scheduling.view import ClusterView
from schedlab.units import parse_duration_us

METHODS: tuple[str, ...] = (*SOLVERS, "partitioned", "flow")
KEPT_US = 60_000_000
"""How long the room for a moved pod is kept."""


class Planner:
    """Solves batches.

    Parameters
    ----------
    config : str, Path, mapping or Profile, optional
        A KubeSchedulerConfiguration (v1), whose first profile's filters decide where pods may go.
    objective : str or sequence
        See `schedlab.scheduling.ilp.objectives`.
    time_limit : duration
        Time of one solve: of deterministic work, unless *deterministic* is off.
    method : {"auto", "cp-sat", "highs", "partitioned", "flow"}
        What solves.
    parts : int
        Parts, where the method is partitioned.
    workers : int
        Threads; 0 = one per processor.
    deterministic : bool
        Count work instead of wall time, so that runs are reproducible.
    """

    def __init__(
        self,
        config: str | Path | Mapping[str, Any] | Profile | None = None,
        *,
        objective: str | Sequence[Spec] = "placed",
        time_limit: str | float = "1s",
        method: str = "auto",
        parts: int = 16,
        workers: int = 1,
        deterministic: bool = True,
    ) -> None:
        if method not in METHODS:
            raise InputError("method", found=method, expected=f"one of {', '.join(METHODS)}")
        if parts < 1:
            raise InputError("parts", found=parts, expected="an integer >= 1")
        read_objective(objective, 1)  # a wrong name is an error now, not in the middle of a run
        if isinstance(config, Profile):
            self.profile = config
        else:
            self.profile = Profile.default() if config is None else read_profiles(config)[0]
        self.objective = objective
        self.limits = Limits(
            parse_duration_us(time_limit) / 1e6, workers=workers, deterministic=deterministic
        )
        self.method = method
        self.parts = parts
        self.greedy = make_greedy(self.profile)

    def solve(
        self,
        pods: Sequence[Pod],
        state: ClusterState,
        draws: Draws,
        *,
        displace: Displacement | None = None,
        start: Sequence[int] | None = None,
    ) -> SolveResult:
        """Solve the problem of placing *pods*.

        Parameters
        ----------
        pods : sequence of Pod
            The batch.
        state : ClusterState
            The cluster; unchanged afterwards.
        draws : Draws
            For the greedy start.
        displace : Displacement, optional
            What may be done to running pods.
        start : sequence of int, optional
            Row of the node of each pod in a placement to start from; kube-scheduler's when absent.
        """
        model = build_model(pods, state, profile=self.profile, displace=displace)
        if start is None:
            start = greedy_nodes(pods, state, self.greedy, draws) if pods else []
        x = counts_of(model, start)
        if self.method == "flow":
            return flow_result(model, x, self.limits)
        if self.method == "partitioned":
            return solve_partitioned(
                model, self.limits, parts=self.parts, objective=self.objective, start=x
            )
        solver = cast("Solver", self.method)
        return solve(model, self.limits, objective=self.objective, solver=solver, start=x)

    def placement(self, pods: PodBatch, view: ClusterView, result: SolveResult) -> Placement:
        """Return what a result means for the scheduler component.

        A pod whose node is still taken by pods that have to leave is nominated for it, and placed
        when it is asked about again.
        """
        placement = Placement.of(pods)
        placement.solution = Solution(
            result.status.value, result.objective, result.bound, result.gap
        )
        if pods:
            placement.work = [result.work // len(pods)] * len(pods)
        for row, _ in result.evicted:
            placement.evictions.append(Eviction(row, "evicted to place more important pods"))
        expires_us = view.now_us + KEPT_US
        for move in result.moved:
            words = "moved to place pods that fit nowhere" if pods else "moved to rebalance"
            placement.moves.append(Move(move.pod, move.target, words, expires_us))
        crowded = bool(result.evicted or result.moved)
        devices = {} if crowded else devices_of(pods, view.state, result.node)
        nominated = view.state.nominated
        before = dict(nominated)
        for pod in pods:  # where it was to go before is no matter any more
            nominated.pop(pod.row, None)
        with view.fork() as trial:
            for i, (pod, node) in enumerate(zip(pods, result.node, strict=True)):
                if node < 0:
                    placement.reason[i] = result.reasons[i]
                elif crowded and rejecting(pod.pod_class, node, view.state, self.profile):
                    placement.reason[i] = "its node is being cleared for it"
                    placement.nominations[i] = node
                else:
                    placement.place(i, node, devices.get(i))
                    trial.assume(pod, node, devices.get(i))
        nominated.clear()
        nominated.update(before)
        return placement


def devices_of(pods: Sequence[Pod], state: ClusterState, node: Sequence[int]) -> dict[int, Devices]:
    """Return GPUs for the pods of a batch that ask for some, by number in the batch."""
    asking: dict[int, list[int]] = {}
    for i, (pod, row) in enumerate(zip(pods, node, strict=True)):
        if row >= 0 and pod.pod_class.devices is not None:
            asking.setdefault(row, []).append(i)
    found: dict[int, Devices] = {}
    for row, batch in asking.items():
        free = state.nodes.devices.free[row].tolist()
        wanted = [pods[i].pod_class.devices for i in batch]
        devices = assign_devices(free, [w for w in wanted if w is not None])
        if devices is not None:
            found.update(zip(batch, devices, strict=True))
    return found
