"""DefaultPreemption by tables: budgets, who may preempt, nominated pods, more than resources.

See test_default_preemption for how to read them.
"""

import pytest

from schedlab.api.objects import (
    Affinity,
    LabelSelector,
    LabelSelectorRequirement,
    PodAffinityTerm,
    PodAntiAffinity,
    Taint,
)
from schedlab.scheduling.framework.interface import Code, Rejection
from schedlab.scheduling.framework.runtime import Framework
from schedlab.testing.preemption import PreemptionScene as Scene


@pytest.fixture(params=[False, True], ids=["trials", "compiled"])
def compiled(request):
    return request.param


def labelled(**labels):
    return LabelSelector(match_labels=labels)


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
