"""The Deployment controller: one ReplicaSet per template, as large as the spec says.

A Deployment is created and deleted here, not updated: rolling updates are not modelled. One that
is paused gets no ReplicaSet, as upstream has it.
"""

from __future__ import annotations

from schedlab.api.objects import (
    Deployment,
    DeploymentStatus,
    LabelSelector,
    ObjectMeta,
    OwnerReference,
    PodTemplate,
    ReplicaSet,
    ReplicaSetSpec,
)
from schedlab.controlplane.apiserver import ApiServer
from schedlab.controlplane.config import ControlPlaneConfig
from schedlab.controlplane.controllers.base import WorkQueue
from schedlab.controlplane.etcd import Stored
from schedlab.rng import Draws, entity_key
from schedlab.sim.distributions import parse_distribution
from schedlab.sim.event_calendar import Calendar

HASH_LABEL = "pod-template-hash"


class DeploymentController:
    """Makes the ReplicaSet of every Deployment, and reports how far it is."""

    def __init__(
        self, *, calendar: Calendar, api: ApiServer, config: ControlPlaneConfig, draws: Draws
    ) -> None:
        self._api = api
        self._deployments: dict[str, Stored] = {}
        self._sets: dict[str, Stored] = {}  # by the Deployment's key
        self._creating: set[str] = set()
        self._reporting: set[str] = set()
        self._work = WorkQueue(
            "deployment controller",
            calendar=calendar,
            config=config.controllers,
            draws=draws,
            reconcile=self._reconcile,
        )
        watch = api.watch("deployment controller", parse_distribution(config.watch.controllers))
        api.watch_objects(watch, "Deployment", self._on_deployment)
        api.watch_objects(watch, "ReplicaSet", self._on_set)

    def _on_deployment(self, stored: Stored) -> None:
        key = stored.object.key
        if stored.deleted:
            self._deployments.pop(key, None)
            return
        known = self._deployments.get(key)
        if known is None or stored.revision > known.revision:
            self._deployments[key] = stored
        self._work.add(key)

    def _on_set(self, stored: Stored) -> None:
        if stored.owner is None or stored.owner[0] != "Deployment":
            return
        key = stored.owner[1]
        self._creating.discard(key)
        if stored.deleted:
            self._sets.pop(key, None)
        else:
            self._sets[key] = stored
        self._work.add(key)

    def _reconcile(self, key: str) -> None:
        stored = self._deployments.get(key)
        if stored is None:
            return
        deployment = stored.object
        if not isinstance(deployment, Deployment):
            raise TypeError(f"a {deployment.kind} is no Deployment")
        own = self._sets.get(key)
        if own is not None:
            self._report(stored, deployment, own)
        elif key not in self._creating and not deployment.spec.paused:
            self._creating.add(key)
            self._api.create(
                _replica_set(deployment, stored.uid),
                self._work.send_at(),
                origin=stored.item,
                owner=("Deployment", key),
            )

    def _report(self, stored: Stored, deployment: Deployment, own: Stored) -> None:
        below = own.object
        if not isinstance(below, ReplicaSet):
            raise TypeError(f"a {below.kind} is no ReplicaSet")
        status = DeploymentStatus(
            replicas=below.status.replicas,
            updated_replicas=below.status.replicas,
            ready_replicas=below.status.ready_replicas,
            available_replicas=below.status.available_replicas,
        )
        key = deployment.key
        if status == deployment.status or key in self._reporting:
            return
        self._reporting.add(key)

        def answered(changed: Stored | None) -> None:
            self._reporting.discard(key)
            if changed is not None and key in self._deployments:
                self._deployments[key] = changed
                self._work.add(key)

        changed = deployment.model_copy(update={"status": status})
        self._api.update(changed, stored.revision, self._work.send_at(), answered)


def _replica_set(deployment: Deployment, uid: int) -> ReplicaSet:
    """Return the ReplicaSet of a Deployment, named after a hash of the template as upstream's."""
    meta, template = deployment.metadata, deployment.spec.template
    text = f"{entity_key(template.model_dump_json()):016x}"[:10]
    labels = {**template.metadata.labels, HASH_LABEL: text}
    selector = deployment.spec.selector
    return ReplicaSet(
        metadata=ObjectMeta(
            name=f"{meta.name}-{text}",
            namespace=meta.namespace or "default",
            labels=labels,
            owner_references=(
                OwnerReference(
                    api_version="apps/v1",
                    kind="Deployment",
                    name=meta.name,
                    uid=str(uid),
                    controller=True,
                ),
            ),
        ),
        spec=ReplicaSetSpec(
            replicas=1 if deployment.spec.replicas is None else deployment.spec.replicas,
            selector=LabelSelector(
                match_labels={**selector.match_labels, HASH_LABEL: text},
                match_expressions=selector.match_expressions,
            ),
            template=PodTemplate(
                metadata=template.metadata.model_copy(update={"labels": labels}),
                spec=template.spec,
            ),
        ),
    )
