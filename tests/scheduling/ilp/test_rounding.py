"""Rounded fillings: what comes out fits, and nobody important pays for it."""

from __future__ import annotations

import numpy as np
import pytest

from schedlab.api.base import Amounts
from schedlab.api.objects import Container, ResourceRequirements
from schedlab.cluster import ClassTable, ClusterState
from schedlab.cluster.vocabulary import ResourceNames
from schedlab.rng import entity_key
from schedlab.scheduling.base import Pod
from schedlab.scheduling.ilp.budget import TimeBudget
from schedlab.scheduling.ilp.builder import build_model
from schedlab.scheduling.ilp.model import placed_of
from schedlab.scheduling.ilp.packing import packing_of
from schedlab.scheduling.ilp.patterns import PatternBound
from schedlab.scheduling.ilp.result import Limits
from schedlab.scheduling.ilp.rounding import roundable, rounded
from schedlab.scheduling.ilp.solve import solve
from schedlab.scheduling.ilp.validate import violations
from schedlab.testing.runs import pod_template, small_node

GI = 1 << 30
SIZES = ((700, 5), (1300, 1), (2100, 9), (3300, 4), (4700, 11))


def problem(nodes=80, pods=420):
    """Return a cluster of two kinds of nodes, and pods of two priorities that don't all fit."""
    state = ClusterState(ClassTable(ResourceNames()))
    for i in range(nodes):
        size = 1 + i % 2
        state.nodes.add(small_node(f"n{i}", cpu=8_000 * size, memory=24 * GI * size, pods=110))
    batch = []
    for row in range(pods):
        cpu, memory = SIZES[row % 5]
        amounts = Amounts(cpu=cpu, memory=memory * GI)
        container = Container(name="main", resources=ResourceRequirements(requests=amounts))
        template = pod_template(containers=(container,))
        pod_class = state.classes.intern("default", template.spec, row % 2)
        batch.append(Pod(row, pod_class, f"default/p{row}", entity_key("p", row), 1, 0, -1))
    return state, batch, build_model(batch, state)


def test_fillings_are_rounded_to_a_placement_that_fits():
    _, _, model = problem()
    packing, kind = packing_of(model, 1, [(0, 200)])
    patterns = PatternBound(packing, model.running.T, kind)
    assert roundable(model, packing)
    patterns.improve(0.0, TimeBudget(Limits(10.0)), 10.0)
    x = rounded(model, 1, patterns, kind)
    assert (model.loads(x) <= model.free).all()
    assert (x.sum(axis=1) <= model.demand).all()
    assert placed_of(model, x, 1) >= 0.97 * patterns.bound


def test_important_pods_get_room_made_for_them():
    _, _, model = problem()
    # fillings of the lower tier alone: those of the upper one have to be put in afterwards
    packing, kind = packing_of(model, 1)
    packing.worth[model.tier == 0] = 0.0
    patterns = PatternBound(packing, model.running.T, kind)
    patterns.improve(0.0, TimeBudget(Limits(10.0)), 10.0)
    x = rounded(model, 1, patterns, kind)
    assert placed_of(model, x, 0) == 210
    assert (model.loads(x) <= model.free).all()


def test_a_large_solve_comes_close_to_its_bound():
    state, batch, model = problem()
    result = solve(model, Limits(3.0))
    high, every = result.levels
    assert high.optimal
    assert every.value >= 0.985 * every.bound
    assert not violations(batch, result.node, state)


@pytest.mark.parametrize(("nodes", "wanted"), [(80, True), (12, False)])
def test_few_nodes_are_not_worth_rounding(nodes, wanted):
    _, _, model = problem(nodes)
    packing, _ = packing_of(model, 1)
    assert roundable(model, packing) is wanted
    assert np.array_equal(packing.count, [nodes // 2, nodes // 2])
