"""The kinds that make pods: Deployment, ReplicaSet, Job, StatefulSet, ReplicationController."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from schedlab.api.base import (
    ApiModel,
    Bool,
    Count,
    Int64,
    IntOrPercent,
    Labels,
    Raw,
    Seconds,
)
from schedlab.api.meta import ApiObjectBase, LabelSelector
from schedlab.api.pods import PodTemplateSpec
from schedlab.api.selectors import label_selector_matches
from schedlab.api.storage import PersistentVolumeClaim
from schedlab.errors import InputError


class ReplicatedSpec(ApiModel):
    """What the specs of Deployment, ReplicaSet and StatefulSet share; absent *replicas* means 1."""

    replicas: Count | None = None
    selector: LabelSelector
    template: PodTemplateSpec
    min_ready_seconds: Count = 0

    @model_validator(mode="after")
    def _selects_its_pods(self) -> Self:
        if self.selector == LabelSelector():
            raise InputError("selector", found="<an empty selector>", expected="a label")
        labels = self.template.metadata.labels
        if not label_selector_matches(self.selector, labels):
            raise InputError(
                "template.metadata.labels",
                found=dict(labels),
                expected="labels that spec.selector selects",
            )
        policy = self.template.spec.restart_policy
        if policy not in (None, "Always"):
            raise InputError("template.spec.restartPolicy", found=policy, expected="Always")
        return self


class RollingUpdateDeployment(ApiModel):
    """How many pods may be missing or too many during an update; absent means 25 %."""

    max_unavailable: IntOrPercent | None = None
    max_surge: IntOrPercent | None = None


class DeploymentStrategy(ApiModel):
    """How old pods are replaced by new ones."""

    type: Literal["RollingUpdate", "Recreate"] | None = None
    rolling_update: RollingUpdateDeployment | None = None


class DeploymentSpec(ReplicatedSpec):
    """What a Deployment wants."""

    strategy: DeploymentStrategy = Field(default_factory=DeploymentStrategy)
    revision_history_limit: Count | None = None
    progress_deadline_seconds: Count | None = None
    paused: Bool = False


class DeploymentStatus(ApiModel):
    """How far a Deployment is."""

    observed_generation: Int64 = 0
    replicas: Count = 0
    updated_replicas: Count = 0
    ready_replicas: Count = 0
    available_replicas: Count = 0
    unavailable_replicas: Count = 0
    terminating_replicas: Count | None = None


class Deployment(ApiObjectBase):
    """A Deployment."""

    kind: ClassVar[str] = "Deployment"
    api_version: ClassVar[str] = "apps/v1"

    spec: DeploymentSpec
    status: DeploymentStatus = Field(default_factory=DeploymentStatus)


class ReplicaSetSpec(ReplicatedSpec):
    """What a ReplicaSet wants."""


class ReplicaSetStatus(ApiModel):
    """How far a ReplicaSet is."""

    observed_generation: Int64 = 0
    replicas: Count = 0
    fully_labeled_replicas: Count = 0
    ready_replicas: Count = 0
    available_replicas: Count = 0
    terminating_replicas: Count | None = None


class ReplicaSet(ApiObjectBase):
    """A ReplicaSet."""

    kind: ClassVar[str] = "ReplicaSet"
    api_version: ClassVar[str] = "apps/v1"

    spec: ReplicaSetSpec
    status: ReplicaSetStatus = Field(default_factory=ReplicaSetStatus)


class ReplicationControllerSpec(ApiModel):
    """What a ReplicationController wants."""

    replicas: Count | None = None
    selector: Labels = Field(default_factory=dict)
    template: PodTemplateSpec | None = None
    min_ready_seconds: Count = 0


class ReplicationControllerStatus(ReplicaSetStatus):
    """How far a ReplicationController is."""


class ReplicationController(ApiObjectBase):
    """A ReplicationController, the forerunner of the ReplicaSet."""

    kind: ClassVar[str] = "ReplicationController"
    api_version: ClassVar[str] = "v1"

    spec: ReplicationControllerSpec
    status: ReplicationControllerStatus = Field(default_factory=ReplicationControllerStatus)


class StatefulSetSpec(ReplicatedSpec):
    """What a StatefulSet wants."""

    service_name: str = ""
    pod_management_policy: Literal["OrderedReady", "Parallel"] | None = None
    update_strategy: Raw | None = None
    volume_claim_templates: tuple[PersistentVolumeClaim, ...] = ()
    revision_history_limit: Count | None = None
    persistent_volume_claim_retention_policy: Raw | None = None
    ordinals: Raw | None = None


class StatefulSetStatus(ApiModel):
    """How far a StatefulSet is."""

    observed_generation: Int64 = 0
    replicas: Count = 0
    ready_replicas: Count = 0
    current_replicas: Count = 0
    updated_replicas: Count = 0
    available_replicas: Count = 0
    current_revision: str = ""
    update_revision: str = ""


class StatefulSet(ApiObjectBase):
    """A StatefulSet."""

    kind: ClassVar[str] = "StatefulSet"
    api_version: ClassVar[str] = "apps/v1"

    spec: StatefulSetSpec
    status: StatefulSetStatus = Field(default_factory=StatefulSetStatus)


class JobSpec(ApiModel):
    """What a Job wants; absent *parallelism* and *completions* mean 1, *backoff_limit* 6."""

    template: PodTemplateSpec
    parallelism: Count | None = None
    completions: Count | None = None
    active_deadline_seconds: Annotated[int, Field(strict=True, ge=1)] | None = None
    backoff_limit: Count | None = None
    backoff_limit_per_index: Count | None = None
    max_failed_indexes: Count | None = None
    completion_mode: Literal["NonIndexed", "Indexed"] | None = None
    suspend: Bool | None = None
    ttl_seconds_after_finished: Seconds | None = None
    selector: LabelSelector | None = None
    manual_selector: Bool | None = None
    pod_failure_policy: Raw | None = None
    success_policy: Raw | None = None
    pod_replacement_policy: Literal["TerminatingOrFailed", "Failed"] | None = None
    managed_by: str | None = None

    @model_validator(mode="after")
    def _pods_end(self) -> Self:
        policy = self.template.spec.restart_policy
        if policy not in ("OnFailure", "Never"):
            raise InputError(
                "template.spec.restartPolicy",
                found=policy or "<nothing>",
                expected="OnFailure or Never in a Job",
            )
        if self.completion_mode == "Indexed" and self.completions is None:
            raise InputError("completions", found="<nothing>", expected="a number, as Indexed")
        return self


class JobStatus(ApiModel):
    """How far a Job is."""

    start_time: str | None = None
    completion_time: str | None = None
    active: Count = 0
    ready: Count | None = None
    terminating: Count | None = None
    succeeded: Count = 0
    failed: Count = 0
    completed_indexes: str = ""
    failed_indexes: str | None = None


class Job(ApiObjectBase):
    """A Job."""

    kind: ClassVar[str] = "Job"
    api_version: ClassVar[str] = "batch/v1"

    spec: JobSpec
    status: JobStatus = Field(default_factory=JobStatus)
