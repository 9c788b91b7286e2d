"""The commands, as a user types them."""

import contextlib
import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from schedlab.cli import app
from schedlab.testing.experiments import small_experiment

COMMANDS = (
    "run",
    "validate",
    "init",
    "compare",
    "report",
    "plot",
    "trace",
    "why",
    "decide",
    "explain",
    "list",
    "schema",
    "fetch",
)
ENVIRONMENT = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}


def schedlab(*arguments, code=0):
    """Run a command and return what it printed."""
    found = CliRunner().invoke(app, list(map(str, arguments)), env=ENVIRONMENT)
    assert found.exit_code == code, found.output
    return re.sub(r"\x1b\[[0-9;]*m", "", found.output)


@pytest.fixture
def small(tmp_path):
    """The file of the small experiment."""
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(small_experiment()))
    return path


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Results of the small experiment; not to be changed."""
    folder = tmp_path_factory.mktemp("cli")
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(small_experiment()))
    schedlab("run", path, "--out", folder / "out")
    return folder / "out"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command):
    text = schedlab(command, "--help")
    assert f"schedlab {command} " in text


def test_help_lists_all_commands():
    text = schedlab("--help")
    assert all(f" {command} " in text for command in COMMANDS)


def test_help_is_light():
    code = (
        "import sys; from schedlab.cli import app;"
        "print(sorted({'pandas', 'numpy', 'matplotlib', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_version():
    assert re.match(r"schedlab \d+\.\d+\.\d+.*, Python 3\.", schedlab("--version"))


# --- run ------------------------------------------------------------------------------------------


def test_run_prints_the_comparison_and_writes_everything(results):
    assert (results / "report.html").stat().st_size > 10_000
    assert {p.name for p in (results / "plots").iterdir()} == {
        "utilization.png",
        "wait.png",
        "waterfall.png",
    }
    assert len(pd.read_parquet(results / "runs.parquet")) == 4


def test_run_says_how_far_it_is_in_plain_lines(small, tmp_path):
    text = schedlab("run", small, "--out", tmp_path / "o", "--no-report", "--jobs", 2)
    assert "4 runs\n" in text
    assert re.search(r"1/4 runs, \S+ simulated, [\d,]+ pods placed, ETA \d+ s", text)
    assert re.search(r"4/4 runs, .* pods placed\n", text)
    assert "first-fit" in text
    assert "▲ better" in text
    assert not (tmp_path / "o" / "report.html").exists()


def test_run_with_seeds_settings_and_resume(small, tmp_path):
    out = tmp_path / "o"
    options = ["--out", out, "--no-report", "--set", "workload.items.task.count=3"]
    schedlab("run", small, *options, "--seeds", "4,7")
    text = schedlab("run", small, *options, "--seeds", "4,7,9", "--resume")
    assert "6 runs, 4 there already" in text
    assert set(pd.read_parquet(out / "runs.parquet")["seed"]) == {4, 7, 9}
    assert "5/6 runs" in text


def test_dry_run_runs_nothing(small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = schedlab("run", small, "--dry-run", "--seeds", 3)
    assert "= 6 runs into results/small" in text
    assert "4 nodes, 30 bare pods" in text
    assert not (tmp_path / "results").exists()


def test_a_comma_makes_a_number_the_one_seed(small):
    assert "(seed 42)" in schedlab("run", small, "--dry-run", "--seeds", "42,")


def test_one_seed_and_nothing_scarce_are_said(small, tmp_path):
    text = schedlab(
        "run", small, "--out", tmp_path / "o", "--no-report", "--seeds", 1,
        "--set", "cluster.pools.node.count=50",
    )  # fmt: skip
    assert "Nothing was scarce" in text
    assert "One seed" in text
    assert "nan" not in text.lower()


def test_a_scheduler_of_ones_own_relative_to_the_experiment(small, tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(
        "from schedlab.scheduling.heuristics import BestFit as Mine\n"
    )
    monkeypatch.chdir(tmp_path.parent)
    text = schedlab(
        "run", small, "--out", tmp_path / "o", "--no-report", "--seeds", 1,
        "--set", f"schedlers=[first-fit, {tmp_path.name}/mine.py:Mine]",
        code=2,
    )  # fmt: skip
    assert "nearest valid key: schedulers" in text
    text = schedlab(
        "run", small, "--out", tmp_path / "o", "--no-report", "--seeds", 1,
        "--set", f"schedulers=[first-fit, {tmp_path.name}/mine.py:Mine]",
    )  # fmt: skip
    assert "Mine" in text


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        pytest.param(["nowhere.yaml"], "found 'nowhere.yaml'", id="no file"),
        pytest.param(["quikstart"], "did you mean quickstart", id="no such name"),
        pytest.param(["quickstart", "--set", "seeds"], "key=value", id="no value"),
        pytest.param(["quickstart", "--set", "seds=1"], "nearest valid key: seeds", id="key"),
        pytest.param(["quickstart", "--seeds", "many"], "--seeds: expected a number", id="seeds"),
        pytest.param(["quickstart", "--seeds", "0"], "--seeds seeds: expected", id="no seeds"),
    ],
)
def test_bad_runs(arguments, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = schedlab("run", *arguments, code=2)
    assert said.startswith("error: ")
    assert text in said
    assert "Traceback" not in said
    assert not (tmp_path / "results").exists()


def test_an_interrupt_says_how_to_go_on(tmp_path):
    path = tmp_path / "long.yaml"
    path.write_text(yaml.safe_dump(small_experiment(seeds=400)))
    command = [
        sys.executable,
        "-m",
        "schedlab",
        "run",
        path,
        "--out",
        tmp_path / "o",
        "--jobs",
        "2",
    ]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    for _ in range(600):
        if list(tmp_path.glob("o/**/manifest.json")):
            break
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.1)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all processes
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert re.search(r"interrupted: [1-9]\d* of 800 runs are finished", err)
    assert "--resume" in err
    assert "Traceback" not in out + err
    assert not list(tmp_path.glob("o/**/.seed*"))


def test_a_reader_that_has_seen_enough():
    done = subprocess.run(
        f"{sys.executable} -m schedlab schema | head -n 1",
        shell=True,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "{\n"
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


# --- results --------------------------------------------------------------------------------------


def test_compare_as_table_markdown_and_csv(results):
    table = schedlab("compare", results, "--metric", "wait_p99", "--differences")
    assert "wait p99" in table
    assert "smallest detectable" in table
    markdown = schedlab("compare", results, "--format", "markdown")
    assert markdown.count("\n|---|") == 1
    rows = list(csv.DictReader(io.StringIO(schedlab("compare", results, "--format", "csv"))))
    assert {row["scheduler"] for row in rows} == {"first-fit", "worst-fit"}


def test_compare_with_another_baseline(results):
    text = schedlab(
        "compare", results, "--baseline", "worst-fit", "--format", "csv", "--metric", "makespan"
    )
    assert {row["baseline"] for row in csv.DictReader(io.StringIO(text))} == {"worst-fit"}


def test_report_and_plot(results, tmp_path):
    schedlab("report", results, "--out", tmp_path / "r.html")
    assert "<svg" in (tmp_path / "r.html").read_text()
    schedlab("plot", results, "--kind", "heatmap", "--out", tmp_path / "h.svg")
    assert "<svg" in (tmp_path / "h.svg").read_text()
    schedlab("plot", results, "--kind", "utilization", "--resource", "memory",
             "--out", tmp_path / "u.png")  # fmt: skip
    assert (tmp_path / "u.png").read_bytes().startswith(b"\x89PNG")


def test_trace_and_why(results):
    way = schedlab("trace", results, "--pod", "task-0003")
    stages = ["create request", "chose a node", "the binding", "containers run", "containers ended"]
    places = [way.index(stage) for stage in stages]
    assert places == sorted(places)
    assert "first-fit, seed 0" in way
    text = schedlab("why", results, "--pod", "task-0003", "--scheduler", "worst-fit", "--seed", 1)
    assert text.startswith("default/task-0003 ")
    pods = pd.concat(
        pd.read_parquet(p) for p in results.glob("**/scheduler=first-fit/seed=0/pods.parquet")
    )
    waited = pods.sort_values("attempts")["pod"].iloc[-1]
    text = schedlab("why", results, "--pod", waited)
    assert "0/4 nodes are available" in text
    assert "Insufficient cpu" in text


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        pytest.param(["plot", "DIR", "--kind", "pie"], "one of utilization", id="kind"),
        pytest.param(["plot", "DIR", "--out", "x.xyz"], "a file ending in", id="ending"),
        pytest.param(["compare", "DIR", "--metric", "wait_p98"], "wait_p9", id="metric"),
        pytest.param(["compare", "nowhere"], "a directory with results", id="directory"),
        pytest.param(["trace", "DIR", "--pod", "nope"], "--pod: expected the name", id="pod"),
        pytest.param(["why", "DIR", "--pod", "task"], "one pod of the 30", id="several pods"),
        pytest.param(["trace", "DIR", "--pod", "task-0001", "--seed", "9"], "seed 9", id="seed"),
    ],
)
def test_bad_questions(arguments, text, results):
    said = schedlab(*(str(results) if a == "DIR" else a for a in arguments), code=2)
    assert said.startswith("error: ")
    assert text in said


def test_a_place_that_cannot_be_written(results, tmp_path):
    (tmp_path / "file").touch()
    said = schedlab("report", results, "--out", tmp_path / "file" / "r.html", code=2)
    assert said.startswith(f"error: {tmp_path / 'file'}")


# --- reference ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "texts"),
    [
        ("schedulers", ["kube-scheduler", "dot-product", "file.py:Class"]),
        ("metrics", ["create_to_schedule_seconds_p99", "wait_p99", "allocation_mean_<resource>"]),
        ("workloads", ["poisson", "closed_loop", "openb", "manifests"]),
        ("experiments", ["quickstart", "openb-replay", "Which scheduler lets pods wait least"]),
    ],
)
def test_list(what, texts):
    found = schedlab("list", what)
    assert all(text in found for text in texts)


@pytest.mark.parametrize("what", ["experiment", "cluster", "workload"])
def test_schema_is_json(what):
    document = json.loads(schedlab("schema", what))
    assert document["type"] == "object"
    assert document["additionalProperties"] is False


def test_fetch_knows_its_traces():
    assert "one of openb" in schedlab("fetch", "nothing", code=2)


def test_init_makes_a_project_that_runs(tmp_path, monkeypatch):
    folder = tmp_path / "study"
    schedlab("init", folder)
    assert {p.name for p in folder.iterdir()} == {
        "experiment.yaml",
        "workload.yaml",
        "my_scheduler.py",
        "notebook.ipynb",
    }
    assert "new or empty" in schedlab("init", folder, code=2)
    monkeypatch.chdir(folder)
    text = schedlab("run", "experiment.yaml", "--seeds", 2, "--no-report",
                    "--set", "workload.horizon=10m")  # fmt: skip
    assert "mine" in text
    assert Path("results/my-study/runs.parquet").is_file()
