"""NodeAffinity's PreFilter: only terms that all name nodes narrow the search down."""

import pytest

from schedlab.api.objects import Affinity, PodSpec
from schedlab.api.objects import NodeAffinity as Terms
from schedlab.cluster import ClassTable, ClusterState
from schedlab.cluster.vocabulary import ResourceNames
from schedlab.scheduling.framework.interface import GO_ON, SKIP, Code, Cycle, prepared
from schedlab.scheduling.plugins.node_affinity import NodeAffinity

LABEL = {"matchExpressions": [{"key": "disk", "operator": "Exists"}]}


def fields(*operators_and_names):
    return {
        "matchFields": [
            {"key": "metadata.name", "operator": operator, "values": [name]}
            for operator, name in operators_and_names
        ]
    }


def required(*terms):
    found = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(terms)}}
    return Terms.model_validate(found) if terms else None


def answer(terms, *, selector=None, added=None):
    own = None if terms is None else Affinity(node_affinity=required(*terms))
    spec = PodSpec.model_validate(
        {"containers": [{"name": "c"}], "nodeSelector": selector or {}}
    ).model_copy(update={"affinity": own})
    state = ClusterState(ClassTable(ResourceNames()))
    cycle = Cycle(state, state.classes.intern("default", spec, 0))
    return prepared(NodeAffinity(added), cycle)


@pytest.mark.parametrize(
    ("terms", "nodes"),
    [
        pytest.param([fields(("In", "a"))], {"a"}, id="one node"),
        pytest.param([fields(("In", "a")), fields(("In", "b"))], {"a", "b"}, id="either of two"),
        pytest.param([fields(("In", "a")), fields(("In", "a"))], {"a"}, id="the same twice"),
        pytest.param([{**fields(("In", "a")), **LABEL}], {"a"}, id="a node with a label"),
        pytest.param([fields(("In", "a"), ("NotIn", "b"))], {"a"}, id="a node, and not another"),
        pytest.param([fields(("In", "gone"))], {"gone"}, id="a node that is not there"),
        pytest.param(
            [fields(("In", "a"), ("In", "b")), fields(("In", "c"))], {"c"}, id="one term conflicts"
        ),
    ],
)
def test_terms_that_name_nodes(terms, nodes):
    assert answer(terms).nodes == nodes


@pytest.mark.parametrize(
    "terms",
    [
        pytest.param([LABEL], id="labels alone"),
        pytest.param([fields(("In", "a")), LABEL], id="a node or a label"),
        pytest.param([fields(("NotIn", "a"))], id="any but one"),
    ],
)
def test_terms_that_leave_all_nodes(terms):
    assert answer(terms) is GO_ON


@pytest.mark.parametrize(
    ("terms", "selector", "added", "expected"),
    [
        pytest.param(None, None, None, SKIP, id="nothing asked"),
        pytest.param([], None, None, SKIP, id="no required terms"),
        pytest.param(None, {"disk": "ssd"}, None, GO_ON, id="a node selector"),
        pytest.param(None, None, required(LABEL), GO_ON, id="the profile asks"),
        pytest.param(None, None, required(fields(("In", "a"))), GO_ON, id="names of the profile"),
    ],
)
def test_pods_that_name_no_node(terms, selector, added, expected):
    assert answer(terms, selector=selector, added=added) is expected


def test_terms_that_contradict_themselves():
    rejection = answer([fields(("In", "a"), ("In", "b"))]).rejection
    assert rejection == (Code.UNSCHEDULABLE_AND_UNRESOLVABLE, ("pod affinity terms conflict",))
