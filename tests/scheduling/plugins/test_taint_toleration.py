"""TaintToleration by tables: read them to learn which taints repel, deter or do nothing.

The cases follow the spirit of upstream's (pkg/scheduler/framework/plugins/tainttoleration). Taints
are written as kubectl does, key=value:effect, with S for NoSchedule, E for NoExecute and P for
PreferNoSchedule.
"""

import numpy as np
import pytest

from schedlab.api.objects import Taint, Toleration
from schedlab.api.selectors import tolerates_all
from schedlab.cluster import ClassTable, ClusterState, ResourceNames
from schedlab.errors import InputError
from schedlab.scheduling.framework.cluster_events import (
    NODE_ADD,
    NODE_DELETE,
    NODE_UPDATE,
    ClusterEvent,
)
from schedlab.scheduling.framework.configuration import validated
from schedlab.scheduling.framework.evaluation import evaluate, evaluate_filters
from schedlab.scheduling.framework.interface import SKIP, Code, Cycle, Depends, normalized, prepared
from schedlab.scheduling.framework.profiles import Profile
from schedlab.scheduling.plugins.taint_toleration import REASON, TaintToleration
from schedlab.testing import pod_template, small_node
from schedlab.testing.hints import asks, gone, helps, zoned_cluster, zoned_node

PROFILE = Profile.default()
PLUGIN = TaintToleration()
EFFECTS = {"S": "NoSchedule", "E": "NoExecute", "P": "PreferNoSchedule"}


def taints(text):
    """Return the taints of ``"gpu=a100:S slow:P"``."""
    found = []
    for word in text.split():
        rest, _, effect = word.rpartition(":")
        key, _, value = rest.partition("=")
        found.append(Taint(key=key, value=value, effect=EFFECTS[effect]))
    return tuple(found)


def tolerations(text):
    """Return the tolerations of ``"gpu=a100:S slow"``: ``=`` is Equal, none Exists, * any key."""
    found = []
    for word in text.split():
        rest, _, effect = word.rpartition(":") if ":" in word else (word, "", "")
        key, equal, value = rest.partition("=")
        fields = {"key": "" if key == "*" else key, "effect": EFFECTS.get(effect, "")}
        fields |= {"value": value} if equal else {"operator": "Exists"}
        found.append(Toleration.model_validate(fields))
    return tuple(found)


def cluster(*texts):
    """Return a cluster in which node i has the taints *texts*[i]."""
    state = ClusterState(ClassTable(ResourceNames()))
    for i, text in enumerate(texts):
        state.nodes.add(small_node(f"n{i}", taints=taints(text)))
    return state


def cycle_of(state, text="", **spec):
    spec = pod_template(tolerations=tolerations(text), **spec).spec
    return Cycle(state, state.classes.intern("default", spec, 0))


# --- the filter (TestTaintTolerationFilter)


@pytest.mark.parametrize(
    ("node", "pod", "passes"),
    [
        pytest.param("", "", True, id="no taint"),
        pytest.param("", "gpu", True, id="a toleration asks for no taint"),
        # the three effects
        pytest.param("gpu=a100:S", "", False, id="NoSchedule repels"),
        pytest.param("gpu=a100:E", "", False, id="NoExecute repels"),
        pytest.param("gpu=a100:P", "", True, id="PreferNoSchedule only deters"),
        # the operator Equal
        pytest.param("gpu=a100:S", "gpu=a100", True, id="equal, any effect"),
        pytest.param("gpu=a100:S", "gpu=a100:S", True, id="equal, that effect"),
        pytest.param("gpu=a100:S", "gpu=a100:E", False, id="equal, another effect"),
        pytest.param("gpu=a100:S", "gpu=a100:P", False, id="equal, the soft effect"),
        pytest.param("gpu=a100:S", "gpu=h100", False, id="another value"),
        pytest.param("gpu=a100:S", "gpu=A100", False, id="values have their case"),
        pytest.param("gpu=a100:S", "gpu=", False, id="no value is a value"),
        pytest.param("gpu:S", "gpu=", True, id="no value equals no value"),
        pytest.param("gpu:S", "gpu=a100", False, id="a value, where the taint has none"),
        pytest.param("gpu=a100:S", "tpu=a100", False, id="another key"),
        # the operator Exists
        pytest.param("gpu=a100:S", "gpu", True, id="exists, any value"),
        pytest.param("gpu=a100:S", "gpu:S", True, id="exists, that effect"),
        pytest.param("gpu=a100:E", "gpu:S", False, id="exists, another effect"),
        pytest.param("gpu=a100:S", "tpu", False, id="exists, another key"),
        pytest.param("gpu=a100:S", "gp", False, id="no beginning of a key"),
        # no key
        pytest.param("gpu=a100:S tpu:E", "*", True, id="tolerates everything"),
        pytest.param("gpu=a100:S", "*:S", True, id="every key of that effect"),
        pytest.param("gpu=a100:S", "*:E", False, id="every key of another effect"),
        # several taints: each needs a toleration
        pytest.param("gpu=a100:S gone:E", "gpu", False, id="one of two"),
        pytest.param("gpu=a100:S gone:E", "gpu gone", True, id="both"),
        pytest.param("gpu=a100:S gone:E", "*:S", False, id="those of one effect"),
        pytest.param("gpu=a100:S gpu=a100:E", "gpu:S", False, id="one key, two effects"),
        pytest.param("gpu=a100:S gpu=a100:E", "gpu", True, id="one toleration for both effects"),
        pytest.param("slow:P gpu=a100:S", "gpu", True, id="the soft one doesn't count"),
        pytest.param("slow:P gpu=a100:S", "slow", False, id="tolerating the soft one is no help"),
        # several tolerations: one is enough
        pytest.param("gpu=a100:S", "tpu gpu=h100 gpu=a100", True, id="the last of three"),
        pytest.param("gpu=a100:S", "gpu=h100 tpu=a100", False, id="key of one, value of the other"),
        pytest.param("gpu=a100:S", "gpu:E *:E", False, id="none has the effect"),
    ],
)
def test_what_repels(node, pod, passes):
    state = cluster(node, "")
    cycle = cycle_of(state, pod)
    assert PLUGIN.filter(cycle, cycle.rows()).tolist() == [int(not passes), 0]
    hard = ("NoSchedule", "NoExecute")
    assert tolerates_all(tolerations(pod), taints(node), hard) is passes


@pytest.mark.parametrize(
    "seconds",
    [
        pytest.param(None, id="for ever"),
        pytest.param(300, id="for five minutes"),
        pytest.param(0, id="for no time at all"),
        pytest.param(-1, id="and less than that"),
    ],
)
def test_how_long_a_taint_is_tolerated_is_not_asked(seconds):
    """``tolerationSeconds`` is for the eviction of pods that run: the scheduler lets them in."""
    bears = Toleration.model_validate(
        {"key": "gone", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds}
    )
    state = cluster("gone:E")
    spec = pod_template(tolerations=(bears,)).spec
    cycle = Cycle(state, state.classes.intern("default", spec, 0))
    assert PLUGIN.filter(cycle, cycle.rows()).tolist() == [0]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        # Lt and Gt are behind the gate TaintTolerationComparisonOperators, off in 1.35: the API
        # server takes no such pod, and so it is here
        pytest.param({"key": "sla", "operator": "Gt", "value": "900"}, "operator", id="Gt"),
        pytest.param({"key": "sla", "operator": "Lt", "value": "900"}, "operator", id="Lt"),
        pytest.param({"key": "", "value": "a"}, "operator", id="no key, but Equal"),
        pytest.param(
            {"key": "a", "operator": "Exists", "value": "b"}, "value", id="Exists a value"
        ),
        pytest.param({"key": "a", "effect": "NoRun"}, "effect", id="an effect of one's own"),
    ],
)
def test_tolerations_that_there_are_not(fields, field):
    with pytest.raises(InputError, match=field):
        validated(Toleration, fields)


def test_the_words_are_upstreams():
    cycle = cycle_of(cluster("gpu=a100:S", "gone:E slow:P", "slow:P"), node_selector={"no": "way"})
    assert PLUGIN.reasons(cycle, 0, 1) == ("node(s) had untolerated taint(s)",) == (REASON,)
    # no pod that goes takes a taint with it
    assert PLUGIN.status(cycle, 0, 1) is Code.UNSCHEDULABLE_AND_UNRESOLVABLE
    # 1.35 names neither key nor value, so that nodes with different taints are counted together
    assert evaluate_filters(PROFILE, cycle).message(cycle, PROFILE.filters) == (
        "0/3 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, "
        "2 node(s) had untolerated taint(s)."
    )


def test_it_is_always_asked():
    cycle = cycle_of(cluster(""))
    assert prepared(PLUGIN, cycle) != SKIP
    assert not PLUGIN.pre_score(cycle, cycle.rows())
    assert PLUGIN.depends is Depends.STATIC


# --- the score (TestTaintTolerationScore): soft taints that are not tolerated


@pytest.mark.parametrize(
    ("node", "pod", "score"),
    [
        pytest.param("", "", 0, id="no taint"),
        pytest.param("gpu:S", "", 0, id="a hard taint is the filter's"),
        pytest.param("gone:E", "", 0, id="so is NoExecute"),
        pytest.param("slow:P", "", 1, id="one"),
        pytest.param("slow:P old:P", "", 2, id="1 + 1"),
        pytest.param("slow=1:P slow=2:P slow=3:P", "", 3, id="1 + 1 + 1 of one key"),
        pytest.param("slow:P gpu:S old:P gone:E", "", 2, id="1 + 0 + 1 + 0"),
        pytest.param("slow:P", "slow", 0, id="tolerated: 1 - 1"),
        pytest.param("slow:P", "slow:P", 0, id="tolerated for that effect"),
        pytest.param("slow:P", "slow:S", 1, id="tolerated for NoSchedule only"),
        pytest.param("slow:P", "slow:E", 1, id="tolerated for NoExecute only"),
        pytest.param("slow:P", "slow:S slow:E", 1, id="for both of them only"),
        pytest.param("slow=1:P", "slow=1", 0, id="the same value"),
        pytest.param("slow=1:P", "slow=2", 1, id="another value"),
        pytest.param("slow=1:P slow=2:P", "slow=1", 1, id="one value of two: 2 - 1"),
        pytest.param("slow=1:P slow=2:P", "slow", 0, id="all values: 2 - 2"),
        pytest.param("slow:P old:P", "slow", 1, id="one key of two: 2 - 1"),
        pytest.param("slow:P old:P", "*", 0, id="everything: 2 - 2"),
        pytest.param("slow:P old:P", "*:P", 0, id="everything soft: 2 - 2"),
        pytest.param("slow:P old:P", "*:S", 2, id="everything hard: 2 - 0"),
    ],
)
def test_what_deters(node, pod, score):
    state = cluster(node, "")
    cycle = cycle_of(state, pod)
    assert PLUGIN.score(cycle, cycle.rows()).tolist() == [score, 0]


@pytest.mark.parametrize(
    ("counts", "scores"),
    [
        # 100 - 100 x count / most, each quotient truncated
        pytest.param([0, 0, 0], [100, 100, 100], id="the most is 0: all are as good"),
        pytest.param([1, 1], [0, 0], id="100 - 100 x 1 / 1: all are as bad"),
        pytest.param([3], [0], id="100 - 100 x 3 / 3: the only node"),
        pytest.param([0], [100], id="the only node, without any"),
        pytest.param([0, 1], [100, 0], id="100 - 0 / 1, 100 - 100 / 1"),
        pytest.param([0, 1, 2], [100, 50, 0], id="100 - 0, 100 - 100 / 2, 100 - 200 / 2"),
        # 100 / 3 = 33, 200 / 3 = 66
        pytest.param([0, 1, 2, 3], [100, 67, 34, 0], id="thirds are truncated before they count"),
        # 100 / 7 = 14, 600 / 7 = 85
        pytest.param([1, 6, 7], [86, 15, 0], id="sevenths"),
        # 100 / 101 = 0, 10000 / 101 = 99
        pytest.param([1, 100, 101], [100, 1, 0], id="one of very many is none"),
        pytest.param([2, 0, 2], [0, 100, 0], id="in the order of the nodes"),
        pytest.param([], [], id="no nodes"),
    ],
)
def test_few_taints_are_worth_much(counts, scores):
    raw = np.array(counts, np.int64)
    cycle = cycle_of(cluster(*[""] * len(counts)))
    assert normalized(PLUGIN, cycle, cycle.rows(), raw).tolist() == scores


@pytest.mark.parametrize(
    ("nodes", "pod", "scores"),
    [
        # weight 3 in the default profile
        pytest.param(["", "slow:P"], "", {0: 300, 1: 0}, id="100 x 3, 0 x 3"),
        pytest.param(["", ""], "", {0: 300, 1: 300}, id="no taints: 100 x 3 each"),
        pytest.param(
            ["slow:P", "slow:P old:P"],
            "",
            {0: 150, 1: 0},
            id="(100 - 100 / 2) x 3, (100 - 100) x 3",
        ),
        # n2 would be the most with 3, but is not feasible: the most is 1
        pytest.param(
            ["", "slow:P", "a:P b:P c:P gpu:S"], "", {0: 300, 1: 0}, id="only feasible nodes count"
        ),
        # n2 counts 3: 100 - 100 x 1 / 3 = 67
        pytest.param(
            ["", "slow:P", "a:P b:P c:P gpu:S"], "gpu", {0: 300, 1: 201, 2: 0}, id="now it is one"
        ),
        pytest.param(
            ["slow:P", "slow:P"], "slow", {0: 300, 1: 300}, id="what is tolerated deters nobody"
        ),
    ],
)
def test_the_best_of_the_feasible_nodes(nodes, pod, scores):
    found = evaluate(PROFILE, cycle_of(cluster(*nodes), pod))
    weighted = found.weighted["TaintToleration"].tolist()
    assert dict(zip(found.feasible.tolist(), weighted, strict=True)) == scores


def test_rows_may_come_in_any_order():
    cycle = cycle_of(cluster("gpu:S", "slow:P", "slow:P old:P"))
    assert PLUGIN.filter(cycle, np.array([2, 0])).tolist() == [0, 1]
    assert PLUGIN.score(cycle, np.array([2, 0, 1])).tolist() == [2, 0, 1]


def test_taints_come_and_go():
    state = cluster("")
    for text, codes, scores in (("gpu:S", [1], [0]), ("slow:P", [0], [1]), ("", [0], [0])):
        state.nodes.add(small_node("n0", taints=taints(text)))
        cycle = cycle_of(state)
        assert PLUGIN.filter(cycle, cycle.rows()).tolist() == codes
        assert PLUGIN.score(cycle, cycle.rows()).tolist() == scores


# --- what may help a pod that it rejected


def tainted(text, **labels):
    return zoned_node(taints=taints(text), **labels)


@pytest.mark.parametrize(
    ("pod", "name", "old", "new", "expected"),
    [
        pytest.param("", NODE_ADD, None, tainted(""), True, id="a node without taints comes"),
        pytest.param("", NODE_ADD, None, tainted("slow:P"), True, id="a node that only deters"),
        pytest.param("", NODE_ADD, None, tainted("gpu:S"), False, id="a node that repels"),
        pytest.param("gpu", NODE_ADD, None, tainted("gpu:S"), True, id="a node that is tolerated"),
        pytest.param("", NODE_UPDATE, tainted("gpu:S"), tainted(""), True, id="the taint goes"),
        pytest.param(
            "", NODE_UPDATE, tainted("gpu:S"), tainted("gpu:P"), True, id="the taint turns soft"
        ),
        pytest.param(
            "", NODE_UPDATE, tainted("gpu:S gone:E"), tainted("gpu:S"), False, id="one taint stays"
        ),
        pytest.param(
            "gpu",
            NODE_UPDATE,
            tainted("gpu:S gone:E"),
            tainted("gpu:S"),
            True,
            id="a tolerated one",
        ),
        pytest.param(
            "gpu=b", NODE_UPDATE, tainted("gpu=a:S"), tainted("gpu=b:S"), True, id="its value turns"
        ),
        pytest.param("", NODE_UPDATE, tainted(""), tainted("gpu:S"), False, id="a taint comes"),
        pytest.param(
            "", NODE_UPDATE, tainted(""), tainted("", disk="ssd"), False, id="it let pods in before"
        ),
        pytest.param("", NODE_DELETE, tainted("gpu:S"), None, False, id="a node goes"),
    ],
)
def test_what_may_help(pod, name, old, new, expected):
    state = zoned_cluster("a", "b")
    row = state.nodes.add(new) if new is not None else 0
    event = ClusterEvent(name, row, old=old, new=new)
    waiting = asks(tolerations=tolerations(pod))
    assert helps(state, "TaintToleration", waiting, event) is expected


def test_a_pod_that_goes_helps_nobody():
    state = zoned_cluster("a", "b")
    assert not helps(state, "TaintToleration", asks(), gone(state, asks()))
