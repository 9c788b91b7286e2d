"""Best fit on GPUs: what kube-scheduler's spreading leaves out, and what fits has its GPUs."""

from __future__ import annotations

import numpy as np
import pytest

from schedlab.cluster import ClassTable, ClusterState
from schedlab.cluster.devices import DeviceRequest
from schedlab.cluster.vocabulary import ResourceNames
from schedlab.rng import entity_key
from schedlab.scheduling.base import Pod
from schedlab.scheduling.ilp.best_fit import best_fit, fitting
from schedlab.scheduling.ilp.bounds import placed_bounds
from schedlab.scheduling.ilp.builder import build_model
from schedlab.scheduling.ilp.devices import PIECES, assign_devices, dual_feasible
from schedlab.scheduling.ilp.partitioned import solve_partitioned
from schedlab.scheduling.ilp.result import Limits, Status
from schedlab.scheduling.ilp.solve import solve
from schedlab.scheduling.ilp.validate import violations
from schedlab.testing.gpus import gpu_class, gpu_node


def gpu_problem(nodes, pods):
    """Return nodes with so many GPUs, and pods that ask for (thousandths, GPUs)."""
    state = ClusterState(ClassTable(ResourceNames()))
    for i, gpus in enumerate(nodes):
        state.nodes.add(gpu_node(f"n{i}", gpus))
    batch = []
    for row, (milli, gpus) in enumerate(pods):
        pod_class = gpu_class(state, gpus, milli)
        batch.append(Pod(row, pod_class, f"default/p{row}", entity_key("p", row), 1, 0, -1))
    return state, batch, build_model(batch, state)


def spread_out():
    """Four nodes of two GPUs; pods of half a GPU, then three of two: one node for the small."""
    return gpu_problem(nodes=[2] * 4, pods=[(500, 1)] * 4 + [(1000, 2)] * 3)


def test_whole_nodes_are_left_to_whole_nodes():
    state, pods, model = spread_out()
    assert fitting(model)
    x = best_fit(model, model.running)
    assert x.sum() == 7
    for n in range(4):
        asked = [
            DeviceRequest(int(model.couplings.devices.count[g]), int(milli), ())
            for g, milli in enumerate(model.couplings.devices.milli)
            for _ in range(x[g, n])
        ]
        assert assign_devices([1000, 1000], asked) is not None
    for result in (solve(model, Limits(5.0)), solve_partitioned(model, Limits(5.0), parts=2)):
        assert result.status is Status.OPTIMAL
        assert not violations(pods, result.node, state)


def test_small_pods_first_where_many_do_not_fit():
    # two GPUs: two pods of a whole one, or eight of a quarter
    _, _, model = gpu_problem(nodes=[2], pods=[(1000, 1)] * 2 + [(250, 1)] * 8)
    assert best_fit(model, model.running).sum() == 8


def test_what_is_better_already_stays():
    _, _, model = gpu_problem(nodes=[1], pods=[(700, 1), (300, 1)])
    x = np.ones((2, 1), np.int64)
    assert best_fit(model, x) is x


def test_a_solver_goes_on_from_a_placement_with_its_gpus():
    # 700 + 300 and 600 + 400 fill two GPUs; of five pods one is too many
    state, pods, model = gpu_problem(nodes=[2], pods=[(s, 1) for s in (300, 400, 600, 700, 100)])
    result = solve(model, Limits(20.0), solver="cp-sat", start=best_fit(model, model.running))
    assert (result.status, result.objective) == (Status.OPTIMAL, 4)
    assert not violations(pods, result.node, state)


def test_idle_gpus_are_not_starved():
    # a pod without GPUs fits most tightly where the CPU is needed for two GPUs
    state = ClusterState(ClassTable(ResourceNames()))
    state.nodes.add(gpu_node("gpus", 2, cpu=4_000))
    state.nodes.add(gpu_node("none", 0, cpu=64_000))
    state.nodes.add(gpu_node("no-cpu", 16, cpu=500))
    classes = [
        gpu_class(state, gpus, cpu=cpu) for gpus, cpu in ((0, 2_000), (1, 2_000), (2, 4_000))
    ]
    batch = [
        Pod(row, classes[kind], f"default/p{row}", entity_key("p", row), 1, 0, -1)
        for row, kind in enumerate([0, 1, 1, 2])
    ]
    model = build_model(batch, state)
    assert best_fit(model, model.running).sum() == 3


@pytest.mark.parametrize("pieces", PIECES)
def test_shares_count_for_no_more_than_what_they_fit_on(pieces):
    sizes = np.arange(0, 1001, 5)
    counted = dual_feasible(sizes, pieces)
    for one in range(len(sizes)):
        together = counted[one] + counted[: len(sizes) - one]
        assert (together <= counted[one:]).all()


def test_bounds_know_of_single_gpus():
    # 0.6 of a GPU five times would fit on three GPUs, were they one
    _, _, model = gpu_problem(nodes=[3], pods=[(600, 1)] * 5)
    assert placed_bounds(model) == [3]
    result = solve(model, Limits(5.0))
    assert result.status is Status.OPTIMAL
    assert result.placed_by_tier == {0: 3}
