import sys

import pytest

from schedlab.errors import InputError
from schedlab.rng import Draws
from schedlab.scheduling import registry
from schedlab.scheduling.base import PodBatch
from schedlab.scheduling.registry import SCHEDULERS, describe, load_scheduler
from schedlab.scheduling.view import ClusterView
from schedlab.testing.conformance import random_cluster

OWN = '''
from schedlab.scheduling.base import Placement

class Mine:
    """Mine."""

    def __init__(self, weight=1):
        self.weight = weight

    def schedule(self, pods, view, rng):
        return Placement.of(pods)

def plain(pods, view, rng):
    return Placement.of(pods)

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
