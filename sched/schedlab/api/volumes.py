"""Volumes of a pod. Typed are the sources that a scheduler looks at; the others stay as read."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from schedlab.api.base import ApiModel, Bool, Int32, Labels, Raw, ResourceList
from schedlab.api.meta import LabelSelector, ObjectMeta
from schedlab.errors import InputError


class StorageRequirements(ApiModel):
    """How much storage a claim asks for, in bytes."""

    requests: ResourceList = Field(default_factory=dict)
    limits: ResourceList = Field(default_factory=dict)


class PersistentVolumeClaimSpec(ApiModel):
    """What a claim asks for; an empty *storage_class_name* differs from an absent one."""

    access_modes: tuple[str, ...] = ()
    resources: StorageRequirements = Field(default_factory=StorageRequirements)
    selector: LabelSelector | None = None
    storage_class_name: str | None = None
    volume_mode: str | None = None
    volume_name: str = ""
    volume_attributes_class_name: str | None = None


class PersistentVolumeClaimTemplate(ApiModel):
    """A claim that is made for the pod."""

    metadata: ObjectMeta = Field(default_factory=ObjectMeta)
    spec: PersistentVolumeClaimSpec


class PersistentVolumeClaimVolumeSource(ApiModel):
    """A claim in the pod's namespace."""

    claim_name: str
    read_only: Bool = False


class EphemeralVolumeSource(ApiModel):
    """A claim that lives as long as the pod."""

    volume_claim_template: PersistentVolumeClaimTemplate


class GcePersistentDisk(ApiModel):
    """A disk of Google Compute Engine."""

    pd_name: str
    fs_type: str = ""
    partition: Int32 = 0
    read_only: Bool = False


class AwsElasticBlockStore(ApiModel):
    """A disk of Amazon EC2."""

    volume_id: str = Field(alias="volumeID")
    fs_type: str = ""
    partition: Int32 = 0
    read_only: Bool = False


class AzureDisk(ApiModel):
    """A disk of Azure."""

    disk_name: str
    disk_uri: str = Field(alias="diskURI")
    caching_mode: str | None = None
    fs_type: str | None = None
    read_only: Bool | None = None
    kind: str | None = None


class Iscsi(ApiModel):
    """An iSCSI disk."""

    target_portal: str
    iqn: str
    lun: Int32 = 0
    iscsi_interface: str = ""
    fs_type: str = ""
    read_only: Bool = False
    portals: tuple[str, ...] = ()
    chap_auth_discovery: Bool = False
    chap_auth_session: Bool = False
    secret_ref: Raw | None = None
    initiator_name: str | None = None


class Rbd(ApiModel):
    """A Ceph block device; absent *pool* means ``rbd``."""

    monitors: tuple[str, ...]
    image: str
    pool: str = ""
    user: str = ""
    keyring: str = ""
    fs_type: str = ""
    read_only: Bool = False
    secret_ref: Raw | None = None


class CsiVolumeSource(ApiModel):
    """An inline volume of a CSI driver."""

    driver: str
    read_only: Bool | None = None
    fs_type: str | None = None
    volume_attributes: Raw = Field(default_factory=dict)
    node_publish_secret_ref: Raw | None = None


class VolumeSources(ApiModel):
    """The sources that pods and persistent volumes share."""

    gce_persistent_disk: GcePersistentDisk | None = None
    aws_elastic_block_store: AwsElasticBlockStore | None = None
    azure_disk: AzureDisk | None = None
    azure_file: Raw | None = None
    cephfs: Raw | None = None
    cinder: Raw | None = None
    fc: Raw | None = None
    flex_volume: Raw | None = None
    flocker: Raw | None = None
    glusterfs: Raw | None = None
    host_path: Raw | None = None
    iscsi: Iscsi | None = None
    nfs: Raw | None = None
    photon_persistent_disk: Raw | None = None
    portworx_volume: Raw | None = None
    quobyte: Raw | None = None
    rbd: Rbd | None = None
    scale_io: Raw | None = Field(default=None, alias="scaleIO")
    storageos: Raw | None = None
    vsphere_volume: Raw | None = None


class Volume(VolumeSources):
    """A volume of a pod: a name and one source; without a source it is an ``emptyDir``."""

    name: str
    persistent_volume_claim: PersistentVolumeClaimVolumeSource | None = None
    ephemeral: EphemeralVolumeSource | None = None
    csi: CsiVolumeSource | None = None
    empty_dir: Raw | None = None
    config_map: Raw | None = None
    secret: Raw | None = None
    projected: Raw | None = None
    downward_api: Raw | None = Field(default=None, alias="downwardAPI")
    git_repo: Raw | None = None
    image: Raw | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = sorted(self.model_fields_set - {"name"})
        if len(given) > 1:
            raise InputError("", found=", ".join(given), expected="one source for a volume")
        return self


class TopologySelectorLabelRequirement(ApiModel):
    """A label and the values it may have."""

    key: str
    values: tuple[str, ...]


class TopologySelectorTerm(ApiModel):
    """Where volumes of a class may be provisioned."""

    match_label_expressions: tuple[TopologySelectorLabelRequirement, ...] = ()


__all__ = [
    "AwsElasticBlockStore",
    "AzureDisk",
    "CsiVolumeSource",
    "EphemeralVolumeSource",
    "GcePersistentDisk",
    "Iscsi",
    "Labels",
    "PersistentVolumeClaimSpec",
    "PersistentVolumeClaimTemplate",
    "PersistentVolumeClaimVolumeSource",
    "Rbd",
    "StorageRequirements",
    "TopologySelectorLabelRequirement",
    "TopologySelectorTerm",
    "Volume",
    "VolumeSources",
]
