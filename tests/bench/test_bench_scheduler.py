"""Decisions per second on scheduler_perf's workloads, by number of nodes and of classes."""

import sys

import pytest

from schedlab.experiment.bench import Way, run_separately
from schedlab.experiment.bench_specs import find

pytestmark = pytest.mark.bench


def measured(benchmark, name, *, way=None, **size):
    """Run a benchmark three times; return the fastest, and say what it showed."""
    found = []

    def run():
        found.append(run_separately(find(name, **size), way or Way()))

    benchmark.pedantic(run, rounds=3)
    best = max(found, key=lambda result: result.pods_per_s.mean)
    benchmark.extra_info.update(pods_per_s=best.pods_per_s.mean, peak_bytes=best.peak_memory_bytes)
    sys.stderr.write(
        f"\n{best.workload}, {best.nodes:,} nodes x {best.pods:,} pods: "
        f"{best.pods_per_s.mean:,.0f} pods/s, attempt p50 {best.attempt_p50_us:,.1f} us, "
        f"p99 {best.attempt_p99_us:,.1f} us, {best.peak_memory_bytes / 2**20:,.0f} MiB"
        + (f", {best.over_real:,.0f} x kube-scheduler\n" if best.over_real else "\n")
    )
    return best


@pytest.mark.parametrize(
    "name",
    [
        "SchedulingBasic",
        "SchedulingNodeAffinity",
        "SchedulingDaemonset",
        "TopologySpreading",
        "PreferredTopologySpreading",
        "DefaultTopologySpreading/5000Nodes_10000Pods",
        "SchedulingPodAffinity",
        "SchedulingPodAntiAffinity",
        "SchedulingPreferredPodAffinity",
        "MixedSchedulingBasePod",
        "Unschedulable",
        "SchedulingWithMixedChurn",
        "SchedulingCSIPVs",
    ],
)
def test_usual_size(benchmark, name):
    best = measured(benchmark, name)
    assert best.unschedulable == 0
    if best.threshold is not None:  # a model without an API server has to beat it by far
        assert best.pods_per_s.mean >= 5 * best.threshold


@pytest.mark.parametrize("nodes", [500, 1_000, 5_000])
def test_preemption(benchmark, nodes):
    best = measured(benchmark, "PreemptionBasic", nodes=nodes, pods=500)
    assert best.preempted == 1_500
    assert best.over_real >= 5


@pytest.mark.parametrize("nodes", [500, 1_000, 5_000, 20_000])
def test_cost_by_nodes(benchmark, nodes):
    best = measured(benchmark, "SchedulingBasic", nodes=nodes, pods=5_000)
    assert best.unschedulable == 0


@pytest.mark.parametrize("pods", [10_000, 50_000])
def test_cost_by_pods_that_are_placed(benchmark, pods):
    best = measured(benchmark, "SchedulingBasic", pods=pods)
    assert best.unschedulable == 0


@pytest.mark.parametrize("name", ["DistinctRequests", "DistinctLabels"])
def test_distinct_classes(benchmark, name):
    best = measured(benchmark, name)
    assert best.classes == best.pods == 10_000
    assert best.peak_memory_bytes < 2 << 30


def test_scale(benchmark):
    best = measured(benchmark, "Scale", way=Way(batch=64))
    assert best.unschedulable == 0
    assert best.peak_memory_bytes < 8 << 30
