"""All API objects under one name, and the table of kinds.

Field names are those of Kubernetes in snake_case; see `schedlab.api.base` for the rules that all
types share, and the modules named in the imports for the types themselves.
"""

from __future__ import annotations

from typing import TypeAlias

from schedlab.api.base import Amounts, ApiModel
from schedlab.api.controllers import (
    Deployment,
    DeploymentSpec,
    DeploymentStatus,
    DeploymentStrategy,
    Job,
    JobSpec,
    JobStatus,
    ReplicaSet,
    ReplicaSetSpec,
    ReplicaSetStatus,
    ReplicationController,
    ReplicationControllerSpec,
    ReplicationControllerStatus,
    RollingUpdateDeployment,
    StatefulSet,
    StatefulSetSpec,
    StatefulSetStatus,
)
from schedlab.api.meta import (
    ApiObjectBase,
    LabelSelector,
    LabelSelectorRequirement,
    NodeSelector,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    ObjectMeta,
    OwnerReference,
    PreferredSchedulingTerm,
)
from schedlab.api.nodes import (
    AttachedVolume,
    ContainerImage,
    Namespace,
    Node,
    NodeCondition,
    NodeSpec,
    NodeStatus,
    Service,
    ServicePort,
    ServiceSpec,
    Taint,
)
from schedlab.api.pods import (
    Affinity,
    Container,
    ContainerPort,
    ContainerStatus,
    NodeAffinity,
    Pod,
    PodAffinity,
    PodAffinityTerm,
    PodAntiAffinity,
    PodCondition,
    PodDisruptionBudget,
    PodDisruptionBudgetSpec,
    PodDisruptionBudgetStatus,
    PodResourceClaim,
    PodSchedulingGate,
    PodSpec,
    PodStatus,
    PodTemplateSpec,
    PriorityClass,
    ResourceClaimReference,
    ResourceRequirements,
    Toleration,
    TopologySpreadConstraint,
    WeightedPodAffinityTerm,
    WorkloadReference,
)
from schedlab.api.storage import (
    CSIDriver,
    CSIDriverSpec,
    CSINode,
    CSINodeDriver,
    CSINodeSpec,
    CsiPersistentVolume,
    CSIStorageCapacity,
    ObjectReference,
    PersistentVolume,
    PersistentVolumeClaim,
    PersistentVolumeClaimStatus,
    PersistentVolumeSpec,
    PersistentVolumeStatus,
    StorageClass,
    VolumeAttachment,
    VolumeAttachmentSource,
    VolumeAttachmentSpec,
    VolumeAttachmentStatus,
    VolumeNodeAffinity,
    VolumeNodeResources,
)
from schedlab.api.volumes import (
    AwsElasticBlockStore,
    AzureDisk,
    CsiVolumeSource,
    EphemeralVolumeSource,
    GcePersistentDisk,
    Iscsi,
    PersistentVolumeClaimSpec,
    PersistentVolumeClaimTemplate,
    PersistentVolumeClaimVolumeSource,
    Rbd,
    StorageRequirements,
    TopologySelectorLabelRequirement,
    TopologySelectorTerm,
    Volume,
)

PodTemplate: TypeAlias = PodTemplateSpec
"""The template of a controller's pods, or of bare pods in a workload."""

ApiObject: TypeAlias = (
    Node
    | Pod
    | Namespace
    | Service
    | Deployment
    | ReplicaSet
    | Job
    | PriorityClass
    | PodDisruptionBudget
    | StatefulSet
    | ReplicationController
    | PersistentVolumeClaim
    | PersistentVolume
    | StorageClass
    | CSINode
    | CSIDriver
    | CSIStorageCapacity
    | VolumeAttachment
)

KINDS: dict[str, type[ApiObject]] = {
    "Node": Node,
    "Pod": Pod,
    "Namespace": Namespace,
    "Service": Service,
    "Deployment": Deployment,
    "ReplicaSet": ReplicaSet,
    "Job": Job,
    "PriorityClass": PriorityClass,
    "PodDisruptionBudget": PodDisruptionBudget,
    "StatefulSet": StatefulSet,
    "ReplicationController": ReplicationController,
    "PersistentVolumeClaim": PersistentVolumeClaim,
    "PersistentVolume": PersistentVolume,
    "StorageClass": StorageClass,
    "CSINode": CSINode,
    "CSIDriver": CSIDriver,
    "CSIStorageCapacity": CSIStorageCapacity,
    "VolumeAttachment": VolumeAttachment,
}
"""Kind -> its model."""

__all__ = [
    "KINDS",
    "Affinity",
    "Amounts",
    "ApiModel",
    "ApiObject",
    "ApiObjectBase",
    "AttachedVolume",
    "AwsElasticBlockStore",
    "AzureDisk",
    "CSIDriver",
    "CSIDriverSpec",
    "CSINode",
    "CSINodeDriver",
    "CSINodeSpec",
    "CSIStorageCapacity",
    "Container",
    "ContainerImage",
    "ContainerPort",
    "ContainerStatus",
    "CsiPersistentVolume",
    "CsiVolumeSource",
    "Deployment",
    "DeploymentSpec",
    "DeploymentStatus",
    "DeploymentStrategy",
    "EphemeralVolumeSource",
    "GcePersistentDisk",
    "Iscsi",
    "Job",
    "JobSpec",
    "JobStatus",
    "LabelSelector",
    "LabelSelectorRequirement",
    "Namespace",
    "Node",
    "NodeAffinity",
    "NodeCondition",
    "NodeSelector",
    "NodeSelectorRequirement",
    "NodeSelectorTerm",
    "NodeSpec",
    "NodeStatus",
    "ObjectMeta",
    "ObjectReference",
    "OwnerReference",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "PersistentVolumeClaimSpec",
    "PersistentVolumeClaimStatus",
    "PersistentVolumeClaimTemplate",
    "PersistentVolumeClaimVolumeSource",
    "PersistentVolumeSpec",
    "PersistentVolumeStatus",
    "Pod",
    "PodAffinity",
    "PodAffinityTerm",
    "PodAntiAffinity",
    "PodCondition",
    "PodDisruptionBudget",
    "PodDisruptionBudgetSpec",
    "PodDisruptionBudgetStatus",
    "PodResourceClaim",
    "PodSchedulingGate",
    "PodSpec",
    "PodStatus",
    "PodTemplate",
    "PodTemplateSpec",
    "PreferredSchedulingTerm",
    "PriorityClass",
    "Rbd",
    "ReplicaSet",
    "ReplicaSetSpec",
    "ReplicaSetStatus",
    "ReplicationController",
    "ReplicationControllerSpec",
    "ReplicationControllerStatus",
    "ResourceClaimReference",
    "ResourceRequirements",
    "RollingUpdateDeployment",
    "Service",
    "ServicePort",
    "ServiceSpec",
    "StatefulSet",
    "StatefulSetSpec",
    "StatefulSetStatus",
    "StorageClass",
    "StorageRequirements",
    "Taint",
    "Toleration",
    "TopologySelectorLabelRequirement",
    "TopologySelectorTerm",
    "TopologySpreadConstraint",
    "Volume",
    "VolumeAttachment",
    "VolumeAttachmentSource",
    "VolumeAttachmentSpec",
    "VolumeAttachmentStatus",
    "VolumeNodeAffinity",
    "VolumeNodeResources",
    "WeightedPodAffinityTerm",
    "WorkloadReference",
]
