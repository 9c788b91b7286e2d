"""Admission: what the API server makes of a pod before it stores it.

Defaulting and priority resolution follow kube-apiserver: a request that is missing is its limit, a
class name becomes a number, without a name the global default counts. It is done once per template,
not once per pod. What the model can't take is refused here, with the field that says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from schedlab.api.base import Amounts
from schedlab.api.objects import (
    ApiObject,
    Container,
    PodSpec,
    PodTemplate,
    PriorityClass,
    ResourceRequirements,
)
from schedlab.api.requests import pod_requests
from schedlab.api.unmodelled import reject_unmodelled
from schedlab.cluster.classes import ClassTable, PodClass
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
    """

    def __init__(
        self,
        classes: ClassTable,
        priority_classes: Iterable[PriorityClass] = (),
        namespaces: Iterable[str] = (),
    ) -> None:
        self._classes = classes
        self.priorities = dict(SYSTEM_PRIORITIES)
        self._default_priority = 0
        self._default_name = ""
        for found in priority_classes:
            self.add_priority_class(found)
        self.namespaces = {"default", "kube-system", "kube-public", "kube-node-lease", *namespaces}
        self._memo: dict[tuple[int, str], tuple[PodTemplate, Admitted]] = {}

    def add_priority_class(self, found: PriorityClass) -> None:
        """Make a priority class known."""
        name = found.metadata.name
        self.priorities[name] = found.value
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

    def admit(self, template: PodTemplate, namespace: str, where: str) -> Admitted:
        """Return what becomes of pods of *template*.

        Parameters
        ----------
        template : PodTemplate
            Metadata and spec as its author wrote them.
        namespace : str
            Namespace of the pods.
        where : str
            The object that holds the template, for errors: ``Deployment/web``.

        Raises
        ------
        InputError
            The namespace or the priority class is unknown, a field is not modelled, or a pod that
            ends is to be restarted for ever.
        """
        memo = self._memo.get((id(template), namespace))
        if memo is not None:
            return memo[1]
        self._check_namespace(namespace, where)
        try:
            reject_unmodelled(template)
            priority = self._priority(template.spec)
            duration = pod_duration(template.metadata.annotations)
            estimate_us = pod_estimate_us(template.metadata.annotations)
        except InputError as error:
            raise InputError(
                f"{where}: {error.field}",
                found=error.found,
                expected=error.expected,
                file=error.file,
                hint=error.hint,
            ) from None
        if duration is not None and template.spec.restart_policy not in ("Never", "OnFailure"):
            raise InputError(
                f"{where}: spec.restartPolicy",
                found=template.spec.restart_policy or "Always",
                expected=f"Never or OnFailure, as {DURATION_ANNOTATION} says that its pods end",
            )
        spec = _defaulted(template.spec, priority)
        pod_class = self._classes.intern(namespace, spec, priority)
        admitted = Admitted(pod_class, duration, estimate_us)
        self._memo[id(template), namespace] = (template, admitted)  # keeps the id alive
        return admitted

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


def _defaulted(spec: PodSpec, priority: int) -> PodSpec:
    """Return *spec* with requests taken from limits, pod-level ones too, and the priority."""

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
            "priority": priority,
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
