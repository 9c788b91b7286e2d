"""The persistent volume controller, and the provisioner of all storage classes in one.

A claim gets the smallest free volume that fits, else one that its class makes; a claim whose class
waits for the first consumer gets it when the scheduler has chosen a node::

    claim --(Immediate)--------------------------> free volume | provisioned
      |                                                  |
      +--(scheduler names a node or a volume)------------+--> volume has claim --> claim is bound

A volume whose claim is gone is deleted or released, as its reclaim policy says. A volume that was
provisioned can be used where the driver's topology keys, as told by the CSINode of the chosen node,
have that node's values, and takes its size off the CSIStorageCapacity there. Not modelled:
attaching, resizing, and the protection of claims in use.
"""

from __future__ import annotations

from typing import Any, Final

from schedlab.api.meta import (
    NodeSelector,
    NodeSelectorRequirement,
    NodeSelectorTerm,
)
from schedlab.api.objects import (
    ApiObject,
    CSINode,
    CsiPersistentVolume,
    CSIStorageCapacity,
    Node,
    ObjectMeta,
    PersistentVolume,
    PersistentVolumeClaim,
    PersistentVolumeClaimStatus,
    PersistentVolumeSpec,
    PersistentVolumeStatus,
    StorageClass,
    VolumeNodeAffinity,
)
from schedlab.api.selectors import label_selector_matches
from schedlab.cluster.claims import (
    BIND_COMPLETED,
    BOUND_BY_CONTROLLER,
    NO_PROVISIONER,
    SELECTED_NODE,
    bound_copy,
    bound_to,
    class_of_claim,
    class_of_volume,
    fully_bound,
    kind_of,
    requested_bytes,
    still_fits,
    waits_for_consumer,
)
from schedlab.cluster.csi_translation import BY_NAME
from schedlab.controlplane.apiserver import ApiServer
from schedlab.controlplane.config import ControlPlaneConfig
from schedlab.controlplane.controllers.base import WorkQueue
from schedlab.controlplane.etcd import Stored
from schedlab.rng import Draws, entity_key
from schedlab.sim.distributions import parse_distribution
from schedlab.sim.event_calendar import Calendar, Priority

DEFAULT_CLASS: Final = "storageclass.kubernetes.io/is-default-class"
PROVISIONED_BY: Final = "pv.kubernetes.io/provisioned-by"
KINDS: Final = (
    "PersistentVolumeClaim",
    "PersistentVolume",
    "StorageClass",
    "Node",
    "CSINode",
    "CSIStorageCapacity",
)


class PersistentVolumeController:
    """Binds claims to volumes, and makes volumes."""

    def __init__(
        self, *, calendar: Calendar, api: ApiServer, config: ControlPlaneConfig, draws: Draws
    ) -> None:
        self._calendar = calendar
        self._api = api
        self._draws = draws.stream("provisioning")
        self._latency = parse_distribution(config.controllers.volume_provisioning)
        self._known: dict[str, dict[str, Stored]] = {kind: {} for kind in KINDS}
        self._writing: set[tuple[str, str]] = set()
        self._provisioning: set[str] = set()
        self._by_claim: dict[str, str] = {}
        self._taken: dict[str, tuple[list[str], int]] = {}  # volume -> capacities and its size
        self._used: dict[str, int] = {}  # capacity -> what is taken from it
        self._whole: dict[str, CSIStorageCapacity] = {}  # as it was before
        self._work = WorkQueue(
            "persistent volume controller",
            calendar=calendar,
            config=config.controllers,
            draws=draws,
            reconcile=self._reconcile,
        )
        self._provisioned_id = calendar.register(
            "persistent volume controller", "provisioned", self._provisioned
        )
        self._keys: list[str] = []
        watch = api.watch(
            "persistent volume controller", parse_distribution(config.watch.controllers)
        )
        for kind in KINDS:
            api.watch_objects(watch, kind, self._on_object)
        for stored in list(api.etcd.objects.values()):
            if stored.object.kind in KINDS:
                self._on_object(stored)

    # --- what the informers deliver -----------------------------------------------------------

    def _on_object(self, stored: Stored) -> None:
        found = stored.object
        known = self._known[found.kind]
        if stored.deleted:
            known.pop(found.key, None)
            if found.kind == "PersistentVolume":
                self._give_back(found.key)
        else:
            known[found.key] = stored
        if isinstance(found, PersistentVolumeClaim):
            self._work.add(f"claim {found.key}")
            volume = found.spec.volume_name or self._by_claim.get(found.key)
            if volume:
                self._work.add(f"volume {volume}")
        elif isinstance(found, PersistentVolume):
            self._work.add(f"volume {found.key}")
            self._wake_claims(found)
        elif isinstance(found, StorageClass):
            for key in self._known["PersistentVolumeClaim"]:
                self._work.add(f"claim {key}")

    def _wake_claims(self, volume: PersistentVolume) -> None:
        """Look again at the claims that a volume may be for."""
        ref = volume.spec.claim_ref
        if ref is not None:
            key = f"{ref.namespace}/{ref.name}"
            self._by_claim[key] = volume.metadata.name
            self._work.add(f"claim {key}")
            return
        for key, stored in self._known["PersistentVolumeClaim"].items():
            claim = _claim(stored)
            if not fully_bound(claim) and class_of_claim(claim) == class_of_volume(volume):
                self._work.add(f"claim {key}")

    def _reconcile(self, key: str) -> None:
        what, _, name = key.partition(" ")
        kind = _KINDS[what]
        stored = self._known[kind].get(name)
        if stored is None or (kind, name) in self._writing:
            return
        if what == "claim":
            self._sync_claim(stored, _claim(stored))
        elif what == "volume":
            self._sync_volume(stored, _volume(stored))
        else:
            self._sync_capacity(stored)

    # --- claims -------------------------------------------------------------------------------

    def _sync_claim(self, stored: Stored, claim: PersistentVolumeClaim) -> None:
        if fully_bound(claim):
            if claim.spec.volume_name not in self._known["PersistentVolume"]:
                self._set_phase(stored, claim, "Lost")
            return
        if claim.spec.storage_class_name is None and self._default_class():
            spec = claim.spec.model_copy(update={"storage_class_name": self._default_class()})
            self._write(stored, claim.model_copy(update={"spec": spec}))
            return
        reserved = self._reserved(claim)
        if reserved is not None:
            self._bind(stored, claim, reserved)
            return
        storage_class = self._class(claim)
        waits = storage_class is not None and waits_for_consumer(storage_class)
        if claim.spec.volume_name or (waits and SELECTED_NODE not in claim.metadata.annotations):
            return
        free = None if waits else self._smallest(claim)
        if free is not None:
            bound = bound_copy(_volume(free), claim)
            self._write(free, bound)
        elif storage_class is not None and storage_class.provisioner not in ("", NO_PROVISIONER):
            self._provision(claim)

    def _class(self, claim: PersistentVolumeClaim) -> StorageClass | None:
        stored = self._known["StorageClass"].get(class_of_claim(claim))
        found = None if stored is None else stored.object
        return found if isinstance(found, StorageClass) else None

    def _default_class(self) -> str:
        for name, stored in self._known["StorageClass"].items():
            if stored.object.metadata.annotations.get(DEFAULT_CLASS) == "true":
                return name
        return ""

    def _reserved(self, claim: PersistentVolumeClaim) -> Stored | None:
        """Return the volume that is meant for a claim, by either of the two."""
        volumes = self._known["PersistentVolume"]
        for name in (claim.spec.volume_name, self._by_claim.get(claim.key, "")):
            stored = volumes.get(name)
            if stored is not None:
                volume = _volume(stored)
                free = volume.spec.claim_ref is None and name == claim.spec.volume_name
                if (free or bound_to(volume, claim)) and still_fits(volume, claim):
                    return stored
        return None

    def _smallest(self, claim: PersistentVolumeClaim) -> Stored | None:
        """Return the smallest free volume that a claim can get, the first of them that came."""
        modes, selector = set(claim.spec.access_modes), claim.spec.selector
        best: Stored | None = None
        least = -1
        for stored in self._known["PersistentVolume"].values():
            volume = _volume(stored)
            size = volume.spec.capacity.get("storage", 0)
            if (
                volume.spec.claim_ref is None
                and volume.status.phase in ("", "Available")
                and still_fits(volume, claim)
                and modes <= set(volume.spec.access_modes)
                and (selector is None or label_selector_matches(selector, volume.metadata.labels))
                and (best is None or size < least)
                and ("PersistentVolume", stored.object.key) not in self._writing
            ):
                best, least = stored, size
        return best

    def _bind(self, stored: Stored, claim: PersistentVolumeClaim, reserved: Stored) -> None:
        """Complete a binding: the volume names the claim, then the claim the volume."""
        volume = _volume(reserved)
        bound = bound_copy(volume, claim)
        if bound is not volume or volume.status.phase != "Bound":
            status = PersistentVolumeStatus(phase="Bound")
            self._write(reserved, bound.model_copy(update={"status": status}))
            return  # the rest follows when that is there
        notes = {**claim.metadata.annotations, BIND_COMPLETED: "yes", BOUND_BY_CONTROLLER: "yes"}
        changed: dict[str, Any] = {
            "metadata": claim.metadata.model_copy(update={"annotations": notes}),
            "spec": claim.spec.model_copy(update={"volume_name": volume.metadata.name}),
            "status": PersistentVolumeClaimStatus(
                phase="Bound",
                access_modes=volume.spec.access_modes,
                capacity=volume.spec.capacity,
            ),
        }
        self._write(stored, claim.model_copy(update=changed))

    def _set_phase(self, stored: Stored, claim: PersistentVolumeClaim, phase: str) -> None:
        if claim.status.phase != phase:
            status = claim.status.model_copy(update={"phase": phase})
            self._write(stored, claim.model_copy(update={"status": status}))

    # --- volumes ------------------------------------------------------------------------------

    def _sync_volume(self, stored: Stored, volume: PersistentVolume) -> None:
        ref = volume.spec.claim_ref
        if ref is None:
            self._set_volume_phase(stored, volume, "Available")
            return
        claim = self._known["PersistentVolumeClaim"].get(f"{ref.namespace}/{ref.name}")
        if claim is not None and bound_to(volume, _claim(claim)):
            self._work.add(f"claim {claim.object.key}")
        elif not ref.uid:
            self._set_volume_phase(stored, volume, "Available")
        elif volume.spec.persistent_volume_reclaim_policy == "Delete":
            self._api.delete(volume, self._work.send_at())
        else:
            self._set_volume_phase(stored, volume, "Released")

    def _set_volume_phase(self, stored: Stored, volume: PersistentVolume, phase: str) -> None:
        if volume.status.phase != phase:
            status = PersistentVolumeStatus(phase=phase)
            self._write(stored, volume.model_copy(update={"status": status}))

    # --- provisioning -------------------------------------------------------------------------

    def _provision(self, claim: PersistentVolumeClaim) -> None:
        if claim.key in self._provisioning:
            return
        self._provisioning.add(claim.key)
        number = len(self._keys)
        self._keys.append(claim.key)
        delay = self._latency.quantile(self._draws.uniform(entity_key(claim.key)))
        at = self._calendar.now_us + delay
        self._calendar.post(at, Priority.WRITE, self._provisioned_id, number)

    def _provisioned(self, number: int) -> None:
        key = self._keys[number]
        self._provisioning.discard(key)
        stored = self._known["PersistentVolumeClaim"].get(key)
        storage_class = None if stored is None else self._class(_claim(stored))
        if stored is None or storage_class is None or fully_bound(_claim(stored)):
            return
        claim = _claim(stored)
        made = self._made(claim, storage_class)
        self._api.create(made, self._work.send_at(), origin=stored.item)
        found, size = self._capacities(claim, storage_class), requested_bytes(claim)
        self._taken[made.metadata.name] = (found, size)
        for capacity in found:
            self._used[capacity] = self._used.get(capacity, 0) + size
            self._work.add(f"capacity {capacity}")

    def _made(self, claim: PersistentVolumeClaim, storage_class: StorageClass) -> PersistentVolume:
        """Return the volume that a class makes for a claim."""
        name = f"pvc-{claim.metadata.uid}"
        plugin = BY_NAME.get(storage_class.provisioner)
        driver = storage_class.provisioner if plugin is None else plugin.driver
        mode, attributes = kind_of(claim.spec)
        volume = PersistentVolume(
            metadata=ObjectMeta(name=name, annotations={PROVISIONED_BY: driver}),
            spec=PersistentVolumeSpec(
                capacity={"storage": requested_bytes(claim)},
                access_modes=claim.spec.access_modes,
                storage_class_name=storage_class.metadata.name,
                persistent_volume_reclaim_policy=storage_class.reclaim_policy or "Delete",
                volume_mode=mode,
                volume_attributes_class_name=attributes or None,
                node_affinity=self._topology(claim, storage_class, driver),
                csi=CsiPersistentVolume(driver=driver, volume_handle=name),
            ),
            status=PersistentVolumeStatus(phase="Bound"),
        )
        return bound_copy(volume, claim)

    def _topology(
        self, claim: PersistentVolumeClaim, storage_class: StorageClass, driver: str
    ) -> VolumeNodeAffinity | None:
        """Return where a new volume can be used, as far as its driver tells nodes apart."""
        chosen = claim.metadata.annotations.get(SELECTED_NODE)
        names = [chosen] if chosen is not None else list(self._known["Node"])
        segments = [found for name in names if (found := self._segment(name, driver))]
        terms: tuple[NodeSelectorTerm, ...]
        if segments:
            distinct = sorted(set(segments))
            pick = int(self._draws.uniform(entity_key(claim.key), 1) * len(distinct))
            wanted = distinct[pick]
            terms = (
                NodeSelectorTerm(
                    match_expressions=tuple(
                        NodeSelectorRequirement(key=key, operator="In", values=(value,))
                        for key, value in wanted
                    )
                ),
            )
        else:
            terms = tuple(
                NodeSelectorTerm(
                    match_expressions=tuple(
                        NodeSelectorRequirement(key=r.key, operator="In", values=r.values)
                        for r in term.match_label_expressions
                    )
                )
                for term in storage_class.allowed_topologies
            )
        if not terms:
            return None
        return VolumeNodeAffinity(required=NodeSelector(node_selector_terms=terms))

    def _segment(self, node: str, driver: str) -> tuple[tuple[str, str], ...]:
        """Return a node's values of a driver's topology keys; none where it doesn't tell any."""
        told, known = self._known["CSINode"].get(node), self._known["Node"].get(node)
        if told is None or known is None:
            return ()
        if not isinstance(told.object, CSINode) or not isinstance(known.object, Node):
            return ()
        labels = known.object.metadata.labels
        keys = [k for d in told.object.spec.drivers if d.name == driver for k in d.topology_keys]
        return tuple((key, labels[key]) for key in keys if key in labels)

    def _capacities(self, claim: PersistentVolumeClaim, storage_class: StorageClass) -> list[str]:
        """Return the capacities that a volume for a claim is taken from."""
        node = self._known["Node"].get(claim.metadata.annotations.get(SELECTED_NODE, ""))
        labels = {} if node is None else node.object.metadata.labels
        return [
            key
            for key, stored in self._known["CSIStorageCapacity"].items()
            if isinstance(stored.object, CSIStorageCapacity)
            and stored.object.storage_class_name == storage_class.metadata.name
            and label_selector_matches(stored.object.node_topology, labels)
        ]

    def _give_back(self, volume: str) -> None:
        """Give a volume's size back to the capacities that it was made from."""
        capacities, size = self._taken.pop(volume, ([], 0))
        for capacity in capacities:
            self._used[capacity] -= size
            self._work.add(f"capacity {capacity}")

    def _sync_capacity(self, stored: Stored) -> None:
        found = stored.object
        if not isinstance(found, CSIStorageCapacity):
            raise TypeError(f"a {found.kind} is no CSIStorageCapacity")
        whole = self._whole.setdefault(found.key, found)
        left, most = whole.capacity, whole.maximum_volume_size
        if left is not None:
            left = max(0, left - self._used.get(found.key, 0))
            most = None if most is None else min(most, left)
        if (found.capacity, found.maximum_volume_size) != (left, most):
            update = {"capacity": left, "maximum_volume_size": most}
            self._write(stored, found.model_copy(update=update))

    # --- writing ------------------------------------------------------------------------------

    def _write(self, stored: Stored, changed: ApiObject) -> None:
        """Replace an object; until the answer is there nothing else is written to it."""
        identity = (changed.kind, changed.key)
        self._writing.add(identity)

        def answered(after: Stored | None) -> None:
            self._writing.discard(identity)
            if after is not None and changed.key in self._known[changed.kind]:
                self._known[changed.kind][changed.key] = after
            what = next(what for what, kind in _KINDS.items() if kind == changed.kind)
            self._work.add(f"{what} {changed.key}")
            if isinstance(changed, PersistentVolume):
                self._wake_claims(changed)

        self._api.update(changed, stored.revision, self._work.send_at(), answered)


_KINDS: Final = {
    "claim": "PersistentVolumeClaim",
    "volume": "PersistentVolume",
    "capacity": "CSIStorageCapacity",
}
"""What the keys of its work queue begin with -> kind."""


def _claim(stored: Stored) -> PersistentVolumeClaim:
    if not isinstance(stored.object, PersistentVolumeClaim):
        raise TypeError(f"a {stored.object.kind} is no PersistentVolumeClaim")
    return stored.object


def _volume(stored: Stored) -> PersistentVolume:
    if not isinstance(stored.object, PersistentVolume):
        raise TypeError(f"a {stored.object.kind} is no PersistentVolume")
    return stored.object
