"""Pods: the whole scheduling surface of core/v1, and of the rest what stages and metrics need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from schedlab.api.base import (
    ApiModel,
    Bool,
    Count,
    Int32,
    Int64,
    IntOrPercent,
    LabelKey,
    Labels,
    Port,
    Raw,
    ResourceList,
    Seconds,
    step,
)
from schedlab.api.meta import (
    ApiObjectBase,
    LabelSelector,
    NodeSelector,
    ObjectMeta,
    PreferredSchedulingTerm,
)
from schedlab.api.volumes import Volume
from schedlab.errors import InputError
from schedlab.units import format_quantity

Effect = Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]
RestartPolicy = Literal["Always", "OnFailure", "Never"]
PreemptionPolicy = Literal["PreemptLowerPriority", "Never"]
Weight = Annotated[int, Field(strict=True, ge=1, le=100)]


class Toleration(ApiModel):
    """Taints that a pod bears: empty *key* = every key, empty *effect* = every effect."""

    key: str = ""
    operator: Literal["Equal", "Exists"] | None = None
    value: str = ""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute", ""] = ""
    toleration_seconds: Int64 | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.key and self.operator != "Exists":
            raise InputError("operator", found=self.operator, expected="Exists, as key is empty")
        if self.operator == "Exists" and self.value:
            raise InputError("value", found=self.value, expected="nothing, as operator is Exists")
        if self.toleration_seconds is not None and self.effect != "NoExecute":
            raise InputError("effect", found=self.effect, expected="NoExecute: tolerationSeconds")
        return self


class NodeAffinity(ApiModel):
    """Which nodes a pod must and would rather run on."""

    required_during_scheduling_ignored_during_execution: NodeSelector | None = None
    preferred_during_scheduling_ignored_during_execution: tuple[PreferredSchedulingTerm, ...] = ()


class PodAffinityTerm(ApiModel):
    """Pods that a pod is to be near to, or away from.

    Without *namespaces* and *namespace_selector* those of the pod's own namespace are meant; an
    empty *namespace_selector* means all namespaces.
    """

    label_selector: LabelSelector | None = None
    namespaces: tuple[str, ...] = ()
    topology_key: LabelKey
    namespace_selector: LabelSelector | None = None
    match_label_keys: tuple[LabelKey, ...] = ()
    mismatch_label_keys: tuple[LabelKey, ...] = ()


class WeightedPodAffinityTerm(ApiModel):
    """A term that is preferred by *weight*, 1 to 100."""

    weight: Weight
    pod_affinity_term: PodAffinityTerm


class PodAffinity(ApiModel):
    """Pods to be near to."""

    required_during_scheduling_ignored_during_execution: tuple[PodAffinityTerm, ...] = ()
    preferred_during_scheduling_ignored_during_execution: tuple[WeightedPodAffinityTerm, ...] = ()


class PodAntiAffinity(ApiModel):
    """Pods to be away from."""

    required_during_scheduling_ignored_during_execution: tuple[PodAffinityTerm, ...] = ()
    preferred_during_scheduling_ignored_during_execution: tuple[WeightedPodAffinityTerm, ...] = ()


class Affinity(ApiModel):
    """All affinities of a pod."""

    node_affinity: NodeAffinity | None = None
    pod_affinity: PodAffinity | None = None
    pod_anti_affinity: PodAntiAffinity | None = None


class TopologySpreadConstraint(ApiModel):
    """How evenly matching pods are to spread over the domains of *topology_key*."""

    max_skew: Annotated[int, Field(strict=True, ge=1)]
    topology_key: LabelKey
    when_unsatisfiable: Literal["DoNotSchedule", "ScheduleAnyway"]
    label_selector: LabelSelector | None = None
    min_domains: Annotated[int, Field(strict=True, ge=1)] | None = None
    node_affinity_policy: Literal["Honor", "Ignore"] | None = None
    node_taints_policy: Literal["Honor", "Ignore"] | None = None
    match_label_keys: tuple[LabelKey, ...] = ()

    @model_validator(mode="after")
    def _domains_only_when_required(self) -> Self:
        if self.min_domains is not None and self.when_unsatisfiable != "DoNotSchedule":
            raise InputError(
                "minDomains", found=self.min_domains, expected="it only with DoNotSchedule"
            )
        return self


class ResourceClaimReference(ApiModel):
    """A claim of the pod that a container uses."""

    name: str
    request: str = ""


class ResourceRequirements(ApiModel):
    """What is reserved (*requests*) and what may be used at most (*limits*)."""

    requests: ResourceList = Field(default_factory=dict)
    limits: ResourceList = Field(default_factory=dict)
    claims: tuple[ResourceClaimReference, ...] = ()

    @model_validator(mode="after")
    def _within_limits(self) -> Self:
        for name, request in self.requests.items():
            limit = self.limits.get(name)
            if limit is not None and request > limit:
                raise InputError(
                    f"requests{step(name)}",
                    found=format_quantity(name, request),
                    expected=f"at most the limit {format_quantity(name, limit)}",
                )
        return self


class ContainerPort(ApiModel):
    """A port of a container; *host_port* takes the port of the node."""

    container_port: Port
    host_port: Annotated[int, Field(strict=True, ge=0, le=65535)] = 0
    host_ip: str = Field(default="", alias="hostIP")
    protocol: Literal["TCP", "UDP", "SCTP"] | None = None
    name: str = ""


class Container(ApiModel):
    """One container. ``restart_policy: Always`` on an init container makes it a sidecar."""

    name: str
    image: str = ""
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None
    resources: ResourceRequirements = Field(default_factory=ResourceRequirements)
    ports: tuple[ContainerPort, ...] = ()
    restart_policy: RestartPolicy | None = None
    restart_policy_rules: tuple[Raw, ...] = ()
    readiness_probe: Raw | None = None
    liveness_probe: Raw | None = None
    startup_probe: Raw | None = None
    lifecycle: Raw | None = None


class PodSchedulingGate(ApiModel):
    """A gate that holds the pod back from scheduling until it is removed."""

    name: str


class PodResourceClaim(ApiModel):
    """A claim for devices (dynamic resource allocation)."""

    name: str
    resource_claim_name: str | None = None
    resource_claim_template_name: str | None = None


class WorkloadReference(ApiModel):
    """The gang that a pod belongs to (alpha in 1.35)."""

    name: str
    pod_group: str
    pod_group_replica_key: str = ""


class PodSpec(ApiModel):
    """What a pod asks for."""

    containers: Annotated[tuple[Container, ...], Field(min_length=1)]
    init_containers: tuple[Container, ...] = ()
    node_name: str = ""
    node_selector: Labels = Field(default_factory=dict)
    affinity: Affinity | None = None
    tolerations: tuple[Toleration, ...] = ()
    topology_spread_constraints: tuple[TopologySpreadConstraint, ...] = ()
    overhead: ResourceList = Field(default_factory=dict)
    resources: ResourceRequirements | None = None
    priority_class_name: str = ""
    priority: Int32 | None = None
    preemption_policy: PreemptionPolicy | None = None
    scheduler_name: str = "default-scheduler"
    scheduling_gates: tuple[PodSchedulingGate, ...] = ()
    restart_policy: RestartPolicy | None = None
    termination_grace_period_seconds: Seconds | None = None
    active_deadline_seconds: Seconds | None = None
    volumes: tuple[Volume, ...] = ()
    host_network: Bool = False
    resource_claims: tuple[PodResourceClaim, ...] = ()
    runtime_class_name: str | None = None
    readiness_gates: tuple[Raw, ...] = ()
    os: Raw | None = None
    workload_ref: WorkloadReference | None = None

    @model_validator(mode="after")
    def _unique_names(self) -> Self:
        if len(self.containers) + len(self.init_containers) > 1:
            seen: set[str] = set()
            for part, group in (
                ("containers", self.containers),
                ("initContainers", self.init_containers),
            ):
                for index, container in enumerate(group):
                    if container.name in seen:
                        raise InputError(
                            f"{part}[{index}].name", found=container.name, expected="a unique name"
                        )
                    seen.add(container.name)
        return self


class PodCondition(ApiModel):
    """One condition of a pod, such as PodScheduled."""

    type: str
    status: str
    reason: str = ""


class ContainerStatus(ApiModel):
    """What the kubelet granted a container (differs from the spec while it is being resized)."""

    name: str
    allocated_resources: ResourceList | None = None
    resources: ResourceRequirements | None = None


class PodStatus(ApiModel):
    """What became of a pod."""

    phase: Literal["Pending", "Running", "Succeeded", "Failed", "Unknown", ""] = ""
    reason: str = ""
    message: str = ""
    start_time: str | None = None
    nominated_node_name: str = ""
    conditions: tuple[PodCondition, ...] = ()
    container_statuses: tuple[ContainerStatus, ...] = ()
    init_container_statuses: tuple[ContainerStatus, ...] = ()
    allocated_resources: ResourceList | None = None
    resources: ResourceRequirements | None = None
    resource_claim_statuses: tuple[Raw, ...] = ()
    extended_resource_claim_status: Raw | None = None


class Pod(ApiObjectBase):
    """A pod."""

    kind: ClassVar[str] = "Pod"
    api_version: ClassVar[str] = "v1"

    spec: PodSpec
    status: PodStatus = Field(default_factory=PodStatus)


class PodTemplateSpec(ApiModel):
    """What the pods of a controller look like."""

    metadata: ObjectMeta = Field(default_factory=ObjectMeta)
    spec: PodSpec


class PriorityClass(ApiObjectBase):
    """A named priority."""

    kind: ClassVar[str] = "PriorityClass"
    api_version: ClassVar[str] = "scheduling.k8s.io/v1"
    namespaced: ClassVar[bool] = False

    value: Int32
    global_default: Bool = False
    preemption_policy: PreemptionPolicy | None = None


class PodDisruptionBudgetSpec(ApiModel):
    """How many of the selected pods may be disrupted at once."""

    selector: LabelSelector | None = None
    min_available: IntOrPercent | None = None
    max_unavailable: IntOrPercent | None = None
    unhealthy_pod_eviction_policy: str | None = None


class PodDisruptionBudgetStatus(ApiModel):
    """How many disruptions are left."""

    disruptions_allowed: Int32 = 0
    current_healthy: Count = 0
    desired_healthy: Count = 0
    expected_pods: Count = 0
    disrupted_pods: Mapping[str, str] = Field(default_factory=dict)
    observed_generation: Int64 = 0


class PodDisruptionBudget(ApiObjectBase):
    """A limit on voluntary disruptions."""

    kind: ClassVar[str] = "PodDisruptionBudget"
    api_version: ClassVar[str] = "policy/v1"

    spec: PodDisruptionBudgetSpec
    status: PodDisruptionBudgetStatus = Field(default_factory=PodDisruptionBudgetStatus)
