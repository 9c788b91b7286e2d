"""DynamicResources by tables: what it says of pods without claims, and that others are an error.

Claims for devices are not modelled. A pod without any passes, as upstream's plugin lets it pass
(pkg/scheduler/framework/plugins/dynamicresources), and is only told of it when it fits nowhere.
"""

import numpy as np
import pytest

from schedlab.api.objects import PodResourceClaim
from schedlab.cluster import ClassTable, ClusterState, ResourceNames
from schedlab.errors import InputError
from schedlab.scheduling.base import Pod
from schedlab.scheduling.framework.cluster_events import (
    NODE_ADD,
    NODE_UPDATE,
    PENDING_ADD,
    POD_ADD,
    POD_DELETE,
    ClusterEvent,
)
from schedlab.scheduling.framework.evaluation import evaluate_filters
from schedlab.scheduling.framework.interface import (
    GO_ON,
    SKIP,
    Code,
    Cycle,
    PreFiltered,
    Rejection,
)
from schedlab.scheduling.framework.profiles import Profile
from schedlab.scheduling.framework.runtime import Framework
from schedlab.scheduling.plugins.dynamic_resources import DynamicResources
from schedlab.testing import pod_template, small_node
from schedlab.testing.hints import asks, helps, zoned_cluster, zoned_node

PLUGIN = DynamicResources()
GPU = PodResourceClaim(name="gpu")


def cluster(nodes=1):
    state = ClusterState(ClassTable(ResourceNames()))
    for i in range(nodes):
        state.nodes.add(small_node(f"n{i}"))
    return state


def pod_of(state, *claims, **spec):
    made = pod_template(resource_claims=claims, **spec).spec
    return Pod(0, state.classes.intern("default", made, 0), "default/p", 0, 1, 0, -1)


def asked(point, *claims, nodes=1, **spec):
    """Return what the plugin says of a pod with *claims* at an extension point, as plain values."""
    state = cluster(nodes)
    pod = pod_of(state, *claims, **spec)
    cycle = Cycle(state, pod.pod_class, pod)
    arguments = {
        "concerns": (state, pod.pod_class),
        "pre_enqueue": (pod, state),
        "pre_filter": (cycle,),
        "filter": (cycle, cycle.rows()),
        "reasons": (cycle, 0, 0),
        "status": (cycle, 0, 0),
        "score": (cycle, cycle.rows()),
        "reserve": (cycle, 0),
        "pre_bind": (cycle, 0),
    }
    answer = getattr(PLUGIN, point)(*arguments[point])
    return answer.tolist() if isinstance(answer, np.ndarray) else answer


# --- pods without claims


@pytest.mark.parametrize(
    ("point", "nodes", "expected"),
    [
        pytest.param("concerns", 1, False, id="it has no concern in the pod"),
        pytest.param("pre_enqueue", 1, None, id="the pod enters the queue"),
        pytest.param("pre_enqueue", 0, None, id="whatever nodes there are"),
        pytest.param("pre_filter", 1, SKIP, id="its filter is skipped"),
        pytest.param("pre_filter", 0, SKIP, id="with no nodes as well"),
        pytest.param("filter", 0, [], id="no node to pass"),
        pytest.param("filter", 1, [0], id="the node passes"),
        pytest.param("filter", 3, [0, 0, 0], id="all nodes pass"),
        pytest.param("reasons", 1, (), id="there is nothing to explain"),
        pytest.param("status", 1, Code.SUCCESS, id="for all is well"),
        pytest.param("score", 0, [], id="no node to score"),
        pytest.param("score", 1, [0], id="a node is worth 0"),
        pytest.param("score", 3, [0, 0, 0], id="all are worth 0"),
        pytest.param("reserve", 1, None, id="nothing is reserved"),
        pytest.param("pre_bind", 1, None, id="nothing is written"),
    ],
)
def test_a_pod_without_claims_passes_everywhere_and_scores_nothing(point, nodes, expected):
    assert asked(point, nodes=nodes) == expected


# --- pods with claims


@pytest.mark.parametrize("point", ["pre_enqueue", "pre_filter", "filter"])
@pytest.mark.parametrize(
    "claims",
    [
        pytest.param([GPU], id="a claim"),
        pytest.param([PodResourceClaim(name="gpu", resource_claim_name="mine")], id="by name"),
        pytest.param(
            [PodResourceClaim(name="gpu", resource_claim_template_name="any")], id="by template"
        ),
        pytest.param([GPU, PodResourceClaim(name="nic")], id="two claims"),
    ],
)
def test_claims_are_an_error_that_names_the_field(point, claims):
    with pytest.raises(InputError, match=r"spec\.resourceClaims: .* found claims for devices"):
        asked(point, *claims)


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"node_selector": {"no": "way"}}, id="that fits nowhere"),
        pytest.param({"scheduler_name": "other"}, id="of another scheduler"),
        pytest.param({"node_name": "n0"}, id="that names its node"),
    ],
)
def test_a_pod_with_claims_is_an_error_whatever_else_it_is(spec):
    with pytest.raises(InputError, match=r"spec\.resourceClaims"):
        asked("pre_filter", GPU, **spec)


def test_it_concerns_pods_with_claims():
    assert asked("concerns", GPU) is True


# --- a pod that fits nowhere (PostFilter)


class Says:
    """A plugin of a name whose PreFilter gives a fixed answer."""

    def __init__(self, name, answer):
        self.name = name
        self._answer = answer

    def pre_filter(self, cycle):
        return self._answer


NO = PreFiltered(rejection=Rejection(Code.UNSCHEDULABLE_AND_UNRESOLVABLE, ("no",)))
NOTHING_TO_FREE = Rejection(Code.UNSCHEDULABLE, ("no new claims to deallocate",))
NOT_FOUND = Rejection(Code.ERROR, ("not found",))
A, B = "A", "B"


@pytest.mark.parametrize(
    ("before", "after", "rejection"),
    [
        pytest.param([], [], NOTHING_TO_FREE, id="alone"),
        pytest.param([(A, GO_ON)], [], NOTHING_TO_FREE, id="after one that goes on"),
        pytest.param([(A, SKIP)], [], NOTHING_TO_FREE, id="after one that is skipped"),
        pytest.param(
            [(A, PreFiltered(nodes=frozenset({"n0"})))],
            [],
            NOTHING_TO_FREE,
            id="some nodes are left",
        ),
        pytest.param([], [(A, NO)], NOTHING_TO_FREE, id="a later one ends the cycle"),
        # upstream looks for what its PreFilter left behind, and stumbles where it never ran
        pytest.param([(A, NO)], [], NOT_FOUND, id="an earlier one ends the cycle"),
        pytest.param([(A, GO_ON), (B, NO)], [], NOT_FOUND, id="the second ends it"),
        pytest.param([(A, NO), (B, GO_ON)], [], NOT_FOUND, id="the first of two ends it"),
        pytest.param([(A, NO)], [(B, NO)], NOT_FOUND, id="and so would a later one"),
    ],
)
def test_what_it_says_when_a_pod_fits_nowhere(before, after, rejection):
    state = cluster()
    order = (*(Says(*answer) for answer in before), PLUGIN, *(Says(*answer) for answer in after))
    profile = Profile(
        filters=(PLUGIN,), scores=(), others={"pre_filter": order, "post_filter": (PLUGIN,)}
    )
    pod = pod_of(state)
    cycle = Cycle(state, pod.pod_class, pod)
    answer = Framework(profile).post_filter(cycle, evaluate_filters(profile, cycle))
    assert answer.rejection == rejection
    assert answer.chosen is None


def test_it_finds_no_state_where_it_has_no_prefilter():
    state = cluster()
    profile = Profile(filters=(), scores=(), others={"post_filter": (PLUGIN,)})
    cycle = Cycle(state, pod_of(state).pod_class)
    answer = Framework(profile).post_filter(cycle, evaluate_filters(profile, cycle))
    assert answer.rejection == NOT_FOUND


# --- it rejects nobody, so that nothing needs to help


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(ClusterEvent(NODE_ADD, 0, new=zoned_node()), id="a node comes"),
        pytest.param(
            ClusterEvent(NODE_UPDATE, 0, old=zoned_node(cpu=1), new=zoned_node()), id="a node grows"
        ),
        pytest.param(ClusterEvent(POD_ADD, 0), id="a pod is placed"),
        pytest.param(ClusterEvent(POD_DELETE, 0), id="a pod goes"),
        pytest.param(ClusterEvent(PENDING_ADD), id="a pod comes"),
    ],
)
def test_what_may_help(event):
    assert not helps(zoned_cluster("a", "b"), "DynamicResources", asks(), event)
