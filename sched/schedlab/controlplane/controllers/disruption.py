"""The disruption controller: how many more pods of a PodDisruptionBudget may be disrupted.

::

    expectedPods       = pods that should be there: the replicas of their controllers, or the pods
                         themselves where minAvailable is a number
    desiredHealthy     = minAvailable, or expectedPods - maxUnavailable (percentages round up)
    currentHealthy     = selected pods that are ready and not being deleted
    disruptionsAllowed = currentHealthy - desiredHealthy, at least 0; 0 while expectedPods is 0

As upstream has it, pods of a Job make a budget that needs their number fail, as a Job has no scale:
nothing may be disrupted then. Preemption asks for budgets but may violate them; nothing here stops
it, and `disruptedPods`, which only the eviction API fills, stays empty.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from schedlab.api.objects import (
    Deployment,
    PodDisruptionBudget,
    PodDisruptionBudgetStatus,
    ReplicaSet,
)
from schedlab.api.selectors import label_selector_matches
from schedlab.cluster.classes import PodClass
from schedlab.cluster.pods import PodTable
from schedlab.controlplane.apiserver import ApiServer
from schedlab.controlplane.config import ControlPlaneConfig
from schedlab.controlplane.controllers.base import WorkQueue
from schedlab.controlplane.etcd import Op, Stored
from schedlab.rng import Draws
from schedlab.sim.distributions import parse_distribution
from schedlab.sim.event_calendar import Calendar

GONE, NEW, READY, GOING, ENDED = range(5)
"""What the controller knows of a pod."""


class Counted(NamedTuple):
    """What a budget's pods add up to."""

    expected: int
    """Pods that should be there; -1 = that can't be told."""
    healthy: int
    """Pods that are ready and stay."""


def disruption_status(budget: PodDisruptionBudget, counted: Counted) -> PodDisruptionBudgetStatus:
    """Return the status of a budget.

    Parameters
    ----------
    budget : PodDisruptionBudget
        The budget as it is now.
    counted : Counted
        Its pods.
    """
    old, spec = budget.status, budget.spec
    if counted.expected < 0:  # upstream fails safe, and leaves the rest as it was
        return old.model_copy(update={"disruptions_allowed": 0})
    expected, desired = counted.expected, old.desired_healthy
    if spec.max_unavailable is not None:
        desired = max(0, expected - scaled(spec.max_unavailable, expected))
    elif spec.min_available is not None:
        desired = scaled(spec.min_available, expected)
    else:
        desired = 0
    allowed = counted.healthy - desired if expected > 0 else 0
    return old.model_copy(
        update={
            "disruptions_allowed": max(0, allowed),
            "current_healthy": counted.healthy,
            "desired_healthy": desired,
            "expected_pods": expected,
        }
    )


def scaled(value: int | str, total: int) -> int:
    """Return a number, or a percentage of *total* rounded up.

    >>> scaled(3, 10), scaled("25%", 10)
    (3, 3)
    """
    if isinstance(value, int):
        return value
    return -(-int(value.removesuffix("%")) * total // 100)


def needs_scale(budget: PodDisruptionBudget) -> bool:
    """Return whether a budget is about the number of pods that there should be."""
    return budget.spec.max_unavailable is not None or isinstance(budget.spec.min_available, str)


@dataclass(slots=True)
class _Budget:
    stored: Stored
    pods: int = 0
    healthy: int = 0
    owners: Counter[int] = field(default_factory=Counter)
    reporting: bool = False

    @property
    def budget(self) -> PodDisruptionBudget:
        found = self.stored.object
        if not isinstance(found, PodDisruptionBudget):
            raise TypeError(f"a {found.kind} is no PodDisruptionBudget")
        return found

    def covers(self, pod: PodClass) -> bool:
        """Return whether pods of a class are meant; an empty selector means all."""
        namespace = self.budget.metadata.namespace or "default"
        selector = self.budget.spec.selector
        return pod.namespace == namespace and label_selector_matches(selector, pod.labels)

    def count(self, owner: int, before: int, after: int) -> None:
        """Count a pod of an owner that was one thing and is another now."""
        self.healthy += (after == READY) - (before == READY)
        change = (after != GONE) - (before != GONE)
        self.pods += change
        self.owners[owner] += change


class DisruptionController:
    """Keeps the status of every PodDisruptionBudget."""

    def __init__(
        self,
        *,
        calendar: Calendar,
        api: ApiServer,
        pods: PodTable,
        config: ControlPlaneConfig,
        draws: Draws,
    ) -> None:
        self._api = api
        self._pods = pods
        self._budgets: dict[str, _Budget] = {}
        self._state: dict[int, int] = {}
        self._covering: dict[int, tuple[str, ...]] = {}
        self._scales: dict[tuple[str, str], int] = {}
        self._parents: dict[str, tuple[str, str]] = {}
        self._work = WorkQueue(
            "disruption controller",
            calendar=calendar,
            config=config.controllers,
            draws=draws,
            reconcile=self._reconcile,
        )
        watch = api.watch("disruption controller", parse_distribution(config.watch.controllers))
        api.watch_objects(watch, "PodDisruptionBudget", self._on_budget)
        for kind in ("Deployment", "ReplicaSet"):
            api.watch_objects(watch, kind, self._on_controller)
        for op in (Op.CREATE, Op.STATUS, Op.FINISH, Op.TERMINATE, Op.DELETE):
            api.watch_pods(watch, op, partial(self._on_pod, op))
        for stored in api.etcd.of_kind("PodDisruptionBudget"):
            self._on_budget(stored)

    # --- what the informers deliver -----------------------------------------------------------

    def _on_budget(self, stored: Stored) -> None:
        key = stored.object.key
        known = self._budgets.get(key)
        if stored.deleted:
            self._budgets.pop(key, None)
            self._covering.clear()
        elif known is None:
            own = self._budgets[key] = _Budget(stored)
            self._covering.clear()
            for pod, state in self._state.items():
                if own.covers(self._pods.class_of(pod)):
                    own.count(self._pods.owner[pod], GONE, state)
            self._work.add(key)
        elif stored.revision > known.stored.revision:
            known.stored = stored
            self._work.add(key)

    def _on_controller(self, stored: Stored) -> None:
        found = stored.object
        identity = (found.kind, found.key)
        if isinstance(found, Deployment | ReplicaSet):
            replicas = 1 if found.spec.replicas is None else found.spec.replicas
            before = None if stored.deleted else self._scales.get(identity)
            if stored.deleted:
                self._scales.pop(identity, None)
            else:
                self._scales[identity] = replicas
            if isinstance(found, ReplicaSet) and stored.owner is not None:
                self._parents[found.key] = stored.owner
            for key, own in self._budgets.items():
                if before != replicas and needs_scale(own.budget):
                    self._work.add(key)

    def _on_pod(self, op: Op, pod: int, _: int) -> None:
        before = self._state.get(pod, GONE)
        if op == Op.DELETE:
            after = GONE
            self._state.pop(pod, None)
        elif op == Op.CREATE:
            after = self._state[pod] = NEW
        elif before == GONE:
            return
        else:
            after = self._state[pod] = max(before, _AFTER[op])
        for key in self._covered_by(pod):
            self._budgets[key].count(self._pods.owner[pod], before, after)
            self._work.add(key)

    def _covered_by(self, pod: int) -> tuple[str, ...]:
        """Return the budgets that mean a pod."""
        class_id = self._pods.pod_class[pod]
        found = self._covering.get(class_id)
        if found is None:
            pod_class = self._pods.classes[class_id]
            keys = (key for key, own in self._budgets.items() if own.covers(pod_class))
            found = self._covering[class_id] = tuple(keys)
        return found

    # --- reconciliation -----------------------------------------------------------------------

    def _reconcile(self, key: str) -> None:
        own = self._budgets.get(key)
        if own is None or own.reporting:
            return
        budget = own.budget
        expected = self._scale(own) if needs_scale(budget) else own.pods
        status = disruption_status(budget, Counted(expected, own.healthy))
        if status == budget.status:
            return
        own.reporting = True

        def answered(stored: Stored | None) -> None:
            own.reporting = False
            if stored is not None:  # else somebody else wrote it: the watch will tell
                own.stored = stored
            self._work.add(key)

        changed = budget.model_copy(update={"status": status})
        self._api.update(changed, own.stored.revision, self._work.send_at(), answered)

    def _scale(self, own: _Budget) -> int:
        """Return how many pods the controllers of a budget's pods want; -1 where one doesn't say.

        Pods without a controller don't count.
        """
        namespace = own.budget.metadata.namespace or "default"
        wanted: dict[tuple[str, str], int] = {}
        for owner, count in own.owners.items():
            if owner < 0 or not count:
                continue
            kind, _, name = self._pods.owners[owner].partition("/")
            identity = (kind, f"{namespace}/{name}")
            if kind == "ReplicaSet":
                identity = self._parents.get(identity[1], identity)
            if identity not in self._scales:
                return -1
            wanted[identity] = self._scales[identity]
        return sum(wanted.values())


_AFTER = {Op.STATUS: READY, Op.TERMINATE: GOING, Op.FINISH: ENDED}
