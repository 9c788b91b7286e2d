from __future__ import annotations

import json
import math
import re

import pandas as pd
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
import yaml

from schedlab.errors import InputError
from schedlab.record import rundir
from schedlab.record.rundir import (
    RunKey,
    Runs,
    config_hash,
    find_runs,
    read_run,
    remove_partial,
    verify,
    write_run,
    write_summary,
)
from schedlab.record.schema import TABLES
from schedlab.record.wallclock import Lap

CONFIG = {"cluster": {"pools": [{"count": 3}]}, "note": "für später"}
KEY = RunKey("load=0.8", "kube-scheduler", 1)


def write(root, record, key=KEY, **more):
    return write_run(root, key, record, config=CONFIG, experiment="quick", **more)


def test_layout(record, tmp_path):
    run = write(tmp_path, record, laps=[Lap("simulate", 1.5, 1.0, 1000)])
    assert run.path == tmp_path / "scenario=load=0.8" / "scheduler=kube-scheduler" / "seed=1"
    expected = {f"{name}.parquet" for name in TABLES} | {
        "config.yaml",
        "manifest.json",
        "wallclock.parquet",
    }
    assert {path.name for path in run.path.iterdir()} == expected
    assert run.table("wallclock").to_dict("records") == [
        {"phase": "simulate", "wall_s": 1.5, "cpu_s": 1.0, "peak_memory_bytes": 1000}
    ]


def test_read_back_is_what_was_written(record, tmp_path):
    written = write(tmp_path, record)
    read = read_run(written.path)
    assert read is not None
    assert read.key == KEY
    assert read.config() == CONFIG
    assert json.loads(json.dumps(written.manifest)) == read.manifest
    assert read.metrics()["pods_placed"] == 10
    assert len(read.table("pods")) == 12


def test_manifest_says_where_the_result_comes_from(record, tmp_path):
    manifest = write(tmp_path, record, inputs={"trace.csv": "ab" * 32}).manifest
    assert manifest["counts"]["arrived"] == 12
    assert manifest["rows"]["pods"] == 12
    assert manifest["digest"] == record.digest
    assert manifest["end_us"] == 100_000_000
    assert manifest["notes"] == ["made by hand"]
    assert manifest["inputs"] == {"trace.csv": "ab" * 32}
    assert {"python", "schedlab", "numpy"} <= set(manifest["versions"])
    assert "wallclock.parquet" not in manifest["files"]
    assert "makespan_seconds" in manifest["lower_bounds"]
    commit = manifest["commit"]
    assert commit is None or re.fullmatch(r"[0-9a-f]{40}(-dirty)?", commit)


def test_same_run_same_bytes_outside_the_wall_clock(record, tmp_path):
    one = write(tmp_path / "one", record, laps=[Lap("simulate", 1.0, 1.0, 1)])
    two = write(tmp_path / "two", record, laps=[Lap("simulate", 2.0, 2.0, 2)])
    for path in one.path.iterdir():
        same = path.read_bytes() == (two.path / path.name).read_bytes()
        assert same == (path.name != "wallclock.parquet")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda path: (path / "manifest.json").unlink(), id="no manifest"),
        pytest.param(lambda path: (path / "manifest.json").write_text("{"), id="half a manifest"),
        pytest.param(lambda path: (path / "manifest.json").write_text("[]"), id="not a manifest"),
        pytest.param(lambda path: (path / "pods.parquet").unlink(), id="table missing"),
        pytest.param(lambda path: (path / "pods.parquet").write_bytes(b""), id="table cut"),
    ],
)
def test_incomplete_run_is_not_there(record, tmp_path, change):
    run = write(tmp_path, record)
    assert find_runs(tmp_path) == [run]
    change(run.path)
    assert read_run(run.path) is None
    assert find_runs(tmp_path) == []


def test_verify_names_what_was_changed(record, tmp_path):
    run = write(tmp_path, record)
    assert verify(run) == []
    path = run.path / "config.yaml"
    path.write_text(path.read_text().replace("3", "4"))
    assert verify(run) == ["config.yaml"]


def test_a_second_run_takes_the_place_of_the_first(record, build, tmp_path):
    write(tmp_path, record)
    empty = build([build.node("a", 1, 1)], [], 10)
    run = write(tmp_path, empty)
    assert read_run(run.path).manifest["counts"]["arrived"] == 0
    assert [path.name for path in run.path.parent.iterdir()] == ["seed=1"]


def test_failed_write_leaves_nothing_and_keeps_the_earlier_run(record, tmp_path, monkeypatch):
    run = write(tmp_path, record)

    def interrupted(laps):
        raise KeyboardInterrupt

    monkeypatch.setattr(rundir, "_laps_table", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, record)
    assert [path.name for path in run.path.parent.iterdir()] == ["seed=1"]
    assert verify(read_run(run.path)) == []


def test_leftovers_of_killed_runs_are_ignored_and_removed(record, tmp_path):
    run = write(tmp_path, record)
    for name in (".seed=2.partial-77", ".seed=1.old-77"):
        leftover = run.path.with_name(name)
        leftover.mkdir()
        (leftover / "manifest.json").write_text((run.path / "manifest.json").read_text())
    assert find_runs(tmp_path) == [run]
    assert remove_partial(tmp_path) == 2
    assert [path.name for path in run.path.parent.iterdir()] == ["seed=1"]


@pytest.mark.parametrize(
    "scenario",
    [
        pytest.param("load=0.8,nodes=10", id="several axes"),
        pytest.param("path/to/trace.csv", id="slash"),
        pytest.param("..", id="dots"),
        pytest.param("größe: 5 %", id="not ASCII"),
        pytest.param("x" * 300, id="too long for a file name"),
        pytest.param("", id="empty"),
    ],
)
def test_any_name_is_one_folder(record, tmp_path, scenario):
    key = RunKey(scenario, "my_sched.py:WorstFit", 1)
    run = write(tmp_path, record, key)
    assert len(run.path.relative_to(tmp_path).parts) == 3
    assert find_runs(tmp_path)[0].key == key


def test_long_names_with_one_beginning_stay_apart(tmp_path):
    names = ["x" * 300 + end for end in "ab"]
    assert len({RunKey(name, "s", 1).path(tmp_path) for name in names}) == 2


def test_arrow_reads_the_folders_as_partitions(record, tmp_path):
    write(tmp_path, record, RunKey("load=0.8,nodes=10", "a", 3))
    files = sorted(str(path) for path in tmp_path.glob("**/pods.parquet"))
    table = ds.dataset(files, partitioning="hive", partition_base_dir=str(tmp_path)).to_table()
    assert set(table.column("scenario").to_pylist()) == {"load=0.8,nodes=10"}
    assert set(table.column("seed").to_pylist()) == {3}


def test_runs_are_found_in_order_and_once(record, tmp_path):
    keys = [RunKey("s", "b", 10), RunKey("s", "b", 2), RunKey("s", "a", 2)]
    for key in keys:
        write(tmp_path, record, key)
    single = keys[0].path(tmp_path)
    assert [run.key for run in find_runs(tmp_path, single)] == sorted(keys)
    assert [run.key for run in find_runs(single)] == [keys[0]]


def test_results_that_are_not_there(tmp_path):
    with pytest.raises(InputError, match="expected a directory with results"):
        find_runs(tmp_path / "nowhere")


def test_runs_read_tables_with_their_keys_in_front(record, tmp_path):
    for seed in (1, 2):
        write(tmp_path, record, RunKey("s", "a", seed))
    runs = Runs(find_runs(tmp_path))
    assert list(runs.pods.columns[:4]) == ["experiment", "scenario", "scheduler", "seed"]
    assert runs.pods.groupby("seed").size().to_dict() == {1: 12, 2: 12}
    assert runs.pods["created_us"].dtype == pd.Int64Dtype()
    assert len(runs.nodes) == 6
    assert len(runs.decisions) == 26
    assert runs.samples.empty
    assert runs.notes == ["made by hand (2 of 2 runs)"]
    assert len(runs.summary) == 2
    assert Runs([]).pods.empty


def test_summary_has_one_row_a_run_and_described_metrics(record, build, tmp_path):
    write(tmp_path, record, RunKey("s", "a", 1))
    write(tmp_path, build([build.node("a", 1, 1)], [], 10), RunKey("s", "a", 2))
    frame = write_summary(tmp_path)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "runs.parquet"), frame)
    assert frame["seed"].tolist() == [1, 2]
    assert frame["count_arrived"].tolist() == [12, 0]
    assert frame["makespan_seconds"].iloc[0] == 90
    assert math.isnan(frame["makespan_seconds"].iloc[1])
    assert "makespan_seconds" in frame["lower_bounds"].iloc[0].split(",")
    field = pq.read_schema(tmp_path / "runs.parquet").field("makespan_seconds")
    assert field.metadata[b"unit"] == b"s"
    assert field.metadata[b"better"] == b"lower"


def test_config_hash_ignores_the_order_of_keys():
    assert config_hash({"a": 1, "b": 2}) == config_hash({"b": 2, "a": 1})
    assert config_hash({"a": 1}) != config_hash({"a": 2})


def test_run_id_depends_on_config_seed_and_inputs(record, tmp_path):
    ids = [
        write(tmp_path, record).manifest["run_id"],
        write(tmp_path, record, RunKey("load=0.8", "kube-scheduler", 2)).manifest["run_id"],
        write(tmp_path, record, inputs={"x": "1"}).manifest["run_id"],
        write_run(tmp_path, KEY, record, config={}).manifest["run_id"],
    ]
    assert len(set(ids)) == 4
    assert write(tmp_path, record).manifest["run_id"] == ids[0]
    assert write(tmp_path, record, run_id="mine").manifest["run_id"] == "mine"


def test_config_is_plain_yaml(record, tmp_path):
    run = write(tmp_path, record)
    assert yaml.safe_load((run.path / "config.yaml").read_text(encoding="utf-8")) == CONFIG
