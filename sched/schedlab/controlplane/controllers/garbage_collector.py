"""The garbage collector: what an object owned goes after it (background deletion)."""

from __future__ import annotations

from schedlab.api.objects import ApiObject
from schedlab.cluster.pods import PodTable
from schedlab.controlplane.apiserver import ApiServer
from schedlab.controlplane.config import ControlPlaneConfig
from schedlab.controlplane.controllers.base import WorkQueue, owner_key
from schedlab.controlplane.etcd import Op, Stored
from schedlab.rng import Draws
from schedlab.sim.distributions import parse_distribution
from schedlab.sim.event_calendar import Calendar

OWNERS = ("Deployment", "ReplicaSet", "Job")


class GarbageCollector:
    """Deletes the dependents of deleted objects."""

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
        self._objects: dict[str, dict[str, ApiObject]] = {}  # "Kind namespace/name" of the owner
        self._owned: dict[str, dict[int, None]] = {}
        self._gone: set[str] = set()
        self._work = WorkQueue(
            "garbage collector",
            calendar=calendar,
            config=config.controllers,
            draws=draws,
            reconcile=self._collect,
        )
        watch = api.watch("garbage collector", parse_distribution(config.watch.controllers))
        for kind in OWNERS:
            api.watch_objects(watch, kind, self._on_object)
            if kind != "Deployment":
                api.watch_pods(watch, Op.CREATE, self._on_created, kind)
                api.watch_pods(watch, Op.DELETE, self._on_deleted, kind)

    def _on_object(self, stored: Stored) -> None:
        own = f"{stored.object.kind} {stored.object.key}"
        if stored.owner is not None:
            above = f"{stored.owner[0]} {stored.owner[1]}"
            if stored.deleted:
                self._objects.get(above, {}).pop(own, None)
            else:
                self._objects.setdefault(above, {})[own] = stored.object
                if above in self._gone:
                    self._work.add(above)
        if stored.deleted:
            self._gone.add(own)
            self._work.add(own)
        else:
            self._gone.discard(own)

    def _owner(self, pod: int) -> str:
        kind = self._pods.owners[self._pods.owner[pod]].partition("/")[0]
        return f"{kind} {owner_key(self._pods, pod)}"

    def _on_created(self, pod: int, _: int) -> None:
        owner = self._owner(pod)
        self._owned.setdefault(owner, {})[pod] = None
        if owner in self._gone:
            self._work.add(owner)

    def _on_deleted(self, pod: int, _: int) -> None:
        self._owned.get(self._owner(pod), {}).pop(pod, None)

    def _collect(self, owner: str) -> None:
        if owner not in self._gone:
            return
        for item in self._objects.pop(owner, {}).values():
            self._api.delete(item, self._work.send_at())
        for pod in self._owned.pop(owner, {}):
            self._api.terminate_pod(pod, self._work.send_at())
