"""The schedulers that solve: windows, fallback, rebalancing, flows and partitions.

Their time is counted in deterministic work by default, so that runs are reproducible; the component
turns the work into simulated time as it does for every scheduler.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from schedlab.errors import InputError
from schedlab.rng import Draws
from schedlab.scheduling.base import Placement, PodBatch, Trigger
from schedlab.scheduling.ilp.model import Displacement
from schedlab.scheduling.ilp.objectives import Spec
from schedlab.scheduling.ilp.planner import Planner
from schedlab.scheduling.kube_scheduler import KubeScheduler
from schedlab.scheduling.view import ClusterView
from schedlab.units import parse_duration_us

TAGS = frozenset({"order_dependent", "stateful"})
KINDS = ("none", "lower", "any")


class Ilp:
    """Collects a window of pods and places them together, as well as can be proven in time.

    Parameters
    ----------
    objective : str or sequence
        Levels, most important first; see `schedlab.scheduling.ilp.objectives`.
    time_limit : duration, default "1s"
        Time of one solve, in deterministic work.
    window : duration, default "1s"
        How long pods are collected.
    max_pods : int, default 1000
        A window ends early with so many.
    displace : {"none", "lower", "any"}, default "none"
        Which running pods may be evicted or moved: none, those below the most important pod that
        waits, or all that a ReplicaSet, StatefulSet or ReplicationController would make anew.
    budget : int, optional
        Most pods displaced in one solve.
    **options
        ``config``, ``method``, ``workers`` and ``deterministic``, see `planner.Planner`.
    """

    tags = TAGS

    def __init__(
        self,
        *,
        objective: str | Sequence[Spec] = "placed",
        time_limit: str | float = "1s",
        window: str | float = "1s",
        max_pods: int = 1000,
        displace: str = "none",
        budget: int | None = None,
        config: Any = None,
        method: str = "auto",
        workers: int = 1,
        deterministic: bool = True,
    ) -> None:
        self.trigger = Trigger(max_pods=max_pods, window_us=parse_duration_us(window))
        self._displace = displacement(displace, budget, owned=True)
        self._planner = Planner(
            config,
            objective=objective,
            time_limit=time_limit,
            method=method,
            workers=workers,
            deterministic=deterministic,
        )

    def schedule(self, pods: PodBatch, view: ClusterView, rng: Draws) -> Placement:
        """Solve for the whole batch."""
        result = self._planner.solve(pods, view.state, rng, displace=self._displace)
        return self._planner.placement(pods, view, result)


class IlpFallback:
    """Places pods as kube-scheduler does, and solves for what is left, with evictions allowed.

    Parameters
    ----------
    objective : str or sequence, default "placed+disruption"
        As Priority Matters: for each priority most pods placed, then least disruption.
    time_limit : duration, default "1s"
        Time of one solve, in deterministic work.
    max_pods : int, default 256
        Pods in one batch.
    displace : {"none", "lower", "any"}, default "any"
        Which running pods may be evicted or moved, see `Ilp`.
    budget : int, optional
        Most pods displaced in one solve.
    config, method, workers, deterministic
        See `planner.Planner`.
    """

    tags = TAGS

    def __init__(
        self,
        *,
        objective: str | Sequence[Spec] = "placed+disruption",
        time_limit: str | float = "1s",
        max_pods: int = 256,
        displace: str = "any",
        budget: int | None = None,
        config: Any = None,
        method: str = "auto",
        workers: int = 1,
        deterministic: bool = True,
    ) -> None:
        self.trigger = Trigger(max_pods=max_pods)
        self._displace = displacement(displace, budget, owned=True)
        self._planner = Planner(
            config,
            objective=objective,
            time_limit=time_limit,
            method=method,
            workers=workers,
            deterministic=deterministic,
        )

    def schedule(self, pods: PodBatch, view: ClusterView, rng: Draws) -> Placement:
        """Place greedily; solve when a pod is left."""
        greedy = self._planner.greedy.schedule(pods, view, rng)
        if all(node >= 0 for node in greedy.node):
            return greedy
        result = self._planner.solve(
            pods, view.state, rng, displace=self._displace, start=greedy.node
        )
        placement = self._planner.placement(pods, view, result)
        placement.feasible = greedy.feasible
        placement.work = [a + b for a, b in zip(placement.work, greedy.work, strict=True)]
        return placement


class IlpRebalance:
    """Places pods as kube-scheduler does, and now and then moves running ones for a tidier cluster.

    Only pods of a ReplicaSet, StatefulSet or ReplicationController are moved, within their
    PodDisruptionBudgets.

    Parameters
    ----------
    objective : str or sequence, default "placed,nodes,evictions"
        What a tidy cluster is; ``placed`` first, so that nobody loses its place.
    period : duration, default "5m"
        Time between two looks at the cluster.
    budget : int, default 10
        Most pods moved at once.
    time_limit : duration, default "10s"
        Time of one solve, in deterministic work.
    config, method, workers, deterministic
        See `planner.Planner`.
    """

    tags = TAGS

    def __init__(
        self,
        *,
        objective: str | Sequence[Spec] = "placed,nodes,evictions",
        period: str | float = "5m",
        budget: int = 10,
        time_limit: str | float = "10s",
        config: Any = None,
        method: str = "auto",
        workers: int = 1,
        deterministic: bool = True,
    ) -> None:
        self._period_us = parse_duration_us(period)
        if self._period_us == 0:
            raise InputError("period", found=period, expected="a duration > 0")
        self.trigger = Trigger(period_us=self._period_us)
        self._displace = Displacement("any", budget=budget, owned=True)
        self._planner = Planner(
            config,
            objective=objective,
            time_limit=time_limit,
            method=method,
            workers=workers,
            deterministic=deterministic,
        )
        self._greedy = KubeScheduler(self._planner.profile)
        self._looks = 0

    def schedule(self, pods: PodBatch, view: ClusterView, rng: Draws) -> Placement:
        """Place what waits; where the time has come, look at what runs."""
        placement = self._greedy.schedule(pods, view, rng)
        looks = view.now_us // self._period_us
        if looks > self._looks:
            self._looks = looks
            with view.fork() as trial:
                for pod, node in zip(pods, placement.node, strict=True):
                    if node >= 0:
                        trial.assume(pod, node)
                result = self._planner.solve([], view.state, rng, displace=self._displace)
            rebalanced = self._planner.placement(PodBatch([]), view, result)
            new = {pod.row for pod in pods}
            placement.moves += [move for move in rebalanced.moves if move.pod not in new]
            placement.solution = rebalanced.solution
        return placement


class Flow:
    """Places windows of pods by min-cost flows, as Quincy and Firmament do.

    Pods with affinity, spreading, host ports or GPU shares are placed as kube-scheduler would.

    Parameters
    ----------
    window : duration, default "1s"
        How long pods are collected.
    max_pods : int, default 10000
        A window ends early with so many.
    config : optional
        See `planner.Planner`.
    """

    tags = TAGS

    def __init__(
        self, *, window: str | float = "1s", max_pods: int = 10_000, config: Any = None
    ) -> None:
        self.trigger = Trigger(max_pods=max_pods, window_us=parse_duration_us(window))
        self._planner = Planner(config, method="flow", time_limit="60s")

    def schedule(self, pods: PodBatch, view: ClusterView, rng: Draws) -> Placement:
        """Let the batch flow."""
        result = self._planner.solve(pods, view.state, rng)
        return self._planner.placement(pods, view, result)


class IlpPartitioned:
    """Solves large clusters in random parts, as POP does.

    Parameters
    ----------
    parts : int, default 16
        Number of parts.
    objective : str or sequence, default "placed"
        What each part optimises.
    time_limit : duration, default "10s"
        Time of one solve, in deterministic work.
    window : duration, default "1s"
        How long pods are collected.
    max_pods : int, default 100000
        A window ends early with so many.
    config, workers, deterministic
        See `planner.Planner`.
    """

    tags = TAGS

    def __init__(
        self,
        *,
        parts: int = 16,
        objective: str | Sequence[Spec] = "placed",
        time_limit: str | float = "10s",
        window: str | float = "1s",
        max_pods: int = 100_000,
        config: Any = None,
        workers: int = 1,
        deterministic: bool = True,
    ) -> None:
        self.trigger = Trigger(max_pods=max_pods, window_us=parse_duration_us(window))
        self._planner = Planner(
            config,
            objective=objective,
            time_limit=time_limit,
            method="partitioned",
            parts=parts,
            workers=workers,
            deterministic=deterministic,
        )

    def schedule(self, pods: PodBatch, view: ClusterView, rng: Draws) -> Placement:
        """Solve the parts."""
        result = self._planner.solve(pods, view.state, rng)
        return self._planner.placement(pods, view, result)


def displacement(kind: str, budget: int | None, *, owned: bool = False) -> Displacement:
    """Return what may be done to running pods, from a scheduler's options.

    *owned*: of pods that are as important, only those that a controller would make anew.
    """
    if kind not in KINDS:
        raise InputError("displace", found=kind, expected=f"one of {', '.join(KINDS)}")
    if budget is not None and budget < 0:
        raise InputError("budget", found=budget, expected="a number of pods >= 0")
    return Displacement(kind, budget=budget, owned=owned and kind == "any")
