import sys

import pytest

from schedlab.errors import InputError
from schedlab.rng import Draws
from schedlab.scheduling import registry
from schedlab.scheduling.base import PodBatch
from schedlab.scheduling.registry import SCHEDULERS, describe, load_scheduler
from schedlab.scheduling.view import ClusterView
from schedlab.testing.conformance import check_scheduler, pending, random_cluster
from schedlab.testing.runs import pod_template, small_node

OWN = '''
from schedlab import Placement, Trigger, scheduler

class Mine:
    """Mine."""

    def __init__(self, weight=1):
        self.weight = weight

    def schedule(self, pods, view, rng):
        return Placement.of(pods)

def plain(pods, view, rng):
    return Placement.of(pods)

def each(pod, view):
    rows = view.feasible(pod)
    return rows[-1] if len(rows) else None

@scheduler(trigger=Trigger(max_pods=4), tags=frozenset())
def decorated(pods, view, rng):
    """Takes four."""
    return Placement.of(pods)

def odd(pods):
    return None

instance = Mine(5)
nothing = 3
'''


@pytest.fixture
def own(tmp_path):
    (tmp_path / "my_sched.py").write_text(OWN)
    return tmp_path


@pytest.mark.parametrize("name", SCHEDULERS)
def test_built_in_names(name):
    assert callable(load_scheduler(name).schedule)
    assert describe(name).endswith(".")


def test_a_class_in_a_file_with_options(own):
    assert load_scheduler("my_sched.py:Mine", {"weight": 3}, own).weight == 3
    assert load_scheduler(f"{own}/my_sched.py:Mine").weight == 1


def test_an_instance_and_a_function(own):
    assert load_scheduler("my_sched.py:instance", base=own).weight == 5
    found = load_scheduler("my_sched.py:plain", base=own)
    answer = found.schedule(PodBatch([]), ClusterView(random_cluster(0)), Draws(0))
    assert answer.node == []


def test_a_function_of_one_pod_sees_what_the_pods_before_it_took(own):
    found = load_scheduler("my_sched.py:each", base=own)
    state = random_cluster(0, 0)
    for name in ("a", "b"):
        state.nodes.add(small_node(name, cpu=1_500))
    pod_class = state.classes.intern("default", pod_template(1_000).spec, 0)
    batch = PodBatch([pending(pod_class, row) for row in range(3)])
    answer = found.schedule(batch, ClusterView(state), Draws(0))
    assert answer.node == [1, 0, -1]
    assert answer.reason[2] == "the function chose no node"
    assert state.node_of == {}
    assert found.schedule(batch, ClusterView(state), Draws(0)).node == [1, 0, -1]
    check_scheduler(lambda: load_scheduler("my_sched.py:each", base=own))


def test_a_decorated_function(own):
    found = load_scheduler("my_sched.py:decorated", base=own)
    assert (found.trigger.max_pods, found.tags, found.__doc__) == (4, frozenset(), "Takes four.")


def test_a_file_that_fails_names_the_line_that_did(tmp_path):
    (tmp_path / "bad.py").write_text("x = 1\n\ny = 1 / 0\n")
    with pytest.raises(InputError, match=r"bad.py: line 3: expected .*ZeroDivisionError"):
        load_scheduler("bad.py:X", base=tmp_path)


def test_a_class_in_a_module():
    found = load_scheduler("schedlab.scheduling.heuristics:BestFit")
    assert type(found).__name__ == "BestFit"


def test_an_announced_scheduler(monkeypatch):
    class Point:
        name = "theirs"

        @staticmethod
        def load():
            from schedlab.scheduling.heuristics import WorstFit

            return WorstFit

    monkeypatch.setattr(registry, "entry_points", lambda group: [Point])
    assert type(load_scheduler("theirs")).__name__ == "WorstFit"


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        pytest.param("best-fitt", {}, "did you mean 'best-fit'?", id="a typing error"),
        pytest.param("my_sched.py:Mien", {}, "did you mean 'Mine'?", id="no such class"),
        pytest.param("other.py:Mine", {}, "expected a Python file", id="no such file"),
        pytest.param(":Mine", {}, "expected path/to/file.py:Class", id="no module at all"),
        pytest.param("..up:Mine", {}, "expected path/to/file.py:Class", id="a relative module"),
        pytest.param("my_sched.py:odd", {}, "f(pod, view) -> node", id="function of one"),
        pytest.param("no.such.module:X", {}, "a module to import", id="no such module"),
        pytest.param("my_sched.py:Mine", {"wieght": 1}, "did you mean 'weight'?", id="option"),
        pytest.param("my_sched.py:plain", {"x": 1}, "it is a function", id="function option"),
        pytest.param("my_sched.py:instance", {"x": 1}, "it is an instance", id="instance option"),
        pytest.param("my_sched.py:nothing", {}, "a method schedule", id="not a scheduler"),
        pytest.param("kube-scheduler", {"tie_break": "coin"}, "random or first", id="bad value"),
        pytest.param(
            "kube-scheduler", {"percentage_of_nodes_to_score": 200}, "0 to 100", id="bad share"
        ),
    ],
)
def test_what_can_not_be_loaded_is_a_clear_error(own, name, options, message):
    with pytest.raises(InputError) as caught:
        load_scheduler(name, options, own)
    assert message in str(caught.value)


def test_a_file_that_does_not_parse_names_its_line(tmp_path):
    (tmp_path / "bad.py").write_text("x = 1\ndef broken(:\n")
    with pytest.raises(InputError, match=r"bad.py: line 2: expected valid Python"):
        load_scheduler("bad.py:X", base=tmp_path)


def test_a_file_may_import_its_neighbour(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.path", list(sys.path))
    (tmp_path / "ranking_of_mine.py").write_text("BEST = 7\n")
    (tmp_path / "uses_it.py").write_text(
        "from ranking_of_mine import BEST\n"
        "class Uses:\n"
        "    best = BEST\n"
        "    def schedule(self, pods, view, rng): ...\n"
    )
    assert load_scheduler("uses_it.py:Uses", base=tmp_path).best == 7


def test_a_missing_import_is_a_clear_error(tmp_path):
    (tmp_path / "needs.py").write_text("import no_such_library_anywhere\n")
    with pytest.raises(InputError, match="No module named 'no_such_library_anywhere'"):
        load_scheduler("needs.py:X", base=tmp_path)
