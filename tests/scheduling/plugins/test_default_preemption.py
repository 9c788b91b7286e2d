"""DefaultPreemption by tables: read them to learn who is evicted for whom.

The cases follow the spirit of upstream's (pkg/scheduler/framework/plugins/defaultpreemption). Every
case runs twice: with trials on the cluster's state, and with the compiled search where that may
stand in. Pods are written (name, node, priority, milli-cores, started at second).
"""

import pytest

from schedlab.api.objects import LabelSelector, Taint
from schedlab.rng import Draws
from schedlab.scheduling.base import Pod
from schedlab.scheduling.framework.interface import Code, Rejection
from schedlab.scheduling.framework.profiles import Profile
from schedlab.scheduling.plugins.default_preemption import DefaultPreemption
from schedlab.testing.preemption import FILTERS
from schedlab.testing.preemption import PreemptionScene as Scene

A = LabelSelector(match_labels={"app": "a"})


@pytest.fixture(params=[False, True], ids=["trials", "compiled"])
def compiled(request):
    return request.param


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
