"""Storage kinds: claims, volumes, classes and what CSI drivers report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from schedlab.api.base import ApiModel, Bool, Bytes, Count, Raw, ResourceList
from schedlab.api.meta import ApiObjectBase, LabelSelector, NodeSelector
from schedlab.api.volumes import PersistentVolumeClaimSpec, TopologySelectorTerm, VolumeSources


class PersistentVolumeClaimStatus(ApiModel):
    """Whether a claim is bound, and to how much."""

    phase: str = ""
    access_modes: tuple[str, ...] = ()
    capacity: ResourceList = Field(default_factory=dict)


class PersistentVolumeClaim(ApiObjectBase):
    """A claim."""

    kind: ClassVar[str] = "PersistentVolumeClaim"
    api_version: ClassVar[str] = "v1"

    spec: PersistentVolumeClaimSpec
    status: PersistentVolumeClaimStatus = Field(default_factory=PersistentVolumeClaimStatus)


class ObjectReference(ApiModel):
    """A reference to an object of any kind."""

    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""
    api_version: str = ""


class VolumeNodeAffinity(ApiModel):
    """The nodes that can use a volume."""

    required: NodeSelector | None = None


class CsiPersistentVolume(ApiModel):
    """A volume of a CSI driver."""

    driver: str
    volume_handle: str
    read_only: Bool = False
    fs_type: str = ""
    volume_attributes: Mapping[str, str] = Field(default_factory=dict)
    controller_publish_secret_ref: Raw | None = None
    controller_expand_secret_ref: Raw | None = None
    node_stage_secret_ref: Raw | None = None
    node_publish_secret_ref: Raw | None = None
    node_expand_secret_ref: Raw | None = None


class PersistentVolumeSpec(VolumeSources):
    """A volume: its capacity, its source and where it can be used."""

    capacity: ResourceList = Field(default_factory=dict)
    access_modes: tuple[str, ...] = ()
    claim_ref: ObjectReference | None = None
    persistent_volume_reclaim_policy: str = ""
    storage_class_name: str = ""
    volume_mode: str | None = None
    node_affinity: VolumeNodeAffinity | None = None
    csi: CsiPersistentVolume | None = None
    local: Raw | None = None
    volume_attributes_class_name: str | None = None


class PersistentVolumeStatus(ApiModel):
    """Whether a volume is bound."""

    phase: str = ""


class PersistentVolume(ApiObjectBase):
    """A persistent volume."""

    kind: ClassVar[str] = "PersistentVolume"
    api_version: ClassVar[str] = "v1"
    namespaced: ClassVar[bool] = False

    spec: PersistentVolumeSpec
    status: PersistentVolumeStatus = Field(default_factory=PersistentVolumeStatus)


class StorageClass(ApiObjectBase):
    """How volumes are made; with WaitForFirstConsumer after the pod's node is chosen."""

    kind: ClassVar[str] = "StorageClass"
    api_version: ClassVar[str] = "storage.k8s.io/v1"
    namespaced: ClassVar[bool] = False

    provisioner: str
    parameters: Mapping[str, str] = Field(default_factory=dict)
    reclaim_policy: str | None = None
    allow_volume_expansion: Bool | None = None
    volume_binding_mode: str | None = None
    allowed_topologies: tuple[TopologySelectorTerm, ...] = ()


class VolumeNodeResources(ApiModel):
    """How many volumes of a driver fit on a node; absent means unlimited."""

    count: Count | None = None


class CSINodeDriver(ApiModel):
    """A driver on a node."""

    name: str
    node_id: str = Field(alias="nodeID")
    topology_keys: tuple[str, ...] = ()
    allocatable: VolumeNodeResources | None = None


class CSINodeSpec(ApiModel):
    """The drivers on a node."""

    drivers: tuple[CSINodeDriver, ...] = ()


class CSINode(ApiObjectBase):
    """What the CSI drivers of one node report."""

    kind: ClassVar[str] = "CSINode"
    api_version: ClassVar[str] = "storage.k8s.io/v1"
    namespaced: ClassVar[bool] = False

    spec: CSINodeSpec


class CSIDriverSpec(ApiModel):
    """What a driver can do."""

    attach_required: Bool | None = None
    storage_capacity: Bool | None = None
    volume_lifecycle_modes: tuple[str, ...] = ()


class CSIDriver(ApiObjectBase):
    """A CSI driver."""

    kind: ClassVar[str] = "CSIDriver"
    api_version: ClassVar[str] = "storage.k8s.io/v1"
    namespaced: ClassVar[bool] = False

    spec: CSIDriverSpec


class CSIStorageCapacity(ApiObjectBase):
    """How much a driver can provision for a class on some nodes, in bytes."""

    kind: ClassVar[str] = "CSIStorageCapacity"
    api_version: ClassVar[str] = "storage.k8s.io/v1"

    storage_class_name: str
    node_topology: LabelSelector | None = None
    capacity: Bytes | None = None
    maximum_volume_size: Bytes | None = None


class VolumeAttachmentSource(ApiModel):
    """What is attached."""

    persistent_volume_name: str | None = None
    inline_volume_spec: Raw | None = None


class VolumeAttachmentSpec(ApiModel):
    """A wish to attach a volume to a node."""

    attacher: str
    node_name: str
    source: VolumeAttachmentSource


class VolumeAttachmentStatus(ApiModel):
    """Whether it is attached."""

    attached: Bool = False


class VolumeAttachment(ApiObjectBase):
    """The attachment of one volume to one node."""

    kind: ClassVar[str] = "VolumeAttachment"
    api_version: ClassVar[str] = "storage.k8s.io/v1"
    namespaced: ClassVar[bool] = False

    spec: VolumeAttachmentSpec
    status: VolumeAttachmentStatus = Field(default_factory=VolumeAttachmentStatus)
