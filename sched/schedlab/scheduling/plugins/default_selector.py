"""The selector that default topology spreading counts pods by.

A pod that says nothing about spreading is spread among those that its Services, and the
ReplicationController, ReplicaSet or StatefulSet that owns it, select together with it: upstream's
``helper.DefaultSelector``. It is the same for all pods of a class, and kept until one of those
objects changes.

Asking every Service of the namespace about every class was rejected: with a thousand of each it
costs a million matches per change of one.
"""

from __future__ import annotations

from collections.abc import Mapping

from schedlab.api.meta import LabelSelector, LabelSelectorRequirement
from schedlab.api.objects import ReplicaSet, ReplicationController, Service, StatefulSet
from schedlab.api.selectors import labels_match
from schedlab.cluster.classes import PodClass
from schedlab.cluster.state import ClusterState

KINDS = ("Service", "ReplicationController", "ReplicaSet", "StatefulSet")
"""Kinds that the selector follows from."""

Pair = tuple[str, str]


def default_selector(state: ClusterState, pod: PodClass) -> LabelSelector | None:
    """Return the selector of pods that belong together with those of a class.

    Parameters
    ----------
    state : ClusterState
        The cluster; its ``objects.versions`` of `KINDS` say whether the answer may have changed.
    pod : PodClass
        The class; its ``owner`` names its controller.

    Returns
    -------
    LabelSelector or None
        None where no Service selects the pods, and no controller of those kinds owns them.
    """
    return state.objects.derived(("default selector", pod.id), KINDS, lambda: _merged(state, pod))


def _merged(state: ClusterState, pod: PodClass) -> LabelSelector | None:
    """Merge all selectors into one; a later one replaces the values of an earlier one's labels.

    Only a ReplicationController can do so: Services match the pod, and so agree with each other,
    and what a ReplicaSet or StatefulSet asks for is asked in addition.
    """
    merged: dict[str, str] = {}
    for wanted in _services(state, pod):
        merged.update(wanted)
    objects, (kind, name) = state.objects, pod.owner
    conditions: list[LabelSelectorRequirement] = []
    if kind == "ReplicationController":
        old = objects.get(ReplicationController, name, pod.namespace)
        if old is not None:
            template = old.spec.template
            labels = template.metadata.labels if template is not None else {}
            merged.update(old.spec.selector or labels)  # the API server's default
    elif kind in ("ReplicaSet", "StatefulSet"):
        found = (
            objects.get(ReplicaSet, name, pod.namespace)
            if kind == "ReplicaSet"
            else objects.get(StatefulSet, name, pod.namespace)
        )
        if found is not None:
            conditions = _added(merged, found.spec.selector)
    if not merged and not conditions:
        return None
    return LabelSelector.model_construct(match_labels=merged, match_expressions=tuple(conditions))


def _added(merged: dict[str, str], selector: LabelSelector) -> list[LabelSelectorRequirement]:
    """Add *selector* to the labels that are *merged*; return what doesn't go there."""
    conditions = list(selector.match_expressions)
    for key, value in selector.match_labels.items():
        if merged.setdefault(key, value) != value:
            conditions.append(
                LabelSelectorRequirement.model_construct(key=key, operator="In", values=(value,))
            )
    return conditions


def _services(state: ClusterState, pod: PodClass) -> list[Mapping[str, str]]:
    """Return the selectors of the Services that select pods of a class."""
    by_pair = state.objects.derived(
        ("service selectors", pod.namespace),
        ("Service",),
        lambda: _by_pair(state, pod.namespace),
    )
    return [
        wanted
        for pair in pod.labels.items()
        for wanted in by_pair.get(pair, ())
        if labels_match(wanted, pod.labels)
    ]


def _by_pair(state: ClusterState, namespace: str) -> dict[Pair, list[Mapping[str, str]]]:
    """Return the selectors of Services by the first label that they ask for."""
    found: dict[Pair, list[Mapping[str, str]]] = {}
    for service in state.objects.of(Service, namespace).values():
        wanted = service.spec.selector
        if wanted:  # without one a Service selects nothing
            state.classes.mention(wanted)
            found.setdefault(next(iter(wanted.items())), []).append(wanted)
    return found
