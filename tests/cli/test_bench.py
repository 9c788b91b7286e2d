"""``schedlab bench``, as a user types it."""

import json
import os
import re

import pytest
from typer.testing import CliRunner

from schedlab.cli import app
from schedlab.experiment import bench_specs

ENVIRONMENT = {**os.environ, "COLUMNS": "160", "NO_COLOR": "1", "TERM": "dumb"}


def schedlab(*arguments, code=0):
    """Run a command and return what it printed."""
    found = CliRunner().invoke(app, list(map(str, arguments)), env=ENVIRONMENT)
    assert found.exit_code == code, found.output
    return re.sub(r"\x1b\[[0-9;]*m", "", found.output)


def test_list_names_workloads_sizes_and_thresholds():
    text = schedlab("bench", "--list")
    assert all(name in text for name in bench_specs.workloads())
    assert "5000Nodes_10000Pods" in text
    assert "680/s" in text
    assert "(schedlab's own)" in text


def test_a_benchmark_is_printed_and_written(tmp_path):
    file = tmp_path / "b.json"
    text = schedlab("bench", "SchedulingBasic/500Nodes", "--json", file)
    assert "SchedulingBasic/500Nodes: " in text
    assert re.search(r"500 +1,000 +100 +[\d,]+ +\S+ / \S+ / \S+ ", text)
    assert re.search(r"795 \(x [\d.,k]+\)", text)
    assert "all nodes" in text
    (found,) = json.loads(file.read_text())["benchmarks"]
    assert (found["workload"], found["scheduled"]) == ("SchedulingBasic", 1_000)


def test_sizes_schedulers_and_batches_of_ones_own():
    text = schedlab(
        "bench", "SchedulingBasic", "--nodes", 7, "--pods", 300, "--scheduler", "best-fit",
        "--batch", 5,
    )  # fmt: skip
    assert re.search(r"\b7 +300 +5 ", text)
    # 7 nodes of 4 cores take 280 pods of 100m, of which init has 1,000 * 7 / 5,000 = 1
    assert "- SchedulingBasic: 21 pods not placed, 0 evicted" in text


def test_all_goes_on_where_one_fails(tmp_path, monkeypatch):
    (tmp_path / "own.py").write_text(
        "from schedlab.scheduling.base import Placement\n"
        "class First:\n"
        "    def schedule(self, pods, view, rng):\n"
        "        placement = Placement.of(pods)\n"
        "        for i in range(len(pods)):\n"
        "            placement.place(i, 0)\n"
        "        return placement\n"
    )
    every = bench_specs.workloads()
    monkeypatch.setattr(
        bench_specs,
        "workloads",
        lambda: {name: every[name] for name in ("SchedulingBasic", "SchedulingWhileGated")},
    )
    file = tmp_path / "b.json"
    text = schedlab(
        "bench", "--all", "--nodes", 5, "--pods", 50, "--json", file,
        "--scheduler", f"{tmp_path}/own.py:First", code=1,
    )  # fmt: skip
    assert "error: SchedulingBasic: " in text
    assert "SchedulingWhileGated/own: " in text
    written = json.loads(file.read_text())
    assert [found["workload"] for found in written["benchmarks"]] == ["SchedulingWhileGated"]
    assert "at most 4000" in written["failed"]["SchedulingBasic"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        pytest.param(["SchedulingBasik"], "did you mean 'SchedulingBasic'", id="name"),
        pytest.param(["SchedulingBasic/7Nodes"], "one of 5000Nodes_10000Pods", id="size"),
        pytest.param(["SchedulingBasic", "--all"], "or --all", id="both"),
        pytest.param(["--pods", "3"], "or --all", id="neither"),
        pytest.param(["SchedulingWhileGated", "--nodes", "2"], "are fixed", id="nodes"),
        pytest.param(["SchedulingBasic", "--scheduler", "bst-fit"], "'best-fit'", id="scheduler"),
        pytest.param(
            ["SchedulingBasic", "--scheduler", "best-fit", "--sampled"], "--sampled", id="sampled"
        ),
    ],
)
def test_bad_questions(arguments, text):
    said = schedlab("bench", *arguments, code=2)
    assert said.startswith("error: ")
    assert text in said


def test_help_has_examples():
    assert "schedlab bench --all --json bench.json" in " ".join(schedlab("bench", "--help").split())
