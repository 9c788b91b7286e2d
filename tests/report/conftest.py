"""Results that look like a real sweep, made by a small queueing loop instead of a simulation."""

from __future__ import annotations

import heapq
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from schedlab.record.metrics import METRICS, find_metric, summarise
from schedlab.record.schema import DECISIONS, NODES, PODS
from schedlab.record.usage import Usage
from schedlab.rng import Draws

GIB = 2**30
POLICIES: dict[str, Callable] = {
    # free share per node [N] and node order -> preference; the highest wins
    "kube-scheduler": lambda free, order: free,
    "best-fit": lambda free, order: -free,
    "first-fit": lambda free, order: -order,
}


def one_run(
    policy: str,
    seed: int,
    *,
    nodes: int = 100,
    pods: int = 1500,
    span_s: float = 7200.0,
    load: float = 1.1,
    samples: int = 240,
) -> dict[str, pd.DataFrame]:
    """Place pods first come, first served, and write down the tables a run would leave."""
    draw = Draws(seed, "report").generator()
    size = draw.choice([8000, 16000, 32000], nodes, p=[0.5, 0.3, 0.2])
    pool = np.where(size == 8000, "small", np.where(size == 16000, "medium", "large"))
    cpu = draw.choice([500, 1000, 2000, 4000], pods, p=[0.4, 0.3, 0.2, 0.1])
    arrive = np.sort(draw.uniform(0, span_s * 0.7, pods))
    run_s = draw.lognormal(0, 1.0, pods)
    run_s *= load * size.sum() * span_s * 0.7 / (cpu * run_s).sum()
    pull = draw.lognormal(0.5, 0.8, pods)
    offsets = np.cumsum([np.full(pods, 0.05), pull, np.full(pods, 0.4), np.full(pods, 0.2)], 0)
    jitter = draw.uniform(0.05, 0.3, pods)
    prefer = POLICIES[policy]
    free = size.copy()
    order = np.arange(nodes)
    ends: list[tuple[float, int, int]] = []
    bound, where = np.full(pods, np.nan), np.full(pods, -1)
    now = 0.0
    for i in range(pods):
        now = max(now, arrive[i])
        while ends and ends[0][0] <= now:
            _, pod, node = heapq.heappop(ends)
            free[node] += cpu[pod]
        while not (fits := free >= cpu[i]).any():
            now, pod, node = heapq.heappop(ends)
            free[node] += cpu[pod]
        if now > span_s:
            break
        node = int(np.argmax(np.where(fits, prefer(free / size, order / nodes), -np.inf)))
        free[node] -= cpu[i]
        bound[i] = now + jitter[i]
        where[i] = node
        heapq.heappush(ends, (bound[i] + offsets[2, i] + run_s[i], i, node))
    placed = where >= 0
    columns: dict = {
        "pod": [f"default/pod-{i}" for i in range(pods)],
        "item": [f"item-{i % 12}" for i in range(pods)],
        "replica": np.arange(pods) // 12,
        "owner": [f"Job/item-{i % 12}" for i in range(pods)],
        "node": [f"node-{where[i]:04d}" if placed[i] else None for i in range(pods)],
        "attempts": placed.astype(int),
        "created_us": arrive,
        "stored_us": arrive + draw.uniform(0.002, 0.02, pods),
        "seen_by_scheduler_us": arrive + 0.03,
        "decided_us": bound - draw.uniform(0.005, 0.04, pods),
        "bound_us": bound,
        "duration_us": run_s,
        "request_cpu_milli": cpu,
        "request_memory_bytes": cpu * (GIB // 400),
    }
    stages = ("seen_by_kubelet_us", "pulled_us", "started_us", "ready_us")
    columns |= {stage: bound + offset for stage, offset in zip(stages, offsets, strict=True)}
    finished = bound + offsets[2] + run_s
    columns["finished_us"] = columns["released_us"] = np.where(finished < span_s, finished, np.nan)
    done = finished < span_s
    columns["outcome"] = np.where(~placed, "pending", np.where(done, "succeeded", "running"))
    frame = typed(columns, PODS, pods)
    grid = typed(
        {
            "node": [f"node-{i:04d}" for i in range(nodes)],
            "zone": [f"zone-{i % 3}" for i in range(nodes)],
            "pool": pool,
            "added_us": np.zeros(nodes),
            "allocatable_cpu_milli": size,
            "allocatable_memory_bytes": size * (GIB // 250),
        },
        NODES,
        nodes,
    )
    return {
        "pods": frame,
        "nodes": grid,
        "samples": sampled(frame, grid, span_s, samples),
        "decisions": typed({}, DECISIONS, 0),
    }


def typed(columns: dict, schema: tuple, rows: int) -> pd.DataFrame:
    """Give columns the types that tables read back have; times come in seconds."""
    frame = {}
    for column in schema:
        values = columns.pop(column.name, None)
        if column.dtype == "time":
            seconds = pd.Series(np.full(rows, np.nan) if values is None else values)
            frame[column.name] = (seconds * 1e6).round().astype("Int64")
        elif column.dtype == "string":
            frame[column.name] = pd.Series([""] * rows if values is None else values, dtype="str")
        else:
            frame[column.name] = pd.Series(np.zeros(rows, int) if values is None else values)
    return pd.DataFrame(frame | columns)


def sampled(pods: pd.DataFrame, nodes: pd.DataFrame, span_s: float, count: int) -> pd.DataFrame:
    end = round(span_s * 1e6)
    times = np.linspace(0, end, count).astype(np.int64)
    usage = Usage(pods, nodes, end + 1)
    frame: dict = {"time_us": times}
    created = np.sort(pods["created_us"].to_numpy(np.int64))
    bound = np.sort(pods["bound_us"].dropna().to_numpy(np.int64))
    before = [np.searchsorted(values, times, side="right") for values in (created, bound)]
    frame["pending"] = before[0] - before[1]
    frame["queue_unschedulable"] = frame["pending"] // 2
    for resource, unit in (("cpu", "milli"), ("memory", "bytes")):
        for prefix, steps in (
            ("requested", usage.requested(resource)),
            ("allocatable", usage.offered(resource)),
        ):
            row = np.searchsorted(steps.time_us, times, side="right") - 1
            frame[f"{prefix}_{resource}_{unit}"] = steps.value[row].astype(np.int64)
    return pd.DataFrame(frame)


def sweep(
    policies: tuple[str, ...] = tuple(POLICIES), seeds: int = 4, scenario: str = "load=1.1", **size
) -> dict[str, pd.DataFrame]:
    """Return the tables of a sweep, as `record.rundir.Runs` gives them, and ``summary``."""
    tables: dict[str, list[pd.DataFrame]] = {}
    for policy in policies:
        for seed in range(seeds):
            frames = one_run(policy, seed, **size)
            end_us = int(size.get("span_s", 7200.0) * 1e6)
            frames["summary"] = pd.DataFrame([summarise(frames, {"end_us": end_us})])
            frames["decisions"] = frames["decisions"].rename(
                columns={"scheduler": "scheduler_name"}
            )
            for name, frame in frames.items():
                for position, (key, value) in enumerate(
                    {"scenario": scenario, "scheduler": policy, "seed": seed}.items()
                ):
                    frame.insert(position, key, value)
                tables.setdefault(name, []).append(frame)
    return {name: pd.concat(parts, ignore_index=True) for name, parts in tables.items()}


def compare(summary: pd.DataFrame, baseline: str = "kube-scheduler") -> pd.DataFrame:
    """Return a comparison with the columns that the experiment layer makes."""
    rows = []
    metrics = [name for name in summary if name in METRICS or name.endswith(("_cpu", "_memory"))]
    for scenario, mine in summary.groupby("scenario", sort=False):
        wide = mine.set_index(["seed", "scheduler"])
        base = wide.xs(baseline, level="scheduler")
        for metric in metrics:
            for scheduler in mine["scheduler"].unique():
                values = wide.xs(scheduler, level="scheduler")[metric]
                paired = values - base[metric]
                known = find_metric(metric)
                half = 1.96 * values.std() / np.sqrt(len(values))
                paired_half = 1.96 * paired.std() / np.sqrt(len(values))
                rows.append(
                    {
                        "metric": metric,
                        "unit": known.unit,
                        "better": known.better,
                        "scenario": scenario,
                        "scheduler": scheduler,
                        "n": len(values),
                        "mean": values.mean(),
                        "low": values.mean() - half,
                        "high": values.mean() + half,
                        "difference": paired.mean(),
                        "difference_low": paired.mean() - paired_half,
                        "difference_high": paired.mean() + paired_half,
                        "baseline": baseline,
                        "smallest_detectable": paired_half,
                        "verdict": verdict(paired, paired_half, known.better)
                        if scheduler != baseline
                        else "",
                    }
                )
    return pd.DataFrame(rows)


def verdict(paired: pd.Series, half: float, better: str) -> str:
    if (paired == 0).all():
        return "identical"
    if not abs(paired.mean()) > half:
        return "no difference seen"
    return (
        "" if not better else "better" if (paired.mean() > 0) == (better == "higher") else "worse"
    )


@pytest.fixture(scope="session")
def results() -> dict[str, pd.DataFrame]:
    """Three schedulers, three seeds, 40 nodes, 400 pods."""
    return sweep(seeds=3, nodes=40, pods=400)


@pytest.fixture(scope="session")
def comparison(results) -> pd.DataFrame:
    return compare(results["summary"])


@pytest.fixture(scope="session")
def make_sweep() -> Callable[..., dict[str, pd.DataFrame]]:
    return sweep


@pytest.fixture(scope="session")
def make_comparison() -> Callable[..., pd.DataFrame]:
    return compare
