"""Solvers on one large problem, here a small one."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from schedlab.cli import app
from schedlab.errors import InputError
from schedlab.experiment.solver_study import (
    judged,
    pending_at_once,
    read_solver_study,
    run_solver_study,
)

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
SMALL = {
    "name": "small",
    "study": "solvers",
    "cluster": {
        "pools": [{"name": "node", "count": 12, "allocatable": {"cpu": 8, "memory": "16Gi"}}]
    },
    "workload": {
        "priority_classes": [{"name": "high", "value": 9}],
        "items": [
            {
                "name": name,
                "kind": "Pod",
                "count": 40,
                "arrivals": {"process": "regular", "interval": "1s"},
                "requests": {"cpu": {"choices": {"1": 1, "2": 1, "3": 1}}, "memory": "1Gi"},
                "duration": "1s",
                **more,
            }
            for name, more in (("a", {"priority_class": "high"}), ("b", {}))
        ],
    },
    "methods": ["flow", "partitioned-3", "full"],
    "time_limits": ["300ms", "600ms"],
}


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(SMALL), encoding="utf-8")
    return path


def invoke(*arguments, code=0):
    found = CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "160"})
    assert found.exit_code == code, found.output
    return found.output


def test_all_pods_are_pending_at_once(small):
    state, pods = pending_at_once(read_solver_study(small), small.parent)
    assert len(pods) == 80
    assert [pod.pod_class.priority for pod in pods] == [9] * 40 + [0] * 40
    assert not state.node_of


def test_the_command(small, tmp_path):
    out = tmp_path / "out"
    said = invoke("study", small, "--out", out)
    assert "partitioned-3" in said
    assert "12 nodes, 80 pods of 6 kinds" in said
    assert (out / "gap.png").stat().st_size > 1000
    rows = (out / "results.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(rows) == 1 + 1 + 2 + 2
    assert "full" in invoke("study", small, "--out", out, "--resume")
    assert (out / "results.jsonl").read_text(encoding="utf-8").splitlines() == rows


def test_one_bound_for_all():
    rows = [
        {"method": "a", "placed": [3, 8], "bounds": [4.0, 10.0], "wall_s": 1},
        {"method": "b", "placed": [4, 9], "bounds": [5.0, 9.0], "wall_s": 2},
    ]
    found = judged(rows)
    # the tightest bounds are 4 and 9
    assert found["gap"].tolist() == pytest.approx([max(1 / 4, 1 / 9), 0])


@pytest.mark.parametrize(
    "name", ["openb-solvers.yaml", "openb-crowded.yaml", "placement-scale.yaml"]
)
def test_the_files_that_come_along(name):
    assert "full" in read_solver_study(EXPERIMENTS / name).methods


def test_wrong_methods_are_named(small):
    document = SMALL | {"methods": ["partitioned-0"]}
    small.write_text(yaml.safe_dump(document), encoding="utf-8")
    with pytest.raises(InputError, match="partitioned-K"):
        read_solver_study(small)


def test_the_whole_as_one_integer_program(small):
    document = SMALL | {"methods": ["full-cp-sat", "full-highs"], "time_limits": ["20s"]}
    small.write_text(yaml.safe_dump(document), encoding="utf-8")
    study = read_solver_study(small)
    found = run_solver_study(study, small.parent, small.parent / "out").set_index("method")
    assert found["placed"]["full-cp-sat"] == found["placed"]["full-highs"]
    assert found["gap"]["full-cp-sat"] <= found["gap"]["greedy"]
