"""The tables of one run, and what a metric is: a named, pure function of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Literal

import numpy as np
import pandas as pd

from schedlab.cluster.devices import GPU_MILLI
from schedlab.record.arrivals import arrival_curve
from schedlab.record.latency import SECOND, Completions, Elapsed, completions, stage_elapsed
from schedlab.record.schema import resource_column
from schedlab.record.usage import Usage, micros

Better = Literal["higher", "lower", ""]


@dataclass(frozen=True, eq=False)
class RunTables:
    """The tables of one run, with what several metrics share computed once.

    Parameters
    ----------
    pods, nodes, decisions : DataFrame
        Tables as of `schema.TABLES`.
    end_us : int
        Simulated time at which the run ended.
    warmup_us : int, default 0
        Start of the measured window.
    fragments : DataFrame, optional
        The table of that name, of a cluster with GPUs.
    """

    pods: pd.DataFrame
    nodes: pd.DataFrame
    decisions: pd.DataFrame
    end_us: int
    warmup_us: int = 0
    fragments: pd.DataFrame | None = None
    _elapsed: dict[tuple[str, ...], Elapsed] = field(default_factory=dict, repr=False)

    @cached_property
    def usage(self) -> Usage:
        """What pods hold on nodes over the measured window."""
        return Usage(self.pods, self.nodes, self.end_us, self.warmup_us)

    @cached_property
    def arrivals(self) -> pd.DataFrame:
        """The cluster's GPUs after each arrival, see `arrivals.arrival_curve`."""
        return arrival_curve(self.pods, self.nodes, self.fragments)

    @cached_property
    def gpu_milli(self) -> float:
        """Thousandths of GPUs that the nodes offer; 0 where they have none."""
        column = resource_column("allocatable", GPU_MILLI)
        return float(self.nodes[column].sum()) if column in self.nodes else 0.0

    @cached_property
    def measured(self) -> pd.DataFrame:
        """The pods created in the measured window."""
        if not self.warmup_us:
            return self.pods
        return self.pods[micros(self.pods, "created_us") >= self.warmup_us]

    @cached_property
    def completions(self) -> Completions:
        """The replicas of the measured window that run for a given time."""
        return completions(self.pods, self.warmup_us, self.end_us)

    @cached_property
    def outcomes(self) -> Mapping[str, int]:
        """Number of pods per outcome."""
        return {str(key): int(n) for key, n in self.pods["outcome"].value_counts().items()}

    def elapsed(self, *stages: str) -> Elapsed:
        """Return the time between two stages, less that between two more where four are given."""
        if stages not in self._elapsed:
            less = (stages[2], stages[3]) if len(stages) == 4 else None
            self._elapsed[stages] = stage_elapsed(
                self.measured, stages[0], stages[1], self.end_us, less
            )
        return self._elapsed[stages]

    @cached_property
    def decision_time(self) -> Elapsed:
        """Simulated time that each attempt in the measured window took."""
        inside = self.decisions["time_us"].to_numpy() >= self.warmup_us
        seconds = self.decisions["decision_us"].to_numpy(dtype=np.float64)[inside] / SECOND
        return Elapsed(seconds, np.zeros(len(seconds), dtype=np.bool_))


@dataclass(frozen=True)
class Metric:
    """One number about one run.

    Parameters
    ----------
    name : str
        Key in results, unique.
    unit : str
        ``s``, ``share`` (0 .. 1), ``pods``, ``nodes``, ``pods/s`` or ``""`` for a plain number.
    description : str
        What it is, precisely.
    better : {"higher", "lower", ""}
        Which direction is an improvement; empty when neither is.
    function : callable
        The value, from the tables of a run.
    title : str
        Short label for tables and plots.
    is_bound : callable, optional
        Whether the value is only a lower bound in this run.
    """

    name: str
    unit: str
    description: str
    better: Better
    function: Callable[[RunTables], float]
    title: str = ""
    is_bound: Callable[[RunTables], bool] | None = None


@dataclass(frozen=True)
class ResourceMetric:
    """A metric that exists once per resource; `of` makes the metric of one."""

    name: str
    unit: str
    description: str
    better: Better
    function: Callable[[RunTables, str], float]
    title: str = ""

    def of(self, resource: str) -> Metric:
        """Return the metric of one resource, as ``allocation_mean_cpu``."""
        return Metric(
            f"{self.name}_{resource}",
            self.unit,
            self.description.replace("<resource>", resource),
            self.better,
            partial(_of_resource, function=self.function, resource=resource),
            f"{resource} {self.title}",
        )


def _of_resource(
    run: RunTables, *, function: Callable[[RunTables, str], float], resource: str
) -> float:
    return function(run, resource) if resource in run.usage.resources else float("nan")
