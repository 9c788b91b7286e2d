"""``schedlab solve``, as a user types it."""

from __future__ import annotations

import gzip
import json

import pytest
from typer.testing import CliRunner

from schedlab.cli import app


def schedlab(*arguments, code=0):
    """Run a command and return what it printed."""
    found = CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "200"})
    assert found.exit_code == code, found.output
    return found.output


def node(name, cpu="4"):
    return {"metadata": {"name": name}, "status": {"allocatable": {"cpu": cpu, "pods": "10"}}}


def pod(name, cpu, node="", priority=0, **spec):
    container = {"name": "c", "resources": {"requests": {"cpu": cpu}}}
    spec = {"containers": [container], "priority": priority, **spec}
    if node:
        spec["nodeName"] = node
    return {"metadata": {"name": name}, "spec": spec}


@pytest.fixture
def dump(tmp_path):
    """Return a function that writes a cluster dump."""

    def write(nodes, pods, name="cluster.json"):
        path = tmp_path / name
        text = json.dumps({"nodes": nodes, "pods": pods})
        if name.endswith(".gz"):
            path.write_bytes(gzip.compress(text.encode()))
        else:
            path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def answer(tmp_path):
    """Return a function that solves a dump and returns what --json wrote."""

    def solved(path, *arguments):
        file = tmp_path / "new" / "answer.json"
        schedlab("solve", path, "--deterministic", "--json", file, *arguments)
        return json.loads(file.read_text(encoding="utf-8"))

    return solved


def test_a_running_pod_is_moved_for_a_more_important_one(dump, answer):
    pods = [pod("a", "2", "n0"), pod("b", "2", "n1"), pod("big", "4", priority=9)]
    path = dump([node("n0"), node("n1")], pods, "cluster.json.gz")
    found = answer(path)
    assert found["status"] == "optimal"
    assert (found["objective"], found["bound"], found["gap"]) == (3, 3, 0)
    assert found["placed_by_tier"] == {"9": 1, "0": 2}
    assert len(found["moved"]) == 1
    assert found["placement"]["default/big"] == found["moved"][0]["from"]
    assert found["evicted"] == []
    assert found["wall_s"] > 0
    said = schedlab("solve", path)
    assert "moved default/" in said
    assert "priority 9 and above" in said
    # with nobody to be moved it waits, and with a budget of none as well
    for arguments in (("--displace", "none"), ("--budget", 0)):
        assert answer(path, *arguments)["placement"] == {"default/big": None}


def test_equal_input_gives_equal_bytes(dump, tmp_path):
    pods = [pod(f"p{i}", f"{300 + 170 * (i % 7)}m", priority=i % 3) for i in range(40)]
    path = dump([node(f"n{i}") for i in range(5)], pods)
    texts = []
    for i in range(2):
        schedlab(
            "solve", path, "--deterministic", "--time-limit", "300ms", "--json", tmp_path / f"{i}"
        )
        found = json.loads((tmp_path / f"{i}").read_text(encoding="utf-8"))
        del found["wall_s"]
        texts.append(json.dumps(found))
    assert texts[0] == texts[1]


@pytest.mark.parametrize("solver", ["cp-sat", "highs", "partitioned", "flow"])
def test_other_solvers(dump, answer, solver):
    path = dump([node("n0"), node("n1")], [pod(name, "2") for name in "abcde"])
    found = answer(path, "--solver", solver, "--parts", 1)
    assert (found["objective"], found["bound"]) == (4, 4)
    (reason,) = found["reasons"].values()
    assert "2 node(s) could take it" in reason


@pytest.mark.parametrize(
    ("nodes", "pods", "status", "words"),
    [
        pytest.param([], [pod("a", "1")], "no-nodes", "0/0 nodes are available", id="no nodes"),
        pytest.param([node("n0")], [], "no-pods", "", id="no pods"),
        pytest.param(
            [node("n0")],
            [pod("a", "9")],
            "optimal",
            "1 Insufficient cpu",
            id="larger than any node",
        ),
        pytest.param(
            [node("n0")],
            [pod("a", "1", nodeSelector={"disk": "ssd"})],
            "optimal",
            "didn't match Pod's node affinity/selector",
            id="nowhere to go",
        ),
    ],
)
def test_odd_input_has_a_status_and_reasons(dump, answer, nodes, pods, status, words):
    found = answer(dump(nodes, pods))
    assert found["status"] == status
    assert set(found["placement"].values()) <= {None}
    assert all(words in reason for reason in found["reasons"].values())
    assert len(found["reasons"]) == len(pods)


def test_gated_pods_take_no_part(dump, answer):
    gated = pod("g", "1", schedulingGates=[{"name": "wait"}])
    found = answer(dump([node("n0")], [gated, pod("a", "1")]))
    assert found["placement"] == {"default/a": "n0", "default/g": None}
    assert "scheduling gates: wait" in found["reasons"]["default/g"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(("--objective", "palced"), "placed", id="a typo in the objective"),
        pytest.param(("--solver", "gurobi"), "cp-sat", id="no such solver"),
        pytest.param(("--time-limit", "soon"), "soon", id="no duration"),
    ],
)
def test_errors_are_one_line(dump, arguments, words):
    said = schedlab("solve", dump([node("n0")], [pod("a", "1")]), *arguments, code=2)
    assert words in said
    assert "Traceback" not in said


def test_no_such_file(tmp_path):
    assert "Traceback" not in schedlab("solve", tmp_path / "none.json", code=2)
