"""The arguments that kube-scheduler's plugins take in ``pluginConfig``, checked as upstream."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from schedlab.api.base import ApiModel, Bool, Count, LabelKey, Seconds
from schedlab.api.objects import NodeAffinity, TopologySpreadConstraint
from schedlab.errors import InputError
from schedlab.scheduling.framework.configuration import Percentage
from schedlab.units import parse_duration_us


class ResourceSpec(ApiModel):
    """A resource that is scored, and its weight (0 = 1, as upstream defaults it)."""

    name: str
    weight: Annotated[int, Field(strict=True, ge=0, le=100)] = 1


class ShapePoint(ApiModel):
    """One point of RequestedToCapacityRatio."""

    utilization: Percentage
    score: Annotated[int, Field(strict=True, ge=0, le=10)]


class RatioParam(ApiModel):
    """The shape of RequestedToCapacityRatio."""

    shape: Annotated[tuple[ShapePoint, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _grows(self) -> Self:
        for i, (a, b) in enumerate(pairwise(self.shape), start=1):
            if a.utilization >= b.utilization:
                raise InputError(
                    f"shape[{i}].utilization",
                    found=b.utilization,
                    expected="points of growing utilization",
                )
        return self


class ScoringStrategy(ApiModel):
    """How NodeResourcesFit scores."""

    type: Literal["LeastAllocated", "MostAllocated", "RequestedToCapacityRatio"] = "LeastAllocated"
    resources: tuple[ResourceSpec, ...] = ()
    requested_to_capacity_ratio: RatioParam | None = None

    @model_validator(mode="after")
    def _shape_fits(self) -> Self:
        shape = self.requested_to_capacity_ratio
        if (self.type == "RequestedToCapacityRatio") != (shape is not None):
            raise InputError(
                "requestedToCapacityRatio",
                found="<nothing>" if shape is None else "<a shape>",
                expected="a shape with type RequestedToCapacityRatio, and only then",
            )
        return self


class NodeResourcesFitArgs(ApiModel):
    """Arguments of NodeResourcesFit."""

    ignored_resources: tuple[LabelKey, ...] = ()
    ignored_resource_groups: tuple[LabelKey, ...] = ()
    scoring_strategy: ScoringStrategy = ScoringStrategy()

    @model_validator(mode="after")
    def _groups_are_domains(self) -> Self:
        for i, group in enumerate(self.ignored_resource_groups):
            if "/" in group:
                raise InputError(
                    f"ignoredResourceGroups[{i}]", found=group, expected="a domain, without '/'"
                )
        return self


class NodeResourcesBalancedAllocationArgs(ApiModel):
    """Arguments of NodeResourcesBalancedAllocation."""

    resources: tuple[ResourceSpec, ...] = ()

    @model_validator(mode="after")
    def _unweighted(self) -> Self:
        names = [entry.name for entry in self.resources]
        for i, entry in enumerate(self.resources):
            where = f"resources[{i}]"
            if entry.name in names[:i]:
                raise InputError(f"{where}.name", found=entry.name, expected="each resource once")
            if entry.weight > 1:
                raise InputError(f"{where}.weight", found=entry.weight, expected="1")
        return self


class NodeAffinityArgs(ApiModel):
    """Arguments of NodeAffinity."""

    added_affinity: NodeAffinity | None = None


class InterPodAffinityArgs(ApiModel):
    """Arguments of InterPodAffinity."""

    hard_pod_affinity_weight: Percentage = 1
    ignore_preferred_terms_of_existing_pods: Bool = False


class PodTopologySpreadArgs(ApiModel):
    """Arguments of PodTopologySpread; the constraints count only with ``List``."""

    defaulting_type: Literal["System", "List"] = "System"
    default_constraints: tuple[TopologySpreadConstraint, ...] = ()

    @model_validator(mode="after")
    def _as_upstream(self) -> Self:
        if self.defaulting_type == "System" and self.default_constraints:
            raise InputError(
                "defaultingType", found="System", expected="List, as there are defaultConstraints"
            )
        seen: set[tuple[str, str]] = set()
        for i, constraint in enumerate(self.default_constraints):
            where = f"defaultConstraints[{i}]"
            if constraint.label_selector is not None:
                raise InputError(
                    f"{where}.labelSelector",
                    found="<a selector>",
                    expected="none: it follows from each pod",
                )
            kind = (constraint.topology_key, constraint.when_unsatisfiable)
            if kind in seen:
                raise InputError(where, found=kind, expected="each key and action once")
            seen.add(kind)
        return self


class VolumeBindingArgs(ApiModel):
    """Arguments of VolumeBinding; *shape* needs a feature that is off in 1.35."""

    bind_timeout_seconds: Seconds = 600
    shape: tuple[ShapePoint, ...] | None = None

    @model_validator(mode="after")
    def _without_shape(self) -> Self:
        if self.shape is not None:
            raise InputError(
                "shape", found="<a shape>", expected="none: StorageCapacityScoring is off"
            )
        return self


class DefaultPreemptionArgs(ApiModel):
    """Arguments of DefaultPreemption."""

    min_candidate_nodes_percentage: Percentage = 10
    min_candidate_nodes_absolute: Count = 100

    @model_validator(mode="after")
    def _some_candidates(self) -> Self:
        if not (self.min_candidate_nodes_percentage or self.min_candidate_nodes_absolute):
            raise InputError(
                "minCandidateNodesAbsolute",
                found=0,
                expected="more, or minCandidateNodesPercentage: not both zero",
            )
        return self


class DynamicResourcesArgs(ApiModel):
    """Arguments of DynamicResources, which have no effect on pods without claims."""

    filter_timeout: str | None = None
    binding_timeout: str | None = None

    @model_validator(mode="after")
    def _durations(self) -> Self:
        for key, text, least_us in (
            ("filterTimeout", self.filter_timeout, 0),
            ("bindingTimeout", self.binding_timeout, 1_000_000),
        ):
            if text is not None and parse_duration_us(text) < least_us:
                raise InputError(key, found=text, expected=f"at least {least_us // 1_000_000} s")
        return self
