"""Metadata and selectors, the parts that all kinds share (meta/v1 and the node selectors)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from schedlab.api.base import ApiModel, Bool, Int64, LabelKey, Labels, LabelValue, Name, Seconds
from schedlab.errors import InputError


class OwnerReference(ApiModel):
    """The object that owns this one; ``controller`` marks the one that manages it."""

    api_version: str
    kind: str
    name: str
    uid: str
    controller: Bool | None = None
    block_owner_deletion: Bool | None = None


class ObjectMeta(ApiModel):
    """Name, labels and bookkeeping of an object. Timestamps are RFC 3339 text."""

    name: Name = ""
    namespace: Name = ""
    generate_name: str = ""
    labels: Labels = Field(default_factory=dict)
    annotations: Mapping[str, str] = Field(default_factory=dict)
    uid: str = ""
    resource_version: str = ""
    generation: Int64 = 0
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    deletion_grace_period_seconds: Seconds | None = None
    owner_references: tuple[OwnerReference, ...] = ()
    finalizers: tuple[str, ...] = ()


class ApiObjectBase(ApiModel):
    """Base of the kinds themselves."""

    kind: ClassVar[str]
    api_version: ClassVar[str]
    namespaced: ClassVar[bool] = True

    metadata: ObjectMeta

    @property
    def key(self) -> str:
        """``namespace/name``, or ``name`` for kinds that live outside namespaces."""
        if not self.namespaced:
            return self.metadata.name
        return f"{self.metadata.namespace or 'default'}/{self.metadata.name}"


class LabelSelectorRequirement(ApiModel):
    """One condition on a label."""

    key: LabelKey
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: tuple[LabelValue, ...] = ()

    @model_validator(mode="after")
    def _values_fit(self) -> Self:
        _check_values(self.operator, self.values)
        return self


class LabelSelector(ApiModel):
    """Conditions on labels, all of which must hold; without any it selects everything."""

    match_labels: Labels = Field(default_factory=dict)
    match_expressions: tuple[LabelSelectorRequirement, ...] = ()


class NodeSelectorRequirement(ApiModel):
    """One condition on a node's label, or in ``match_fields`` on its name."""

    key: str
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]
    values: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _values_fit(self) -> Self:
        if self.operator in ("Gt", "Lt"):
            if len(self.values) != 1:
                raise InputError(
                    "values", found=list(self.values), expected=f"one value with {self.operator}"
                )
        else:
            _check_values(self.operator, self.values)
        return self


def _check_values(operator: str, values: tuple[str, ...]) -> None:
    if operator in ("In", "NotIn"):
        if not values:
            raise InputError("values", found=[], expected=f"at least one value with {operator}")
    elif values:
        raise InputError("values", found=list(values), expected=f"no values with {operator}")


class NodeSelectorTerm(ApiModel):
    """Conditions on a node, all of which must hold; without any it selects no node."""

    match_expressions: tuple[NodeSelectorRequirement, ...] = ()
    match_fields: tuple[NodeSelectorRequirement, ...] = ()

    @model_validator(mode="after")
    def _only_names(self) -> Self:
        for index, field in enumerate(self.match_fields):
            where = f"matchFields[{index}]"
            if field.key != "metadata.name":
                raise InputError(f"{where}.key", found=field.key, expected="metadata.name")
            if field.operator not in ("In", "NotIn"):
                raise InputError(f"{where}.operator", found=field.operator, expected="In or NotIn")
            if len(field.values) != 1:
                raise InputError(
                    f"{where}.values", found=list(field.values), expected="one node name"
                )
        return self


class NodeSelector(ApiModel):
    """Terms of which one must hold."""

    node_selector_terms: Annotated[tuple[NodeSelectorTerm, ...], Field(min_length=1)]


class PreferredSchedulingTerm(ApiModel):
    """A term that adds *weight* (1 to 100) to the score of the nodes that it selects."""

    weight: Annotated[int, Field(strict=True, ge=1, le=100)]
    preference: NodeSelectorTerm
