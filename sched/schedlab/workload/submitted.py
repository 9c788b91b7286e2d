"""Manifests as a stream of requests: each object is created at its time.

Bare pods become columns like all others. An object that a controller owns (the ReplicaSets and
pods in the output of ``kubectl get all -o yaml``) is dropped and counted, since the controller in
the simulation makes it anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from schedlab.api.manifests import read_manifests
from schedlab.api.objects import (
    ApiObject,
    Deployment,
    Job,
    Node,
    ObjectMeta,
    Pod,
    PodTemplate,
    ReplicaSet,
)
from schedlab.errors import InputError
from schedlab.rng import Draws, entity_key
from schedlab.workload.annotations import (
    delete_time_us,
    pod_duration,
    pod_estimate_us,
    submit_time_us,
)
from schedlab.workload.stream import ObjectWrite, PodArrivals, pod_arrivals


@dataclass(frozen=True)
class Submitted:
    """What manifests ask for.

    Attributes
    ----------
    pods : PodArrivals
        The bare pods.
    templates : tuple of PodTemplate
        One per bare pod.
    writes : list of ObjectWrite
        Everything else.
    owned : int
        Objects that were dropped because a controller owns them.
    """

    pods: PodArrivals
    templates: tuple[PodTemplate, ...]
    writes: list[ObjectWrite]
    owned: int


def read_submitted(files: Iterable[str], draws: Draws, base: Path | None = None) -> Submitted:
    """Read manifest files.

    Parameters
    ----------
    files : iterable of str
        Files or directories, relative to *base*.
    draws : Draws
        For durations that are distributions, keyed by the pod's name.
    base : Path, optional
        Directory to which the files are relative.

    Raises
    ------
    InputError
        For what `schedlab.api.manifests.read_manifests` refuses, Nodes, and bad annotations.
    """
    objects: list[tuple[ApiObject, Path]] = []
    for name in files:
        path = (base or Path()) / name
        objects += [(found, path) for found in read_manifests(path)]
    pods: list[Pod] = []
    writes: list[ObjectWrite] = []
    owned = 0
    for found, path in objects:
        if any(owner.controller for owner in found.metadata.owner_references):
            owned += 1
            continue
        try:
            if isinstance(found, Node):
                raise InputError(
                    "", found="a Node", expected="no nodes here", hint="list it under the cluster"
                )
            _check(found)
            if isinstance(found, Pod):
                pods.append(found)
            else:
                writes += _writes(found)
        except InputError as error:
            raise _located(error, found).in_file(path) from None
    arrivals, templates = _bare(pods, draws)
    return Submitted(arrivals, templates, writes, owned)


def item_name(found: ApiObject) -> str:
    """Return the workload item that an object of a manifest is: its name, its namespace before."""
    return found.key.removeprefix("default/")


def _located(error: InputError, found: ApiObject) -> InputError:
    name = found.metadata.name or found.metadata.generate_name
    parts = (f"{found.kind}/{name}", error.field)
    return InputError(
        ": ".join(part for part in parts if part),
        found=error.found,
        expected=error.expected,
        hint=error.hint,
    )


def _check(found: ApiObject) -> None:
    """Read all annotations once, so that a bad one is an error before anything runs."""
    places = {"metadata": found.metadata}
    if isinstance(found, Deployment | ReplicaSet | Job):
        places["spec.template.metadata"] = found.spec.template.metadata
    for place, metadata in places.items():
        try:
            submit_time_us(metadata.annotations)
            delete_time_us(metadata.annotations)
            pod_duration(metadata.annotations)
            pod_estimate_us(metadata.annotations)
        except InputError as error:
            raise error.under(place) from None


def _writes(found: ApiObject) -> list[ObjectWrite]:
    annotations = found.metadata.annotations
    end = delete_time_us(annotations)
    item = item_name(found)
    writes = [ObjectWrite(submit_time_us(annotations), "create", found, item)]
    if end >= 0:
        writes.append(ObjectWrite(end, "delete", found, item))
    return writes


def _bare(pods: list[Pod], draws: Draws) -> tuple[PodArrivals, tuple[PodTemplate, ...]]:
    names, items, templates = [], [], []
    columns: list[tuple[int, int, int, int, int]] = []
    for i, pod in enumerate(pods):
        metadata = pod.metadata
        name = metadata.name or f"{metadata.generate_name}{i:05d}"
        item = item_name(pod) if metadata.name else name
        key = entity_key(item, 0)
        drawn = pod_duration(metadata.annotations)
        runs = -1 if drawn is None else drawn.quantile(draws.uniform(key))
        names.append(name)
        items.append(item)
        templates.append(PodTemplate(metadata=_without_identity(metadata), spec=pod.spec))
        annotations = metadata.annotations
        columns.append(
            (
                submit_time_us(annotations),
                runs,
                pod_estimate_us(annotations),
                delete_time_us(annotations),
                key,
            )
        )
    time, runs_us, estimate, end, keys = zip(*columns, strict=True) if columns else ((),) * 5
    arrivals = pod_arrivals(
        np.array(time, np.int64),
        np.arange(len(pods), dtype=np.int32),
        tuple(names),
        item=tuple(items),
        duration_us=np.array(runs_us, np.int64),
        estimated_duration_us=np.array(estimate, np.int64),
        delete_us=np.array(end, np.int64),
        key=np.array(keys, np.uint64),
    )
    return arrivals, tuple(templates)


def _without_identity(metadata: ObjectMeta) -> ObjectMeta:
    """Return the part of a pod's metadata that its template can hold."""
    return ObjectMeta(
        namespace=metadata.namespace, labels=metadata.labels, annotations=metadata.annotations
    )
