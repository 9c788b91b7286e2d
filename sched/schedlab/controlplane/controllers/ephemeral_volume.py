"""The ephemeral volume controller: a claim for each generic ephemeral volume of a pod.

The claim is the pod's own, and goes with it.
"""

from __future__ import annotations

from schedlab.api.objects import ObjectMeta, OwnerReference, PersistentVolumeClaim
from schedlab.cluster.claims import claim_name
from schedlab.cluster.pods import PodTable
from schedlab.controlplane.apiserver import ApiServer
from schedlab.controlplane.config import ControlPlaneConfig
from schedlab.controlplane.controllers.base import WorkQueue
from schedlab.controlplane.etcd import Op
from schedlab.rng import Draws
from schedlab.sim.distributions import parse_distribution
from schedlab.sim.event_calendar import Calendar


class EphemeralVolumeController:
    """Makes the claims of pods, and removes them."""

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
        self._rows: dict[str, int] = {}
        self._made: dict[int, list[PersistentVolumeClaim]] = {}
        self._gone: set[int] = set()
        self._work = WorkQueue(
            "ephemeral volume controller",
            calendar=calendar,
            config=config.controllers,
            draws=draws,
            reconcile=self._reconcile,
        )
        watch = api.watch(
            "ephemeral volume controller", parse_distribution(config.watch.controllers)
        )
        api.watch_pods(watch, Op.CREATE, self._on_created)
        api.watch_pods(watch, Op.DELETE, self._on_deleted)

    def _on_created(self, pod: int, _: int) -> None:
        if any(v.ephemeral is not None for v in self._pods.class_of(pod).spec.volumes):
            self._rows[self._pods.names[pod]] = pod
            self._work.add(self._pods.names[pod])

    def _on_deleted(self, pod: int, _: int) -> None:
        if pod in self._made or self._rows.get(self._pods.names[pod]) == pod:
            self._gone.add(pod)
            self._work.add(self._pods.names[pod])

    def _reconcile(self, name: str) -> None:
        pod = self._rows.get(name)
        if pod is None:
            return
        if pod in self._gone:
            self._gone.discard(pod)
            del self._rows[name]
            for claim in self._made.pop(pod, ()):
                self._api.delete(claim, self._work.send_at())
        elif pod not in self._made:
            self._made[pod] = self._claims(pod)
            for claim in self._made[pod]:
                self._api.create(
                    claim, self._work.send_at(), origin=self._pods.items[self._pods.item[pod]]
                )

    def _claims(self, pod: int) -> list[PersistentVolumeClaim]:
        namespace, _, name = self._pods.names[pod].partition("/")
        owner = OwnerReference(api_version="v1", kind="Pod", name=name, uid="", controller=True)
        found = []
        for volume in self._pods.class_of(pod).spec.volumes:
            if volume.ephemeral is None:
                continue
            template = volume.ephemeral.volume_claim_template
            metadata = ObjectMeta(
                name=claim_name(volume, name) or "",
                namespace=namespace,
                labels=template.metadata.labels,
                annotations=template.metadata.annotations,
                owner_references=(owner,),
            )
            found.append(PersistentVolumeClaim(metadata=metadata, spec=template.spec))
        return found
