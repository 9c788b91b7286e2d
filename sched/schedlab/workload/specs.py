"""What a user writes about a cluster and a workload: frozen models, read from YAML.

A cluster is made of node pools, of manifests, or of a trace's node list; a workload of generated
items, manifests and a trace's pod list, in any combination. Where Kubernetes has a name, the key
is that name in snake_case. Parts of a Kubernetes object that have no key of their own are given
under ``pod_spec`` in Kubernetes' own form.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from schedlab.api.base import Labels, LabelValue
from schedlab.api.objects import Taint, Toleration
from schedlab.api.yaml_loader import load_documents
from schedlab.errors import InputError
from schedlab.units import SECOND
from schedlab.workload.arrivals import MAX_ARRIVALS, ArrivalSpec, AtOnce
from schedlab.workload.model import (
    DistributionSpec,
    DurationUs,
    M,
    Name,
    NonNegative,
    Positive,
    Spec,
    validated,
)
from schedlab.workload.sizes import Correlation

Share = Annotated[float, Field(gt=0, allow_inf_nan=False)]
MAX_NODES: Final = 1_000_000
MAX_COPIES: Final = 1_000
Int32 = Annotated[int, Field(strict=True, ge=-(2**31), le=2**31 - 1)]


class Pool(Spec):
    """Nodes that are alike, named ``<pool>-0000``, ``<pool>-0001``, ...

    Attributes
    ----------
    name : str
        Name of the pool; the label ``schedlab.io/pool`` of its nodes.
    count : int
        Number of nodes.
    allocatable : mapping of resource to quantity or distribution
        What pods can request; ``pods`` is 110 where absent. A distribution, such as
        ``{choices: {"16": 3, "32": 1}}``, is drawn per node.
    capacity : mapping of resource to quantity, optional
        What the node has; as allocatable where absent.
    zones : list of str
        Node i is in zone i modulo their number; none = no zone label.
    region, instance_type, gpu_model : str, optional
        The labels topology.kubernetes.io/region, node.kubernetes.io/instance-type and
        nvidia.com/gpu.product.
    labels : mapping of str to str
        Further labels.
    taints : list of taints
        Each ``{key, value, effect}``.
    """

    name: Name
    count: Annotated[NonNegative, Field(le=MAX_NODES)]
    allocatable: Annotated[Mapping[str, DistributionSpec], Field(min_length=1)]
    capacity: Mapping[str, str | int | float] | None = None
    zones: tuple[LabelValue, ...] = ()
    region: LabelValue | None = None
    instance_type: LabelValue | None = None
    gpu_model: LabelValue | None = None
    labels: Labels = Field(default_factory=dict)
    taints: tuple[Taint, ...] = ()


class OpenbNodes(Spec):
    """The node list of the openb trace.

    Attributes
    ----------
    nodes : str
        CSV file, relative to ``data``.
    data : str, optional
        Directory of the trace, relative to the spec's file; where absent the directory to which
        ``schedlab fetch openb`` writes.
    pods_per_node : int
        Allocatable pods. The trace doesn't say; 1001 is what its publishers' simulator uses.
    order : str, optional
        The order of the nodes, in which schedulers that take the first of equals look at them:
        ``shuffled`` by the seed, or a CSV file with the columns ``node_rank`` and ``node``, whose
        path may hold ``{seed}`` and, in an experiment, ``{list}``: the name of the pod list.
    """

    nodes: str = "openb_node_list_all_node.csv"
    data: str | None = None
    pods_per_node: Positive = 1001
    order: str | None = None


class ClusterTrace(Spec):
    """Nodes of a public trace.

    Attributes
    ----------
    openb : OpenbNodes
        Of the openb trace. ``spot2026`` in its place, with the same keys, stands for the node list
        of the spot GPU trace.
    """

    openb: OpenbNodes

    @model_validator(mode="before")
    @classmethod
    def _other_traces(cls, data: Any) -> Any:
        return _as_openb(data, "spot2026", "nodes", "node_info_df.csv")


class ClusterSpec(Spec):
    """A cluster at time 0.

    Attributes
    ----------
    name : str
        For tables and plots.
    pools : list of Pool
        Generated nodes, in this order.
    manifests : list of str
        Files with Nodes, Namespaces, PriorityClasses and Services; paths relative to the spec.
    trace : ClusterTrace, optional
        Nodes of a trace.
    """

    name: str = "cluster"
    pools: tuple[Pool, ...] = ()
    manifests: tuple[str, ...] = ()
    trace: ClusterTrace | None = None

    @model_validator(mode="after")
    def _has_nodes(self) -> Self:
        if not self.pools and not self.manifests and self.trace is None:
            raise InputError("", found="<nothing>", expected="pools, manifests or trace")
        return self


class NoisyEstimate(Spec):
    """Estimate = duration times a lognormal factor with median 1 and this deviation of its log."""

    sigma: Annotated[float, Field(ge=0, le=5)]


class DeclaredEstimate(Spec):
    """What users declare: the duration times *factor*, then rounded up to multiples of *round*."""

    factor: Annotated[float, Field(ge=1, le=1000)] = 3.0
    round: DurationUs = 0


class EstimateModel(Spec):
    """An estimate with an error; exactly one of the two."""

    noisy: NoisyEstimate | None = None
    user_declared: DeclaredEstimate | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.noisy is None) == (self.user_declared is None):
            raise InputError("", found="<none or both>", expected="noisy or user_declared")
        return self


class Item(Spec):
    """One kind of thing that clients submit: Deployments, Jobs or bare pods of one mix.

    Attributes
    ----------
    name : str
        Objects are named ``<name>-0000``, ``<name>-0001``, ...; draws are keyed by it.
    kind : {"Deployment", "Job", "Pod"}
        What is submitted.
    namespace : str
        Created at time 0 if it isn't "default".
    count : int, optional
        Number of objects; needed where neither the process nor the horizon ends.
    arrivals : ArrivalSpec
        When they are submitted; all at time 0 where absent.
    replicas : int or distribution
        Pods of a Deployment; 1 where absent.
    completions, parallelism : int or distribution
        Of a Job; completions 1 where absent, parallelism as many as completions.
    backoff_limit : int, optional
        Of a Job.
    requests : mapping of resource to size
        See `schedlab.workload.sizes.parse_size`.
    table : str or list of mappings, optional
        Sizes drawn by the row, see `schedlab.workload.sizes.parse_table`.
    correlation : list of Correlation
        Rank correlations of the sizes in ``requests`` and of the duration.
    duration : duration or distribution, optional
        How long each pod runs; absent = until deleted. On a Deployment: its lifetime, after which
        the client deletes it.
    duration_per : {"pod", "job"}
        Of a Job: whether each pod draws its own duration, or all pods of a Job have one.
    estimated_duration : "none", "exact", {noisy: ...} or {user_declared: ...}
        What a scheduler is told of the duration.
    priority_class, scheduler_name, image : str
        Of the pods.
    node_selector, labels, annotations : mapping of str to str
        Of the pods.
    tolerations : list of tolerations
        In Kubernetes' form.
    pod_spec : mapping
        Further parts of the pod's spec in Kubernetes' form, such as affinity.
    """

    name: Name
    kind: Literal["Deployment", "Job", "Pod"]
    namespace: Name = "default"
    count: Annotated[NonNegative, Field(le=MAX_ARRIVALS)] | None = None
    arrivals: ArrivalSpec = AtOnce()
    replicas: DistributionSpec = None
    completions: DistributionSpec = None
    parallelism: DistributionSpec = None
    backoff_limit: NonNegative | None = None
    requests: Mapping[str, Any] = Field(default_factory=dict)
    table: str | tuple[Mapping[str, Any], ...] | None = None
    correlation: tuple[Correlation, ...] = ()
    duration: DistributionSpec = None
    duration_per: Literal["pod", "job"] = "pod"
    estimated_duration: Literal["none", "exact"] | EstimateModel = "none"
    priority_class: str | None = None
    scheduler_name: str = "default-scheduler"
    image: str = "registry.k8s.io/pause:3.10"
    node_selector: Labels = Field(default_factory=dict)
    labels: Labels = Field(default_factory=dict)
    annotations: Mapping[str, str] = Field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()
    pod_spec: Mapping[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _fits_kind(self) -> Self:
        own = {
            "Deployment": ("replicas",),
            "Job": ("completions", "parallelism", "backoff_limit"),
            "Pod": (),
        }
        for kind, names in own.items():
            for name in names:
                if kind != self.kind and getattr(self, name) is not None:
                    raise InputError(
                        name, found=getattr(self, name), expected=f"{name} only on a {kind}"
                    )
        if self.kind != "Job" and self.duration_per == "job":
            raise InputError("duration_per", found="job", expected="pod, as this is no Job")
        if self.kind != "Pod" and self.arrivals.process == "closed_loop":
            raise InputError(
                "arrivals.process", found="closed_loop", expected=f"another one with a {self.kind}"
            )
        if self.kind == "Deployment" and self.estimated_duration != "none":
            raise InputError(
                "estimated_duration", found="an estimate", expected="none with a Deployment"
            )
        return self


class TargetLoad(Spec):
    """Scale inter-arrival times until the offered load of a resource has a value.

    Attributes
    ----------
    value : float
        Share of the allocatable amount of all nodes; above 1 the cluster can't keep up.
    resource : str
        A resource, or "dominant" for the one with the highest load.
    counts : {"all_work", "within_window", "peak"}
        What the load is. ``all_work``: request times duration of everything that arrives, over
        capacity times the arrival window. ``within_window``: only the part of that work which
        falls into the window if nothing waits (the mean demand; it differs where durations are
        longer than the window). ``peak``: the highest demand at any time if nothing waits.
    """

    value: Share
    resource: str = "dominant"
    counts: Literal["all_work", "within_window", "peak"] = "all_work"


def _pod_list(name: str) -> str:
    return name if "." in name or "/" in name else f"openb_pod_list_{name}.csv"


class OpenbPods(Spec):
    """A pod list of the openb trace.

    Attributes
    ----------
    pods : str
        CSV file, relative to ``data``; a name such as ``cpu050`` stands for
        ``openb_pod_list_cpu050.csv``.
    data : str, optional
        Directory of the trace, as in `OpenbNodes`.
    time : {"trace", "load", "static", "shuffled"}, optional
        ``trace``: the times as they were. ``load``: inter-arrival times scaled to `target_load`,
        durations kept. ``static``: all pods at time 0 without an end. ``shuffled``: in random
        order, one after the other, without an end. Where absent: ``load`` with a target load,
        else ``trace``, and ``static`` for a list without times.
    target_load : float or TargetLoad, optional
        A number is a share of the GPUs.
    copies : int
        The list is replayed so many times, one after the other (before scaling).
    inflate : float, optional
        For ``shuffled``: clones of pods follow, until all ask for this share of the GPUs.
    order : str, optional
        For ``shuffled``: a CSV file with the columns ``order`` and ``pod`` instead of random order
        and clones; its path may hold ``{seed}`` and ``{list}``, the name of the pod list.
    interval : duration
        For ``shuffled``: time between two arrivals.
    """

    pods: Annotated[str, AfterValidator(_pod_list)] = "openb_pod_list_default.csv"
    data: str | None = None
    time: Literal["trace", "load", "static", "shuffled"] | None = None
    target_load: Share | TargetLoad | None = None
    copies: Annotated[Positive, Field(le=MAX_COPIES)] = 1
    inflate: Share | None = None
    order: str | None = None
    interval: DurationUs = SECOND

    @model_validator(mode="after")
    def _load_or_not(self) -> Self:
        if self.time == "load" and self.target_load is None:
            raise InputError("target_load", found="<nothing>", expected="a value, as time is load")
        if self.time not in ("load", None) and self.target_load is not None:
            raise InputError("time", found=self.time, expected="load, as there is a target_load")
        for name in ("inflate", "order"):
            if getattr(self, name) is not None and self.time != "shuffled":
                raise InputError("time", found=self.time, expected=f"shuffled, as there is {name}")
        if self.inflate is not None and self.order is not None:
            raise InputError(
                "inflate", found=self.inflate, expected="nothing, as the order has the clones"
            )
        if self.copies > 1 and self.time == "shuffled":
            raise InputError("copies", found=self.copies, expected="1; inflate makes clones")
        return self


class WorkloadTrace(Spec):
    """Pods of a public trace.

    Attributes
    ----------
    openb : OpenbPods
        Of the openb trace. ``dlrm2025`` in its place, with the same keys, stands for the instances
        of the DLRM trace.
    """

    openb: OpenbPods

    @model_validator(mode="before")
    @classmethod
    def _other_traces(cls, data: Any) -> Any:
        return _as_openb(data, "dlrm2025", "pods", "disaggregated_DLRM_trace.csv")


def _as_openb(data: Any, name: str, key: str, file: str) -> Any:
    """Return a trace that is read as openb's are, by the name of its file."""
    if not isinstance(data, Mapping) or name not in data:
        return data
    if len(data) > 1:
        raise InputError("", found=", ".join(data), expected="one trace")
    return {"openb": {key: file, **(data[name] or {})}}


class PriorityClassSpec(Spec):
    """A PriorityClass that exists before the first pod."""

    name: Name
    value: Int32
    global_default: bool = False
    preemption_policy: Literal["PreemptLowerPriority", "Never"] | None = None


class WorkloadSpec(Spec):
    """What is asked of the cluster.

    Attributes
    ----------
    name : str
        For tables and plots.
    items : list of Item
        Generated Deployments, Jobs and pods.
    manifests : list of str
        Files of objects; each is created at time 0 or at its annotation
        ``schedlab.io/submit-at``, and deleted at ``schedlab.io/delete-at`` if there is one.
    trace : WorkloadTrace, optional
        Pods of a trace.
    horizon : duration, optional
        Generated arrivals end here (what arrived goes on).
    target_load : TargetLoad, optional
        Scales the generated arrivals.
    priority_classes : list of PriorityClassSpec
        Present from time 0.
    """

    name: str = "workload"
    items: tuple[Item, ...] = ()
    manifests: tuple[str, ...] = ()
    trace: WorkloadTrace | None = None
    horizon: DurationUs | None = None
    target_load: TargetLoad | None = None
    priority_classes: tuple[PriorityClassSpec, ...] = ()

    @model_validator(mode="after")
    def _has_work(self) -> Self:
        if not self.items and not self.manifests and self.trace is None:
            raise InputError("", found="<nothing>", expected="items, manifests or trace")
        for part in ("items", "priority_classes"):
            seen: set[str] = set()
            for i, entry in enumerate(getattr(self, part)):
                if entry.name in seen:
                    raise InputError(f"{part}[{i}].name", found=entry.name, expected="unique names")
                seen.add(entry.name)
        if self.horizon == 0:
            raise InputError("horizon", found=0, expected="a duration > 0")
        if self.target_load is not None and not self.items:
            raise InputError("target_load", found="<no items>", expected="items, which it scales")
        return self


def read_spec(model: type[M], path: str | Path) -> M:
    """Read one spec from a YAML or JSON file.

    Raises
    ------
    InputError
        The file can't be read, or what it holds isn't a *model*.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("", found=str(path), expected="a readable text file") from error
    documents = load_documents(text, str(path))
    if len(documents) != 1:
        raise InputError("", found=f"{len(documents)} documents", expected="one", file=path)
    return validated(model, documents[0][0], file=path)
