"""Whole solves: larger problems, odd input, starts, determinism, parts and flows."""

from __future__ import annotations

import numpy as np
import pytest

from schedlab.cluster import ClassTable, ClusterState
from schedlab.cluster.vocabulary import ResourceNames
from schedlab.rng import Draws, entity_key
from schedlab.scheduling.base import Pod
from schedlab.scheduling.ilp.bounds import placed_bounds
from schedlab.scheduling.ilp.budget import TimeBudget
from schedlab.scheduling.ilp.builder import build_model
from schedlab.scheduling.ilp.flow import flow_placement, flow_result
from schedlab.scheduling.ilp.greedy import counts_of, greedy_nodes, make_greedy
from schedlab.scheduling.ilp.model import Displacement, placed_of
from schedlab.scheduling.ilp.partitioned import partition, solve_partitioned
from schedlab.scheduling.ilp.result import Limits, Status
from schedlab.scheduling.ilp.solve import solve
from schedlab.scheduling.ilp.validate import violations
from schedlab.testing.conformance import random_class, random_cluster
from schedlab.testing.placement_oracle import TinyNode, TinyPod, TinyProblem, as_cluster
from schedlab.testing.runs import pod_template, small_node

GI = 1 << 30


def waiting(state, count, seed=0, priorities=1):
    """Return pods of made-up classes."""
    pods = []
    for row in range(count):
        pod_class = random_class(state, seed, row % 23)
        priority = row % priorities
        pod_class = state.classes.intern("default", pod_class.spec, priority)
        pods.append(Pod(row, pod_class, f"default/p{row}", entity_key("p", row), 1, 0, -1))
    return pods


def model_of(*pods, nodes=2, cpu=4):
    """Return the model of pods of so many cpus each on equal nodes."""
    some = (TinyNode(cpu, 9, 9, "x"),) * nodes
    problem = TinyProblem(some, tuple(TinyPod(size) for size in pods))
    state, batch, _ = as_cluster(problem)
    return build_model(batch, state), state, batch


@pytest.mark.parametrize("seed", range(4))
def test_solvers_prove_the_same(seed):
    state = random_cluster(seed, 8)
    model = build_model(waiting(state, 40, seed, 2), state)
    found = {}
    for solver in ("auto", "cp-sat", "highs"):
        result = solve(model, Limits(60.0), objective="placed,nodes", solver=solver)
        assert result.status is Status.OPTIMAL
        found[solver] = [level.value for level in result.levels]
    assert found["auto"] == found["cp-sat"] == found["highs"]


@pytest.mark.parametrize("seed", range(3))
def test_the_result_is_never_worse_than_its_start(seed):
    state = random_cluster(seed)
    pods = waiting(state, 80, seed, 3)
    model = build_model(pods, state)
    x = counts_of(model, greedy_nodes(pods, state, make_greedy(), Draws(0)))
    result = solve(model, Limits(0.02), start=x)
    placed = [level.value for level in result.levels]
    assert placed >= [placed_of(model, x, t) for t in range(len(placed))]
    assert not violations(pods, result.node, state)


def test_equal_input_gives_equal_answers():
    answers = []
    for _ in range(2):
        state = random_cluster(5, 20)
        pods = waiting(state, 120, 5, 3)
        model = build_model(pods, state)
        result = solve(model, Limits(0.5), objective="placed,nodes")
        parts = solve_partitioned(model, Limits(0.5), parts=3)
        answers.append((result.node, result.work, parts.node, parts.work))
    assert answers[0] == answers[1]


def test_kubernetes_own_words_when_nothing_fits():
    model, _, _ = model_of(9, nodes=3)
    result = solve(model)
    assert result.status is Status.OPTIMAL
    assert result.node == [-1]
    assert result.reasons == ["0/3 nodes are available: 3 Insufficient cpu."]


def test_no_nodes_and_no_pods_are_named():
    state = ClusterState(ClassTable(ResourceNames()))
    result = solve(build_model(waiting(state, 2), state))
    assert result.status is Status.NO_NODES
    assert result.reasons == ["0/0 nodes are available."] * 2
    assert solve(build_model([], random_cluster(0))).status is Status.NO_PODS
    assert solve_partitioned(build_model([], random_cluster(0))).status is Status.NO_PODS
    model = build_model([], random_cluster(0))
    assert flow_result(model, model.running, Limits()).status is Status.NO_PODS


def test_demand_over_capacity_is_proven():
    model, _, _ = model_of(3, 3, 3, 3, nodes=2)
    result = solve(model)
    assert (result.status, result.objective, result.bound) == (Status.OPTIMAL, 2, 2)
    assert sum(bool(reason) for reason in result.reasons) == 2
    assert "no placement that is as good has room for it" in "".join(result.reasons)


def test_contradictory_affinity_has_a_reason():
    pod = TinyPod(1, app="a", near=(("host", "b"),), apart=(("host", "b"),))
    state, batch, _ = as_cluster(TinyProblem((TinyNode(4, 9, 9, "x"),), (pod,)))
    result = solve(build_model(batch, state))
    assert result.reasons == ["0/1 nodes are available: 1 node(s) didn't match pod affinity rules."]


def test_the_tight_case_that_greedy_misses():
    # 6 nodes of 10: sizes 6 + 4 each; one by one the 4s come first, two to a node
    model, state, batch = model_of(*[4] * 6, *[6] * 6, nodes=6, cpu=10)
    greedy = counts_of(model, greedy_nodes(batch, state, make_greedy(), Draws(0)))
    result = solve(model, start=greedy)
    assert (result.objective, result.status) == (12, Status.OPTIMAL)


def test_more_important_pods_take_the_place_of_others():
    nodes = (TinyNode(4, 9, 9, "x"), TinyNode(4, 9, 9, "x"))
    pods = (TinyPod(3, node=0), TinyPod(2, node=1), TinyPod(4, priority=5))
    state, batch, _ = as_cluster(TinyProblem(nodes, pods))
    model = build_model(batch, state, displace=Displacement("any"))
    result = solve(model, objective="placed+disruption")
    # the pod of 4 needs a whole node; 3 and 2 don't fit together, so one of them goes
    assert result.placed_by_tier == {5: 1, 0: 1}
    assert len(result.evicted) == 1
    assert not result.moved
    # with room for 3 + 2 on one node it is moved instead
    nodes = (TinyNode(5, 9, 9, "x"), TinyNode(4, 9, 9, "x"))
    state, batch, _ = as_cluster(TinyProblem(nodes, pods))
    result = solve(
        build_model(batch, state, displace=Displacement("any")), objective="placed+disruption"
    )
    assert [(m.pod, m.source, m.target) for m in result.moved] == [(1, 1, 0)]
    assert not violations(batch, result.node, state, moved=result.moved)


@pytest.mark.parametrize(
    ("objective", "value"),
    [
        # pods of 1, 1, 2 cpus on nodes of 4
        pytest.param("placed,nodes", 1, id="all on one node"),
        pytest.param("placed,balance", 500, id="2 of 4 cpus at most, in thousandths"),
        pytest.param("placed,spread", 2, id="the two equal pods apart, and the other one"),
        pytest.param("placed,cost", 4, id="one node, priced by its cpus in milli-cores"),
        pytest.param([{"nodes": 10, "balance": 1}], 0, id="a sum: nothing placed costs nothing"),
        pytest.param(["placed", {"nodes": 600, "balance": 1}], 1600, id="600 + 1000 < 1200 + 500"),
        pytest.param(["placed", {"nodes": 400, "balance": 1}], 1300, id="800 + 500 < 400 + 1000"),
    ],
)
def test_last_levels(objective, value):
    model, _, _ = model_of(1, 1, 2, nodes=2)
    result = solve(model, objective=objective)
    assert result.status is Status.OPTIMAL
    assert result.levels[-1].value == value


def test_fragmentation_keeps_room_together():
    # two nodes of 4, pods of 1 and 3 that come again: 1 + 3 fills one and leaves the other whole
    model, _, _ = model_of(1, 3, nodes=2)
    result = solve(model, objective="placed,fragmentation")
    assert result.status is Status.OPTIMAL
    assert len(set(result.node)) == 1
    # free are 0 and 4: nothing is lost to either
    assert result.levels[-1].value == 0


# --- parts and flows ----------------------------------------------------------------------------


def large(nodes=60, pods=500):
    """Return a cluster of two kinds of nodes, too small for its pods."""
    state = ClusterState(ClassTable(ResourceNames()))
    for i in range(nodes):
        state.nodes.add(small_node(f"n{i}", cpu=(8_000, 16_000)[i % 2], memory=32 * GI, pods=40))
    batch = []
    for row in range(pods):
        template = pod_template(700 + 100 * (row % 17))
        pod_class = state.classes.intern("default", template.spec, row % 2)
        batch.append(Pod(row, pod_class, f"default/p{row}", entity_key("p", row), 1, 0, -1))
    return state, batch


def test_parts_are_dealt_without_loss():
    state, batch = large()
    model = build_model(batch, state)
    x = counts_of(model, greedy_nodes(batch, state, make_greedy(), Draws(0)))
    parts = partition(model, x, 7, Draws(0).generator())
    nodes = np.sort(np.concatenate([part.nodes for part in parts]))
    assert nodes.tolist() == list(range(len(model.rows)))
    demand = np.zeros(len(model.groups), np.int64)
    for part in parts:
        demand[part.groups] += part.model.demand
        assert (part.start.sum(axis=1) <= part.model.demand).all()
    assert (demand == model.demand).all()


def test_parts_come_close_to_the_bound():
    state, batch = large()
    model = build_model(batch, state)
    x = counts_of(model, greedy_nodes(batch, state, make_greedy(), Draws(0)))
    result = solve_partitioned(model, Limits(2.0), parts=4, start=x)
    bounds = placed_bounds(model)
    assert [level.bound for level in result.levels] == bounds
    assert result.objective >= 0.98 * bounds[-1]
    assert not violations(batch, result.node, state)


def test_flows_fit_and_prefer_the_important():
    state, batch = large()
    model = build_model(batch, state)
    everyone = np.ones(len(model.groups), np.bool_)
    x = flow_placement(model, model.running, everyone, TimeBudget(Limits(60.0)))
    assert (model.loads(x) <= model.free).all()
    assert (x.sum(axis=1) <= model.demand).all()
    # all pods of the upper tier fit: half of 500
    assert model.placed_by_tier(x)[0] == 250
    result = flow_result(model, model.running, Limits(60.0))
    assert not violations(batch, result.node, state)
    assert result.objective >= 0.95 * result.bound


def test_flows_leave_coupled_pods_to_the_start():
    nodes = (TinyNode(4, 9, 9, "x"), TinyNode(4, 9, 9, "x"))
    pods = (TinyPod(1, port=80), TinyPod(1, port=80), TinyPod(2), TinyPod(2))
    state, batch, _ = as_cluster(TinyProblem(nodes, pods))
    model = build_model(batch, state)
    start = counts_of(model, greedy_nodes(batch, state, make_greedy(), Draws(0)))
    result = flow_result(model, start, Limits(10.0))
    assert min(result.node) >= 0
    assert result.node[0] != result.node[1]


@pytest.mark.parametrize("solver", ["auto", "cp-sat"])
def test_gpus_that_no_node_has(solver):
    problem = TinyProblem((TinyNode(4, 9, 9, "x"),), (TinyPod(1, gpus=1, milli=300), TinyPod(1)))
    state, batch, _ = as_cluster(problem)
    result = solve(build_model(batch, state), solver=solver)
    assert result.status is Status.OPTIMAL
    assert result.node == [-1, 0]


@pytest.mark.parametrize("parts", [0, 1])
def test_pods_that_stay_keep_their_gpus(parts):
    # two halves on two GPUs: a pod that wants a whole one has to wait, or one of them must move
    halves = [TinyPod(1, gpus=1, milli=500, node=0, devices=(d,)) for d in (0, 1)]
    node = TinyNode(9, 9, 9, "x", gpus=2)
    problem = TinyProblem((node,), (*halves, TinyPod(1, gpus=1)))
    state, batch, _ = as_cluster(problem)
    model = build_model(batch, state, displace=Displacement("any"))
    result = solve_partitioned(model, parts=parts) if parts else solve(model)
    assert not violations(batch, result.node, state, moved=result.moved, evicted=result.evicted)
    assert result.node == [-1]
    assert (result.moved, result.evicted) == ([], [])
