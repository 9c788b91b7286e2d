"""The ReplicaSet controller: as many pods as the spec says, one logical replica each.

It knows its pods from its own informer. A pod counts from the moment its creation was sent, as
upstream's expectations have it, so that a slow watch makes no second pod. A replica whose pod
failed or went away gets another one, under the same ordinal.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from schedlab.api.objects import ReplicaSet, ReplicaSetStatus
from schedlab.cluster.pods import PodTable
from schedlab.controlplane.apiserver import ApiServer
from schedlab.controlplane.config import ControlPlaneConfig
from schedlab.controlplane.controllers.base import SlowStart, WorkQueue
from schedlab.controlplane.etcd import Op, Stored
from schedlab.controlplane.pod_factory import PodFactory
from schedlab.rng import Draws
from schedlab.sim.distributions import parse_distribution
from schedlab.sim.event_calendar import Calendar


@dataclass(slots=True)
class _Set:
    stored: Stored
    pod_of: dict[int, int] = field(default_factory=dict)  # ordinal -> its living pod
    past: dict[int, int] = field(default_factory=dict)  # ordinal -> pods it had
    ready: set[int] = field(default_factory=set)
    pace: SlowStart = field(default_factory=SlowStart)
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

    def adopt(self, stored: Stored) -> None:
        """Take over a ReplicaSet that was there before time 0."""
        self._on_set(stored)

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
        owner = self._pods.owners[self._pods.owner[pod]].partition("/")[2]
        key = f"{self._pods.names[pod].partition('/')[0]}/{owner}"
        return key, self._sets.get(key)

    def _on_created(self, pod: int, _: int) -> None:
        key, known = self._find(pod)
        if known is not None:
            known.pace.answered(more=self._missing(known) > 0)
            self._work.add(key)

    def _on_running(self, pod: int, _: int) -> None:
        key, known = self._find(pod)
        if known is not None:
            known.ready.add(pod)
            self._work.add(key)

    def _on_gone(self, pod: int, _: int) -> None:
        key, known = self._find(pod)
        if known is not None and self._lose(known, pod):
            self._work.add(key)

    def _lose(self, known: _Set, pod: int) -> bool:
        known.ready.discard(pod)
        ordinal = self._pods.replica[pod]
        if known.pod_of.get(ordinal) != pod:
            return False
        del known.pod_of[ordinal]
        return True

    def _missing(self, known: _Set) -> int:
        spec = _replica_set(known.stored).spec
        return (1 if spec.replicas is None else spec.replicas) - len(known.pod_of)

    def _reconcile(self, key: str) -> None:
        known = self._sets.get(key)
        if known is None:
            return
        replica_set = _replica_set(known.stored)
        missing = self._missing(known)
        if missing < 0:
            for ordinal in sorted(known.pod_of, reverse=True)[:-missing]:
                self._api.terminate_pod(known.pod_of[ordinal], self._work.send_at())
        free = (n for n in range(1 << 30) if n not in known.pod_of)
        for _ in range(known.pace.grant(missing)):
            ordinal = next(free)
            past = known.past.get(ordinal, 0)
            pod = self._factory.make(
                replica_set.spec.template,
                namespace=replica_set.metadata.namespace or "default",
                owner=f"ReplicaSet/{replica_set.metadata.name}",
                item=known.stored.item,
                ordinal=ordinal,
                past=past,
            )
            known.pod_of[ordinal] = pod
            known.past[ordinal] = past + 1
            self._api.create_pod(pod, self._work.send_at())
        self._report(known)

    def _report(self, known: _Set) -> None:
        now = (len(known.pod_of), len(known.ready))
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
