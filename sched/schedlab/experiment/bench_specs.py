"""The workloads of `schedlab bench` as data: nodes, pods and the operations that make them.

They are read from two files of the package, ``benchmarks/templates.yaml`` and
``benchmarks/workloads.yaml``, in the form of upstream's scheduler_perf: operations with parameters,
and sizes that give the parameters their values. Python functions that build each workload were
rejected: these files can be held beside upstream's, line by line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from string import Template
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from schedlab.api.invalid import nearest
from schedlab.errors import InputError
from schedlab.experiment.config import read_mapping
from schedlab.workload.model import NonNegative, Positive, Spec, validated

Count = NonNegative | Annotated[str, Field(pattern=r"^\$[a-z]+$")]
"""A number, or ``$`` and the name of a parameter."""
PODS = "pods"
"""The parameter that counts the measured pods."""


class Axis(Spec):
    """Values of a placeholder: ``first``, ``first + step``, ... *values* of them."""

    first: NonNegative
    values: Positive
    step: Positive = 1


class CreateNamespaces(Spec):
    """Make namespaces ``prefix-0``, ``prefix-1``, ..."""

    op: Literal["createNamespaces"]
    count: Count
    prefix: str
    labels: Mapping[str, str] = Field(default_factory=dict)


class CreateNodes(Spec):
    """Make nodes of a template.

    Attributes
    ----------
    labels : mapping of str to tuple of str
        Label -> the values that the nodes get in turn.
    drivers : mapping of str to int
        CSI driver -> how many of its volumes fit on a node.
    migrated : tuple of str
        In-tree volume plugins that those drivers stand in for.
    """

    op: Literal["createNodes"]
    count: Count
    template: str = "node-default"
    labels: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    drivers: Mapping[str, int] = Field(default_factory=dict)
    migrated: tuple[str, ...] = ()


class CreateAny(Spec):
    """Make one object of a template."""

    op: Literal["createAny"]
    template: str
    namespace: str = "default"


class CreatePods(Spec):
    """Make pods of a template and, unless told otherwise, wait until none is left to try.

    Attributes
    ----------
    namespace : str, optional
        ``namespace-`` and the number of the operation where absent, as upstream.
    vary : mapping of str to Axis
        Placeholders in the template; the first one changes from pod to pod, the next one when the
        first starts over.
    volume, claim : str
        Templates of a volume and a claim for each pod, bound to each other.
    wait : bool
        Go on only when none is left to try.
    measure : bool
        These are the pods that the benchmark measures.
    """

    op: Literal["createPods"]
    count: Count
    template: str = "pod-default"
    namespace: str = ""
    vary: Mapping[str, Axis] = Field(default_factory=dict)
    volume: str = ""
    claim: str = ""
    wait: bool = True
    measure: bool = False


class CreatePodSets(Spec):
    """Make the pods of one operation in each of *count* namespaces ``prefix-0``, ..."""

    op: Literal["createPodSets"]
    count: Count
    prefix: str
    pods: CreatePods


class Churn(Spec):
    """Let objects come (``create``), or come and go in turn (``recreate``), until the end."""

    op: Literal["churn"]
    mode: Literal["create", "recreate"]
    templates: tuple[str, ...]
    interval_ms: Positive


class DeletePods(Spec):
    """Delete the pods of a namespace one by one in virtual time, in the order of their creation."""

    op: Literal["deletePods"]
    namespace: str
    per_second: Positive


class Barrier(Spec):
    """Go on only when no pod is left to try."""

    op: Literal["barrier"]


Operation = Annotated[
    CreateNamespaces
    | CreateNodes
    | CreateAny
    | CreatePods
    | CreatePodSets
    | Churn
    | DeletePods
    | Barrier,
    Field(discriminator="op"),
]


class Size(Spec):
    """Values of the parameters, and upstream's threshold in pods per second."""

    params: Mapping[str, NonNegative]
    threshold: Positive | None = None


class Real(Spec):
    """Pods per CPU-second of the real scheduler: scoring all nodes, or the adaptive share."""

    all: Positive
    sampled: Positive


class Workload(Spec):
    """One benchmark.

    Attributes
    ----------
    about : str
        What its pods are, in a few words.
    sizes : mapping of str to Size
        The first one is the usual one.
    operations : tuple of Operation
        In order; exactly one of them is measured.
    own : bool
        It is schedlab's own, not upstream's.
    real : mapping of int to Real
        Number of nodes -> what the real scheduler does.
    pace : int
        Attempts per second of virtual time.
    fixed : tuple of str
        Parameters that don't grow with the number of nodes.
    batch : int
        Most pods in one call of kube-scheduler.
    """

    about: str
    sizes: Annotated[Mapping[str, Size], Field(min_length=1)]
    operations: tuple[Operation, ...]
    own: bool = False
    real: Mapping[int, Real] = Field(default_factory=dict)
    pace: Positive = 1000
    fixed: tuple[str, ...] = ()
    batch: Positive = 1

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        measured = [op.count for op in self.operations if op.op == "createPods" and op.measure]
        if measured != [f"${PODS}"]:
            raise InputError(
                "operations", found=measured, expected=f"one that is measured, its count ${PODS}"
            )
        wanted = {count.removeprefix("$") for count in self.counts() if isinstance(count, str)}
        for name, size in self.sizes.items():
            if set(size.params) != wanted:
                raise InputError(
                    f"sizes.{name}.params",
                    found=sorted(size.params),
                    expected=", ".join(sorted(wanted)),
                )
        return self

    def counts(self) -> Iterator[int | str]:
        """Yield every count of the operations."""
        for operation in self.operations:
            if isinstance(operation, CreatePodSets):
                yield operation.pods.count
            count = getattr(operation, "count", None)
            if count is not None:
                yield count

    def node_params(self) -> list[str]:
        """Return the parameters that count nodes."""
        return [
            op.count.removeprefix("$")
            for op in self.operations
            if isinstance(op, CreateNodes) and isinstance(op.count, str)
        ]


@dataclass(frozen=True)
class Benchmark:
    """A workload at one size.

    Attributes
    ----------
    name : str
        Name of the workload.
    size : str
        Name of the size.
    workload : Workload
        What is done.
    params : mapping of str to int
        How often.
    threshold : int or None
        Upstream's, where the size is unchanged.
    """

    name: str
    size: str
    workload: Workload
    params: Mapping[str, int]
    threshold: int | None

    def number(self, count: int | str) -> int:
        """Return a count as a number."""
        return count if isinstance(count, int) else self.params[count.removeprefix("$")]


@cache
def workloads() -> Mapping[str, Workload]:
    """Return all workloads by name, in the order of the file."""
    document = _read("workloads.yaml")
    return {
        name: validated(Workload, content, file=f"workloads.yaml: {name}")
        for name, content in document.items()
    }


@cache
def templates() -> Mapping[str, Mapping[str, Any]]:
    """Return all templates by name, laid over their bases."""
    document = _read("templates.yaml")

    def whole(name: str) -> Mapping[str, Any]:
        own = document[name]
        if "base" not in own:
            return own  # type: ignore[no-any-return]
        return _laid_over(
            whole(own["base"]), {key: value for key, value in own.items() if key != "base"}
        )

    return {name: whole(name) for name in document}


def _read(file: str) -> dict[str, Any]:
    folder = resources.files("schedlab.experiment") / "benchmarks"
    return read_mapping((folder / file).read_text(encoding="utf-8"), file)


def _laid_over(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(base)
    for key, value in over.items():
        below = found.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            value = _laid_over(below, value)
        found[key] = value
    return found


def filled(template: Any, values: Mapping[str, object]) -> Any:
    """Return a template with its placeholders filled in, in keys and in values.

    >>> filled({"a-$index": ["${cpu}m", 3]}, {"index": 7, "cpu": 100})
    {'a-7': ['100m', 3]}
    """
    if isinstance(template, str):
        return Template(template).substitute(values) if "$" in template else template
    if isinstance(template, Mapping):
        return {filled(key, values): filled(value, values) for key, value in template.items()}
    if isinstance(template, list):
        return [filled(value, values) for value in template]
    return template


def varies(template: Any) -> bool:
    """Return whether a template has placeholders.

    >>> varies({"a": ["$index"]}), varies({"a": ["b"]})
    (True, False)
    """
    if isinstance(template, Mapping):
        return any(varies(part) for pair in template.items() for part in pair)
    if isinstance(template, list):
        return any(map(varies, template))
    return isinstance(template, str) and "$" in template


def find(name: str, *, nodes: int | None = None, pods: int | None = None) -> Benchmark:
    """Return a benchmark by name, perhaps at a size of one's own.

    Parameters
    ----------
    name : str
        A workload, or a workload and one of its sizes: ``SchedulingBasic/500Nodes``.
    nodes : int, optional
        Number of nodes; everything else grows or shrinks with it, but for the workload's *fixed*
        parameters.
    pods : int, optional
        Number of measured pods. Where the number of nodes is none of the workload's parameters,
        everything else grows or shrinks with it.

    Raises
    ------
    InputError
        There is no such workload or size, or its nodes can't be chosen.
    """
    known = workloads()
    head, _, size = name.partition("/")
    if head not in known:
        hint = nearest(head, [*known])
        raise InputError("NAME", found=head, expected="a workload (bench --list)", hint=hint)
    workload = known[head]
    size = size or next(iter(workload.sizes))
    if size not in workload.sizes:
        raise InputError(
            f"{head}: size", found=size, expected=f"one of {', '.join(workload.sizes)}"
        )
    usual = workload.sizes[size]
    params = _scaled(head, workload, usual.params, nodes, pods)
    if params == usual.params:
        return Benchmark(head, size, workload, params, usual.threshold)
    return Benchmark(head, "own", workload, params, None)


def _scaled(
    name: str, workload: Workload, params: Mapping[str, int], nodes: int | None, pods: int | None
) -> Mapping[str, int]:
    of_nodes = workload.node_params()
    found = dict(params)
    if nodes is not None:
        if not of_nodes:
            raise InputError(
                "--nodes", found=nodes, expected=f"nothing: the nodes of {name} are fixed"
            )
        before = sum(params[key] for key in of_nodes)
        found = _times(params, nodes, before, workload.fixed)
        found[of_nodes[0]] += nodes - sum(found[key] for key in of_nodes)  # what rounding left
    if pods is not None:
        if not of_nodes:
            found = _times(params, pods, params[PODS], workload.fixed)
        found[PODS] = pods
    return found


def _times(
    params: Mapping[str, int], over: int, under: int, fixed: tuple[str, ...]
) -> dict[str, int]:
    return {
        key: value if key in fixed or not value else max(1, round(value * over / under))
        for key, value in params.items()
    }
