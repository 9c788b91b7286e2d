"""The solvers against trying everything, on tiny problems with all kinds of rules.

SCHEDLAB_EXAMPLES=1000 tries so many problems with each of the nine pairs of a solver and an
objective, instead of the few that take seconds.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schedlab.scheduling.ilp.builder import build_model
from schedlab.scheduling.ilp.model import Displacement
from schedlab.scheduling.ilp.result import Limits, Status
from schedlab.scheduling.ilp.solve import solve
from schedlab.scheduling.ilp.validate import violations
from schedlab.testing.placement_oracle import (
    HOST,
    ZONE,
    TinyNode,
    TinyPod,
    TinyProblem,
    as_cluster,
    best_value,
    value_of,
)

EXAMPLES = int(os.environ.get("SCHEDLAB_EXAMPLES", "60"))

keys = st.sampled_from([HOST, ZONE])
apps = st.sampled_from(["a", "b"])
nodes = st.builds(
    TinyNode,
    cpu=st.integers(1, 8),
    memory=st.integers(0, 6),
    pods=st.integers(1, 5),
    zone=st.sampled_from(["x", "x", "y", "y", ""]),
    tainted=st.sampled_from([False, False, False, True]),
    gpus=st.sampled_from([0, 1, 2, 3]),
)


def rarely(strategy, nothing):
    return st.one_of(st.just(nothing), st.just(nothing), strategy)


kinds = st.builds(
    TinyPod,
    cpu=st.integers(0, 5),
    memory=st.integers(0, 3),
    priority=st.integers(0, 2),
    app=apps,
    zone=rarely(st.sampled_from(["x", "y"]), ""),
    tolerates=st.booleans(),
    port=rarely(st.sampled_from([80, 81]), 0),
    near=rarely(st.tuples(st.tuples(keys, apps)) | st.just(((HOST, "a"), (ZONE, "a"))), ()),
    apart=rarely(st.tuples(st.tuples(keys, apps)), ()),
    spread=rarely(st.tuples(st.tuples(keys, st.integers(1, 2), st.integers(1, 3), apps)), ()),
    gang=rarely(st.just("g"), ""),
)
gpu_kinds = st.builds(
    TinyPod,
    cpu=st.integers(0, 3),
    priority=st.integers(0, 1),
    app=apps,
    gpus=st.sampled_from([0, 1, 1, 1, 1, 2]),
)


@st.composite
def gpu_pods(draw, some, few):
    """Up to five pods, most of which ask for GPUs; those that run hold some."""
    left = [[1000] * node.gpus for node in some]
    pods = []
    for _ in range(draw(st.integers(1, 5))):
        kind = draw(st.sampled_from(few))
        pod = vars(kind) | {"milli": 1000}
        if kind.gpus == 1:
            pod["milli"] = draw(st.sampled_from([300, 500, 600, 1000]))
        at = draw(st.integers(-2, len(some) - 1))
        if at >= 0 and kind.gpus:
            free = [d for d, milli in enumerate(left[at]) if milli >= pod["milli"]]
            own = tuple(sorted(draw(st.permutations(free))[: kind.gpus]))
            if len(own) == kind.gpus:
                pod |= {"node": at, "devices": own}
                for d in own:
                    left[at][d] -= pod["milli"]
        pods.append(TinyPod(**pod))
    return pods


@st.composite
def problems(draw):
    """Up to five pods of up to three kinds on up to four nodes; some of them run already."""
    some = draw(st.lists(nodes, min_size=1, max_size=4))
    few = draw(st.lists(kinds, min_size=1, max_size=3))
    where = st.integers(-2, len(some) - 1)
    if draw(st.booleans()):
        pods = draw(gpu_pods(some, draw(st.lists(gpu_kinds, min_size=1, max_size=3))))
    else:
        pods = [
            TinyPod(**{**vars(draw(st.sampled_from(few))), "node": max(draw(where), -1)})
            for _ in range(draw(st.integers(1, 5)))
        ]
    displace = draw(st.sampled_from(["none", "any", "any", "lower"]))
    return TinyProblem(
        tuple(some),
        tuple(TinyPod(**{**vars(p), "gang": "" if p.node >= 0 else p.gang}) for p in pods),
        displace,
        draw(st.booleans()),
        draw(st.sampled_from([None, None, 0, 1, 2])),
        draw(st.sampled_from([None, None, 0, 1])),
    )


def solved(problem, objective, solver="auto"):
    state, waiting, positions = as_cluster(problem)
    before = (state.nodes.requested.copy(), dict(state.node_of))
    model = build_model(
        waiting, state, displace=Displacement(problem.displace, problem.moves, problem.budget)
    )
    result = solve(model, Limits(30.0), objective=objective, solver=solver)
    assert (state.nodes.requested == before[0]).all()
    assert state.node_of == before[1]
    wrong = violations(waiting, result.node, state, moved=result.moved, evicted=result.evicted)
    assert not wrong
    where = [pod.node for pod in problem.pods]
    for position, node in zip(positions, result.node, strict=True):
        where[position] = node
    for move in result.moved:
        where[move.pod] = move.target
    for pod, _ in result.evicted:
        where[pod] = -1
    return result, tuple(where)


@pytest.mark.parametrize("solver", ["auto", "cp-sat", "highs"])
@pytest.mark.parametrize("objective", ["placed", "placed+disruption", "placed,evictions,nodes"])
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(problem=problems())
def test_nothing_is_better(problem, objective, solver):
    result, where = solved(problem, objective, solver)
    if result.status is Status.NO_PODS:
        return
    assert result.status is Status.OPTIMAL
    assert value_of(problem, where, objective) == best_value(problem, objective)
    # what the solver says of itself is what it did
    levels = [v.value if v.maximize else -v.value for v in result.levels]
    assert tuple(levels) == value_of(problem, where, objective)
