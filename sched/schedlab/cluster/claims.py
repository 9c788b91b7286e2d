"""Rules of claims and volumes, one object at a time, as upstream's component-helpers state them."""

from __future__ import annotations

from typing import Final

from schedlab.api.objects import (
    ObjectReference,
    PersistentVolume,
    PersistentVolumeClaim,
    PersistentVolumeClaimSpec,
    PersistentVolumeSpec,
    StorageClass,
    Volume,
)

BETA_CLASS: Final = "volume.beta.kubernetes.io/storage-class"
BIND_COMPLETED: Final = "pv.kubernetes.io/bind-completed"
BOUND_BY_CONTROLLER: Final = "pv.kubernetes.io/bound-by-controller"
SELECTED_NODE: Final = "volume.kubernetes.io/selected-node"
NO_PROVISIONER: Final = "kubernetes.io/no-provisioner"


def namespace_of(claim: PersistentVolumeClaim) -> str:
    """Return the namespace of a claim."""
    return claim.metadata.namespace or "default"


def claim_name(volume: Volume, pod_name: str) -> str | None:
    """Return the name of the claim behind a pod's volume; None where there is none.

    *pod_name* is the pod's bare name: the claim of a generic ephemeral volume is called
    ``<pod>-<volume>``.
    """
    if volume.persistent_volume_claim is not None:
        return volume.persistent_volume_claim.claim_name
    return None if volume.ephemeral is None else f"{pod_name}-{volume.name}"


def missing(kind: str, name: str) -> str:
    """Return what a lister says of an object that is not there."""
    return f'{kind} "{name}" not found'


def foreign(claim: PersistentVolumeClaim, pod_name: str, uid: str) -> str | None:
    """Return upstream's complaint when an ephemeral volume's claim is not the pod's own, else None.

    The claim's controller has to be the pod: the same uid, or where the pod's is not known (""),
    a pod of the same name.
    """
    for owner in claim.metadata.owner_references:
        if owner.controller:
            mine = owner.uid == uid if uid else (owner.kind, owner.name) == ("Pod", pod_name)
            if mine:
                return None
            break
    space = namespace_of(claim)
    return (
        f"PVC {space}/{claim.metadata.name} was not created for pod {space}/{pod_name} "
        "(pod is not owner)"
    )


def class_of_claim(claim: PersistentVolumeClaim) -> str:
    """Return the name of a claim's StorageClass, "" for none; the beta annotation counts first."""
    found = claim.metadata.annotations.get(BETA_CLASS)
    return (claim.spec.storage_class_name or "") if found is None else found


def class_of_volume(volume: PersistentVolume) -> str:
    """Return the name of a volume's StorageClass, "" for none; the beta annotation counts first."""
    return volume.metadata.annotations.get(BETA_CLASS, volume.spec.storage_class_name)


def waits_for_consumer(found: StorageClass) -> bool:
    """Return whether volumes of a class are bound only when a pod's node is chosen.

    The API server writes ``Immediate`` where the mode is absent.
    """
    return found.volume_binding_mode == "WaitForFirstConsumer"


def fully_bound(claim: PersistentVolumeClaim) -> bool:
    """Return whether a claim has its volume, and the binding is complete."""
    return bool(claim.spec.volume_name) and BIND_COMPLETED in claim.metadata.annotations


def requested_bytes(claim: PersistentVolumeClaim) -> int:
    """Return the storage that a claim asks for, 0 when it doesn't say."""
    return claim.spec.resources.requests.get("storage", 0)


def bound_to(volume: PersistentVolume, claim: PersistentVolumeClaim) -> bool:
    """Return whether a volume is bound, or reserved by its owner, for *claim*."""
    ref = volume.spec.claim_ref
    if ref is None or (ref.namespace, ref.name) != (namespace_of(claim), claim.metadata.name):
        return False
    return not ref.uid or ref.uid == claim.metadata.uid


def kind_of(spec: PersistentVolumeSpec | PersistentVolumeClaimSpec) -> tuple[str, str]:
    """Return mode and attributes class: a claim and its volume have to agree on them."""
    return spec.volume_mode or "Filesystem", spec.volume_attributes_class_name or ""


def still_fits(volume: PersistentVolume, claim: PersistentVolumeClaim) -> bool:
    """Return whether a volume that is bound to *claim* can be the one it gets.

    It has to be large enough and of the claim's class and kind, and must not be going.
    """
    return (
        class_of_volume(volume) == class_of_claim(claim)
        and volume.spec.capacity.get("storage", 0) >= requested_bytes(claim)
        and kind_of(volume.spec) == kind_of(claim.spec)
        and volume.metadata.deletion_timestamp is None
    )


def bound_copy(volume: PersistentVolume, claim: PersistentVolumeClaim) -> PersistentVolume:
    """Return *volume* as it is once the scheduler has bound it to *claim*; itself if it is so."""
    ref = ObjectReference(
        kind="PersistentVolumeClaim",
        api_version="v1",
        namespace=namespace_of(claim),
        name=claim.metadata.name,
        uid=claim.metadata.uid,
    )
    if bound_to(volume, claim) and volume.spec.claim_ref is not None:
        if volume.spec.claim_ref.uid == ref.uid:
            return volume
        metadata = volume.metadata
    else:
        notes = {**volume.metadata.annotations, BOUND_BY_CONTROLLER: "yes"}
        metadata = volume.metadata.model_copy(update={"annotations": notes})
    spec = volume.spec.model_copy(update={"claim_ref": ref})
    return volume.model_copy(update={"metadata": metadata, "spec": spec})


def selected_copy(claim: PersistentVolumeClaim, node_name: str) -> PersistentVolumeClaim:
    """Return *claim* as it is once the scheduler has asked for a volume at *node_name*."""
    notes = {**claim.metadata.annotations, SELECTED_NODE: node_name}
    metadata = claim.metadata.model_copy(update={"annotations": notes})
    return claim.model_copy(update={"metadata": metadata})
