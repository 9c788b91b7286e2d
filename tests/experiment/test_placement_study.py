"""Priority Matters: its instances, the outcomes, and a small part of the grid."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from schedlab.cli import app
from schedlab.errors import InputError
from schedlab.experiment.placement_study import (
    cells,
    placed_one_by_one,
    read_study,
    run_study,
    shares,
)
from schedlab.scheduling.ilp.builder import build_model
from schedlab.scheduling.ilp.model import Displacement
from schedlab.scheduling.ilp.result import Limits
from schedlab.scheduling.ilp.solve import solve
from schedlab.scheduling.ilp.validate import violations
from schedlab.workload.priority_matters import priority_matters

FILE = Path(__file__).parents[2] / "experiments" / "priority-matters.yaml"


@pytest.fixture
def small(tmp_path):
    """A corner of the published grid, two instances a cell, counted in work."""
    document = yaml.safe_load(FILE.read_text(encoding="utf-8")) | {
        "nodes": [4, 8],
        "pods_per_node": [4],
        "priorities": [2],
        "utilisation": [0.95, 1.05],
        "seeds": 2,
        "time_limits": ["300ms"],
        "deterministic": True,
    }
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


def test_the_published_grid():
    study = read_study(FILE)
    assert len(cells(study)) == 4 * 2 * 3 * 4
    assert (study.seeds, study.time_limits) == (20, ("1s", "10s"))


def test_the_published_example():
    # 16 nodes, 128 pods, four priorities, 95 %: published are 124 pods and 92.2 % of the cluster
    instance = priority_matters(
        484806185843093489, nodes=16, pods_per_node=8, priorities=4, utilisation=0.95
    )
    assert instance.pods == 128
    state, waiting = placed_one_by_one(instance)
    assert 128 - len(waiting) == pytest.approx(124, abs=1)
    share = state.nodes.requested[0].sum() / state.nodes.allocatable[0].sum()
    assert share == pytest.approx(0.922, abs=0.01)


def test_a_corner_of_the_grid(small, tmp_path):
    study = read_study(small)
    found = run_study(study, tmp_path / "out")
    assert len(found) == 4 * 2
    assert (found["outcome"] != "worse").all()
    all_ = shares(found).iloc[0]
    assert all_["better or optimal"] >= 0.9
    assert all_["tiers proven"] >= 0.5
    assert (found["bound"] >= found["after"]).all()
    # the same again, and the rest of it later: nothing differs but the time
    again = run_study(study, tmp_path / "again")
    file = tmp_path / "again" / "results.jsonl"
    file.write_text(file.read_text(encoding="utf-8")[:-9], encoding="utf-8")  # cut off
    more = run_study(read_study(small, seeds=3), tmp_path / "again", resume=True)
    for one in (again, more.groupby(["nodes", "priorities", "utilisation"]).head(2)):
        pd.testing.assert_frame_equal(
            *(
                frame.drop(columns="wall_s")
                .sort_values(["nodes", "priorities", "utilisation", "candidate"])
                .reset_index(drop=True)
                for frame in (one, found)
            )
        )


def test_placements_of_the_grid_pass_the_filters():
    for seed in range(3):
        instance = priority_matters(seed, nodes=8, pods_per_node=8, priorities=4, utilisation=1.05)
        state, waiting = placed_one_by_one(instance)
        model = build_model(waiting, state, displace=Displacement("any"))
        result = solve(model, Limits(0.5), objective="placed+disruption")
        moved, evicted = result.moved, result.evicted
        assert not violations(waiting, result.node, state, moved=moved, evicted=evicted)


def test_intervals_of_shares():
    rows = [
        {"time_limit": "1s", "outcome": outcome, "tiers_proven": outcome != "unknown", "gap": 0.1}
        for outcome in ["better"] * 17 + ["optimal"] + ["unknown"] * 2
    ]
    (row,) = shares(pd.DataFrame(rows)).to_dict("records")
    assert row["better or optimal"] == pytest.approx(0.9)
    # Wilson's interval of 18 of 20, as in Newcombe (1998)
    assert row["better or optimal low"] == pytest.approx(0.699, abs=1e-3)
    assert row["better or optimal high"] == pytest.approx(0.972, abs=1e-3)
    assert row["worse"] == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param({"nodes": []}, "nodes", id="no nodes"),
        pytest.param({"seeds": 0}, "seeds", id="no instances"),
        pytest.param({"time_limits": ["soon"]}, "soon", id="no duration"),
        pytest.param({"speed": 1}, "speed", id="an unknown key"),
    ],
)
def test_what_can_not_be_used(tmp_path, change, words):
    path = tmp_path / "wrong.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(FILE.read_text()) | change), encoding="utf-8")
    with pytest.raises(InputError, match=words):
        read_study(path)


def invoke(*arguments, code=0):
    found = CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "160"})
    assert found.exit_code == code, found.output
    return found.output


def test_the_command(small, tmp_path):
    said = invoke("study", small, "--seeds", 1, "--out", tmp_path / "out")
    assert "better" in said
    rows = (tmp_path / "out" / "results.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(rows) == 4
    assert json.loads(rows[0])["time_limit"] == "300ms"


def test_another_kind_of_study(tmp_path):
    path = tmp_path / "other.yaml"
    path.write_text("study: poetry\nname: x\n", encoding="utf-8")
    assert "placement or solvers" in invoke("study", path, code=2)
