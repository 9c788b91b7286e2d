"""The schedulers that solve: the conformance kit, and what each does that greedy doesn't."""

from __future__ import annotations

import subprocess
import sys

import pytest

from schedlab.api.objects import (
    Deployment,
    DeploymentSpec,
    LabelSelector,
    ObjectMeta,
    PodDisruptionBudget,
    PodDisruptionBudgetSpec,
)
from schedlab.cluster import ClassTable, ClusterState
from schedlab.cluster.vocabulary import ResourceNames
from schedlab.rng import Draws, entity_key
from schedlab.scheduling.base import Pod, PodBatch
from schedlab.scheduling.ilp.greedy import make_greedy
from schedlab.scheduling.ilp.schedulers import Flow, Ilp, IlpFallback, IlpPartitioned, IlpRebalance
from schedlab.scheduling.view import ClusterView
from schedlab.testing.conformance import check_scheduler, random_class, random_cluster
from schedlab.testing.runs import checked, created, pod_template, pods_at, small_node, small_run

QUICK = {"time_limit": "100ms"}


@pytest.mark.parametrize(
    "factory",
    [
        pytest.param(lambda: Ilp(**QUICK), id="ilp"),
        pytest.param(lambda: IlpFallback(displace="none", **QUICK), id="ilp-fallback"),
        pytest.param(lambda: IlpRebalance(**QUICK), id="ilp-rebalance"),
        pytest.param(Flow, id="flow"),
        pytest.param(lambda: IlpPartitioned(parts=3, **QUICK), id="ilp-partitioned"),
    ],
)
def test_conformance(factory):
    check_scheduler(factory, seeds=(0,))


def crowded(seed):
    """Return a workload of small pods and now and then a large one, more than there is room for."""
    draws = Draws(seed, "crowded").generator()
    cpu = draws.choice([500, 1000, 2000, 3500], 40, p=[0.4, 0.3, 0.2, 0.1]).tolist()
    templates = [pod_template(size) for size in sorted(set(cpu))]
    sizes = sorted(set(cpu))
    pods = [(float(i // 2), float(draws.integers(3, 20))) for i in range(40)]
    return pods_at(*pods, templates=tuple(templates), template=[sizes.index(c) for c in cpu])


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(
    "scheduler",
    [
        pytest.param(lambda: Ilp(window="2s", displace="any", **QUICK), id="ilp"),
        pytest.param(lambda: IlpFallback(**QUICK), id="ilp-fallback"),
        pytest.param(lambda: IlpRebalance(period="5s", **QUICK), id="ilp-rebalance"),
        pytest.param(lambda: Flow(), id="flow"),
        pytest.param(lambda: IlpPartitioned(parts=2, **QUICK), id="ilp-partitioned"),
    ],
)
def test_runs_keep_every_invariant(scheduler, seed):
    nodes = [small_node(f"n{i}", cpu=4_000) for i in range(4)]
    record = checked(
        small_run(crowded(seed), nodes=nodes, scheduler=scheduler(), config="kubemark")
    )
    assert record.counts["pods_in"] == 40
    assert record.counts["succeeded"] + record.counts["evicted"] == 40


def web(replicas=2, cpu=2_000):
    """Return a Deployment."""
    return Deployment(
        metadata=ObjectMeta(name="web"),
        spec=DeploymentSpec(
            replicas=replicas,
            selector=LabelSelector(match_labels={"app": "test"}),
            template=pod_template(cpu, restart_policy="Always"),
        ),
    )


def two_nodes(scheduler, *objects, big=True):
    """Run two replicas of half a node, and then a pod of a whole one."""
    pods = pods_at(
        (10.0 if big else 100.0, None),  # the late one is small, and keeps the run going
        templates=(pod_template(4_000 if big else 1, restart_policy="Always"),),
        objects=(created(web()),),
    )
    nodes = [small_node(f"n{i}", cpu=4_000) for i in range(2)]
    run = small_run(
        pods,
        nodes=nodes,
        scheduler=scheduler,
        objects=objects,
        config="kubemark",
        until_us=120_000_000,
    )
    run.run()
    assert not run.violations()
    return run


def budget(allowed):
    return PodDisruptionBudget(
        metadata=ObjectMeta(name="web", namespace="default"),
        spec=PodDisruptionBudgetSpec(
            min_available=2 - allowed, selector=LabelSelector(match_labels={"app": "test"})
        ),
    )


def placed(run):
    return sum(1 for pod in run.truth.node_of)


def test_fallback_moves_a_pod_to_place_another():
    # kube-scheduler puts one replica on each node, and the pod of a whole node waits for ever
    assert placed(two_nodes(make_greedy())) == 2
    run = two_nodes(IlpFallback(**QUICK))
    assert placed(run) == 3
    assert len({run.truth.node_of[pod] for pod in run.truth.node_of}) == 2


@pytest.mark.parametrize(
    ("scheduler", "objects", "pods"),
    [
        pytest.param(IlpFallback(budget=0, **QUICK), (), 2, id="no budget for moves"),
        pytest.param(IlpFallback(displace="none", **QUICK), (), 2, id="nobody is displaced"),
        pytest.param(IlpFallback(displace="lower", **QUICK), (), 2, id="equals stay"),
        pytest.param(IlpFallback(**QUICK), (budget(0),), 2, id="a disruption budget says no"),
        pytest.param(IlpFallback(**QUICK), (budget(1),), 3, id="a disruption budget says one"),
    ],
)
def test_what_holds_moves_back(scheduler, objects, pods):
    assert placed(two_nodes(scheduler, *objects)) == pods


def test_rebalancing_empties_a_node_within_its_budget():
    nodes = {}
    for most in (0, 1):
        run = two_nodes(IlpRebalance(period="20s", budget=most, **QUICK), big=False)
        web = [pod for pod in run.truth.node_of if "web" in run.pods.names[pod]]
        nodes[most] = len({run.truth.node_of[pod] for pod in web})
        assert len(web) == 2
    assert nodes == {0: 2, 1: 1}


def test_gangs_come_whole_or_not_at_all():
    labels = {"pod-group.scheduling.sigs.k8s.io": "g"}
    state = ClusterState(ClassTable(ResourceNames()))
    for i in range(2):
        state.nodes.add(small_node(f"n{i}", cpu=4_000))
    state.classes.mention(labels)

    def batch(count):
        spec = pod_template(2_000).spec
        pod_class = state.classes.intern("default", spec, 0, labels=labels)
        return PodBatch(
            [Pod(i, pod_class, f"default/g{i}", entity_key("g", i), 1, 0, -1) for i in range(count)]
        )

    view, scheduler = ClusterView(state), Ilp(**QUICK)
    assert min(scheduler.schedule(batch(4), view, Draws(0)).node) >= 0
    # five don't fit, so none is placed
    assert scheduler.schedule(batch(5), view, Draws(0)).node == [-1] * 5


def test_time_is_charged_and_the_gap_is_told():
    state = random_cluster(3, 12)
    pods = [
        Pod(i, random_class(state, 3, i % 19), f"default/p{i}", entity_key("p", i), 1, 0, -1)
        for i in range(150)
    ]
    works = []
    for limit in ("20ms", "200ms"):
        found = Ilp(time_limit=limit).schedule(PodBatch(pods), ClusterView(state), Draws(0))
        solution = found.solution
        assert solution is not None
        assert solution.status in ("optimal", "feasible")
        assert solution.bound >= solution.objective
        assert solution.gap >= 0
        works.append(sum(found.work))
    # a unit of work is 3.3 us of simulated time: 20 ms are some 6,000 units
    assert 3_000 < works[0] < works[1]


def test_nothing_of_it_is_imported_before_it_is_used():
    code = (
        "import sys, schedlab, schedlab.cli.app\n"
        "from schedlab.scheduling.registry import load_scheduler\n"
        "load_scheduler('kube-scheduler', {})\n"
        "ours = ('ortools', 'schedlab.scheduling.ilp')\n"
        "assert not [name for name in sys.modules if name.startswith(ours)]\n"
        "load_scheduler('ilp', {})\n"
        "assert 'schedlab.scheduling.ilp.schedulers' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
