"""One generated item: its draws, its demand, and the pods or objects that come of it.

Everything is keyed by (item name, ordinal), so the n-th object of an item is the same whatever the
load factor, the horizon and the other items are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from schedlab.api.base import ApiModel
from schedlab.api.objects import (
    Amounts,
    ApiObject,
    Container,
    Deployment,
    DeploymentSpec,
    Job,
    JobSpec,
    LabelSelector,
    ObjectMeta,
    PodSpec,
    PodTemplate,
    ResourceRequirements,
)
from schedlab.errors import InputError
from schedlab.rng import Draws, entity_key
from schedlab.sim.distributions import Distribution, parse_distribution
from schedlab.workload.annotations import duration_annotation, duration_text
from schedlab.workload.arrivals import ArrivalTimes, arrival_times
from schedlab.workload.load import Demand
from schedlab.workload.model import validated
from schedlab.workload.sizes import (
    DURATION,
    Sizes,
    parse_count,
    parse_size,
    parse_sizes,
    parse_table,
    parse_time,
)
from schedlab.workload.specs import Item
from schedlab.workload.stream import (
    DURATION_ANNOTATION,
    ESTIMATE_ANNOTATION,
    ObjectWrite,
    PodArrivals,
    pod_arrivals,
)

ITEM_LABEL: Final = "schedlab.io/item"
COUNTS: Final = {"replicas": 0, "completions": 1, "parallelism": 1}
"""Dimensions that aren't resources, and their least values."""
_OWN_PARTS: Final = {
    "containers": "requests, table and image",
    "nodeSelector": "node_selector",
    "tolerations": "tolerations",
    "priorityClassName": "priority_class",
    "schedulerName": "scheduler_name",
    "restartPolicy": "kind",
}
_LONGEST: Final = 2.0**53  # microseconds; 285 years
Ints = NDArray[np.int64]


class ItemPlan:
    """What one item asks for; everything is drawn on demand, by ordinal.

    Parameters
    ----------
    item : Item
        The spec.
    draws : Draws
        The workload's stream; keys hold the item's name.
    horizon_us : int or None
        Arrivals end here.
    base : Path or None
        Directory to which files of the spec are relative.
    field : str
        Path of the item, for errors.
    """

    def __init__(
        self, item: Item, draws: Draws, horizon_us: int | None, base: Path | None, field: str
    ) -> None:
        self.item = item
        self._draws = draws
        self._horizon_us = horizon_us
        self._base = base
        self._field = field
        self._keys = np.empty(0, np.uint64)
        self._values: dict[str, Ints] = {}
        self._duration_text: str | None = None
        self._mean_duration = math.inf
        self.sizes = self._parse_sizes()
        self._check_estimate()
        self.resources = tuple(
            name for name in self.sizes.dimensions if name != DURATION and name not in COUNTS
        )
        self._base_template = self._parse_template()

    def _parse_sizes(self) -> Sizes:
        item, at, base = self.item, self._field, self._base
        marginals: dict[str, Distribution] = {}
        for name, value in item.requests.items():
            if name in COUNTS or name in (DURATION, "pods"):
                raise InputError(f"{at}.requests.{name}", found=name, expected="a resource")
            marginals[name] = parse_size(name, value, field=f"{at}.requests.{name}", base=base)
        for name, least in COUNTS.items():
            value = getattr(item, name)
            if value is not None:
                marginals[name] = parse_count(value, field=f"{at}.{name}", low=least, base=base)
        table = None
        if item.table is not None:
            table = parse_table(item.table, field=f"{at}.table", base=base)
        per_pod = item.kind == "Job" and item.duration_per == "pod"
        if per_pod and table is not None and DURATION in table.columns:
            raise InputError(
                f"{at}.duration_per", found="pod", expected="job, as the table has durations"
            )
        if item.duration is not None:
            if per_pod:
                self._duration_per_pod()
            else:
                where = f"{at}.duration"
                marginals[DURATION] = parse_time(item.duration, field=where, base=base)
        return parse_sizes(marginals, table, item.correlation, field=at)

    def _check_estimate(self) -> None:
        """Refuse an estimate of a duration that isn't known per object."""
        known = self._duration_text is not None and not self._duration_text.startswith("{")
        if self.item.estimated_duration == "none" or known or DURATION in self.sizes.dimensions:
            return
        raise InputError(
            f"{self._field}.estimated_duration",
            found="an estimate",
            expected="a duration that is known per object",
            hint="on a Job, duration_per: job gives all of its pods one duration",
        )

    def _duration_per_pod(self) -> None:
        """Let the control plane draw the duration of each pod from an annotation."""
        where = f"{self._field}.duration"
        self._duration_text = duration_annotation(self.item.duration, field=where, base=self._base)
        self._mean_duration = parse_distribution(
            self.item.duration, field=where, base=self._base
        ).mean()

    def _parse_template(self) -> PodTemplate:
        item = self.item
        for key in item.pod_spec:
            if key in _OWN_PARTS:
                raise InputError(
                    f"{self._field}.pod_spec.{key}",
                    found=key,
                    expected="other parts of the spec",
                    hint=f"the item's {_OWN_PARTS[key]} says it",
                )
        spec: dict[str, Any] = {
            **item.pod_spec,
            "containers": [{"name": "main", "image": item.image}],
            "nodeSelector": dict(item.node_selector),
            "tolerations": [_plain(toleration) for toleration in item.tolerations],
            "schedulerName": item.scheduler_name,
            "restartPolicy": "Always" if item.kind == "Deployment" else "Never",
        }
        if item.priority_class is not None:
            spec["priorityClassName"] = item.priority_class
        labels = {"app": item.name, ITEM_LABEL: item.name, **item.labels}
        metadata = ObjectMeta(
            namespace="" if item.namespace == "default" else item.namespace,
            labels=labels,
            annotations=dict(item.annotations),
        )
        try:
            return PodTemplate(metadata=metadata, spec=validated(PodSpec, spec))
        except InputError as error:
            raise error.under(f"{self._field}.pod_spec") from None

    def arrivals(self, speed: float = 1.0) -> ArrivalTimes:
        """Return when the objects arrive, inter-arrivals divided by *speed*."""
        try:
            return arrival_times(
                self.item.arrivals,
                self._draws.stream(f"arrivals/{self.item.name}"),
                count=self.item.count,
                horizon_us=self._horizon_us,
                speed=speed,
                base=self._base,
            )
        except InputError as error:
            raise error.under(self._field) from None

    def keys(self, n: int) -> NDArray[np.uint64]:
        """Return the entity keys of the first *n* objects."""
        known = len(self._keys)
        if n > known:
            name = self.item.name
            more = np.array([entity_key(name, i) for i in range(known, n)], np.uint64)
            self._keys = np.concatenate([self._keys, more])
        return self._keys[:n]

    def values(self, n: int) -> dict[str, Ints]:
        """Return each dimension of the first *n* objects."""
        known = len(next(iter(self._values.values()), ()))
        if not self._values or n > known:
            ahead = max(n, known + known // 2)  # a search for a load factor asks repeatedly
            self._values = self.sizes.draw(self.keys(ahead), self._draws.stream("size"))
        return {name: column[:n] for name, column in self._values.items()}

    def demand(self, speed: float = 1.0) -> Demand:
        """Return what the item asks for if nothing waits."""
        arrivals = self.arrivals(speed)
        time = arrivals.time_us.astype(np.float64)
        values = self.values(len(time))
        one = np.ones(len(time), np.int64)
        runs = values[DURATION].astype(np.float64) if DURATION in values else None
        if self.item.kind == "Job":
            completions = values.get("completions", one)
            pods = np.minimum(values.get("parallelism", completions), completions)
            mean = np.full(len(time), self._mean_duration) if runs is None else runs
            runs = mean * completions / pods
        else:
            pods = values.get("replicas", one)
        if runs is None:
            runs = np.full(len(time), math.inf)
        if arrivals.after is not None:
            for row in np.flatnonzero(arrivals.after >= 0).tolist():
                before = arrivals.after[row]
                time[row] += time[before] + runs[before]
        amount = np.stack([pods, *(values[name] * pods for name in self.resources)])
        return Demand(("pods", *self.resources), amount.astype(np.float64), time, runs)

    def pods(self, speed: float) -> tuple[PodArrivals, tuple[PodTemplate, ...]]:
        """Return the bare pods of the item and their distinct templates."""
        name, arrivals = self.item.name, self.arrivals(speed)
        n = len(arrivals.time_us)
        values, keys = self.values(n), self.keys(n)
        durations = values.get(DURATION, np.full(n, -1, np.int64))
        templates, template = self._distinct_templates(values, n)
        block = pod_arrivals(
            arrivals.time_us,
            template,
            tuple([f"{name}-{i:04d}" for i in range(n)]),
            item=(name,) * n,
            after=arrivals.after,
            duration_us=durations,
            estimated_duration_us=self._estimates(durations, keys),
            key=keys,
            replica=np.arange(n, dtype=np.int32),
        )
        return block, templates

    def _distinct_templates(
        self, values: Mapping[str, Ints], n: int
    ) -> tuple[tuple[PodTemplate, ...], NDArray[np.int32]]:
        if not self.resources or n == 0:
            return (self._template({}),), np.zeros(n, np.int32)
        sizes = np.stack([values[name] for name in self.resources], axis=1)
        distinct, first, place = np.unique(sizes, axis=0, return_index=True, return_inverse=True)
        order = np.argsort(first)  # templates in order of their first pod
        rank = np.empty(len(order), np.int32)
        rank[order] = np.arange(len(order), dtype=np.int32)
        templates = tuple(
            self._template(dict(zip(self.resources, row, strict=True)))
            for row in distinct[order].tolist()
        )
        return templates, rank[place.reshape(-1)]

    def _template(
        self,
        requests: Mapping[str, int],
        labels: Mapping[str, str] | None = None,
        annotations: Mapping[str, str] | None = None,
    ) -> PodTemplate:
        """Return the base template with requests; extended resources are limits too, as they must.

        A container that asks for no device names none; cpu and memory of 0 are kept, because
        kube-scheduler assumes 100m and 200Mi only where nothing is said.
        """
        asked = Amounts({k: v for k, v in requests.items() if v or "/" not in k})
        limits = Amounts({k: v for k, v in asked.items() if "/" in k})
        resources = ResourceRequirements(requests=asked, limits=limits)
        container = Container(name="main", image=self.item.image, resources=resources)
        base = self._base_template
        metadata = base.metadata
        if labels or annotations:
            metadata = metadata.model_copy(
                update={
                    "labels": {**metadata.labels, **(labels or {})},
                    "annotations": {**metadata.annotations, **(annotations or {})},
                }
            )
        spec = base.spec.model_copy(update={"containers": (container,)})
        return PodTemplate(metadata=metadata, spec=spec)

    def _estimates(self, durations: Ints, keys: NDArray[np.uint64]) -> Ints:
        """Return what schedulers are told, microseconds; -1 = nothing."""
        model = self.item.estimated_duration
        if model == "none":
            return np.full(len(durations), -1, np.int64)
        if model == "exact":
            return durations.copy()
        if model.noisy is not None:
            u = np.maximum(self._draws.stream("estimate").uniforms(keys), 2.0**-54)
            noisy = np.rint(durations * np.exp(model.noisy.sigma * ndtri(u)))
            return np.asarray(np.minimum(noisy, _LONGEST), np.int64)
        declared = model.user_declared
        assert declared is not None
        step = max(declared.round, 1)
        rounded = np.ceil(durations * declared.factor / step) * step
        return np.asarray(np.minimum(rounded, _LONGEST), np.int64)

    def writes(self, speed: float) -> list[ObjectWrite]:
        """Return the requests for the Deployments or Jobs of the item."""
        times = self.arrivals(speed).time_us
        n = len(times)
        values = self.values(n)
        rows = {name: column.tolist() for name, column in values.items()}
        estimates = self._job_estimates(values, n)
        result = []
        for i, time_us in enumerate(times.tolist()):
            row = {name: column[i] for name, column in rows.items()}
            made = self._object(f"{self.item.name}-{i:04d}", row, estimates[i])
            item = made.metadata.name
            result.append(ObjectWrite(time_us, "create", made, item))
            if self.item.kind == "Deployment" and DURATION in row:
                result.append(ObjectWrite(time_us + row[DURATION], "delete", made, item))
        return result

    def _job_estimates(self, values: Mapping[str, Ints], n: int) -> list[int]:
        if self.item.estimated_duration == "none":
            return [-1] * n
        known = values[DURATION] if DURATION in values else np.full(n, int(self._mean_duration))
        return [int(estimate) for estimate in self._estimates(known, self.keys(n))]

    def _object(self, name: str, row: Mapping[str, int], estimate_us: int) -> ApiObject:
        requests = {resource: row[resource] for resource in self.resources}
        metadata = ObjectMeta(
            name=name,
            namespace="" if self.item.namespace == "default" else self.item.namespace,
            labels={"app": name, ITEM_LABEL: self.item.name},
        )
        labels = {"app": name}
        if self.item.kind == "Deployment":
            return Deployment(
                metadata=metadata,
                spec=DeploymentSpec(
                    replicas=row.get("replicas", 1),
                    selector=LabelSelector(match_labels=labels),
                    template=self._template(requests, labels),
                ),
            )
        annotations = {}
        text = duration_text(row[DURATION]) if DURATION in row else self._duration_text
        if text is not None:
            annotations[DURATION_ANNOTATION] = text
        if estimate_us >= 0:
            annotations[ESTIMATE_ANNOTATION] = duration_text(estimate_us)
        completions = row.get("completions", 1)
        return Job(
            metadata=metadata,
            spec=JobSpec(
                template=self._template(requests, labels, annotations),
                completions=completions,
                parallelism=min(row.get("parallelism", completions), completions),
                backoff_limit=self.item.backoff_limit,
            ),
        )


def _plain(part: ApiModel) -> dict[str, Any]:
    return part.model_dump(by_alias=True, exclude_defaults=True)
