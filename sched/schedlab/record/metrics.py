"""Metrics of a run: pure functions of its tables, each with a name, a unit and a direction.

`METRICS` holds those that every run has, `RESOURCE_METRICS` those that exist once per resource
(``allocation_mean_cpu``), `GPU_METRICS` those of clusters with GPUs. Names are Kubernetes' where
Kubernetes has one, queueing theory's where not; `ALIASES` maps everyday words to them. A value that
isn't defined is NaN. Times are in seconds and shares in 0 .. 1, so that no reader has to guess.

Where a metric could only be bounded because pods were still waiting at the end, its value is that
lower bound, and `lower_bounds` names it.

Unless it says otherwise, a metric covers the measured window: from the end of the warm-up to the
end of the run. Latencies are of the pods created within it, and counts of pods are of the whole
run, so that the book-keeping closes.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from schedlab.errors import InputError
from schedlab.record.catalogue import ALIASES, METRICS, RESOURCE_METRICS
from schedlab.record.gpu_metrics import GPU_METRICS, has_gpus
from schedlab.record.run_tables import Better, Metric, ResourceMetric, RunTables

__all__ = [
    "ALIASES",
    "DEFAULT_METRICS",
    "GPU_METRICS",
    "METRICS",
    "RESOURCE_METRICS",
    "Better",
    "Metric",
    "ResourceMetric",
    "RunTables",
    "available",
    "find_metric",
    "lower_bounds",
    "run_tables",
    "summarise",
]

DEFAULT_METRICS: tuple[str, ...] = (
    "allocation_mean_cpu",
    "allocation_mean_memory",
    "allocation_mean_nvidia.com/gpu",
    "imbalance_cpu",
    "stranded_cpu",
    "stranded_nvidia.com/gpu",
    "nodes_used_mean",
    "create_to_schedule_seconds_p50",
    "create_to_schedule_seconds_p99",
    "scheduler_scheduling_algorithm_duration_seconds_p99",
    "binding_seconds_p99",
    "schedule_to_run_seconds_p99",
    "pod_startup_seconds_p50",
    "pod_startup_seconds_p99",
    "completion_time_seconds_p50",
    "bounded_slowdown_mean",
    "makespan_seconds",
    "pods_placed",
    "pending_at_end",
    "pods_preempted",
    "attempts_per_pod",
)
"""What a comparison shows when its experiment names no metrics (those that are defined)."""


def find_metric(name: str) -> Metric:
    """Return the metric *name*, an alias such as ``wait_p99``, or one of a resource.

    Raises
    ------
    InputError
        When there is none; the hint names the nearest.
    """
    if name in METRICS:
        return METRICS[name]
    if name in GPU_METRICS:
        return GPU_METRICS[name]
    for prefix, family in RESOURCE_METRICS.items():
        if name.startswith(prefix + "_") and len(name) > len(prefix) + 1:
            return family.of(name[len(prefix) + 1 :])
    for alias, stem in ALIASES.items():
        for statistic in ("", "_mean", "_p50", "_p90", "_p99"):
            if name == alias + statistic and stem + statistic in METRICS:
                return METRICS[stem + statistic]
    known = [*METRICS, *GPU_METRICS, *(f"{prefix}_cpu" for prefix in RESOURCE_METRICS), *ALIASES]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else "`schedlab list metrics` shows them"
    raise InputError("metrics", found=name, expected="the name of a metric", hint=hint)


def run_tables(frames: Mapping[str, pd.DataFrame], meta: Mapping[str, Any]) -> RunTables:
    """Return the tables of a run, ready for metrics.

    Parameters
    ----------
    frames : mapping of str to DataFrame
        At least ``pods``, ``nodes`` and ``decisions``; ``fragments`` where the run has it.
    meta : mapping
        ``end_us``, and ``warmup_us`` where the run was warmed up; a run's manifest has both.
    """
    return RunTables(
        frames["pods"],
        frames["nodes"],
        frames["decisions"],
        end_us=int(meta["end_us"]),
        warmup_us=int(meta.get("warmup_us", 0)),
        fragments=frames.get("fragments"),
    )


def available(run: RunTables) -> list[Metric]:
    """Return the metrics that a run has: per resource that its nodes offer, of GPUs, the rest."""
    per_resource = [
        family.of(resource)
        for resource in run.usage.resources
        for family in RESOURCE_METRICS.values()
    ]
    own = GPU_METRICS.values() if has_gpus(run) else ()
    return [*per_resource, *own, *METRICS.values()]


def summarise(
    frames: Mapping[str, pd.DataFrame],
    meta: Mapping[str, Any],
    names: Iterable[str] | None = None,
) -> dict[str, float]:
    """Return the value of each metric in a run; NaN where it isn't defined.

    Parameters
    ----------
    frames, meta
        As for `run_tables`.
    names : iterable of str, optional
        Metrics to compute, under the names given; all that are available by default.
    """
    run = run_tables(frames, meta)
    if names is None:
        return {metric.name: float(metric.function(run)) for metric in available(run)}
    return {name: float(find_metric(name).function(run)) for name in names}


def lower_bounds(run: RunTables) -> list[str]:
    """Return the names of the metrics whose value in this run is only a lower bound."""
    return [
        metric.name
        for metric in available(run)
        if metric.is_bound is not None
        and not math.isnan(metric.function(run))
        and metric.is_bound(run)
    ]
