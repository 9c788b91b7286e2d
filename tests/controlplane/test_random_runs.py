"""Random workloads with affinity, spreading, ports, claims and priorities: what must always hold.

After every event the columns add up, nothing is overcommitted, and pods that keep apart are apart.
When nothing can happen any more, no pod waits that could be placed, be it by preemption: whatever
made room for it was noticed.
"""

import numpy as np
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from schedlab.api.base import Amounts
from schedlab.api.objects import (
    Container,
    ContainerPort,
    Deployment,
    DeploymentSpec,
    LabelSelector,
    ObjectMeta,
    PodDisruptionBudget,
    PodDisruptionBudgetSpec,
    PodSpec,
    PodTemplate,
    ResourceRequirements,
    Volume,
)
from schedlab.cluster.invariants import kept_apart, ports_once
from schedlab.scheduling.base import Pod
from schedlab.scheduling.framework.evaluation import evaluate_filters
from schedlab.scheduling.framework.interface import Cycle
from schedlab.scheduling.framework.profiles import Profile
from schedlab.scheduling.framework.runtime import Framework
from schedlab.scheduling.heuristics import BestFit
from schedlab.scheduling.kube_scheduler import KubeScheduler
from schedlab.testing.affinity import pod_affinity, pod_term
from schedlab.testing.runs import created, pods_at, small_node, small_run
from schedlab.testing.spreading import spread
from schedlab.testing.storage import claim, storage_class, uses, volume

ZONE, HOST = "topology.kubernetes.io/zone", "kubernetes.io/hostname"
APPS = st.sampled_from("ab")
TERM = st.builds(pod_term, st.sampled_from([ZONE, HOST]), APPS)
AFFINITY = st.one_of(
    st.none(),
    st.builds(lambda term: pod_affinity(near=[term]), TERM),
    st.builds(lambda term: pod_affinity(apart=[term]), TERM),
    st.builds(lambda term: pod_affinity(prefer=[(5, term)]), TERM),
)
SPREADING = st.one_of(
    st.just(()),
    st.builds(
        lambda key, skew, app, soft: (spread(key, skew, app, soft=soft),),
        st.sampled_from([ZONE, HOST]), st.integers(1, 2), APPS, st.booleans(),
    ),
)  # fmt: skip
CLAIMS = ("c", "d")


@st.composite
def templates(draw, *, always=False):
    """A template of one container: half a cpu to three, and what else a pod may ask for."""
    port, own = draw(st.sampled_from([0, 0, 80])), draw(st.sampled_from([None, None, *CLAIMS]))
    container = Container(
        name="main",
        ports=(ContainerPort(container_port=port, host_port=port),) if port else (),
        resources=ResourceRequirements(requests=Amounts(cpu=draw(st.integers(1, 6)) * 500)),
    )
    volumes = () if own is None else (Volume.model_validate({"name": "v", **uses(own)}),)
    spec = PodSpec(
        containers=(container,),
        restart_policy="Always" if always else "Never",
        affinity=draw(AFFINITY),
        topology_spread_constraints=draw(SPREADING),
        priority=draw(st.sampled_from([0, 0, 5, 10])),
        volumes=volumes,
    )
    return PodTemplate(metadata=ObjectMeta(labels={"app": draw(APPS)}), spec=spec)


@st.composite
def workloads(draw):
    """Up to a dozen pods, one Deployment, and pods that their client deletes."""
    made = tuple(draw(st.lists(templates(), min_size=1, max_size=4)))
    time = st.integers(0, 12)
    pods = sorted(
        draw(
            st.lists(
                st.tuples(time, st.one_of(st.none(), st.integers(1, 9))), min_size=1, max_size=12
            )
        ),
        key=lambda pod: pod[0],
    )
    which = [draw(st.integers(0, len(made) - 1)) for _ in pods]
    ends = [draw(st.one_of(st.just(-1), st.integers(at, at + 9))) for at, _ in pods]
    writes = ()
    if draw(st.booleans()):
        template = draw(templates(always=True))
        web = Deployment(
            metadata=ObjectMeta(name="web"),
            spec=DeploymentSpec(
                replicas=draw(st.integers(1, 4)),
                selector=LabelSelector(match_labels=template.metadata.labels),
                template=template,
            ),
        )
        writes = (created(web, draw(time)),)
    return pods_at(
        *pods,
        templates=made,
        template=which,
        objects=writes,
        delete_us=np.array([-1 if end < 0 else end * 1_000_000 for end in ends], np.int64),
    )


NODES = st.lists(
    st.tuples(st.sampled_from(["x", "y", "z"]), st.integers(2, 8)), min_size=1, max_size=4
)
TIMES = st.sampled_from(
    [
        {"profile": "ideal"},
        {"profile": "ideal", "kubelet": {"termination": "2s"}},
        {"profile": "ideal", "scheduler": {"decisionTime": {"base": "700ms"}}},
        {"profile": "ideal", "watch": {"scheduler": "300ms"}, "apiserver": {"request": "200ms"}},
        {"profile": "kubemark"},
    ]
)
BUDGET = PodDisruptionBudget(
    metadata=ObjectMeta(name="a"),
    spec=PodDisruptionBudgetSpec(
        selector=LabelSelector(match_labels={"app": "a"}), min_available=1
    ),
)
STORAGE = (storage_class("fast"), *map(claim, CLAIMS), volume("v", size="20Gi"), BUDGET)


def told(template):
    """Return what a template asks for, without what it doesn't."""
    spec = template.spec.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return {"app": template.metadata.labels["app"], **spec}


def run_of(work, nodes, config, scheduler):
    pods, s = work.pods, 1_000_000
    note(f"nodes {nodes}, {config}")
    for i, template in enumerate(work.templates):
        note(f"template {i}: {told(template)}")
    for i, name in enumerate(pods.name):
        note(
            f"{name} of template {pods.template[i]} at {pods.time_us[i] / s} s, "
            f"for {pods.duration_us[i] / s} s, deleted at {pods.delete_us[i] / s} s"
        )
    for write in work.objects:
        spec = write.object.spec
        note(f"{write.time_us / s} s: {spec.replicas} of {told(spec.template)}")
    made = [
        small_node(f"n{i}", cpu=cpu * 500, labels={ZONE: zone})
        for i, (zone, cpu) in enumerate(nodes)
    ]
    return small_run(work, nodes=made, config=config, scheduler=scheduler, objects=STORAGE)


def checked_to_the_end(run, *, apart):
    """Run event by event, with every invariant after each."""
    events = 0
    while run.step():
        events += 1
        assert events < 5_000, "it never ends"
        wrong = run.violations()
        if apart:
            wrong += ports_once(run.truth) + kept_apart(run.schedulers[0].state)
        assert not wrong, f"at {run.now_us} us: {wrong}"
    (scheduler,) = run.schedulers
    assert scheduler.state.node_of == run.truth.node_of
    assert not scheduler._gone
    assert not scheduler._bindings._held
    counts = scheduler.queue.counts
    assert (counts["active"], counts["backoff"]) == (0, 0)
    waiting = [row for row in range(len(run.pods)) if row in scheduler.queue]
    assert counts["unschedulable"] == len(waiting)
    assert scheduler.state.preempted <= scheduler.state.node_of.keys()
    return scheduler, waiting


def could_be_placed(scheduler, row, *, preempting):
    """Return where a pod could go now, by the plain evaluation that remembers nothing."""
    state, pods = scheduler.state, scheduler._pods
    pod = Pod(row, pods.class_of(row), pods.names[row], pods.key[row], 1, 0, -1)
    profile = Profile.default()
    cycle = Cycle(state, pod.pod_class, pod)
    found = evaluate_filters(profile, cycle)
    if len(found.feasible):
        return int(found.feasible[0])
    answer = Framework(profile).post_filter(cycle, found) if preempting else None
    return None if answer is None or answer.chosen is None else answer.chosen


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(work=workloads(), nodes=NODES, config=TIMES)
def test_kube_scheduler_leaves_nobody_waiting_who_could_be_placed(work, nodes, config):
    run = run_of(work, nodes, config, KubeScheduler())
    scheduler, waiting = checked_to_the_end(run, apart=True)
    for row in waiting:
        where = could_be_placed(scheduler, row, preempting=True)
        assert where is None, f"{run.pods.names[row]} waits, but could go to {where}"
    assert set(scheduler.state.nominated) <= set(waiting)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(work=workloads(), nodes=NODES, config=TIMES)
def test_policies_that_only_choose_nodes_leave_nobody_waiting_either(work, nodes, config):
    run = run_of(work, nodes, config, BestFit())
    scheduler, waiting = checked_to_the_end(run, apart=True)
    for row in waiting:
        where = could_be_placed(scheduler, row, preempting=False)
        assert where is None, f"{run.pods.names[row]} waits, but could go to {where}"


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(work=workloads(), nodes=NODES, config=TIMES)
def test_runs_are_the_same_twice(work, nodes, config):
    first, second = (run_of(work, nodes, config, KubeScheduler()).run().digest for _ in range(2))
    assert first == second
