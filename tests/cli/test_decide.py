"""``schedlab decide`` and ``explain``, as a user types them."""

import gzip
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from schedlab.cli import app

GOLDEN = Path(__file__).parents[1] / "golden" / "kube-scheduler"
SCENARIO = GOLDEN / "profiles" / "1.json.gz"
ENVIRONMENT = {**os.environ, "NO_COLOR": "1", "TERM": "dumb"}
ENVIRONMENT.pop("COLUMNS", None)

PLUGIN = """
from schedlab.scheduling.framework.interface import Depends


class Last:
    \"\"\"Prefer the last node.\"\"\"

    name = "Last"
    depends = Depends.STATIC

    def score(self, cycle, rows):
        return rows
"""
CONFIG = """
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
profiles:
- plugins:
    score:
      disabled: [{name: "*"}]
      enabled: [{name: "plugins/last.py:Last", weight: 2}]
"""


def schedlab(*arguments, code=0):
    """Run a command and return what it printed."""
    found = CliRunner().invoke(app, list(map(str, arguments)), env=ENVIRONMENT)
    assert found.exit_code == code, found.output
    return re.sub(r"\x1b\[[0-9;]*m", "", found.output)


def recorded(scenario):
    with gzip.open(str(scenario).replace(".json.gz", ".jsonl.gz"), "rt") as file:
        return [json.loads(line) for line in file]


@pytest.fixture
def small(tmp_path):
    """A cluster of two nodes with one pending pod."""
    path = tmp_path / "small.json"
    nodes = [
        {"metadata": {"name": n}, "status": {"allocatable": {"cpu": "1", "pods": "1"}}}
        for n in ("n0", "n1")
    ]
    pod = {"metadata": {"name": "a"}, "spec": {"containers": [{"name": "c"}]}}
    path.write_text(json.dumps({"nodes": nodes, "pods": [pod]}))
    return path


def test_lines_are_those_of_kube_scheduler():
    lines = [json.loads(line) for line in schedlab("decide", SCENARIO).splitlines()]
    assert lines == recorded(SCENARIO)


def test_lines_in_a_file(tmp_path):
    path = tmp_path / "new" / "out.jsonl"
    said = schedlab("decide", SCENARIO, "-o", path)
    lines = recorded(SCENARIO)
    placed = sum(line["chosen"] is not None for line in lines)
    assert f"{len(lines)} pods, {placed} placed" in said
    assert [json.loads(line) for line in path.read_text().splitlines()] == lines
    assert [found.name for found in path.parent.iterdir()] == ["out.jsonl"]


def test_a_file_is_left_alone_when_something_is_wrong(tmp_path, small):
    (tmp_path / "fails.py").write_text(
        "class Fails:\n    def schedule(self, pods, view, rng):\n        raise KeyError('x')\n"
    )
    path = tmp_path / "out.jsonl"
    path.write_text("before")
    found = CliRunner().invoke(
        app,
        ["decide", str(small), "--scheduler", f"{tmp_path}/fails.py:Fails", "-o", str(path)],
        env=ENVIRONMENT,
    )
    assert isinstance(found.exception, KeyError)  # a defect of the user's code keeps its traceback
    assert path.read_text() == "before"
    assert sorted(p.name for p in tmp_path.iterdir() if "jsonl" in p.name) == ["out.jsonl"]


def test_another_scheduler():
    lines = [
        json.loads(line)
        for line in schedlab("decide", SCENARIO, "--scheduler", "best-fit").splitlines()
    ]
    assert [line["index"] for line in lines] == [line["index"] for line in recorded(SCENARIO)]
    assert set(lines[0]) == {"pod", "index", "chosen"}


def test_a_configuration_with_a_plugin_of_ones_own(tmp_path, small):
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "last.py").write_text(PLUGIN)
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG)
    (line,) = schedlab("decide", small, "--config", config).splitlines()
    decided = json.loads(line)
    assert (decided["scores"], decided["chosen"]) == ({"Last": [0, 2]}, "n1")
    table = schedlab("explain", small, "a", "--config", config)
    assert "Last x2" in table


def test_ties_can_be_drawn(small):
    (line,) = schedlab("decide", small, "--tie-break", "random").splitlines()
    assert json.loads(line)["chosen"] in ("n0", "n1")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["none.json"], "none.json: expected a file, found nothing", id="no file"),
        pytest.param(["{small}", "--scheduler", "bestfit"], "did you mean 'best-fit'?", id="name"),
        pytest.param(
            ["{small}", "--scheduler", "best-fit", "--config", "c.yaml"],
            "--config: expected nothing: only kube-scheduler",
            id="a configuration of another scheduler",
        ),
        pytest.param(["{small}", "--config", "none.yaml"], "none.yaml", id="no configuration"),
        pytest.param(["{small}", "--config", "{old}"], "v1beta3", id="an old configuration"),
        pytest.param(["{broken}"], "Pod/a: spec.containers[0].nmae", id="a slip of the pen"),
    ],
)
def test_errors_name_file_and_field(tmp_path, small, arguments, message):
    old = tmp_path / "old.yaml"
    old.write_text(CONFIG.replace("/v1", "/v1beta3"))
    broken = tmp_path / "broken.json"
    broken.write_text(small.read_text().replace('{"name": "c"}', '{"nmae": "c"}'))
    given = [text.format(small=small, old=old, broken=broken) for text in arguments]
    said = schedlab("decide", *given, code=2)
    assert "Traceback" not in said
    assert message in said.replace("\n", " ")


def test_nothing_but_a_message_reaches_the_terminal(tmp_path):
    """Whatever stands in a scenario, the command ends with one line and code 2."""
    for i, content in enumerate(
        ("", "[", "null", "[[]]", '{"pods": [null]}', '{"pods": {"a": 1}}', '{"meta": 3}',
         '{"nodes": [{"metadata": []}]}', '{"pods": [{"metadata": {"name": "a"}, "spec": 3}]}',
         '{"config": [], "nodes": []}', "a: {b: [", "{\"pods\": [{\"spec\": {}}]}")
    ):  # fmt: skip
        path = tmp_path / f"{i}.json"
        path.write_text(content)
        said = schedlab("decide", path, code=2)
        assert said.startswith(f"error: {path}"), (content, said)


def test_a_reader_that_has_seen_enough(tmp_path):
    command = f"{sys.executable} -m schedlab decide {SCENARIO} | head -1"
    found = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert json.loads(found.stdout)["index"] == recorded(SCENARIO)[0]["index"]
    assert "Traceback" not in found.stderr


def test_explain_shows_scores_and_rejections():
    line = next(line for line in recorded(SCENARIO) if len(line["feasible"]) > 2)
    said = schedlab("explain", SCENARIO, line["pod"])
    assert f"{line['pod']}: placed on {line['chosen']}" in said
    best = max(line["total"])
    row = next(text for text in said.splitlines() if f" {line['chosen']} " in text and "(" in text)
    assert f" {best} " in row
    node, first = next(iter(line["filtered"].items()))
    assert any(
        node in text and first["plugin"] in text and first["reasons"][0] in text
        for text in said.splitlines()
    )


def test_explain_shows_only_so_many_nodes():
    line = next(line for line in recorded(SCENARIO) if len(line["feasible"]) > 2)
    said = schedlab("explain", SCENARIO, line["pod"], "--nodes", "1")
    assert f"{len(line['feasible'])} nodes feasible, the first 1" in said


@pytest.mark.parametrize(
    ("family", "key", "message"),
    [
        pytest.param(
            "schedulinggates", "gated", "PreEnqueue of SchedulingGates: waiting", id="gate"
        ),
        pytest.param("profiles", "skipped", "Not decided on: no profile", id="skipped"),
        pytest.param("volumebinding", "prefilter_reject", "PreFilter of Volume", id="pre-filter"),
        pytest.param("preemption", "victims", "Preemption on ", id="preemption"),
        pytest.param("preemption", "recheck", "After it PodTopologySpread rejects", id="recheck"),
        pytest.param("preemption", "nominated", "It was nominated for", id="nominated"),
        pytest.param("preemption", "reasons", "PostFilter: no new claims", id="no help"),
    ],
)
def test_explain_says_what_became_of_a_pod(family, key, message):
    for scenario in sorted((GOLDEN / family).glob("*[0-9].json.gz")):
        for line in recorded(scenario):
            if line.get(key) or (line.get("preemption") or {}).get(key):
                assert message in schedlab("explain", scenario, line["pod"])
                return
    pytest.fail(f"no line with {key} among the recordings of {family}")


def test_explain_wants_a_pending_pod(small):
    said = schedlab("explain", small, "b", code=2)
    assert "pod: expected the name of a pending pod, such as default/a, found 'b'" in said
