"""What may help pods that were rejected for their volumes (see `queueing_hints`)."""

from __future__ import annotations

from collections.abc import Iterator

from schedlab.api.objects import (
    ApiObject,
    CSIDriver,
    CSINode,
    CSIStorageCapacity,
    PersistentVolume,
    PersistentVolumeClaim,
    StorageClass,
)
from schedlab.cluster.attachments import is_attachable
from schedlab.cluster.claims import (
    claim_name,
    class_of_claim,
    class_of_volume,
    namespace_of,
    waits_for_consumer,
)
from schedlab.cluster.csi_translation import MIGRATED_PLUGINS
from schedlab.scheduling.framework.cluster_events import (
    NODE_ADD,
    NODE_UPDATE,
    POD_DELETE,
    VOLUMES_BACK,
    ClusterEvent,
    Registered,
    Waiting,
    always,
    relabelled,
)
from schedlab.scheduling.plugins.volume_zone import LABELS as ZONE_LABELS

CLAIM_ADD, CLAIM_UPDATE = "PersistentVolumeClaim/Add", "PersistentVolumeClaim/Update"
VOLUME_ADD, VOLUME_UPDATE = "PersistentVolume/Add", "PersistentVolume/Update"


def _claims(waiting: Waiting) -> Iterator[PersistentVolumeClaim]:
    """Yield the pod's claims that are there."""
    for volume in waiting.pod.spec.volumes:
        name = claim_name(volume, waiting.name)
        found = None if name is None else waiting.state.volumes.claim(name, waiting.pod.namespace)
        if found is not None:
            yield found


def _own_claim(waiting: Waiting, found: ApiObject | None) -> bool:
    """Return whether an object is a claim that the pod refers to."""
    if not isinstance(found, PersistentVolumeClaim) or namespace_of(found) != waiting.pod.namespace:
        return False
    names = (claim_name(volume, waiting.name) for volume in waiting.pod.spec.volumes)
    return found.metadata.name in names


def _about_claims(waiting: Waiting) -> Registered:
    def is_own(event: ClusterEvent) -> bool:
        return _own_claim(waiting, event.new)

    return {CLAIM_ADD: is_own, CLAIM_UPDATE: is_own}


def volume_restrictions(waiting: Waiting) -> Registered:
    """Wait for disks and claims that other pods use."""
    if not waiting.pod.spec.volumes:
        return {}
    volumes = waiting.state.volumes
    own = volumes.of(waiting.pod)

    def released(event: ClusterEvent) -> bool:
        other = event.pod
        if other is None or not other.spec.volumes:
            return False
        theirs = volumes.of(other)
        shared = other.namespace == waiting.pod.namespace and set(own.claims) & set(theirs.claims)
        return bool(shared) or any(
            disk == taken and not (read_only and both)
            for disk, read_only in own.disks
            for taken, both in theirs.disks
        )

    return {**_about_claims(waiting), POD_DELETE: released, NODE_ADD: always}


def node_volume_limits(waiting: Waiting) -> Registered:
    """Wait for volumes that are detached, limits that are told, and missing claims."""
    if not waiting.pod.spec.volumes:
        return {}

    def detaches(event: ClusterEvent) -> bool:
        return event.pod is not None and any(map(is_attachable, event.pod.spec.volumes))

    def limits_differ(event: ClusterEvent) -> bool:
        old, new = event.old, event.new
        return not (isinstance(old, CSINode) and isinstance(new, CSINode) and old.spec == new.spec)

    return {
        CLAIM_ADD: _about_claims(waiting)[CLAIM_ADD],
        POD_DELETE: detaches,
        "CSINode/Add": always,
        "CSINode/Update": limits_differ,
        "CSINode/Delete": always,
        "VolumeAttachment/Delete": always,
    }


def volume_binding(waiting: Waiting) -> Registered:
    """Wait for claims, for volumes that they could get, and for what makes volumes."""
    if not waiting.pod.spec.volumes:
        return {}

    def fits_a_claim(event: ClusterEvent) -> bool:
        volume = event.new
        if not isinstance(volume, PersistentVolume):
            return False
        name, storage_class = volume.metadata.name, class_of_volume(volume)
        return any(
            claim.spec.volume_name == name
            if claim.spec.volume_name
            else class_of_claim(claim) == storage_class
            for claim in _claims(waiting)
        )

    return {
        **_about_claims(waiting),
        VOLUME_ADD: fits_a_claim,
        VOLUME_UPDATE: fits_a_claim,
        VOLUMES_BACK: always,
        NODE_ADD: always,
        NODE_UPDATE: relabelled,
        "CSINode/Add": always,
        "CSINode/Update": _migration_differs,
        "CSIDriver/Update": _capacity_is_told_no_more,
        "CSIDriver/Delete": _capacity_is_told_no_more,
        **_about_classes(waiting),
    }


def _about_classes(waiting: Waiting) -> Registered:
    """Wait for the StorageClasses of the pod's claims, and their capacity."""

    def asks_for(storage_class: str) -> bool:
        return any(class_of_claim(claim) == storage_class for claim in _claims(waiting))

    def reaches_further(event: ClusterEvent) -> bool:
        old, new = event.old, event.new
        if not isinstance(new, StorageClass) or not asks_for(new.metadata.name):
            return False
        return not isinstance(old, StorageClass) or old.allowed_topologies != new.allowed_topologies

    def has_more(event: ClusterEvent) -> bool:
        old, new = event.old, event.new
        if not isinstance(new, CSIStorageCapacity) or not asks_for(new.storage_class_name):
            return False
        return not isinstance(old, CSIStorageCapacity) or _largest(new) > _largest(old)

    return {
        "StorageClass/Add": reaches_further,
        "StorageClass/Update": reaches_further,
        "CSIStorageCapacity/Add": has_more,
        "CSIStorageCapacity/Update": has_more,
    }


def _largest(capacity: CSIStorageCapacity) -> int:
    sizes = (capacity.maximum_volume_size, capacity.capacity)
    return next((size for size in sizes if size is not None), -1)


def _migration_differs(event: ClusterEvent) -> bool:
    old, new = event.old, event.new
    if old is None or new is None:
        return True
    before, after = old.metadata.annotations, new.metadata.annotations
    return before.get(MIGRATED_PLUGINS) != after.get(MIGRATED_PLUGINS)


def _capacity_is_told_no_more(event: ClusterEvent) -> bool:
    old, new = event.old, event.new
    told = isinstance(old, CSIDriver) and bool(old.spec.storage_capacity)
    return told and not (isinstance(new, CSIDriver) and new.spec.storage_capacity)


def volume_zone(waiting: Waiting) -> Registered:
    """Wait for claims, volumes in other zones, and nodes there."""
    if not waiting.pod.spec.volumes:
        return {}

    def waits(event: ClusterEvent) -> bool:
        return isinstance(event.new, StorageClass) and waits_for_consumer(event.new)

    def elsewhere(event: ClusterEvent) -> bool:
        old, new = event.old, event.new
        if old is None or new is None:
            return True
        before, after = old.metadata.labels, new.metadata.labels
        return any(before.get(key) != after.get(key) for key in ZONE_LABELS)

    return {
        **_about_claims(waiting),
        VOLUME_ADD: always,
        VOLUME_UPDATE: elsewhere,
        "StorageClass/Add": waits,
        NODE_ADD: always,
        NODE_UPDATE: relabelled,
    }
