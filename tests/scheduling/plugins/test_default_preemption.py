"""DefaultPreemption by tables: read them to learn who is evicted for whom.

The cases follow the spirit of upstream's (pkg/scheduler/framework/plugins/defaultpreemption). Every
case runs twice: with trials on the cluster's state, and with the compiled search where that may
stand in. Pods are written (name, node, priority, milli-cores, started at second).
"""

from dataclasses import dataclass, field

import pytest

from schedlab.api.base import Amounts
from schedlab.api.objects import (
    Affinity,
    Container,
    ContainerPort,
    LabelSelector,
    LabelSelectorRequirement,
    ObjectMeta,
    PodAffinityTerm,
    PodAntiAffinity,
    PodDisruptionBudget,
    PodDisruptionBudgetSpec,
    PodDisruptionBudgetStatus,
    PodSpec,
    ResourceRequirements,
    Taint,
)
from schedlab.cluster import ClassTable, ClusterState, ResourceNames
from schedlab.rng import Draws
from schedlab.scheduling.base import Pod
from schedlab.scheduling.framework.evaluation import evaluate_filters
from schedlab.scheduling.framework.interface import Code, Cycle, Rejection
from schedlab.scheduling.framework.profiles import Profile
from schedlab.scheduling.framework.runtime import Framework
from schedlab.scheduling.plugins.default_preemption import DefaultPreemption
from schedlab.scheduling.plugins.inter_pod_affinity import InterPodAffinity
from schedlab.scheduling.plugins.node_ports import NodePorts
from schedlab.scheduling.plugins.node_resources_fit import NodeResourcesFit
from schedlab.scheduling.plugins.node_unschedulable import NodeUnschedulable
from schedlab.scheduling.plugins.taint_toleration import TaintToleration
from schedlab.testing import small_node

SECOND = 1_000_000
FILTERS = (NodeUnschedulable(), TaintToleration(), NodePorts(), NodeResourcesFit(),
           InterPodAffinity())  # fmt: skip


@pytest.fixture(params=[False, True], ids=["trials", "compiled"])
def compiled(request):
    return request.param


@dataclass
class Scene:
    """A cluster of nodes of 1,000 milli-cores, its pods by name, and one that fits nowhere."""

    compiled: bool
    plugin: DefaultPreemption = field(default_factory=DefaultPreemption)
    draws: Draws | None = None

    def __post_init__(self):
        self.state = ClusterState(ClassTable(ResourceNames()))
        self.state.names, self.state.start_us = [], []
        others = {"post_filter": (self.plugin,), "pre_filter": (FILTERS[2], FILTERS[4])}
        self.profile = Profile(filters=FILTERS, scores=(), others=others)

    def nodes(self, *names, **fields):
        for name in names:
            self.state.nodes.add(small_node(name, **{"cpu": 1_000, **fields}))
        return self

    def pod_class(self, priority, cpu, *, labels=None, port=0, **spec):
        ports = (ContainerPort(container_port=port, host_port=port),) if port else ()
        resources = ResourceRequirements(requests=Amounts(cpu=cpu))
        container = Container(name="c", resources=resources, ports=ports)
        return self.state.classes.intern(
            "default", PodSpec(containers=(container,), **spec), priority, labels=labels
        )

    def pod(self, name, node, priority, cpu, started=0, **spec):
        """Let a pod run."""
        state = self.state
        pod_class = self.pod_class(priority, cpu, **spec)
        state.add_pod(len(state.names), pod_class, state.nodes.row_of[node])
        state.names.append(f"default/{name}")
        state.start_us.append(started * SECOND if started >= 0 else -1)
        return self

    def pods(self, *pods):
        for pod in pods:
            self.pod(*pod)
        return self

    def budget(self, name, allowed, selector, disrupted=(), namespace="default"):
        self.state.objects.put(
            PodDisruptionBudget(
                metadata=ObjectMeta(name=name, namespace=namespace),
                spec=PodDisruptionBudgetSpec(selector=selector),
                status=PodDisruptionBudgetStatus(
                    disruptions_allowed=allowed,
                    disrupted_pods=dict.fromkeys(disrupted, "2026-01-01T00:00:00Z"),
                ),
            )
        )
        return self

    def row(self, name):
        return self.state.names.index(f"default/{name}")

    def preempt(self, priority=100, cpu=1_000, row=None, **spec):
        """Let a pod of this priority and size look for room; return what PostFilter says."""
        state = self.state
        row = len(state.names) if row is None else row
        pod = Pod(row, self.pod_class(priority, cpu, **spec), "default/preemptor", row, 1, 0, -1)
        self.cycle = Cycle(state, pod.pod_class, pod)
        self.found = evaluate_filters(self.profile, self.cycle)
        assert not len(self.found.feasible), "the pod fits"
        framework = Framework(
            self.profile, draws=self.draws, lists_candidates=True, compiled=self.compiled
        )
        return framework.post_filter(self.cycle, self.found)

    def told(self, candidate):
        """Return a candidate as (node, victims, violations)."""
        names = [self.state.names[v.pod].removeprefix("default/") for v in candidate.victims]
        return self.state.nodes.names[candidate.row], names, candidate.violations

    def victims(self, **preemptor):
        """Return the node that is cleared, and of whom."""
        answer = self.preempt(**preemptor)
        assert answer.rejection is None, answer.rejection
        return self.told(answer.chosen)[:2]


def labelled(**labels):
    return LabelSelector(match_labels=labels)


# --- who has to go from a node (TestSelectVictimsOnNode, part of TestDryRunPreemption)


@pytest.mark.parametrize(
    ("pods", "cpu", "victims"),
    [
        pytest.param([("a", "n", 0, 1000)], 1000, ["a"], id="the only pod"),
        pytest.param([("a", "n", 0, 500), ("b", "n", 0, 500)], 1000, ["a", "b"], id="both"),
        pytest.param([("a", "n", 0, 300), ("b", "n", 100, 300)], 700, ["a"], id="not an equal"),
        pytest.param(
            [("a", "n", 0, 400), ("b", "n", 50, 400)], 500, ["a"], id="the lower priority first"
        ),
        # without both 1000 are free; b comes back: 400 + 500 <= 1000; a would not fit beside it
        pytest.param(
            [("a", "n", 0, 400), ("b", "n", 50, 400)], 600, ["a"], id="the important one comes back"
        ),
        # b, the important one, doesn't fit beside 500; a does
        pytest.param(
            [("a", "n", 0, 300), ("b", "n", 50, 600)],
            500,
            ["b"],
            id="where it doesn't fit, a lesser one may stay",
        ),
        pytest.param(
            [("a", "n", 0, 200), ("b", "n", 0, 200), ("c", "n", 0, 600)],
            500,
            ["c"],
            id="the fewest are not looked for: a and b come back first",
        ),
        pytest.param(
            [("a", "n", 0, 500, 10), ("b", "n", 0, 500, 20)], 500, ["b"], id="who started last"
        ),
        pytest.param(
            [("a", "n", 0, 500, 20), ("b", "n", 0, 500, 10)], 500, ["a"], id="whatever its row"
        ),
        pytest.param(
            [("a", "n", 0, 500, -1), ("b", "n", 0, 500, 10)],
            500,
            ["a"],
            id="who hasn't started is the latest",
        ),
        pytest.param(
            [("a", "n", 0, 500, 10), ("b", "n", 0, 500, 10)],
            500,
            ["b"],
            id="started together: the lower row stays",
        ),
        pytest.param(
            [("a", "n", -10, 500, 10), ("b", "n", 0, 500, 20)],
            500,
            ["a"],
            id="priority counts before age",
        ),
        pytest.param(
            [("a", "n", 5, 300, 3), ("b", "n", 7, 300, 9), ("c", "n", 5, 300, 1)],
            1000,
            ["b", "c", "a"],
            id="victims are told by importance",
        ),
        pytest.param(
            [("a", "n", 0, 0), ("b", "n", 0, 1000)], 1000, ["b"], id="who holds nothing stays"
        ),
    ],
)
def test_who_goes_from_a_node(compiled, pods, cpu, victims):
    scene = Scene(compiled).nodes("n").pods(*pods)
    assert scene.victims(cpu=cpu) == ("n", victims)


def test_the_number_of_pods_is_a_resource(compiled):
    scene = Scene(compiled).nodes("n", pods=2).pods(("a", "n", 0, 0, 2), ("b", "n", 0, 0, 1))
    assert scene.victims(cpu=10) == ("n", ["a"])


# --- where nothing helps


@pytest.mark.parametrize(
    ("nodes", "pods", "cpu", "words"),
    [
        pytest.param(
            ["n"],
            [("a", "n", 100, 800)],
            500,
            "0/1 nodes are available: 1 No preemption victims found for incoming pod.",
            id="no pod of a lower priority",
        ),
        pytest.param(
            ["n"],
            [("a", "n", 0, 500)],
            1500,
            "0/1 nodes are available: 1 Preemption is not helpful for scheduling.",
            id="even an empty node is too small",
        ),
        pytest.param(
            ["n"],
            [("a", "n", 0, 200), ("b", "n", 200, 600)],
            500,
            "0/1 nodes are available: 1 Insufficient cpu.",
            id="those that may go are not enough",
        ),
        pytest.param(
            ["n", "m"],
            [("a", "n", 0, 200), ("b", "n", 200, 600), ("c", "m", 200, 900)],
            500,
            "0/2 nodes are available: 1 Insufficient cpu, "
            "1 No preemption victims found for incoming pod.",
            id="each for its own reason",
        ),
    ],
)
def test_why_nothing_helps(compiled, nodes, pods, cpu, words):
    scene = Scene(compiled).nodes(*nodes).pods(*pods)
    answer = scene.preempt(cpu=cpu)
    assert answer.rejection == Rejection(Code.UNSCHEDULABLE, (f"preemption: {words}",))
    assert answer.chosen is None
    assert answer.eligible
    assert answer.candidates == ()


def test_reasons_are_counted_over_nodes(compiled):
    scene = Scene(compiled).nodes("a", "b", "c").nodes("d", cpu=100)
    for name in "abc":
        scene.pod(f"{name}1", name, 0, 100).pod(f"{name}2", name, 200, 600)
    scene.pod("b3", "b", 200, 300)
    scene.state.remove_pod(scene.row("b1"))
    assert scene.preempt(cpu=500).rejection.reasons == (
        "preemption: 0/4 nodes are available: 1 No preemption victims found for incoming pod, "
        "1 Preemption is not helpful for scheduling, 2 Insufficient cpu.",
    )


def test_a_taint_is_no_matter_of_who_runs_there(compiled):
    scene = Scene(compiled).nodes("n", taints=(Taint(key="x", effect="NoSchedule"),)).nodes("m")
    scene.pods(("a", "n", 0, 1000), ("b", "m", 50, 1000))
    assert scene.victims() == ("m", ["b"])


def test_a_cluster_without_nodes(compiled):
    answer = Scene(compiled).preempt()
    assert answer.rejection == Rejection(Code.ERROR, ("preemption: no nodes available",))


def test_a_profile_without_postfilter_has_nothing_to_say(compiled):
    scene = Scene(compiled).nodes("n").pods(("a", "n", 0, 1000))
    scene.profile = Profile(filters=FILTERS, scores=(), others={})
    assert scene.preempt() is None


# --- which node (TestPickOneNodeForPreemption)


@pytest.mark.parametrize(
    ("pods", "node"),
    [
        pytest.param(
            [("a", "n1", 10, 1000), ("b", "n2", 20, 1000)], "n1", id="the lowest highest priority"
        ),
        pytest.param(
            [
                ("a", "n1", 10, 500),
                ("b", "n1", 20, 500),
                ("c", "n2", 15, 500),
                ("d", "n2", 15, 500),
            ],
            "n2",
            id="15 is less than 20, though 15 + 15 = 10 + 20",
        ),
        pytest.param(
            [("a", "n1", 10, 500), ("b", "n1", 10, 500), ("c", "n2", 10, 500), ("d", "n2", 5, 500)],
            "n2",
            id="the lowest sum: 10 + 5 < 10 + 10",
        ),
        pytest.param(
            [("a", "n1", 10, 500), ("b", "n1", -5, 500), ("c", "n2", 10, 1000)],
            "n2",
            id="a negative priority adds to the sum: each is raised by 2^31",
        ),
        pytest.param(
            [
                ("a", "n1", -10, 300),
                ("b", "n1", -10, 300),
                ("c", "n1", -10, 400),
                ("d", "n2", -10, 500),
                ("e", "n2", -10, 500),
            ],
            "n2",
            id="the fewest",
        ),
        pytest.param(
            [("a", "n1", 0, 1000, 10), ("b", "n2", 0, 1000, 20)], "n2", id="the latest start"
        ),
        pytest.param(
            [("a", "n1", 0, 1000, 10), ("b", "n2", 0, 1000, -1)], "n2", id="not started is latest"
        ),
        pytest.param(
            [
                ("a", "n1", 5, 500, 10),
                ("b", "n1", 5, 500, 30),
                ("c", "n2", 5, 500, 15),
                ("d", "n2", 5, 500, 16),
            ],
            "n2",
            id="of a node the earliest start counts: 15 > 10",
        ),
        pytest.param(
            [
                ("a", "n1", 5, 500, 10),
                ("b", "n1", 1, 500, 1),
                ("c", "n2", 5, 500, 9),
                ("d", "n2", 1, 500, 99),
            ],
            "n1",
            id="only of the highest priority: 10 > 9",
        ),
        pytest.param(
            [("a", "n1", 0, 1000, 10), ("b", "n2", 0, 1000, 10)], "n1", id="the first of equals"
        ),
    ],
)
def test_which_node_is_cleared(compiled, pods, node):
    scene = Scene(compiled).nodes("n1", "n2").pods(*pods)
    answer = scene.preempt()
    assert scene.told(answer.chosen)[0] == node
    assert [scene.told(candidate)[0] for candidate in answer.candidates] == ["n1", "n2"]


def test_only_as_many_as_needed_count(compiled):
    # n1 loses only its priority 1, since 900 fit beside 100; n2 would lose its priority 2
    scene = Scene(compiled).nodes("n1", "n2")
    scene.pods(("a", "n1", 50, 100), ("b", "n1", 1, 900), ("c", "n2", 2, 900))
    assert scene.victims(cpu=900) == ("n1", ["b"])


# --- budgets (TestFilterPodsWithPDBViolation and the PDB cases of the above)

A, B = labelled(app="a"), labelled(app="b")


def guarded(compiled):
    """Return a scene with a1, a2 of app a and b1 of app b on one node; a1 is the most important."""
    scene = Scene(compiled).nodes("n")
    scene.pod("a1", "n", 30, 300, labels={"app": "a"})
    scene.pod("a2", "n", 20, 300, labels={"app": "a"})
    return scene.pod("b1", "n", 10, 300, labels={"app": "b"})


@pytest.mark.parametrize(
    ("budgets", "cpu", "victims", "violations"),
    [
        # 600 asked: one of 300 can stay
        pytest.param([], 600, ["a2", "b1"], 0, id="no budget: the most important stays"),
        pytest.param([("x", 0, B)], 600, ["a1", "a2"], 0, id="the one with a budget stays instead"),
        pytest.param([("x", 1, B)], 600, ["a2", "b1"], 0, id="a budget that allows it"),
        pytest.param([("x", 2, A)], 600, ["a2", "b1"], 0, id="allows two: nobody violates it"),
        # a1 takes the one that is allowed, so a2 would violate, and is let back in first
        pytest.param([("x", 1, A)], 600, ["a1", "b1"], 0, id="the more important uses it up"),
        pytest.param([("x", 0, A)], 600, ["a2", "b1"], 1, id="one violation can't be avoided"),
        pytest.param([("x", -1, A)], 600, ["a2", "b1"], 1, id="a budget overdrawn already"),
        pytest.param([("x", 0, A)], 1000, ["a1", "a2", "b1"], 2, id="all must go: two violate"),
        pytest.param([("x", 1, A)], 1000, ["a1", "a2", "b1"], 1, id="one is allowed"),
        pytest.param(
            [("x", 0, A), ("y", 0, B)], 1000, ["a1", "a2", "b1"], 3, id="two budgets, three pods"
        ),
        pytest.param(
            [("x", 5, A), ("y", 0, A)], 1000, ["a1", "a2", "b1"], 2, id="the stricter of two"
        ),
        pytest.param(
            [("x", 0, LabelSelector())], 600, ["a2", "b1"], 0, id="an empty selector covers none"
        ),
        pytest.param([("x", 0, None)], 600, ["a2", "b1"], 0, id="no selector covers none"),
        pytest.param(
            [("x", 0, A, ("a2",))], 1000, ["a1", "a2", "b1"], 1, id="a2 is counted already"
        ),
        pytest.param(
            [("x", 1, A, ("a1",))], 1000, ["a1", "a2", "b1"], 0, id="a1 doesn't use it up twice"
        ),
        pytest.param(
            [("x", 0, A, (), "other")], 600, ["a2", "b1"], 0, id="a budget of another namespace"
        ),
        pytest.param(
            [
                (
                    "x",
                    0,
                    LabelSelector(
                        match_expressions=(
                            LabelSelectorRequirement(key="app", operator="NotIn", values=("a",)),
                        )
                    ),
                )
            ],
            600,
            ["a1", "a2"],
            0,
            id="an expression",
        ),
    ],
)
def test_budgets(compiled, budgets, cpu, victims, violations):
    scene = guarded(compiled)
    for budget in budgets:
        scene.budget(*budget)
    assert scene.told(scene.preempt(cpu=cpu).chosen) == ("n", victims, violations)


def test_pods_without_labels_have_no_budget(compiled):
    absent = LabelSelectorRequirement(key="app", operator="DoesNotExist")
    scene = Scene(compiled).nodes("n").pods(("a", "n", 0, 1000))
    scene.budget("x", 0, LabelSelector(match_expressions=(absent,)))
    assert scene.told(scene.preempt().chosen) == ("n", ["a"], 0)


def test_a_node_without_violations_comes_before_a_lower_priority(compiled):
    scene = Scene(compiled).nodes("n1", "n2").budget("x", 0, A)
    scene.pod("a1", "n1", 0, 1000, labels={"app": "a"}).pod("b1", "n2", 90, 1000)
    answer = scene.preempt()
    assert scene.told(answer.chosen) == ("n2", ["b1"], 0)
    # those that violate nothing are told first
    assert [scene.told(c)[0] for c in answer.candidates] == ["n2", "n1"]


def test_budgets_change(compiled):
    scene = guarded(compiled).budget("x", 0, B)
    framework = Framework(scene.profile, compiled=compiled)
    for allowed, victims in ((0, ["a1", "a2"]), (1, ["a2", "b1"]), (0, ["a1", "a2"])):
        scene.budget("x", allowed, B).preempt(cpu=600)
        answer = framework.post_filter(scene.cycle, scene.found)
        assert scene.told(answer.chosen)[1] == victims


# --- who may preempt at all (TestPodEligibleToPreemptOthers)


def test_a_pod_that_must_not_preempt(compiled):
    scene = Scene(compiled).nodes("n").pods(("a", "n", 0, 1000))
    answer = scene.preempt(preemption_policy="Never")
    words = "preemption: not eligible due to preemptionPolicy=Never."
    assert answer.rejection == Rejection(Code.UNSCHEDULABLE, (words,))
    assert not answer.eligible


@pytest.mark.parametrize(
    ("pods", "leaving", "preempted", "eligible"),
    [
        pytest.param([("a", "n", 0, 1000)], [], [], True, id="nobody is going"),
        pytest.param([("a", "n", 0, 1000)], ["a"], ["a"], False, id="its victim is still going"),
        pytest.param([("a", "n", 0, 1000)], ["a"], [], True, id="who goes by itself is no victim"),
        pytest.param(
            [("a", "n", 200, 600), ("b", "n", 0, 400)],
            ["a"],
            ["a"],
            True,
            id="nor who is more important",
        ),
        pytest.param(
            [("a", "m", 0, 1000), ("b", "n", 0, 1000)], ["a"], ["a"], True, id="on another node"
        ),
    ],
)
def test_a_pod_that_waits_for_its_victims(compiled, pods, leaving, preempted, eligible):
    scene = Scene(compiled).nodes("n", "m").pods(*pods, ("x", "m", 150, 1000))
    for name in leaving:
        scene.state.leave(scene.row(name))
    scene.state.preempted.update(map(scene.row, preempted))
    scene.state.nominated[99] = (0, scene.pod_class(100, 500))
    answer = scene.preempt(cpu=500, row=99)
    assert answer.eligible is eligible
    if not eligible:
        assert answer.rejection.reasons == (
            "preemption: not eligible due to a terminating pod on the nominated node.",
        )


def test_a_nominated_node_that_can_never_do_is_not_waited_for(compiled):
    taint = Taint(key="x", effect="NoSchedule")
    scene = Scene(compiled).nodes("n", taints=(taint,)).nodes("m")
    scene.pods(("a", "n", 0, 1000), ("b", "m", 0, 1000))
    scene.state.leave(scene.row("a"))
    scene.state.preempted.add(scene.row("a"))
    scene.state.nominated[99] = (0, scene.pod_class(100, 1000))
    assert scene.victims(row=99) == ("m", ["b"])


# --- pods that others made room for


@pytest.mark.parametrize(
    ("priority", "victims"),
    [
        # 400 asked, 400 nominated: 200 are left for a or b
        pytest.param(200, ["a", "b"], id="room that a more important pod was promised"),
        pytest.param(100, ["a", "b"], id="or an equally important one"),
        pytest.param(50, ["b"], id="a less important one doesn't count"),
    ],
)
def test_nominated_pods_hold_their_room(compiled, priority, victims):
    scene = Scene(compiled).nodes("n").pods(("a", "n", 10, 500), ("b", "n", 0, 500))
    scene.state.nominated[99] = (0, scene.pod_class(priority, 400))
    assert scene.victims(cpu=400) == ("n", victims)


def test_two_nominated_pods_on_one_node_and_one_elsewhere(compiled):
    scene = Scene(compiled).nodes("n", "m")
    scene.pods(("a", "n", 10, 500), ("b", "n", 0, 500), ("c", "m", 20, 1000))
    for pod, node in ((97, 0), (98, 0), (99, 1)):
        scene.state.nominated[pod] = (node, scene.pod_class(200, 300))
    # n: 600 of 1000 are promised; m: 300
    assert scene.victims(cpu=400) == ("n", ["a", "b"])
    assert scene.victims(cpu=500) == ("m", ["c"])


# --- more than resources: trials


def test_ports_of_victims_are_free(compiled):
    scene = Scene(compiled).nodes("n", "m")
    scene.pod("a", "n", 10, 100, port=80).pod("b", "n", 0, 100).pod("c", "m", 20, 100, port=80)
    assert scene.victims(cpu=100, port=80) == ("n", ["a"])


def test_a_port_of_one_more_important_is_not(compiled):
    scene = Scene(compiled).nodes("n", "m")
    scene.pod("a", "n", 200, 100, port=80).pod("b", "n", 0, 100)
    scene.pod("c", "m", 20, 100, port=80)
    answer = scene.preempt(cpu=100, port=80)
    assert scene.told(answer.chosen)[:2] == ("m", ["c"])
    assert len(answer.candidates) == 1


def test_who_keeps_the_pod_away_goes(compiled):
    # both a and b want no pod of app x beside them; a is more important than x, b is not
    term = PodAffinityTerm(topology_key="kubernetes.io/hostname", label_selector=labelled(app="x"))
    away = Affinity(
        pod_anti_affinity=PodAntiAffinity(
            required_during_scheduling_ignored_during_execution=(term,)
        )
    )
    scene = Scene(compiled).nodes("n", "m")
    scene.pod("a", "n", 200, 100, affinity=away).pod("b", "m", 0, 100, affinity=away)
    scene.pod("c", "m", 0, 100)
    assert scene.victims(cpu=100, labels={"app": "x"}) == ("m", ["b"])


def test_a_trial_leaves_no_trace(compiled):
    scene = guarded(compiled).budget("x", 0, A)
    state = scene.state
    before = (dict(state.node_of), state.nodes.requested.tolist(), [*map(dict, state.pods_on)])
    scene.preempt(cpu=600)
    after = (dict(state.node_of), state.nodes.requested.tolist(), [*map(dict, state.pods_on)])
    assert after == before


# --- how many nodes are looked at (TestCalculateNumCandidates)


@pytest.mark.parametrize(
    ("nodes", "percentage", "absolute", "wanted"),
    [
        pytest.param(100, 10, 5, 10, id="a tenth of 100"),
        pytest.param(55, 10, 3, 5, id="truncated"),
        pytest.param(100, 60, 80, 80, id="at least so many"),
        pytest.param(100, 60, 200, 100, id="but not more than there are"),
        pytest.param(1000, 10, 100, 100, id="by default"),
        pytest.param(5000, 10, 100, 500, id="by default, large"),
        pytest.param(60, 10, 100, 60, id="by default, small"),
        pytest.param(0, 10, 100, 0, id="none"),
    ],
)
def test_how_many_candidates_are_wanted(nodes, percentage, absolute, wanted):
    assert DefaultPreemption(percentage, absolute).candidates_wanted(nodes) == wanted


def spread_out(compiled, plugin, draws=None):
    """Return a scene of four nodes with a pod each, the best victim on the last."""
    scene = Scene(compiled, plugin, draws).nodes("n0", "n1", "n2", "n3")
    return scene.pods(*((f"p{i}", f"n{i}", 40 - 10 * i, 1000) for i in range(4)))


@pytest.mark.parametrize(
    ("absolute", "seen"),
    [
        pytest.param(1, ["n0"], id="the first will do"),
        pytest.param(2, ["n0", "n1"], id="the better of two"),
        pytest.param(9, ["n0", "n1", "n2", "n3"], id="all"),
    ],
)
def test_the_search_ends_with_enough_candidates(compiled, absolute, seen):
    scene = spread_out(compiled, DefaultPreemption(0, absolute))
    answer = scene.preempt()
    assert [scene.told(candidate)[0] for candidate in answer.candidates] == seen
    assert scene.told(answer.chosen)[0] == seen[-1]


def test_it_goes_on_until_a_candidate_violates_nothing(compiled):
    scene = Scene(compiled, DefaultPreemption(0, 2)).nodes("n0", "n1", "n2", "n3", "n4")
    for i in range(3):
        scene.pod(f"a{i}", f"n{i}", i, 1000, labels={"app": "a"})
    scene.pods(("b3", "n3", 9, 1000), ("b4", "n4", 1, 1000)).budget("x", 0, A)
    answer = scene.preempt()
    # two of those that violate are kept; n3 is the first that doesn't, and ends the search
    assert [scene.told(candidate)[0] for candidate in answer.candidates] == ["n3", "n0", "n1"]
    assert scene.told(answer.chosen)[0] == "n3"


def test_where_the_search_begins_is_drawn(compiled):
    draws = Draws(3)
    begins = []
    for row in range(12):
        scene = spread_out(compiled, DefaultPreemption(0, 1), draws)
        answer = scene.preempt(row=100 + row)
        begins.append(scene.told(answer.chosen)[0])
        pod = scene.cycle.pod
        assert begins[-1] == f"n{int(draws.uniform(pod.key, pod.attempt) * 4)}"
    assert len(set(begins)) > 1


def test_the_search_wraps_around(compiled):
    class FromThree(Draws):
        def uniform(self, *key):
            return 0.75

    scene = spread_out(compiled, DefaultPreemption(0, 2), FromThree(0))
    names = [scene.told(candidate)[0] for candidate in scene.preempt().candidates]
    assert names == ["n3", "n0"]


def test_the_queue_lets_preemptors_in(compiled):
    scene = Scene(compiled).nodes("n")
    pod = Pod(0, scene.pod_class(1, 1), "default/p", 0, 1, 0, -1)
    assert scene.plugin.pre_enqueue(pod, scene.state) is None
