"""``schedlab bench``: how many decisions a second, beside upstream's threshold and kube-scheduler.

What is measured is the decision loop (`bench_loop.Loop`): queue, filter, score, choose, assume. The
pods that a workload has in place beforehand are placed by the same scheduler, untimed. Decisions
per wall second are a property of this toolkit; pods per simulated second are another thing, and
come out of the latencies of a simulation.
"""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schedlab.errors import InputError
from schedlab.experiment.bench_cluster import Cluster
from schedlab.experiment.bench_loop import Loop, Timings
from schedlab.experiment.bench_specs import Benchmark
from schedlab.experiment.interrupts import interrupts_held
from schedlab.record.provenance import commit, machine, versions
from schedlab.record.wallclock import peak_memory_bytes
from schedlab.rng import Draws
from schedlab.scheduling.base import Scheduler
from schedlab.scheduling.registry import load_scheduler
from schedlab.scheduling.warm_up import warm_up

KUBE = "kube-scheduler"
ADAPTIVE, ALL = 0, 100
"""Values of ``percentageOfNodesToScore``."""
WINDOW_S = 1.0
WINDOWS = 20
"""Throughput is taken per second, as scheduler_perf does; a shorter run is cut in so many parts."""


@dataclass(frozen=True)
class Throughput:
    """Measured pods placed per second: over the whole run, and percentiles over its windows."""

    mean: float
    p50: float
    p90: float
    p99: float


@dataclass(frozen=True)
class BenchResult:
    """What one benchmark showed.

    Attributes
    ----------
    workload, size, scheduler : str
        What was run.
    percentage_of_nodes_to_score : int or None
        100 = all nodes, 0 = kube-scheduler's adaptive share; None for other schedulers.
    batch : int
        Most pods in one call of the scheduler.
    nodes, init_pods, pods, classes : int
        Nodes and pods in place before, measured pods, and pod classes of all of them.
    scheduled, unschedulable, preempted : int
        Measured pods that were placed; those that were not; pods that were evicted for them.
    attempts : int
        Decisions in the measured part, those on other pods included.
    wall_s, cpu_s : float
        What the measured part took.
    pods_per_s : Throughput
        Measured pods placed per wall second.
    decisions_per_s : float
        Attempts per wall second.
    attempt_p50_us, attempt_p99_us : float
        Wall time of an attempt: pop, decision and assume. Pods that are decided on in one batch
        take an equal share of its time.
    window_s : float
        Length of the windows of *pods_per_s*.
    peak_memory_bytes : int
        Most resident memory that the process has held.
    threshold : int or None
        Pods per second below which upstream's CI fails.
    real : int or None
        Pods per CPU-second of kube-scheduler's own decision loop at this number of nodes.
    over_threshold, over_real : float or None
        Mean throughput over the threshold; pods per CPU-second over kube-scheduler's.
    """

    workload: str
    size: str
    scheduler: str
    percentage_of_nodes_to_score: int | None
    batch: int
    nodes: int
    init_pods: int
    pods: int
    classes: int
    scheduled: int
    unschedulable: int
    preempted: int
    attempts: int
    wall_s: float
    cpu_s: float
    pods_per_s: Throughput
    decisions_per_s: float
    attempt_p50_us: float
    attempt_p99_us: float
    window_s: float
    peak_memory_bytes: int
    threshold: int | None
    real: int | None
    over_threshold: float | None
    over_real: float | None


@dataclass(frozen=True)
class Way:
    """How a benchmark is run.

    Attributes
    ----------
    scheduler : str
        As `schedlab.scheduling.registry.load_scheduler` takes it.
    sampled : bool
        Let kube-scheduler look at its adaptive share of the nodes instead of all.
    batch : int, optional
        Most pods in one call of the scheduler; where absent what the workload says of
        kube-scheduler, and of others what their trigger says.
    backoff : bool
        Let a pod that others were evicted for back off like any that failed. As the queue goes by
        time, it comes behind all that wait, so that as many are nominated at once as there are
        preemptors. Otherwise it is tried again at once: in this loop its victims are gone already.
    seed : int
        Of the pods' keys and the scheduler's draws.
    """

    scheduler: str = KUBE
    sampled: bool = False
    batch: int | None = None
    backoff: bool = False
    seed: int = 0

    def most(self, benchmark: Benchmark) -> int | None:
        """Return how many pods are in one call at most; None = what the scheduler says."""
        if self.batch is not None or self.scheduler != KUBE:
            return self.batch
        return benchmark.workload.batch


def run_benchmark(benchmark: Benchmark, way: Way | None = None) -> BenchResult:
    """Run one benchmark in this process.

    Parameters
    ----------
    benchmark : Benchmark
        See `bench_specs.find`.
    way : Way, optional
        Which scheduler runs it, and how.

    Raises
    ------
    InputError
        There is no such scheduler, it can't take these pods, or it overfills a node.
    """
    way = way or Way()
    policy, share = _policy(way)
    _warm_up(benchmark, way)
    draws = Draws(way.seed, "bench")
    loop = Loop(policy, benchmark.workload.pace, draws, way.most(benchmark), way.backoff)
    cluster = Cluster(benchmark, loop, way.seed)
    measured = cluster.prepare()
    before = loop.preempted
    gc.collect()
    gc.freeze()  # a collection that walks all of the cluster would be billed to one decision
    try:
        timings = loop.run(*measured)
    finally:
        gc.unfreeze()
    _check_room(loop, way.scheduler)
    known = benchmark.workload.real.get(cluster.nodes)
    real = None
    if known is not None and share is not None:
        real = known.sampled if share == ADAPTIVE else known.all
    preempted = loop.preempted - before
    return _result(
        benchmark, (way.scheduler, share, loop.batch or 1), cluster, timings, preempted, real
    )


def run_separately(benchmark: Benchmark, way: Way) -> BenchResult:
    """Run a benchmark in a process of its own, so that its memory is its own too.

    Raises
    ------
    InputError
        As `run_benchmark`, and when the process did not live to tell, as for want of memory.
    """
    context = get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(theirs, benchmark, way), daemon=True)
    try:
        with interrupts_held():
            process.start()
        theirs.close()
        answer = ours.recv()
    except EOFError:
        process.join()
        raise InputError(
            benchmark.name, found=f"<exit code {process.exitcode}>", expected="a result"
        ) from None
    finally:
        process.kill()  # it has told all it had to, or nobody waits for it any more
        process.join()
    if isinstance(answer, InputError):
        raise answer
    found: BenchResult = answer
    return found


def _measure(pipe: Connection, benchmark: Benchmark, way: Way) -> None:
    try:
        pipe.send(run_benchmark(benchmark, way))
    except InputError as error:
        pipe.send(error)


def _warm_up(benchmark: Benchmark, way: Way) -> None:
    """Run the workload at its smallest size: compiled functions are loaded at their first call."""
    warm_up()
    *_, smallest = benchmark.workload.sizes.items()
    small = replace(benchmark, size=smallest[0], params=smallest[1].params)
    most = way.most(benchmark)
    loop = Loop(_policy(way)[0], benchmark.workload.pace, Draws(way.seed), most, way.backoff)
    loop.run(*Cluster(small, loop, way.seed).prepare())


def _policy(way: Way) -> tuple[Scheduler, int | None]:
    """Return a fresh scheduler and its percentageOfNodesToScore."""
    if way.scheduler == KUBE:
        share = ADAPTIVE if way.sampled else ALL
        return load_scheduler(KUBE, {"percentage_of_nodes_to_score": share}), share
    if way.sampled:
        raise InputError("--sampled", found=way.scheduler, expected=f"{KUBE}: only it has a share")
    return load_scheduler(way.scheduler), None


def _check_room(loop: Loop, name: str) -> None:
    nodes = loop.state.nodes
    over = (nodes.requested > nodes.allocatable)[:, : nodes.size]
    # what is not requested of a node can't overfill it, as pods on a node that has been removed
    if over.any():
        resource, row = (int(index[0]) for index in over.nonzero())
        raise InputError(
            f"scheduler {name}: {nodes.names[row]}",
            found=f"{nodes.requested[resource, row]} {nodes.resources[resource]} requested",
            expected=f"at most {nodes.allocatable[resource, row]}",
        )


def _result(
    benchmark: Benchmark,
    policy: tuple[str, int | None, int],
    cluster: Cluster,
    timings: Timings,
    preempted: int,
    real: int | None,
) -> BenchResult:
    wall_s, scheduled = timings.wall_s, int(timings.placed.sum())
    window_s = min(WINDOW_S, wall_s / WINDOWS)
    p50, p90, p99 = (percentile(windows(timings, window_s), q) for q in (50, 90, 99))
    mean, took_us, threshold = scheduled / wall_s, attempt_us(timings), benchmark.threshold
    name, share, batch = policy
    return BenchResult(
        workload=benchmark.name,
        size=benchmark.size,
        scheduler=name,
        percentage_of_nodes_to_score=share,
        batch=batch,
        nodes=cluster.nodes,
        init_pods=cluster.init_pods,
        pods=benchmark.params["pods"],
        classes=len(cluster.classes),
        scheduled=scheduled,
        unschedulable=benchmark.params["pods"] - scheduled,
        preempted=preempted,
        attempts=int(timings.attempts.sum()),
        wall_s=wall_s,
        cpu_s=timings.cpu_s,
        pods_per_s=Throughput(mean, p50, p90, p99),
        decisions_per_s=float(timings.attempts.sum()) / wall_s,
        attempt_p50_us=percentile(took_us, 50),
        attempt_p99_us=percentile(took_us, 99),
        window_s=window_s,
        peak_memory_bytes=peak_memory_bytes(),
        threshold=threshold,
        real=real,
        over_threshold=None if threshold is None else mean / threshold,
        over_real=None if real is None else scheduled / timings.cpu_s / real,
    )


def windows(timings: Timings, window_s: float) -> NDArray[np.float64]:
    """Return pods placed per second in each whole window of a run, float64 [W].

    A batch places its pods evenly over its time.
    """
    ends = (timings.stamps_ns - timings.stamps_ns[0]) / 1e9
    whole = max(int(timings.wall_s / window_s + 1e-9), 1)
    placed = np.concatenate([[0], np.cumsum(timings.placed)])
    at = np.interp(np.arange(whole + 1) * window_s, ends, placed)
    found: NDArray[np.float64] = np.diff(at) / window_s
    return found


def attempt_us(timings: Timings) -> NDArray[np.float64]:
    """Return the wall time of each attempt in microseconds, float64 [attempts]."""
    share: NDArray[np.float64] = np.diff(timings.stamps_ns) / 1e3 / timings.attempts
    return np.repeat(share, timings.attempts)


def percentile(values: NDArray[np.float64], q: int) -> float:
    """Return a percentile as scheduler_perf takes it: the smallest value that *q* % don't exceed.

    >>> percentile(np.array([3.0, 1.0, 2.0]), 50)
    2.0
    """
    if not len(values):
        return 0.0
    return float(np.sort(values)[max(-(-len(values) * q // 100), 1) - 1])


def write_results(path: Path, results: Sequence[BenchResult], failed: Mapping[str, str]) -> None:
    """Write results as JSON, atomically, with what they were measured with.

    Parameters
    ----------
    path : Path
        The file.
    results : sequence of BenchResult
        What was measured.
    failed : mapping of str to str
        Benchmark -> why it could not be run.
    """
    document: dict[str, Any] = {
        "benchmarks": [asdict(result) for result in results],
        "failed": dict(failed),
        "versions": versions(),
        "commit": commit(),
        "machine": machine(),
    }
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    os.replace(partial, path)
