"""Runs: the same input gives the same bytes, finished runs are kept, identity says all."""

import os
import shutil
import signal
from pathlib import Path

import pandas as pd
import pytest
import yaml

from schedlab.errors import InputError
from schedlab.experiment.build import code_files
from schedlab.experiment.config import SchedulerSpec
from schedlab.experiment.run import check, execute, make_plan, run_plan
from schedlab.experiment.settings import parse_setting
from schedlab.record.rundir import find_runs
from schedlab.record.schema import OUTCOMES
from schedlab.testing.experiments import small_experiment

OWN = """
class Mine:
    def schedule(self, pods, view, rng):
        from schedlab import Placement
        placement = Placement.of(pods)
        for i, pod in enumerate(pods):
            rows = view.feasible(pod)
            if len(rows):
                placement.place(i, rows[0])
        return placement
"""


def content(root):
    """Return the bytes of all files of all runs, but for measured times."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(Path(root).rglob("*"))
        if path.is_file() and path.name != "wallclock.parquet"
    }


def test_the_same_command_twice_gives_the_same_bytes(plan_of, tmp_path):
    run_plan(plan_of(), tmp_path / "one")
    run_plan(plan_of(), tmp_path / "two")
    one, two = content(tmp_path / "one"), content(tmp_path / "two")
    assert len([name for name in one if name.endswith("pods.parquet")]) == 4
    assert one == two


def test_processes_change_no_byte(plan_of, tmp_path, small_results):
    parallel = run_plan(plan_of(), tmp_path, jobs=2)
    assert content(tmp_path) == content(small_results.directories[0].path.parents[2])
    pd.testing.assert_frame_equal(parallel.runs, small_results.runs)


def test_another_seed_differs_and_schedulers_meet_the_same_pods(small_results):
    digests = {
        (r.key.scheduler, r.key.seed): r.manifest["digest"] for r in small_results.directories
    }
    assert len(set(digests.values())) == 4
    pods = small_results.pods
    same = [
        frame.sort_values(["item", "replica"])[["item", "replica", "duration_us", "created_us"]]
        for _, frame in pods[(pods["seed"] == 1) & (pods["item"] == "task")].groupby("scheduler")
    ]
    pd.testing.assert_frame_equal(*(frame.reset_index(drop=True) for frame in same))


def test_the_books_close(small_results):
    runs = small_results.runs
    ends = runs[[f"count_{outcome}" for outcome in OUTCOMES]].sum(axis=1)
    assert (ends == runs["count_arrived"]).all()
    assert (runs["count_arrived"] == 38).all()


def test_order_is_that_of_the_experiment(plan_of, tmp_path):
    results = run_plan(plan_of(schedulers=["worst-fit", "first-fit"], seeds=[5, 3]), tmp_path)
    assert [(r.key.seed, r.key.scheduler) for r in results.directories] == [
        (5, "worst-fit"),
        (5, "first-fit"),
        (3, "worst-fit"),
        (3, "first-fit"),
    ]


def test_resume_keeps_what_is_there_and_makes_the_rest(plan_of, tmp_path):
    plan = plan_of()
    first = run_plan(plan, tmp_path)
    before = content(tmp_path)
    shutil.rmtree(first.directories[1].path)
    stamps = {r.path: (r.path / "manifest.json").stat().st_mtime_ns for r in first.directories[2:]}
    second = run_plan(plan, tmp_path, resume=True)
    assert content(tmp_path) == before
    assert len(second) == 4
    assert {path: (path / "manifest.json").stat().st_mtime_ns for path in stamps} == stamps


def test_more_seeds_and_schedulers_keep_the_runs_that_are_there(plan_of):
    ids = {(r.key.scheduler, r.key.seed): r.run_id for r in plan_of().runs}
    more = plan_of(schedulers=["first-fit", "random", "worst-fit"], seeds=5, metrics=["wait_p99"])
    assert ids.items() <= {(r.key.scheduler, r.key.seed): r.run_id for r in more.runs}.items()


@pytest.mark.parametrize(
    "setting",
    [
        "workload.items.task.count=29",
        "cluster.pools[0].allocatable.cpu=5",
        "until=1m",
        "warm_up=1s",
        "sample_period=5s",
        "controlPlane.etcd.commit=3ms",
        "schedulers.first-fit.use=best-fit",
        "seeds=[7, 8]",
    ],
)
def test_whatever_changes_a_run_changes_its_id(setting, plan_of):
    ids = [
        {r.run_id for r in plan.runs if r.key.scheduler == "first-fit"}
        for plan in (plan_of(), plan_of(setting))
    ]
    assert not ids[0] & ids[1]


def test_input_files_and_own_code_are_part_of_the_id(tmp_path):
    def ids():
        return {r.key.scheduler: r.run_id for r in make_plan(path).runs}

    path = tmp_path / "x.yaml"
    small = small_experiment(seeds=1, schedulers=["first-fit", "mine.py:Mine"])
    batch = small["workload"]["items"][1] | {"duration": {"empirical": "d.csv", "column": "s"}}
    (tmp_path / "d.csv").write_text("s\n5\n7\n")
    (tmp_path / "w.yaml").write_text(yaml.safe_dump({"items": [batch]}))
    (tmp_path / "mine.py").write_text(OWN)
    path.write_text(yaml.safe_dump(small | {"workload": "w.yaml"}))
    first = ids()
    (tmp_path / "d.csv").write_text("s\n5\n8\n")
    second = ids()
    assert first["first-fit"] != second["first-fit"]
    assert first["Mine"] != second["Mine"]
    (tmp_path / "mine.py").write_text(OWN.replace("[0]", "[-1]"))
    third = ids()
    assert third["first-fit"] == second["first-fit"]
    assert third["Mine"] != second["Mine"]


def test_code_is_followed_to_the_modules_beside_it(tmp_path):
    (tmp_path / "mine.py").write_text("from .near import x\nimport numpy, other.part\n")
    (tmp_path / "near.py").write_text("from . import far\n")
    (tmp_path / "far.py").write_text("import near\n")
    (tmp_path / "unused.py").touch()
    found = code_files(SchedulerSpec(name="m", use="mine.py:Mine"), tmp_path)
    assert sorted(found) == ["code/far.py", "code/mine.py", "code/near.py"]


def test_plugins_that_a_configuration_names_are_code_too(tmp_path):
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "own.py").write_text("import near\n")
    (tmp_path / "conf" / "near.py").touch()
    config = {"profiles": [{"plugins": {"score": {"enabled": [{"name": "own.py:Own"}]}}}]}
    (tmp_path / "conf" / "c.yaml").write_text(yaml.safe_dump(config))
    for given, base in (("conf/c.yaml", tmp_path), (config, tmp_path / "conf")):
        spec = SchedulerSpec(name="k", use="kube-scheduler", options={"config": given})
        assert sorted(code_files(spec, base)) == ["code/near.py", "code/own.py"]


def test_ids_do_not_depend_on_where_files_lie(tmp_path):
    found = []
    for place in ("a", "b/c"):
        folder = tmp_path / place
        folder.mkdir(parents=True)
        (folder / "x.yaml").write_text(yaml.safe_dump(small_experiment()))
        found.append([r.run_id for r in make_plan(folder / "x.yaml").runs])
    assert found[0] == found[1]


def test_a_run_says_what_it_was_made_from(small_results):
    run = small_results.directories[1]
    config = run.config()
    assert config["seeds"] == [0]
    assert [s["name"] for s in config["schedulers"]] == ["worst-fit"]
    assert config["controlPlane"]["etcd"]["commit"] == "2ms"
    assert make_plan(config).runs[0].run_id == run.manifest["run_id"]


def test_a_damaged_run_is_made_again(plan_of, tmp_path):
    plan = plan_of()
    first = run_plan(plan, tmp_path)
    (first.directories[0].path / "pods.parquet").write_bytes(b"")
    run_plan(plan, tmp_path, resume=True)
    assert len(find_runs(tmp_path)) == 4


class Stops:
    """A watcher that interrupts after the first run."""

    def started(self, board, kept):
        self.runs = board.runs

    def finished(self, run):
        os.kill(os.getpid(), signal.SIGINT)

    def stopped(self):
        self.was_stopped = True


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_interrupt_keeps_finished_runs(jobs, plan_of, tmp_path):
    watcher = Stops()
    with pytest.raises(KeyboardInterrupt):
        run_plan(plan_of(seeds=4), tmp_path, jobs=jobs, watcher=watcher)
    assert watcher.was_stopped
    kept = find_runs(tmp_path)
    assert 1 <= len(kept) < 8
    assert not list(tmp_path.rglob(".seed*"))
    assert len(pd.read_parquet(tmp_path / "runs.parquet")) >= 1
    assert len(run_plan(plan_of(seeds=4), tmp_path, resume=True)) == 8


@pytest.mark.parametrize("jobs", [1, 2])
def test_errors_in_workers_keep_their_field(jobs, plan_of, tmp_path):
    plan = plan_of("workload.items.task.requests={cpu: oops}")
    with pytest.raises(InputError) as caught:
        run_plan(plan, tmp_path, jobs=jobs)
    assert caught.value.field.startswith("workload.items[0].requests.cpu")
    assert caught.value.found == "oops"


@pytest.mark.parametrize(
    ("setting", "field"),
    [
        ("schedulers=[first-fti]", "first-fti"),
        ("schedulers=[nowhere.py:Mine]", "Mine"),
        ("schedulers.first-fit.options.x=1", "first-fit"),
    ],
)
def test_schedulers_are_checked_before_anything_runs(setting, field):
    with pytest.raises(InputError) as caught:
        make_plan(small_experiment(), [parse_setting(setting)])
    assert "--set" in str(caught.value) or f"schedulers.{field}" in str(caught.value)


def test_check_builds_every_scenario(plan_of):
    lines = check(plan_of(matrix={"workload.items.task.count": [5, 6]}))
    assert [line.partition(":")[0] for line in lines] == ["task.count=5", "task.count=6"]
    assert "4 nodes, 5 bare pods" in lines[0]
    bad = plan_of("workload.items.task.requests.cpu=-1")
    with pytest.raises(InputError, match=r"workload.items\[0\].requests.cpu.*-1"):
        check(bad)


def test_own_schedulers_run_in_other_processes(tmp_path):
    (tmp_path / "mine.py").write_text(OWN)
    path = tmp_path / "x.yaml"
    path.write_text(yaml.safe_dump(small_experiment(schedulers=["first-fit", "mine.py:Mine"])))
    results = run_plan(make_plan(path), tmp_path / "out", jobs=2)
    assert set(results.runs["scheduler"]) == {"first-fit", "Mine"}
    assert "code/mine.py" in results.directories[1].manifest["inputs"]


def test_execute_alone_is_what_the_plan_makes(plan_of, tmp_path, small_results):
    plan = plan_of()
    run = execute(plan.runs[2], str(tmp_path))
    assert run.manifest == small_results.directories[2].manifest
