"""Checking files of every kind that schedlab reads, without running anything.

What a file is, is told by what it holds: a trace by the header of its CSV, Kubernetes objects by
``apiVersion`` and ``kind``, an experiment, cluster or workload by the keys that it has most of.
Manifests that are given together are checked together, as they would be applied together.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from schedlab.api.manifests import read_manifests
from schedlab.api.manifests import read_text as unpacked
from schedlab.api.objects import (
    ApiObject,
    Deployment,
    Job,
    Pod,
    PodTemplate,
    PriorityClass,
    ReplicaSet,
)
from schedlab.api.yaml_loader import load_documents
from schedlab.errors import InputError
from schedlab.experiment.config import Experiment, keys_of, read_text
from schedlab.experiment.decide import profiles_of
from schedlab.experiment.run import check, make_plan
from schedlab.experiment.scenario import KINDS_BY_KEY, read_scenario
from schedlab.rng import Draws
from schedlab.scheduling.registry import load_scheduler
from schedlab.workload.annotations import (
    delete_time_us,
    pod_duration,
    pod_estimate_us,
    submit_time_us,
)
from schedlab.workload.clusters import build_cluster
from schedlab.workload.generate import SYSTEM_PRIORITY_CLASSES, build_workload
from schedlab.workload.openb import read_openb_nodes, read_openb_pods
from schedlab.workload.openb_csv import NODE_COLUMNS, SIZE_COLUMNS
from schedlab.workload.specs import ClusterSpec, WorkloadSpec, read_spec
from schedlab.workload.stream import Cluster

_MODELS: Final[dict[str, type[BaseModel]]] = {
    "experiment": Experiment,
    "cluster": ClusterSpec,
    "workload": WorkloadSpec,
}
_SCHEDULER_KIND: Final = "KubeSchedulerConfiguration"


def check_files(paths: Sequence[Path]) -> list[tuple[Path, str]]:
    """Return what each file holds, in words.

    Raises
    ------
    InputError
        The first thing that is wrong: file, field, what was found and what is expected.
    """
    said = []
    manifests: list[tuple[ApiObject, Path]] = []
    for path in paths:
        try:
            text, objects = _check_one(path)
        except InputError as error:
            raise error.in_file(path) from None
        manifests += [(found, path) for found in objects]
        said.append((path, text))
    _check_together(manifests)
    return said


def _check_one(path: Path) -> tuple[str, list[ApiObject]]:
    """Return what one file holds, and its Kubernetes objects."""
    if path.is_dir():
        objects = read_manifests(path)
        return _counted(objects), objects
    if path.suffix == ".csv":
        return _check_csv(path), []
    text = unpacked(path) if path.suffix == ".gz" else read_text(path)
    documents = load_documents(text, str(path))
    first = documents[0][0] if documents else None
    if isinstance(first, Mapping) and first.get("kind") == _SCHEDULER_KIND:
        load_scheduler("kube-scheduler", {"config": path.name}, path.parent)
        return f"a valid {_SCHEDULER_KIND}", []
    if len(documents) != 1 or not isinstance(first, Mapping) or {"apiVersion", "kind"} & set(first):
        objects = read_manifests(path)
        return _counted(objects), objects
    return _check_spec(path, first), []


def _check_spec(path: Path, document: Mapping[str, Any]) -> str:
    """Check a scenario, or what shares most keys with *document*: experiment, cluster, workload."""
    if set(KINDS_BY_KEY) & set(document):
        return _check_scenario(path)
    kind = max(_MODELS, key=lambda name: len(set(keys_of(_MODELS[name])) & set(document)))
    if kind == "cluster" and _asks_for_work(document, path.parent):
        kind = "workload"
    if kind == "experiment":
        plan = make_plan(path)
        return f"a valid experiment of {len(plan.runs)} runs; " + "; ".join(check(plan))
    if kind == "cluster":
        cluster = build_cluster(read_spec(ClusterSpec, path), Draws(0), path.parent)
        return f"a valid cluster of {len(cluster.nodes):,} nodes"
    spec = read_spec(WorkloadSpec, path)
    alone = _without_load(spec)
    workload = build_workload(alone, Cluster("", (), ()), Draws(0), path.parent)
    return (
        f"a valid workload: {len(workload.pods):,} bare pods, {len(workload.objects):,} requests "
        "for objects" + (", before its load is scaled to a cluster" if alone != spec else "")
    )


def _check_scenario(path: Path) -> str:
    found = read_scenario(path)
    profiles = profiles_of(found)
    state = found.state
    return (
        f"a valid scenario: {len(state.nodes.row_of):,} nodes, {len(state.node_of):,} pods on "
        f"them, {len(found.pending):,} pending, {len(profiles)} profiles"
    )


def _asks_for_work(document: Mapping[str, Any], base: Path) -> bool:
    """Whether what looks like a cluster by its keys is a workload by what it names."""
    trace, manifests = document.get("trace"), document.get("manifests")
    openb = trace.get("openb") if isinstance(trace, Mapping) else None
    if isinstance(openb, Mapping) and "pods" in openb:
        return True
    if "pools" in document or not isinstance(manifests, list):
        return False
    named = [base / name for name in manifests if isinstance(name, str)]
    objects = [found for path in named for found in read_manifests(path)]
    return any(isinstance(found, Pod | Deployment | ReplicaSet | Job) for found in objects)


def _without_load(spec: WorkloadSpec) -> WorkloadSpec:
    """Return the workload without what needs the capacity of a cluster."""
    changed: dict[str, Any] = {"target_load": None}
    if spec.trace is not None and spec.trace.openb.target_load is not None:
        openb = spec.trace.openb.model_copy(update={"target_load": None, "time": None})
        changed["trace"] = spec.trace.model_copy(update={"openb": openb})
    return spec.model_copy(update=changed)


def _check_csv(path: Path) -> str:
    """Check a trace; what it is a trace of is told by its columns."""
    first = next(csv.reader(read_text(path).splitlines()[:1]), [])
    header = {cell.strip() for cell in first}
    if len(header & set(NODE_COLUMNS)) > len(header & {*SIZE_COLUMNS, "creation_time"}):
        return f"a valid openb node list of {len(read_openb_nodes(path).nodes):,} nodes"
    workload = read_openb_pods(path)
    dropped = "".join(f", {n:,} dropped: {why}" for why, n in workload.dropped.items())
    return f"a valid openb pod list of {len(workload.pods):,} pods{dropped}"


def _counted(objects: Sequence[ApiObject]) -> str:
    counts: dict[str, int] = {}
    for found in objects:
        counts[found.kind] = counts.get(found.kind, 0) + 1
    text = ", ".join(f"{n:,} {kind}" for kind, n in counts.items())
    return f"valid manifests: {text or 'no objects'}"


def _check_together(manifests: Sequence[tuple[ApiObject, Path]]) -> None:
    """Check the annotations of objects, and what the objects say of each other."""
    seen: dict[tuple[str, str], Path] = {}
    for found, path in manifests:
        identity = (found.kind, found.key)
        if found.metadata.name and identity in seen:
            raise InputError(
                f"{found.kind}/{found.key}: metadata.name",
                found=found.metadata.name,
                expected=f"each name once ({seen[identity]} has it too)",
                file=path,
            )
        seen[identity] = path
        template = _template(found)
        try:
            _check_annotations(found.metadata.annotations)
            if template is not None:
                _check_annotations(template.metadata.annotations)
        except InputError as error:
            raise error.under(f"{found.kind}/{found.key}").in_file(path) from None
    classes = {f.metadata.name for f, _ in manifests if isinstance(f, PriorityClass)}
    known = sorted({*classes, *SYSTEM_PRIORITY_CLASSES})
    for found, path in manifests:
        template = _template(found)
        spec = found.spec if isinstance(found, Pod) else None if template is None else template.spec
        if spec is not None and spec.priority_class_name not in ("", *known):
            within = "spec" if template is None else "spec.template.spec"
            raise InputError(
                f"{found.kind}/{found.key}: {within}.priorityClassName",
                found=spec.priority_class_name,
                expected=f"one of {', '.join(known)}",
                file=path,
            )


def _template(found: ApiObject) -> PodTemplate | None:
    return found.spec.template if isinstance(found, Deployment | ReplicaSet | Job) else None


def _check_annotations(annotations: Mapping[str, str]) -> None:
    submit_time_us(annotations)
    delete_time_us(annotations)
    pod_duration(annotations)
    pod_estimate_us(annotations)
