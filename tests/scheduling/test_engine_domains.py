"""The engine decides as a fresh evaluation where spreading, affinity, ports and images matter."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schedlab.api.base import Amounts
from schedlab.api.objects import (
    Affinity,
    ContainerPort,
    LabelSelector,
    PodAffinity,
    PodAffinityTerm,
    PodAntiAffinity,
    Service,
    TopologySpreadConstraint,
    WeightedPodAffinityTerm,
)
from schedlab.rng import Draws
from schedlab.scheduling.base import PodBatch
from schedlab.scheduling.framework import class_cache
from schedlab.scheduling.framework.evaluation import evaluate
from schedlab.scheduling.framework.interface import Cycle
from schedlab.scheduling.framework.profiles import Profile
from schedlab.scheduling.framework.visiting import visiting_order
from schedlab.scheduling.kube_scheduler import KubeScheduler
from schedlab.scheduling.view import ClusterView
from schedlab.testing.conformance import pending, random_cluster, random_nodes
from schedlab.testing.runs import pod_template

ZONE, HOST, RACK = "topology.kubernetes.io/zone", "kubernetes.io/hostname", "rack"
KEYS = st.sampled_from([ZONE, HOST, RACK])
APPS = st.sampled_from(["a", "b", "c"])


def selector(app):
    return LabelSelector(match_labels={"app": app})


@st.composite
def terms(draw):
    return PodAffinityTerm(label_selector=selector(draw(APPS)), topology_key=draw(KEYS))


@st.composite
def weighted(draw):
    return WeightedPodAffinityTerm(
        weight=draw(st.integers(1, 100)), pod_affinity_term=draw(terms())
    )


def some(strategy):
    return st.one_of(st.just(()), st.lists(strategy, max_size=2).map(tuple))


@st.composite
def affinities(draw):
    return Affinity(
        pod_affinity=PodAffinity(
            required_during_scheduling_ignored_during_execution=draw(some(terms())),
            preferred_during_scheduling_ignored_during_execution=draw(some(weighted())),
        ),
        pod_anti_affinity=PodAntiAffinity(
            required_during_scheduling_ignored_during_execution=draw(some(terms())),
            preferred_during_scheduling_ignored_during_execution=draw(some(weighted())),
        ),
    )


@st.composite
def spreads(draw):
    return TopologySpreadConstraint(
        max_skew=draw(st.integers(1, 3)),
        topology_key=draw(KEYS),
        when_unsatisfiable=draw(st.sampled_from(["DoNotSchedule", "ScheduleAnyway"])),
        label_selector=selector(draw(APPS)),
        node_taints_policy=draw(st.sampled_from([None, "Honor"])),
    )


@st.composite
def pods(draw):
    """A pod's labels and the parts of its spec that other pods matter to."""
    spec = {}
    if draw(st.booleans()):
        spec["affinity"] = draw(affinities())
    if draw(st.booleans()):
        spec["topology_spread_constraints"] = draw(st.lists(spreads(), max_size=2).map(tuple))
    cpu, port = draw(st.sampled_from([0, 100, 700])), draw(st.sampled_from([0, 0, 0, 80]))
    return draw(APPS), spec, cpu, port


def class_of(state, app, spec, cpu, port):
    template = pod_template(1, **spec)
    container = template.spec.containers[0]
    requests = container.resources.model_copy(update={"requests": Amounts(cpu=cpu)})
    ports = (ContainerPort(container_port=80, host_port=port),) if port else ()
    container = container.model_copy(
        update={"resources": requests, "image": f"img-{app}", "ports": ports}
    )
    found = template.spec.model_copy(update={"containers": (container,)})
    return state.classes.intern("default", found, 0, labels={"app": app})


def cluster(seed, size=10):
    state = random_cluster(seed, 0)
    for i, node in enumerate(random_nodes(seed, size)):
        labels = {**node.metadata.labels, HOST: f"n{i}"}
        if i % 4 != 3:
            labels[RACK] = f"r{i % 3}"
        if i % 5 == 4:
            del labels[ZONE]
        meta = node.metadata.model_copy(update={"labels": labels})
        state.nodes.add(node.model_copy(update={"metadata": meta}))
    return state


PROFILE = Profile.default()
SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@SETTINGS
@given(
    seed=st.integers(0, 20),
    kinds=st.lists(pods(), min_size=1, max_size=4),
    script=st.lists(st.tuples(st.sampled_from(["place", "place", "place", "remove", "relabel",
                                               "leave", "serve"]), st.integers(0, 99)),
                    min_size=4, max_size=24),
)  # fmt: skip
def test_decisions_are_those_of_a_fresh_evaluation(seed, kinds, script):
    state = cluster(seed)
    engine = KubeScheduler(PROFILE, tie_break="first", percentage_of_nodes_to_score=100)
    view = ClusterView(state)
    for row, (what, which) in enumerate(script):
        change(state, what, which)
        pod = pending(class_of(state, *kinds[which % len(kinds)]), row)
        placement = engine.schedule(PodBatch([pod]), view, Draws(seed))
        cycle = Cycle(state, pod.pod_class, pod)
        found = evaluate(PROFILE, cycle)
        totals = dict(zip(found.feasible.tolist(), found.total.tolist(), strict=True))
        if not totals:
            assert placement.node == [-1]
            assert placement.reason[0].startswith(found.message(cycle, PROFILE.filters))
            continue
        assert placement.feasible == [len(totals)]
        best = [row for row in visiting_order(state.nodes).tolist() if row in totals]
        assert placement.node[0] == max(best, key=totals.__getitem__)
        state.add_pod(row, pod.pod_class, placement.node[0])


def change(state, what, which):
    placed = sorted(state.node_of)
    if what == "remove" and placed:
        state.remove_pod(placed[which % len(placed)])
    elif what == "leave" and placed:
        state.leave(placed[which % len(placed)])
    elif what == "serve":
        app = "abc"[which % 3]
        state.objects.put(
            Service.model_validate(
                {"metadata": {"name": f"s{app}", "namespace": "default"},
                 "spec": {"selector": {"app": app}}}
            )
        )  # fmt: skip
    elif what == "relabel":
        node = state.nodes.nodes[which % state.nodes.size]
        labels = {**node.metadata.labels, RACK: f"r{which % 4}"}
        meta = node.metadata.model_copy(update={"labels": labels})
        state.nodes.add(node.model_copy(update={"metadata": meta}))


@SETTINGS
@given(
    seed=st.integers(0, 20),
    kinds=st.lists(pods(), min_size=1, max_size=3),
    batches=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 6)), min_size=1, max_size=6),
    share=st.sampled_from([100, 30]),
)
def test_a_run_of_pods_is_placed_as_one_by_one(seed, kinds, batches, share):
    one, many = cluster(seed, 130), cluster(seed, 130)
    single = KubeScheduler(PROFILE, percentage_of_nodes_to_score=share)
    batched = KubeScheduler(PROFILE, percentage_of_nodes_to_score=share)
    forgetful = KubeScheduler(PROFILE, percentage_of_nodes_to_score=share, cached=False)
    draws, row = Draws(seed), 0
    for which, count in batches:
        kind = kinds[which % len(kinds)]
        batch = PodBatch([pending(class_of(many, *kind), row + i) for i in range(count)])
        together = batched.schedule(batch, ClusterView(many), draws)
        for i in range(count):
            pod = pending(class_of(one, *kind), row + i)
            view = ClusterView(one)
            placement = single.schedule(PodBatch([pod]), view, draws)
            again = forgetful.schedule(PodBatch([pod]), view, draws)
            assert placement.node == again.node
            assert (placement.node[0], placement.feasible[0]) == (
                together.node[i],
                together.feasible[i],
            )
            if placement.node[0] >= 0:
                one.add_pod(row + i, pod.pod_class, placement.node[0])
                many.add_pod(row + i, batch[i].pod_class, placement.node[0])
        row += count


@pytest.mark.parametrize("share", [100, 30])
def test_random_ties_are_among_the_best(share):
    state = cluster(3, 120)
    engine = KubeScheduler(PROFILE, percentage_of_nodes_to_score=share)
    kind = ("a", {}, 100, 0)
    chosen = set()
    for row in range(60):
        pod = pending(class_of(state, *kind), row)
        node = engine.schedule(PodBatch([pod]), ClusterView(state), Draws(1)).node[0]
        if share == 100:
            found = evaluate(PROFILE, Cycle(state, pod.pod_class, pod))
            best = found.feasible[found.total == found.total.max()]
            assert node in best.tolist()
        chosen.add(node)
        state.add_pod(row, pod.pod_class, node)
    assert len(chosen) > 20
    assert np.array(sorted(chosen)).min() >= 0


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 20),
    kinds=st.lists(pods(), min_size=1, max_size=3),
    script=st.lists(
        st.tuples(st.integers(0, 2), st.sampled_from([50, 90, 400, 650, 900])),
        min_size=6,
        max_size=30,
    ),
    kept=st.sampled_from([1, 2, 1024]),
)
def test_what_is_kept_or_spare_changes_no_decision(seed, kinds, script, kept):
    """Classes differ in requests within a form, few or none of them are kept: all the same."""
    state = cluster(seed, 130)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(class_cache, "MOST", kept)
        patch.setattr(class_cache, "LEAST", kept)
        engine = KubeScheduler(PROFILE, percentage_of_nodes_to_score=100)
        forgetful = KubeScheduler(PROFILE, percentage_of_nodes_to_score=100, cached=False)
        draws, view = Draws(seed), ClusterView(state)
        for row, (which, cpu) in enumerate(script):
            app, spec, _, port = kinds[which % len(kinds)]
            pod = pending(class_of(state, app, spec, cpu, port), row)
            placement = engine.schedule(PodBatch([pod]), view, draws)
            assert placement.node == forgetful.schedule(PodBatch([pod]), view, draws).node
            if placement.node[0] >= 0:
                state.add_pod(row, pod.pod_class, placement.node[0])
