"""SchedulingGates, PrioritySort, DynamicResources and DefaultBinder: who waits, who is first."""

import numpy as np
import pytest

from schedlab.api.objects import PodResourceClaim, PodSchedulingGate
from schedlab.cluster import ClassTable, ClusterState, ResourceNames
from schedlab.errors import InputError
from schedlab.scheduling.base import Pod
from schedlab.scheduling.framework.evaluation import evaluate_filters
from schedlab.scheduling.framework.interface import SKIP, Code, Cycle, PreFiltered, Rejection
from schedlab.scheduling.framework.profiles import Profile
from schedlab.scheduling.framework.runtime import Framework
from schedlab.scheduling.plugins.default_binder import DefaultBinder
from schedlab.scheduling.plugins.dynamic_resources import DynamicResources
from schedlab.scheduling.plugins.priority_sort import PrioritySort
from schedlab.scheduling.plugins.scheduling_gates import SchedulingGates
from schedlab.testing import pod_template, small_node


def cluster():
    state = ClusterState(ClassTable(ResourceNames()))
    state.nodes.add(small_node())
    return state


def pod_of(state, row=0, priority=0, **spec):
    pod_class = state.classes.intern("default", pod_template(**spec).spec, priority)
    return Pod(row, pod_class, f"default/p{row}", row, 1, 0, -1)


# --- SchedulingGates (TestPreEnqueue)


@pytest.mark.parametrize(
    ("gates", "words"),
    [
        pytest.param([], None, id="no gate"),
        pytest.param(["a"], "waiting for scheduling gates: [a]", id="one"),
        pytest.param(["a", "b"], "waiting for scheduling gates: [a b]", id="two"),
        pytest.param(["b", "a"], "waiting for scheduling gates: [b a]", id="in the pod's order"),
    ],
)
def test_gates(gates, words):
    state = cluster()
    pod = pod_of(state, scheduling_gates=tuple(PodSchedulingGate(name=gate) for gate in gates))
    expected = words and Rejection(Code.UNSCHEDULABLE_AND_UNRESOLVABLE, (words,))
    assert SchedulingGates().pre_enqueue(pod, state) == expected


# --- PrioritySort (TestLess)


@pytest.mark.parametrize(
    ("one", "other", "first"),
    [
        pytest.param((100, 5), (50, 0), True, id="the higher priority, though it came later"),
        pytest.param((50, 0), (100, 5), False, id="the lower priority, though it came first"),
        pytest.param((50, 1), (50, 2), True, id="the same priority: who came first"),
        pytest.param((50, 2), (50, 1), False, id="the same priority: who came last"),
        pytest.param((0, 0), (-10, 0), True, id="priorities may be negative"),
        pytest.param((50, 1), (50, 1), False, id="neither is first"),
    ],
)
def test_the_order_of_the_queue(one, other, first):
    state, plugin = cluster(), PrioritySort()
    keys = [plugin.sort_key(pod_of(state, priority=p), since) for p, since in (one, other)]
    assert (keys[0] < keys[1]) is first


# --- DynamicResources


def test_a_pod_without_claims_passes_everywhere_and_scores_nothing():
    state, plugin = cluster(), DynamicResources()
    pod = pod_of(state)
    cycle = Cycle(state, pod.pod_class, pod)
    assert plugin.pre_enqueue(pod, state) is None
    assert plugin.pre_filter(cycle) == SKIP
    assert plugin.filter(cycle, cycle.rows()).tolist() == [0]
    assert plugin.score(cycle, cycle.rows()).tolist() == [0]
    assert plugin.reserve(cycle, 0) is None
    assert plugin.pre_bind(cycle, 0) is None


@pytest.mark.parametrize("point", ["pre_enqueue", "pre_filter", "filter"])
def test_claims_are_an_error_that_names_the_field(point):
    state, plugin = cluster(), DynamicResources()
    pod = pod_of(state, resource_claims=(PodResourceClaim(name="gpu"),))
    cycle = Cycle(state, pod.pod_class, pod)
    arguments = {
        "pre_enqueue": (pod, state),
        "pre_filter": (cycle,),
        "filter": (cycle, np.arange(1)),
    }
    with pytest.raises(InputError, match=r"spec\.resourceClaims"):
        getattr(plugin, point)(*arguments[point])


class RulesOut:
    """A plugin that lets no node through."""

    name = "RulesOut"

    def pre_filter(self, cycle):
        rejection = Rejection(Code.UNSCHEDULABLE_AND_UNRESOLVABLE, ("no",))
        return PreFiltered(rejection=rejection)


@pytest.mark.parametrize(
    ("before", "rejection"),
    [
        pytest.param(
            (), Rejection(Code.UNSCHEDULABLE, ("no new claims to deallocate",)), id="as usual"
        ),
        pytest.param(
            (RulesOut(),), Rejection(Code.ERROR, ("not found",)), id="its PreFilter never ran"
        ),
    ],
)
def test_what_it_says_when_a_pod_fits_nowhere(before, rejection):
    state, plugin = cluster(), DynamicResources()
    others = {"pre_filter": (*before, plugin), "post_filter": (plugin,)}
    profile = Profile(filters=(plugin,), scores=(), others=others)
    pod = pod_of(state)
    cycle = Cycle(state, pod.pod_class, pod)
    answer = Framework(profile).post_filter(cycle, evaluate_filters(profile, cycle))
    assert answer.rejection == rejection
    assert answer.chosen is None


def test_it_finds_no_state_where_it_has_no_prefilter():
    state, plugin = cluster(), DynamicResources()
    profile = Profile(filters=(), scores=(), others={"post_filter": (plugin,)})
    cycle = Cycle(state, pod_of(state).pod_class)
    answer = Framework(profile).post_filter(cycle, evaluate_filters(profile, cycle))
    assert answer.rejection == Rejection(Code.ERROR, ("not found",))


# --- DefaultBinder


def test_the_caller_binds():
    state = cluster()
    assert DefaultBinder().bind(Cycle(state, pod_of(state).pod_class), 0) is False
