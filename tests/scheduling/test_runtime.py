"""How PostFilter plugins are asked in turn (TestPostFilterPlugins of upstream's runtime)."""

import pytest

from schedlab.cluster import ClassTable, ClusterState, ResourceNames
from schedlab.scheduling.framework.evaluation import evaluate_filters
from schedlab.scheduling.framework.interface import (
    Candidate,
    Code,
    Cycle,
    PostFiltered,
    Rejection,
    Victim,
)
from schedlab.scheduling.framework.profiles import Profile
from schedlab.scheduling.framework.runtime import Framework
from schedlab.testing import pod_template, small_node

CLEARED = Candidate(0, (Victim(7, 0),), 0)


class Says:
    """A PostFilter plugin with one answer, which counts how often it is asked."""

    def __init__(self, name, code, *, eligible=True):
        self.name = name
        self.asked = 0
        if code is Code.SUCCESS:
            self._answer = PostFiltered(CLEARED, candidates=(CLEARED,))
        else:
            self._answer = PostFiltered(rejection=Rejection(code, (name,)), eligible=eligible)

    def post_filter(self, cycle, found, framework):
        self.asked += 1
        return self._answer


def ask(*plugins):
    state = ClusterState(ClassTable(ResourceNames()))
    state.nodes.add(small_node())
    profile = Profile(filters=(), scores=(), others={"post_filter": plugins})
    cycle = Cycle(state, state.classes.intern("default", pod_template().spec, 0))
    return Framework(profile).post_filter(cycle, evaluate_filters(profile, cycle))


@pytest.mark.parametrize(
    ("codes", "last", "code", "reasons"),
    [
        pytest.param([Code.UNSCHEDULABLE], 1, Code.UNSCHEDULABLE, ("p0",), id="one that can't"),
        pytest.param(
            [Code.UNSCHEDULABLE, Code.UNSCHEDULABLE],
            2,
            Code.UNSCHEDULABLE,
            ("p0", "p1"),
            id="their reasons add up",
        ),
        pytest.param(
            [Code.UNSCHEDULABLE, Code.SUCCESS, Code.UNSCHEDULABLE],
            2,
            None,
            (),
            id="success ends it, and reasons before it are forgotten",
        ),
        pytest.param(
            [Code.UNSCHEDULABLE_AND_UNRESOLVABLE, Code.SUCCESS],
            1,
            Code.UNSCHEDULABLE_AND_UNRESOLVABLE,
            ("p0",),
            id="nothing will ever help",
        ),
        pytest.param(
            [Code.UNSCHEDULABLE, Code.ERROR, Code.SUCCESS],
            2,
            Code.ERROR,
            ("p1",),
            id="an error ends it, too",
        ),
    ],
)
def test_who_has_the_last_word(codes, last, code, reasons):
    plugins = [Says(f"p{i}", code) for i, code in enumerate(codes)]
    answer = ask(*plugins)
    assert [plugin.asked for plugin in plugins] == [1] * last + [0] * (len(plugins) - last)
    if code is None:
        assert (answer.chosen, answer.rejection) == (CLEARED, None)
    else:
        assert (answer.chosen, answer.rejection) == (None, Rejection(code, reasons))


def test_a_pod_is_eligible_while_nobody_objects():
    yes, no = Says("a", Code.UNSCHEDULABLE), Says("b", Code.UNSCHEDULABLE, eligible=False)
    assert ask(yes).eligible
    assert not ask(yes, no).eligible


def test_without_plugins_nobody_answers():
    assert ask() is None


def test_without_draws_the_search_begins_at_the_first_node():
    state = ClusterState(ClassTable(ResourceNames()))
    cycle = Cycle(state, state.classes.intern("default", pod_template().spec, 0))
    assert Framework(Profile(filters=(), scores=())).offset(cycle, 9) == 0
