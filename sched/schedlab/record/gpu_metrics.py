"""Metrics of runs on clusters whose GPUs are shared: allocation by demand, and fragmentation.

They exist only for runs whose nodes offer ``alibabacloud.com/gpu-milli``.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import numpy as np

from schedlab.cluster.devices import GPU_MILLI
from schedlab.cluster.fragmentation import CAUSES
from schedlab.record.arrivals import CAUSE_COLUMNS, USABLE, binned
from schedlab.record.run_tables import Metric, RunTables
from schedlab.record.schema import FRAGMENTS
from schedlab.record.usage import Steps

NAN = float("nan")
DEMANDS = (100, 130)
"""Per cent of the cluster's GPUs that pods have asked for, at which the paper's tables are read."""


def has_gpus(run: RunTables) -> bool:
    """Return whether a run's nodes have GPUs."""
    return GPU_MILLI in run.usage.resources


def _at_demand(run: RunTables, *, column: str, demand: int) -> float:
    curve = run.arrivals
    if column not in curve or not len(curve):
        return NAN
    return float(binned(curve, column, last=demand)[demand]) / 100


def _mean(run: RunTables, *, columns: tuple[str, ...]) -> float:
    """Return the time-weighted mean of the sum of *columns*, as a share of all GPUs."""
    fragments = run.fragments
    total = run.gpu_milli
    if fragments is None or not total or run.end_us <= run.warmup_us:
        return NAN
    values = fragments[list(columns)].to_numpy(dtype=np.float64).sum(axis=1)
    steps = Steps(fragments["time_us"].to_numpy(), values)
    window = np.array((run.warmup_us, run.end_us))
    return float(steps.integral(window)[0]) / (run.end_us - run.warmup_us) / total


def _metrics() -> Iterable[Metric]:
    for demand in DEMANDS:
        text = f"when pods had asked for {demand} % of the GPUs, as the tables of FGD's paper"
        yield Metric(
            f"gpu_allocation_at_{demand}",
            "share",
            f"GPUs allocated, share of all, {text}",
            "higher",
            partial(_at_demand, column="allocated", demand=demand),
            f"GPUs allocated at {demand} %",
        )
        yield Metric(
            f"gpu_fragmentation_at_{demand}",
            "share",
            f"free GPU that typical pods can't use, F(M), share of all GPUs, {text}",
            "lower",
            partial(_at_demand, column="fragmented", demand=demand),
            f"GPUs fragmented at {demand} %",
        )
    lost = tuple(name for name in CAUSE_COLUMNS if name != USABLE)
    yield Metric(
        "gpu_fragmentation_mean",
        "share",
        "free GPU that typical pods can't use, F(M), share of all GPUs, mean over time",
        "lower",
        partial(_mean, columns=lost),
        "GPUs fragmented",
    )
    for cause, column in zip(CAUSES, FRAGMENTS[1:], strict=True):
        yield Metric(
            f"gpu_{cause}_mean",
            "share",
            f"{column.description}; share of all GPUs, mean over time",
            "" if column.name == USABLE else "lower",
            partial(_mean, columns=(column.name,)),
            f"GPU {cause.replace('_', ' ').replace('gpu', 'GPU').replace('cpu', 'CPU')}",
        )


GPU_METRICS: dict[str, Metric] = {metric.name: metric for metric in _metrics()}
