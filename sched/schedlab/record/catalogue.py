"""The definitions of all metrics; `schedlab.record.metrics` is what other modules use."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

import numpy as np
import pandas as pd

from schedlab.record.latency import SECOND, Elapsed, stage_elapsed
from schedlab.record.run_tables import Better, Metric, ResourceMetric, RunTables
from schedlab.record.usage import micros

STARTUP_SLO_S = 5.0
NAN = float("nan")

RESOURCE_METRICS: dict[str, ResourceMetric] = {
    metric.name: metric
    for metric in (
        ResourceMetric(
            "allocation_mean",
            "share",
            "requested / allocatable <resource>, mean over the window weighted by time and"
            " capacity, exact from the times at which pods were bound and ended",
            "higher",
            lambda run, resource: run.usage.mean_allocation(resource),
            "allocation",
        ),
        ResourceMetric(
            "allocation_peak",
            "share",
            "largest requested / allocatable <resource> of the cluster at any time",
            "",
            lambda run, resource: run.usage.peak_allocation(resource),
            "peak allocation",
        ),
        ResourceMetric(
            "imbalance",
            "share",
            "standard deviation over nodes of requested / allocatable <resource>, mean over time;"
            " schedulers that pack raise it on purpose",
            "lower",
            lambda run, resource: run.usage.imbalance(resource),
            "imbalance",
        ),
        ResourceMetric(
            "stranded",
            "share",
            "share of <resource> that is free on nodes that can't take the median pod (the median"
            " request of each resource over the workload's pods), mean over time",
            "lower",
            lambda run, resource: run.usage.stranded(resource),
            "stranded",
        ),
    )
}

_CENSORED = (
    "; a pod that isn't there yet at the end of the run, or was deleted or evicted on its way,"
    " counts with the time it has spent so far"
)
# stem, title, description, stages (from, to, and from, to of what is taken off)
_LATENCIES: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    (
        "create_to_schedule_seconds",
        "wait",
        "from the create request to the committed binding",
        ("created_us", "bound_us"),
    ),
    (
        "scheduler_pod_scheduling_sli_duration_seconds",
        "scheduling",
        "from the scheduler's sight of the pod to the committed binding, over all its attempts",
        ("seen_by_scheduler_us", "bound_us"),
    ),
    (
        "binding_seconds",
        "bind",
        "from the (last) decision to the committed binding",
        ("decided_us", "bound_us"),
    ),
    (
        "schedule_to_run_seconds",
        "start-up",
        "from the committed binding to running containers, image pulls included",
        ("bound_us", "started_us"),
    ),
    (
        "run_to_watch_seconds",
        "status",
        "from running containers to the committed Ready condition",
        ("started_us", "ready_us"),
    ),
    (
        "schedule_to_watch_seconds",
        "schedule to watch",
        "from the committed binding to the committed Ready condition",
        ("bound_us", "ready_us"),
    ),
    (
        "pod_startup_seconds",
        "end to end",
        "from the create request to the committed Ready condition",
        ("created_us", "ready_us"),
    ),
    (
        "kubelet_pod_start_sli_duration_seconds",
        "pod startup, no pulls",
        "from the create request to the committed Ready condition, less the time from the kubelet's"
        " sight of the pod to its images being there",
        ("created_us", "ready_us", "seen_by_kubelet_us", "pulled_us"),
    ),
)
_PERCENTILES = {"p50": 0.50, "p90": 0.90, "p99": 0.99}
_Source = Callable[[RunTables], Elapsed]


def _percentiles(
    stem: str, title: str, unit: str, description: str, source: _Source
) -> list[Metric]:
    """Return p50, p90 and p99 of what *source* gives; lower is better."""
    return [
        Metric(
            f"{stem}_{label}",
            unit,
            f"{label} of the time {description}" if unit == "s" else f"{label} of {description}",
            "lower",
            partial(lambda run, q: source(run).percentile(q), q=q),
            f"{title} {label}",
            partial(lambda run, q: source(run).percentile_is_bound(q), q=q),
        )
        for label, q in _PERCENTILES.items()
    ]


def _mean(stem: str, title: str, unit: str, description: str, source: _Source) -> Metric:
    return Metric(
        f"{stem}_mean",
        unit,
        f"mean of {description}",
        "lower",
        lambda run: source(run).mean(),
        f"{title} mean",
        lambda run: source(run).any_bound(),
    )


def _latency_metrics() -> Iterable[Metric]:
    for stem, title, description, stages in _LATENCIES:
        source = partial(lambda run, stages: run.elapsed(*stages), stages=stages)
        if stem == "create_to_schedule_seconds":
            text = f"the time {description}{_CENSORED}"
            yield _mean(stem, title, "s", text, source)
        yield from _percentiles(stem, title, "s", description + _CENSORED, source)
    yield from _percentiles(
        "scheduler_scheduling_algorithm_duration_seconds",
        "decision",
        "s",
        "that one scheduling attempt took the scheduler (simulated, successful or not)",
        lambda run: run.decision_time,
    )


def _completion_metrics() -> Iterable[Metric]:
    unfinished = "; an unfinished one counts with the time it has taken so far"
    yield from _percentiles(
        "completion_time_seconds",
        "completion time",
        "s",
        "from the creation of a replica's first pod to its success, over pods that replace each"
        f" other (replicas with a duration only){unfinished}",
        lambda run: run.completions.elapsed,
    )
    yield from _percentiles(
        "job_completion_time_seconds",
        "Job completion time",
        "s",
        f"from the creation of a Job's first pod to its last success{unfinished}",
        lambda run: run.completions.jobs,
    )
    slow: tuple[tuple[str, str, _Source], ...] = (
        (
            "slowdown",
            f"completion time / run time of a replica{unfinished}",
            lambda run: run.completions.slowdown,
        ),
        (
            "bounded_slowdown",
            f"max(1, completion time / max(run time, 10 s)) of a replica{unfinished}",
            lambda run: run.completions.bounded_slowdown,
        ),
    )
    for stem, description, source in slow:
        title = stem.replace("_", " ")
        yield _mean(stem, title, "", description, source)
        yield from _percentiles(stem, title, "", description, source)


def _makespan(run: RunTables) -> float:
    work = run.completions
    if not len(work.created_us):
        return NAN
    return float(work.last_us.max() - work.created_us.min()) / SECOND


def _throughput(run: RunTables) -> float:
    window_s = (run.end_us - run.warmup_us) / SECOND
    bound = micros(run.pods, "bound_us")
    return float((bound >= max(run.warmup_us, 0)).sum()) / window_s if window_s > 0 else NAN


def _peak_throughput(run: RunTables) -> float:
    bound = micros(run.pods, "bound_us")
    _, counts = np.unique(bound[bound >= run.warmup_us] // int(SECOND), return_counts=True)
    return float(counts.max(initial=0))


def _attempts(run: RunTables) -> float:
    tried = run.measured["attempts"].to_numpy()
    return float(tried[tried > 0].mean()) if (tried > 0).any() else NAN


def _startup_slo(run: RunTables) -> float:
    pods = run.measured
    decided, bound = micros(pods, "decided_us"), micros(pods, "bound_us")
    attempts = pods["attempts"].to_numpy()
    unfit = (attempts > 1) | ((attempts == 1) & (decided < 0) & (bound < 0))
    stages = ("created_us", "ready_us", run.end_us, ("seen_by_kubelet_us", "pulled_us"))
    startup = stage_elapsed(pods[~unfit], *stages).percentile(0.99)
    return NAN if np.isnan(startup) else float(startup <= STARTUP_SLO_S)


def _fairness(run: RunTables) -> float:
    work = run.completions
    slow = pd.Series(work.bounded_slowdown.seconds).groupby(pd.Series(work.item)).mean()
    speed = 1.0 / slow.to_numpy(dtype=np.float64)
    return float(speed.sum() ** 2 / (len(speed) * (speed**2).sum())) if len(speed) else NAN


def _outcome(run: RunTables, *, outcome: str) -> float:
    return float(run.outcomes.get(outcome, 0))


def _preempted(run: RunTables) -> float:
    evicted = run.pods[run.pods["outcome"] == "evicted"]
    return float(evicted["reason"].fillna("").str.contains("preempt", case=False).sum())


def _count_metrics() -> Iterable[Metric]:
    def count(
        name: str,
        description: str,
        better: Better,
        function: Callable[[RunTables], float],
        unit: str = "pods",
    ) -> Metric:
        return Metric(name, unit, description, better, function, name.replace("_", " "))

    yield count("pods_arrived", "pods that were created", "", lambda run: float(len(run.pods)))
    yield count(
        "pods_placed",
        "pods whose binding was committed",
        "higher",
        lambda run: float((micros(run.pods, "bound_us") >= 0).sum()),
    )
    yield count(
        "pending_at_end",
        "pods that weren't bound when the run ended; their waits are only bounded",
        "lower",
        partial(_outcome, outcome="pending"),
    )
    for outcome, better, text in (
        ("succeeded", "higher", "ran to their end"),
        ("running", "", "were bound and unfinished when the run ended"),
        ("failed", "lower", "failed"),
        ("deleted", "", "were deleted by their client or controller"),
        ("evicted", "lower", "were evicted, for preemption or otherwise"),
        ("rejected", "lower", "the kubelet refused"),
        ("dropped", "lower", "the scheduler gave up for good"),
    ):
        direction: Better = "higher" if better == "higher" else "lower" if better else ""
        text = f"pods that {text}"
        yield count(f"pods_{outcome}", text, direction, partial(_outcome, outcome=outcome))
    yield count("pods_preempted", "evicted pods that made room for others", "lower", _preempted)
    yield count(
        "preemption_attempts",
        "scheduling attempts that ended in evicting others, the pod being nominated for their node",
        "",
        lambda run: float((run.decisions["verdict"] == "nominated").sum()),
        "",
    )
    yield count(
        "waits_cut",
        "pods of the window never bound (pending at the end, or deleted or evicted before)",
        "lower",
        lambda run: float(run.elapsed("created_us", "bound_us").at_least.sum()),
    )
    yield count("attempts_per_pod", "scheduling attempts of a pod tried at all", "", _attempts, "")


def _other_metrics() -> Iterable[Metric]:
    yield Metric(
        "nodes_used_mean",
        "nodes",
        "nodes with at least one bound pod, mean over time",
        "lower",
        lambda run: run.usage.nodes_used()[0],
        "nodes used",
    )
    yield Metric(
        "nodes_used_max",
        "nodes",
        "most nodes with at least one bound pod at any time",
        "lower",
        lambda run: run.usage.nodes_used()[1],
        "nodes used, most",
    )
    yield Metric(
        "makespan_seconds",
        "s",
        "from the first creation to the last success of replicas with a duration; to the end of"
        " the run while one is unfinished",
        "lower",
        _makespan,
        "makespan",
        lambda run: run.completions.elapsed.any_bound(),
    )
    yield Metric(
        "pod_startup_slo_met",
        "",
        "1 when the p99 of kubelet_pod_start_sli_duration_seconds is at most 5 s over the"
        " schedulable pods (those that no scheduling attempt refused), as Kubernetes' SLO; else 0",
        "higher",
        _startup_slo,
        "pod startup SLO met",
    )
    yield Metric(
        "fairness_jain",
        "",
        "Jain's index over workload items of 1 / mean bounded slowdown: 1 = all alike, 1/n = one"
        " item gets everything",
        "higher",
        _fairness,
        "fairness (Jain)",
    )


def _throughput_metrics() -> Iterable[Metric]:
    yield Metric(
        "throughput_pods_per_second",
        "pods/s",
        "bindings committed in the window / its length",
        "higher",
        _throughput,
        "throughput",
    )
    yield Metric(
        "throughput_peak_pods_per_second",
        "pods/s",
        "most bindings committed in one whole second",
        "higher",
        _peak_throughput,
        "throughput, peak",
    )


_SOURCES = (
    _latency_metrics,
    _completion_metrics,
    _count_metrics,
    _other_metrics,
    _throughput_metrics,
)
METRICS: dict[str, Metric] = {metric.name: metric for source in _SOURCES for metric in source()}

ALIASES: dict[str, str] = {
    "wait": "create_to_schedule_seconds",
    "scheduling": "scheduler_pod_scheduling_sli_duration_seconds",
    "decision": "scheduler_scheduling_algorithm_duration_seconds",
    "bind": "binding_seconds",
    "start_up": "schedule_to_run_seconds",
    "end_to_end": "pod_startup_seconds",
    "completion_time": "completion_time_seconds",
    "makespan": "makespan_seconds",
    "throughput": "throughput_pods_per_second",
}
