"""Admission: what the API server makes of a pod before it stores it.

Defaulting and priority resolution follow kube-apiserver: a request that is missing is its limit, a
class name becomes a number, without a name the global default counts, and label keys that a pod
shares with others (``matchLabelKeys``) become conditions of its selectors. It is done once per
template, not once per pod. What the model can't take is refused here, with the field that says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from schedlab.api.base import Amounts
from schedlab.api.objects import (
    ApiObject,
    Container,
    LabelSelector,
    LabelSelectorRequirement,
    Pod,
    PodAffinity,
    PodAffinityTerm,
    PodAntiAffinity,
    PodSpec,
    PodTemplate,
    PriorityClass,
    ResourceRequirements,
    TopologySpreadConstraint,
    WeightedPodAffinityTerm,
)
from schedlab.api.pods import PreemptionPolicy
from schedlab.api.requests import pod_requests
from schedlab.api.unmodelled import reject_unmodelled
from schedlab.cluster.classes import ClassTable, PodClass, selector_keys
from schedlab.errors import InputError
from schedlab.sim.distributions import Distribution
from schedlab.workload.annotations import pod_duration, pod_estimate_us
from schedlab.workload.stream import DURATION_ANNOTATION

SYSTEM_PRIORITIES = {
    "system-cluster-critical": 2_000_000_000,
    "system-node-critical": 2_000_001_000,
}

SHARED = ("cpu", "memory")
"""What containers of one pod can share beyond their requests."""

AnyPodAffinity = TypeVar("AnyPodAffinity", PodAffinity, PodAntiAffinity)

SPREAD_OWNERS = frozenset({"ReplicationController", "ReplicaSet", "StatefulSet"})
"""Controllers whose selectors default spreading follows."""
NO_OWNER = ("", "")


@dataclass(frozen=True, slots=True)
class Admitted:
    """A template after admission.

    Attributes
    ----------
    pod_class : PodClass
        Class of all its pods.
    duration : Distribution or None
        How long a pod runs once started; None = until it is deleted.
    estimate_us : int
        What schedulers are told of that; -1 = nothing.
    """

    pod_class: PodClass
    duration: Distribution | None
    estimate_us: int


class Admission:
    """Admits pod templates.

    Parameters
    ----------
    classes : ClassTable
        Where pod classes are interned.
    priority_classes : iterable of PriorityClass
        Those of the cluster; the two of the system exist always.
    namespaces : iterable of str
        Those of the cluster; ``default`` exists always.
    refuse : callable, optional
        Raises for what can't be admitted; by default what a simulation doesn't model.
    """

    def __init__(
        self,
        classes: ClassTable,
        priority_classes: Iterable[PriorityClass] = (),
        namespaces: Iterable[str] = (),
        *,
        refuse: Callable[[PodTemplate], None] = reject_unmodelled,
    ) -> None:
        self._classes = classes
        self._refuse = refuse
        self.priorities = dict(SYSTEM_PRIORITIES)
        self._policies: dict[str, PreemptionPolicy] = {}
        self._default_priority = 0
        self._default_name = ""
        for found in priority_classes:
            self.add_priority_class(found)
        self.namespaces = {"default", "kube-system", "kube-public", "kube-node-lease", *namespaces}
        self._memo: dict[tuple[object, ...], tuple[PodTemplate, Admitted]] = {}

    def add_priority_class(self, found: PriorityClass) -> None:
        """Make a priority class known."""
        name = found.metadata.name
        self.priorities[name] = found.value
        if found.preemption_policy is not None:
            self._policies[name] = found.preemption_policy
        if found.global_default:
            if self._default_name and self._default_name != name:
                raise InputError(
                    f"PriorityClass/{name}: globalDefault",
                    found=True,
                    expected=f"at most one default, and {self._default_name} is one",
                )
            self._default_name, self._default_priority = name, found.value

    def check(self, found: ApiObject) -> None:
        """Refuse an object that says what is not modelled, or lives in an unknown namespace."""
        reject_unmodelled(found)
        if found.namespaced:
            namespace = found.metadata.namespace or "default"
            self._check_namespace(namespace, f"{found.kind}/{found.metadata.name}")

    def _check_namespace(self, namespace: str, where: str) -> None:
        if namespace not in self.namespaces:
            raise InputError(
                f"{where}: metadata.namespace",
                found=namespace,
                expected=f"a namespace of the cluster: {', '.join(sorted(self.namespaces))}",
            )

    def admit(
        self,
        template: PodTemplate,
        namespace: str,
        where: str,
        *,
        owner: tuple[str, str] = NO_OWNER,
        labels: Mapping[str, str] | None = None,
    ) -> Admitted:
        """Return what becomes of pods of *template*.

        Parameters
        ----------
        template : PodTemplate
            Metadata and spec as its author wrote them.
        namespace : str
            Namespace of the pods.
        where : str
            The object that holds the template, for errors: ``Deployment/web``.
        owner : tuple of (str, str), optional
            Kind and name of the controller of the pods, where default spreading follows it.
        labels : mapping of str to str, optional
            What their controller adds to the labels of the template.

        Raises
        ------
        InputError
            The namespace or the priority class is unknown, a field is not modelled, or a pod that
            ends is to be restarted for ever.
        """
        key: tuple[object, ...] = (id(template), namespace, owner)
        added = self._classes.projected(labels) if labels else {}
        if added:
            key = (*key, *added.items())
        memo = self._memo.get(key)
        if memo is not None:
            return memo[1]
        every = {**template.metadata.labels, **added}
        self._check_namespace(namespace, where)
        try:
            self._refuse(template)
            spec = self._defaulted(template.spec, every)
            duration = pod_duration(template.metadata.annotations)
            estimate_us = pod_estimate_us(template.metadata.annotations)
        except InputError as error:
            raise _located(error, where) from None
        if duration is not None and template.spec.restart_policy not in ("Never", "OnFailure"):
            raise InputError(
                f"{where}: spec.restartPolicy",
                found=template.spec.restart_policy or "Always",
                expected=f"Never or OnFailure, as {DURATION_ANNOTATION} says that its pods end",
            )
        try:
            pod_class = self._classes.intern(
                namespace,
                spec,
                spec.priority or 0,
                labels=every,
                owner=owner,
                annotations=template.metadata.annotations,
            )
        except InputError as error:
            raise _located(error, where) from None
        admitted = Admitted(pod_class, duration, estimate_us)
        self._memo[key] = (template, admitted)  # keeps the id alive
        return admitted

    def admit_pod(self, pod: Pod) -> PodClass:
        """Return the class of one pod with labels, owner and status of its own.

        A pod that carries a uid has been admitted before, as those of a cluster dump have: its
        priority stands, whatever has become of its PriorityClass.

        Parameters
        ----------
        pod : Pod
            As its author wrote it, or as an API server returned it.

        Raises
        ------
        InputError
            As in `admit`.
        """
        meta, where = pod.metadata, f"Pod/{pod.key}"
        namespace = meta.namespace or "default"
        self._check_namespace(namespace, where)
        seen = bool(meta.uid) and pod.spec.priority is not None
        try:
            self._refuse(PodTemplate(metadata=meta, spec=pod.spec))
            spec = self._defaulted(pod.spec, meta.labels, resolved=seen)
        except InputError as error:
            raise _located(error, where) from None
        return self._classes.intern(
            namespace,
            spec,
            spec.priority or 0,
            labels=meta.labels,
            owner=spread_owner(pod),
            status=pod.status,
            annotations=meta.annotations,
        )

    def _defaulted(
        self, spec: PodSpec, labels: Mapping[str, str], *, resolved: bool = False
    ) -> PodSpec:
        """Return *spec* with everything that the API server fills in."""
        if not resolved:
            policy = self._policy(spec)
            update = {"priority": self._priority(spec), "preemption_policy": policy}
            spec = spec.model_copy(update=update)
        return with_label_keys(_with_requests(spec), labels)

    def _policy(self, spec: PodSpec) -> PreemptionPolicy:
        name = spec.priority_class_name or self._default_name
        policy = self._policies.get(name, "PreemptLowerPriority")
        if spec.preemption_policy not in (None, policy):
            raise InputError(
                "spec.preemptionPolicy",
                found=spec.preemption_policy,
                expected=f"{policy}, as its PriorityClass says" if name else policy,
            )
        return policy

    def _priority(self, spec: PodSpec) -> int:
        name = spec.priority_class_name
        if not name:
            return self._default_priority if spec.priority is None else spec.priority
        if name not in self.priorities:
            raise InputError(
                "spec.priorityClassName",
                found=name,
                expected=f"a PriorityClass of the cluster: {', '.join(sorted(self.priorities))}",
            )
        value = self.priorities[name]
        if spec.priority is not None and spec.priority != value:
            raise InputError(
                "spec.priority", found=spec.priority, expected=f"{value}, the value of {name}"
            )
        return value


def _located(error: InputError, where: str) -> InputError:
    return InputError(
        f"{where}: {error.field}",
        found=error.found,
        expected=error.expected,
        file=error.file,
        hint=error.hint,
    )


def spread_owner(pod: Pod) -> tuple[str, str]:
    """Return kind and name of the controller that default spreading follows, or ("", "")."""
    for owner in pod.metadata.owner_references:
        if owner.controller and owner.kind in SPREAD_OWNERS:
            wanted = "v1" if owner.kind == "ReplicationController" else "apps/v1"
            return (owner.kind, owner.name) if owner.api_version == wanted else NO_OWNER
    return NO_OWNER


def selected_labels(found: ApiObject | PodTemplate) -> Iterator[str]:
    """Yield the labels of pods that an object's selectors look at, its pods' own among them.

    A label that parts classes has to be known before the first class is made without it.
    """
    spec = found.spec if isinstance(found, PodTemplate) else getattr(found, "spec", None)
    selector = getattr(spec, "selector", None)
    if isinstance(selector, LabelSelector):
        yield from selector.match_labels
        yield from (condition.key for condition in selector.match_expressions)
    elif isinstance(selector, Mapping):
        yield from selector
    template = getattr(spec, "template", None)
    of_pods = template.spec if isinstance(template, PodTemplate) else spec
    if isinstance(of_pods, PodSpec):
        yield from selector_keys(of_pods)


def _with_requests(spec: PodSpec) -> PodSpec:
    """Return *spec* with requests taken from limits, pod-level ones too."""

    def with_requests(container: Container) -> Container:
        resources = container.resources
        missing = {k: v for k, v in resources.limits.items() if k not in resources.requests}
        if not missing:
            return container
        whole = ResourceRequirements.model_construct(
            **{
                **dict(resources),
                "requests": Amounts({**resources.requests, **missing}),
            }
        )
        return container.model_copy(update={"resources": whole})

    found = spec.model_copy(
        update={
            "containers": tuple(with_requests(c) for c in spec.containers),
            "init_containers": tuple(with_requests(c) for c in spec.init_containers),
        }
    )
    return _pod_level_defaulted(found)


def _pod_level_defaulted(spec: PodSpec) -> PodSpec:
    """Return *spec* with the pod-level requests that follow from pod-level limits.

    Where a pod states limits as a whole, a missing request is what its containers ask for, and the
    limit where they ask for nothing; a missing limit of huge pages is what they ask for.
    """
    own = spec.resources
    if own is None or not (own.limits or own.requests):
        return spec
    asked = pod_requests(spec.model_copy(update={"resources": None, "overhead": {}}))
    pages = {
        name: amount
        for name, amount in asked.items()
        if name.startswith("hugepages-") and name not in own.requests
    }
    limits = {**pages, **own.limits}
    if not limits:
        return spec
    most = {k: v for k, v in limits.items() if k in SHARED or k.startswith("hugepages-")}
    needed = {name: asked[name] for name in SHARED if name in asked}
    requests = Amounts({**most, **needed, **own.requests})
    whole = ResourceRequirements.model_construct(
        **{**dict(own), "limits": Amounts(limits), "requests": requests}
    )
    return spec.model_copy(update={"resources": whole})


def with_label_keys(spec: PodSpec, labels: Mapping[str, str]) -> PodSpec:
    """Return *spec* with its matchLabelKeys and mismatchLabelKeys as conditions of its selectors.

    A key that the pod itself doesn't have is left out, and so is a condition that is there already:
    an API server has put it there before.
    """
    update: dict[str, Any] = {}
    if any(c.match_label_keys for c in spec.topology_spread_constraints):
        update["topology_spread_constraints"] = tuple(
            c.model_copy(update={"label_selector": _narrowed(c, labels)})
            for c in spec.topology_spread_constraints
        )
    affinity = spec.affinity
    if affinity is not None:
        near, apart = affinity.pod_affinity, affinity.pod_anti_affinity
        parts = {
            "pod_affinity": None if near is None else _with_keys_in_terms(near, labels),
            "pod_anti_affinity": None if apart is None else _with_keys_in_terms(apart, labels),
        }
        if any(parts[name] is not getattr(affinity, name) for name in parts):
            update["affinity"] = affinity.model_copy(update=parts)
    return spec.model_copy(update=update) if update else spec


def _with_keys_in_terms(part: AnyPodAffinity, labels: Mapping[str, str]) -> AnyPodAffinity:
    required: tuple[PodAffinityTerm, ...] = part.required_during_scheduling_ignored_during_execution
    preferred: tuple[WeightedPodAffinityTerm, ...] = (
        part.preferred_during_scheduling_ignored_during_execution
    )
    terms = (*required, *(entry.pod_affinity_term for entry in preferred))
    if not any(term.match_label_keys or term.mismatch_label_keys for term in terms):
        return part

    def whole(term: PodAffinityTerm) -> PodAffinityTerm:
        return term.model_copy(update={"label_selector": _narrowed(term, labels)})

    weighted = tuple(
        entry.model_copy(update={"pod_affinity_term": whole(entry.pod_affinity_term)})
        for entry in preferred
    )
    return part.model_copy(
        update={
            "required_during_scheduling_ignored_during_execution": tuple(map(whole, required)),
            "preferred_during_scheduling_ignored_during_execution": weighted,
        }
    )


def _narrowed(
    term: PodAffinityTerm | TopologySpreadConstraint, labels: Mapping[str, str]
) -> LabelSelector | None:
    """Return a term's selector with its label keys as conditions; without a selector none."""
    selector = term.label_selector
    if selector is None:
        return None
    mismatch = term.mismatch_label_keys if isinstance(term, PodAffinityTerm) else ()
    conditions = [
        LabelSelectorRequirement(key=key, operator="In", values=(labels[key],))
        for key in term.match_label_keys
        if key in labels
    ] + [
        LabelSelectorRequirement(key=key, operator="NotIn", values=(labels[key],))
        for key in mismatch
        if key in labels
    ]
    new = tuple(c for c in conditions if c not in selector.match_expressions)
    return selector.model_copy(update={"match_expressions": selector.match_expressions + new})
