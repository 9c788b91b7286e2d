"""From a workload spec to the stream of requests: items, manifests and traces put together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import numpy as np

from schedlab.api.objects import (
    ApiObject,
    Namespace,
    ObjectMeta,
    PodTemplate,
    PriorityClass,
)
from schedlab.cluster.devices import Shape
from schedlab.errors import InputError
from schedlab.rng import Draws
from schedlab.units import format_duration
from schedlab.workload.arrivals import OPEN
from schedlab.workload.clusters import list_name, openb_file, order_file
from schedlab.workload.items import ItemPlan
from schedlab.workload.load import capacity, join_demands, shares, solve_speed
from schedlab.workload.openb import Packing, read_openb_pods
from schedlab.workload.specs import PriorityClassSpec, TargetLoad, WorkloadSpec
from schedlab.workload.stream import (
    Cluster,
    ObjectWrite,
    PodArrivals,
    Workload,
    join_arrivals,
)
from schedlab.workload.submitted import Submitted, read_submitted

SYSTEM_PRIORITY_CLASSES: Final = ("system-cluster-critical", "system-node-critical")
"""PriorityClasses that every cluster has."""
_PRESENT_NAMESPACES: Final = ("", "default", "kube-system", "kube-public", "kube-node-lease")
_FIRST: Final = {"Namespace": 0, "PriorityClass": 1}


def build_workload(
    spec: WorkloadSpec, cluster: Cluster, draws: Draws, base: Path | None = None
) -> Workload:
    """Make the workload that a spec describes.

    Parameters
    ----------
    spec : WorkloadSpec
        The description.
    cluster : Cluster
        Its capacity is what a target load relates to; its PriorityClasses may be named.
    draws : Draws
        The seed of the run. Draws are keyed by (item, ordinal): items don't disturb each other.
    base : Path, optional
        Directory to which the files of the spec are relative.

    Raises
    ------
    InputError
        Bad values, unreadable files, unknown PriorityClasses, or two objects with one name.
    """
    draws = draws.stream("workload")
    plans = [
        ItemPlan(item, draws, spec.horizon, base, f"items[{i}]")
        for i, item in enumerate(spec.items)
    ]
    notes: list[str] = []
    speeds = _speeds(spec, plans, cluster, notes)
    parts: list[tuple[PodArrivals, tuple[PodTemplate, ...]]] = []
    writes: list[ObjectWrite] = [_priority_class(entry) for entry in spec.priority_classes]
    for plan, speed in zip(plans, speeds, strict=True):
        if plan.item.kind == "Pod":
            parts.append(plan.pods(speed))
        else:
            writes += plan.writes(speed)
    dropped: dict[str, int] = {}
    mix: Mapping[Shape, int] = {}
    if spec.manifests:
        submitted = read_submitted(spec.manifests, draws.stream("manifests"), base)
        parts.append((submitted.pods, submitted.templates))
        writes += submitted.writes
        _count_owned(submitted, dropped, notes)
    if spec.trace is not None:
        traced = _trace(spec, cluster, draws, base)
        mix = traced.mix
        parts.append((traced.pods, traced.templates))
        dropped |= traced.dropped
        notes += traced.notes
    templates = tuple(template for _, own in parts for template in own)
    pods = join_arrivals([block for block, _ in parts], [len(own) for _, own in parts])
    writes = missing_namespaces(templates, writes, cluster.objects) + writes
    writes.sort(key=lambda write: (write.time_us, _FIRST.get(write.object.kind, 2)))
    workload = Workload(spec.name, templates, pods, tuple(writes), dropped, tuple(notes), mix)
    _check_unique(workload)
    _check_priorities(spec, workload, cluster)
    return workload


def _speeds(
    spec: WorkloadSpec, plans: list[ItemPlan], cluster: Cluster, notes: list[str]
) -> list[float]:
    """Return the factor by which the inter-arrivals of each item are divided."""
    load = spec.target_load
    if load is None:
        return [1.0] * len(plans)
    scaled = [plan for plan in plans if isinstance(plan.item.arrivals, OPEN)]
    fixed = [plan for plan in plans if not isinstance(plan.item.arrivals, OPEN)]
    if not scaled:
        raise InputError(
            "target_load", found="no open arrival process", expected="an item whose rate can change"
        )
    names = dict.fromkeys(name for plan in scaled for name in ("pods", *plan.resources))
    if load.resource != "dominant" and load.resource not in names:
        raise InputError(
            "target_load.resource", found=load.resource, expected=f"one of {', '.join(names)}"
        )
    total = capacity(cluster)
    still = [plan.demand() for plan in fixed]

    def measured(speed: float) -> float:
        demand = join_demands([*(plan.demand(speed) for plan in scaled), *still])
        window = spec.horizon
        if window is None:
            known = demand.time_us[np.isfinite(demand.time_us)]
            window = int(known.max(initial=0))
        loads = shares(demand, total, float(window), load.counts)
        if load.resource == "dominant":
            return float(loads.max(initial=0.0))
        return float(loads[demand.resources.index(load.resource)])

    speed = solve_speed(measured, load.value, field="target_load.value")
    notes.append(_load_note(load, speed, measured(speed)))
    if any(plan.item.duration is None for plan in plans):
        end = "the last arrival" if spec.horizon is None else format_duration(spec.horizon)
        notes.append(f"target load: what runs until deleted counts until {end}")
    return [speed if plan in scaled else 1.0 for plan in plans]


def _load_note(load: TargetLoad, speed: float, reached: float) -> str:
    return (
        f"target load: inter-arrival times x {1 / speed:.6g}; offered load ({load.counts}) of "
        f"{load.resource} {reached:.4f}, wanted {load.value:g}"
    )


def _trace(spec: WorkloadSpec, cluster: Cluster, draws: Draws, base: Path | None) -> Workload:
    assert spec.trace is not None
    openb = spec.trace.openb
    order = openb.order
    if order is not None:
        order = order.replace("{list}", list_name(openb.pods))
    packing = Packing(
        draws.stream("openb"),
        openb.inflate,
        None if order is None else order_file(order, base, draws.seed),
        openb.interval,
    )
    try:
        return read_openb_pods(
            openb_file(openb.data, openb.pods, base),
            time=openb.time,
            target_load=openb.target_load,
            cluster=cluster,
            copies=openb.copies,
            packing=packing,
        )
    except InputError as error:
        raise (error if error.file else error.under("trace.openb")) from None


def _count_owned(submitted: Submitted, dropped: dict[str, int], notes: list[str]) -> None:
    if submitted.owned:
        dropped["owned"] = submitted.owned
        notes.append(
            f"manifests: {submitted.owned} objects that a controller owns are left to that "
            "controller"
        )


def _priority_class(entry: PriorityClassSpec) -> ObjectWrite:
    found = PriorityClass(
        metadata=ObjectMeta(name=entry.name),
        value=entry.value,
        global_default=entry.global_default,
        preemption_policy=entry.preemption_policy,
    )
    return ObjectWrite(0, "create", found, entry.name)


def missing_namespaces(
    templates: Iterable[PodTemplate], writes: Iterable[ObjectWrite], present: Iterable[ApiObject]
) -> list[ObjectWrite]:
    """Return the creation, at time 0, of the namespaces that nobody else creates."""
    made = [write.object for write in writes if write.operation == "create"]
    used = [template.metadata.namespace for template in templates]
    used += [entry.metadata.namespace for entry in made]
    known = {o.metadata.name for o in (*present, *made) if isinstance(o, Namespace)}
    known |= set(_PRESENT_NAMESPACES)
    return [
        ObjectWrite(0, "create", Namespace(metadata=ObjectMeta(name=name)), name)
        for name in dict.fromkeys(used)
        if name not in known
    ]


def _check_unique(workload: Workload) -> None:
    """Refuse two pods, or two objects of one kind, with one name."""
    namespaces = [template.metadata.namespace or "default" for template in workload.templates]
    template = workload.pods.template.tolist()
    names = [f"{namespaces[t]}/{n}" for t, n in zip(template, workload.pods.name, strict=True)]
    seen: set[str] = set()
    if len(set(names)) < len(names):
        for name in names:
            if name in seen:
                raise InputError(f"Pod {name}", found=name, expected="each name once")
            seen.add(name)
    created: set[tuple[str, str]] = set()
    for write in workload.objects:
        identity = (write.object.kind, write.object.key)
        if write.operation == "update":
            continue
        if write.operation == "delete" or not write.object.metadata.name:
            created.discard(identity)
        elif identity in created:
            raise InputError(
                f"{identity[0]} {identity[1]}", found=identity[1], expected="each name once"
            )
        else:
            created.add(identity)


def _check_priorities(spec: WorkloadSpec, workload: Workload, cluster: Cluster) -> None:
    """Refuse pods that name a PriorityClass which nobody creates."""
    made: list[ApiObject] = [w.object for w in workload.objects if w.operation == "create"]
    known = {o.metadata.name for o in (*cluster.objects, *made) if isinstance(o, PriorityClass)}
    known |= set(SYSTEM_PRIORITY_CLASSES)
    named = {item.priority_class: f"items[{i}].priority_class" for i, item in enumerate(spec.items)}
    pods = workload.pods
    for row, template in enumerate(pods.template.tolist()):
        name = workload.templates[template].spec.priority_class_name
        named.setdefault(name, f"Pod/{pods.name[row]}: spec.priorityClassName")
    for found in made:
        own = getattr(getattr(found, "spec", None), "template", None)
        if own is not None:
            field = "spec.template.spec.priorityClassName"
            where = f"{found.kind}/{found.metadata.name}: {field}"
            named.setdefault(own.spec.priority_class_name, where)
    for name, where in named.items():
        if name and name not in known:
            raise InputError(where, found=name, expected=f"one of {', '.join(sorted(known))}")
