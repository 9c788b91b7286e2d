"""The ReplicaSet controller: as many pods as the spec says, one logical replica each.

It knows its pods from its own informer alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from schedlab.api.objects import ReplicaSet, ReplicaSetStatus
from schedlab.cluster.pods import PodTable
from schedlab.controlplane.apiserver import ApiServer
from schedlab.controlplane.config import ControlPlaneConfig
from schedlab.controlplane.controllers.base import Replicas, WorkQueue, owner_key
from schedlab.controlplane.etcd import Op, Stored
from schedlab.controlplane.pod_factory import PodFactory
from schedlab.rng import Draws
from schedlab.sim.distributions import parse_distribution
from schedlab.sim.event_calendar import Calendar


@dataclass(slots=True)
class _Set:
    stored: Stored
    replicas: Replicas = field(default_factory=Replicas)
    ready: set[int] = field(default_factory=set)
    reported: tuple[int, int] = (0, 0)
    reporting: bool = False


class ReplicaSetController:
    """Keeps every ReplicaSet at its number of pods."""

    def __init__(
        self,
        *,
        calendar: Calendar,
        api: ApiServer,
        pods: PodTable,
        factory: PodFactory,
        config: ControlPlaneConfig,
        draws: Draws,
    ) -> None:
        self._api = api
        self._pods = pods
        self._factory = factory
        self._sets: dict[str, _Set] = {}
        self._work = WorkQueue(
            "replicaset controller",
            calendar=calendar,
            config=config.controllers,
            draws=draws,
            reconcile=self._reconcile,
        )
        watch = api.watch("replicaset controller", parse_distribution(config.watch.controllers))
        api.watch_objects(watch, "ReplicaSet", self._on_set)
        api.watch_pods(watch, Op.CREATE, self._on_created, "ReplicaSet")
        api.watch_pods(watch, Op.STATUS, self._on_running, "ReplicaSet")
        api.watch_pods(watch, Op.FINISH, self._on_gone, "ReplicaSet")
        api.watch_pods(watch, Op.TERMINATE, self._on_gone, "ReplicaSet")
        api.watch_pods(watch, Op.DELETE, self._on_gone, "ReplicaSet")

    def _on_set(self, stored: Stored) -> None:
        key = stored.object.key
        if stored.deleted:
            self._sets.pop(key, None)
            return
        known = self._sets.get(key)
        if known is None:
            self._sets[key] = _Set(stored)
        elif stored.revision > known.stored.revision:
            known.stored = stored
        self._work.add(key)

    def _find(self, pod: int) -> tuple[str, _Set | None]:
        key = owner_key(self._pods, pod)
        return key, self._sets.get(key)

    def _on_created(self, pod: int, _: int) -> None:
        key, known = self._find(pod)
        if known is not None:
            known.replicas.pace.answered(more=self._missing(known) > 0)
            self._work.add(key)

    def _on_running(self, pod: int, _: int) -> None:
        key, known = self._find(pod)
        if known is not None:
            known.ready.add(pod)
            self._work.add(key)

    def _on_gone(self, pod: int, _: int) -> None:
        key, known = self._find(pod)
        if known is None:
            return
        known.ready.discard(pod)
        if known.replicas.lose(pod, self._pods.replica[pod]):
            self._work.add(key)

    def _missing(self, known: _Set) -> int:
        spec = _replica_set(known.stored).spec
        return (1 if spec.replicas is None else spec.replicas) - len(known.replicas.pod_of)

    def _reconcile(self, key: str) -> None:
        known = self._sets.get(key)
        if known is None:
            return
        replica_set, pod_of = _replica_set(known.stored), known.replicas.pod_of
        missing = self._missing(known)
        for ordinal in sorted(pod_of, reverse=True)[: max(0, -missing)]:
            self._api.terminate_pod(pod_of[ordinal], self._work.send_at())

        def make(ordinal: int, past: int) -> int:
            return self._factory.make(
                replica_set.spec.template,
                namespace=replica_set.metadata.namespace or "default",
                owner=f"ReplicaSet/{replica_set.metadata.name}",
                item=known.stored.item,
                ordinal=ordinal,
                past=past,
            )

        for pod in known.replicas.create(missing, (), make):
            self._api.create_pod(pod, self._work.send_at())
        self._report(known)

    def _report(self, known: _Set) -> None:
        now = (len(known.replicas.pod_of), len(known.ready))
        if now == known.reported or known.reporting:
            return
        known.reporting = True
        status = ReplicaSetStatus(replicas=now[0], ready_replicas=now[1], available_replicas=now[1])
        changed = known.stored.object.model_copy(update={"status": status})

        def answered(stored: Stored | None) -> None:
            known.reporting = False
            if stored is not None:  # else somebody else wrote it: the watch will tell
                known.stored, known.reported = stored, now
                self._work.add(stored.object.key)

        self._api.update(changed, known.stored.revision, self._work.send_at(), answered)


def _replica_set(stored: Stored) -> ReplicaSet:
    if not isinstance(stored.object, ReplicaSet):
        raise TypeError(f"a {stored.object.kind} is no ReplicaSet")
    return stored.object
