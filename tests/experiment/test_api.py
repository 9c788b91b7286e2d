"""The public functions, as a notebook calls them."""

import gc
import subprocess
import sys

import pandas as pd
import pytest

import schedlab
from schedlab.errors import InputError
from schedlab.testing.experiments import small_experiment

NODES = pd.DataFrame({"name": ["a", "b"], "cpu": [4, 4], "memory": "8Gi", "zone": ["x", "y"]})
PODS = pd.DataFrame(
    {
        "cpu": [1, 3, 2, 3],
        "memory": "1Gi",
        "duration_s": [60, 60, 30, 30],
        "arrival_s": [0, 1, 2, 3],
    }
)


def last_node(pod, view):
    rows = view.feasible(pod)
    return rows[-1] if len(rows) else None


def whole_batch(pods, view, rng):
    placement = schedlab.Placement.of(pods)
    for i, pod in enumerate(pods):
        rows = view.feasible(pod)
        if len(rows):
            placement.place(i, rows[0])
    return placement


class Counting:
    """Remembers how often it was asked: one instance must not serve two runs."""

    def __init__(self):
        self.asked = 0

    def schedule(self, pods, view, rng):
        self.asked += 1
        placement = whole_batch(pods, view, rng)
        placement.work = [self.asked] * len(pods)
        return placement


def test_all_names_are_there():
    assert set(schedlab.__all__) == {*schedlab._HOMES, "__version__"}
    for name in schedlab.__all__:
        assert getattr(schedlab, name) is not None
        assert name in dir(schedlab)
    with pytest.raises(AttributeError, match="nothing"):
        schedlab.nothing  # noqa: B018


def test_importing_is_light():
    code = (
        "import sys, schedlab; schedlab.Placement;"
        "heavy = {'pandas', 'matplotlib', 'scipy', 'pyarrow', 'typer'} & set(sys.modules);"
        "print(sorted(heavy), schedlab.__version__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]", schedlab.__version__]


def test_simulate_data_frames_with_all_kinds_of_schedulers():
    results = schedlab.simulate(
        NODES, PODS, ["first-fit", last_node, whole_batch, Counting], seeds=2
    )
    assert list(dict.fromkeys(results.runs["scheduler"])) == [
        "first-fit",
        "last_node",
        "whole_batch",
        "Counting",
    ]
    assert (results.runs["pods_succeeded"] == 4).all()
    first = results.pods.groupby("scheduler")["node"].first()
    assert first.to_dict() == {
        "first-fit": "a",
        "last_node": "b",
        "whole_batch": "a",
        "Counting": "a",
    }


def test_each_run_has_an_instance_of_its_own():
    mine = Counting()
    results = schedlab.simulate(NODES, PODS, {"mine": mine}, seeds=2)
    assert mine.asked == 0
    assert results.decisions.groupby("seed")["work"].min().tolist() == [1, 1]


def test_simulate_takes_what_stands_in_an_experiment():
    small = small_experiment()
    results = schedlab.simulate(
        small["cluster"],
        small["workload"],
        ["best-fit"],
        control_plane="ideal",
        until="20s",
        warm_up="1s",
        sample_period=5,
    )
    (run,) = results.directories
    assert run.manifest["end_us"] <= 20_000_000
    assert run.manifest["warmup_us"] == 1_000_000
    assert results.samples["time_us"].diff().max() == 5_000_000


def test_the_same_call_gives_the_same_results(tmp_path):
    one = schedlab.simulate(NODES, PODS, ["random"], seeds=[4], out=tmp_path / "one")
    two = schedlab.simulate(NODES, PODS, ["random"], seeds=[4], out=tmp_path / "two")
    assert one.runs["digest"].tolist() == two.runs["digest"].tolist()
    pd.testing.assert_frame_equal(schedlab.load(tmp_path / "one").pods, two.pods)


def test_temporary_results_go_away():
    results = schedlab.simulate(NODES, PODS, ["first-fit"])
    folder = results.directories[0].path
    assert folder.is_dir()
    del results
    gc.collect()
    assert not folder.exists()


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        pytest.param({"schedulers": []}, "at least one", id="no scheduler"),
        pytest.param({"schedulers": "first-fit"}, "a list", id="a name instead of a list"),
        pytest.param({"schedulers": ["first-fti"]}, "first-fit", id="unknown name"),
        pytest.param({"schedulers": [3]}, "a name, a scheduler or a function", id="number"),
        pytest.param({"schedulers": [last_node, last_node]}, "unique names", id="twice"),
        pytest.param({"control_plane": "fast"}, "control_plane", id="profile"),
        pytest.param({"cluster": NODES.assign(cpus=1)}, "cpus", id="unknown column"),
        pytest.param({"workload": PODS.assign(cpu="x")}, "row 0: cpu", id="bad cell"),
        pytest.param({"until": "soon"}, "soon", id="until"),
    ],
)
def test_bad_calls(changes, text):
    arguments = {"cluster": NODES, "workload": PODS, "schedulers": ["first-fit"], **changes}
    with pytest.raises(InputError) as caught:
        schedlab.simulate(**arguments)
    assert text in str(caught.value)


def test_run_from_values_with_settings(tmp_path):
    results = schedlab.run(
        small_experiment(), settings={"seeds": 1, "workload.items.task.count": 3}, out=tmp_path
    )
    assert results.runs["pods_arrived"].tolist() == [11, 11]
    with pytest.raises(InputError, match="settings sedes"):
        schedlab.run(small_experiment(), settings={"sedes": 1})


def test_run_without_a_place_is_temporary():
    results = schedlab.run(small_experiment(seeds=1))
    folder = results.directories[0].path
    assert folder.is_dir()
    del results
    gc.collect()
    assert not folder.exists()


def test_an_experiment_as_a_model():
    from schedlab.experiment.config import read_source
    from schedlab.experiment.matrix import scenarios

    experiment = scenarios(read_source(small_experiment(seeds=1)))[0].experiment
    assert isinstance(experiment, schedlab.Experiment)
    assert len(schedlab.run(experiment)) == 2


def test_compare_several_results():
    one = schedlab.simulate(NODES, PODS, ["first-fit"], name="one")
    two = schedlab.simulate(NODES, PODS, ["worst-fit"], name="one")
    found = schedlab.compare(one, two, metrics=["wait_p99"])
    assert found["scheduler"].tolist() == ["first-fit", "worst-fit"]
    assert found["difference"].notna().tolist() == [False, True]
    with pytest.raises(InputError, match="at least one Results"):
        schedlab.compare()
