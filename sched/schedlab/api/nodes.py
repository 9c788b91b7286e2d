"""Nodes, namespaces and services."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from schedlab.api.base import (
    ApiModel,
    Bool,
    Count,
    Int64,
    LabelKey,
    LabelValue,
    Port,
    PortOrName,
    ResourceList,
)
from schedlab.api.meta import ApiObjectBase
from schedlab.api.pods import Effect


class Taint(ApiModel):
    """A mark that keeps pods away which don't tolerate it."""

    key: LabelKey
    value: LabelValue = ""
    effect: Effect


class NodeSpec(ApiModel):
    """What a node is told."""

    unschedulable: Bool = False
    taints: tuple[Taint, ...] = ()
    provider_id: str = Field(default="", alias="providerID")


class ContainerImage(ApiModel):
    """An image on the node, under all of its names."""

    names: tuple[str, ...] = ()
    size_bytes: Int64 = 0


class NodeCondition(ApiModel):
    """One condition of a node, such as Ready."""

    type: str
    status: str
    reason: str = ""


class AttachedVolume(ApiModel):
    """A volume that is attached to the node."""

    name: str
    device_path: str = ""


class NodeStatus(ApiModel):
    """What a node has. Resource amounts as `schedlab.units.amount`."""

    capacity: ResourceList = Field(default_factory=dict)
    allocatable: ResourceList = Field(default_factory=dict)
    images: tuple[ContainerImage, ...] = ()
    conditions: tuple[NodeCondition, ...] = ()
    volumes_attached: tuple[AttachedVolume, ...] = ()
    volumes_in_use: tuple[str, ...] = ()
    declared_features: tuple[str, ...] = ()


class Node(ApiObjectBase):
    """A node."""

    kind: ClassVar[str] = "Node"
    api_version: ClassVar[str] = "v1"
    namespaced: ClassVar[bool] = False

    spec: NodeSpec = Field(default_factory=NodeSpec)
    status: NodeStatus = Field(default_factory=NodeStatus)


class Namespace(ApiObjectBase):
    """A namespace; its labels matter to affinity terms with a namespace selector."""

    kind: ClassVar[str] = "Namespace"
    api_version: ClassVar[str] = "v1"
    namespaced: ClassVar[bool] = False


class ServicePort(ApiModel):
    """A port of a service."""

    port: Port
    name: str = ""
    protocol: Literal["TCP", "UDP", "SCTP"] | None = None
    target_port: PortOrName | None = None
    node_port: Count = 0


class ServiceSpec(ApiModel):
    """Which pods a service sends traffic to; without a selector it has none of its own."""

    selector: Mapping[str, str] = Field(default_factory=dict)
    ports: tuple[ServicePort, ...] = ()
    type: Literal["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"] | None = None
    cluster_ip: str = Field(default="", alias="clusterIP")
    publish_not_ready_addresses: Bool = False


class Service(ApiObjectBase):
    """A service."""

    kind: ClassVar[str] = "Service"
    api_version: ClassVar[str] = "v1"

    spec: ServiceSpec = Field(default_factory=ServiceSpec)
