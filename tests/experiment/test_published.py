"""Own runs against a published table: what is matched, Welch's interval by hand, bad files."""

import math

import pandas as pd
import pytest
import yaml

from schedlab.errors import InputError
from schedlab.experiment.published import (
    against_published,
    published_grid,
    read_published,
    trace_of,
)
from schedlab.record.rundir import RunDir


def table(path, *rows):
    """Write a published table of rows (workload, policy, seed, value at 100, value at 130)."""
    frame = pd.DataFrame(rows, columns=["workload", "sc_policy", "seed", "100", "130"])
    frame.to_csv(path, index=False)
    return path


def run(path, pods, scheduler, seed, at_100, at_130):
    """Return a run of which there is no more than its metrics and what it replayed."""
    path = path / f"{scheduler}-{seed}"
    path.mkdir()
    config = {"workload": {"trace": {"openb": {"pods": pods}}}}
    (path / "config.yaml").write_text(yaml.safe_dump(config))
    metrics = {"gpu_allocation_at_100": at_100, "gpu_allocation_at_130": at_130}
    manifest = {"scenario": "s", "scheduler": scheduler, "seed": seed, "metrics": metrics}
    return RunDir(path, manifest)


@pytest.fixture
def published(tmp_path):
    return read_published(
        table(
            tmp_path / "published.csv",
            ("openb_pod_list_default", "06-FGD", 42, 95.0, 95.2),
            ("openb_pod_list_default", "06-FGD", 43, 95.2, 95.4),
            ("openb_pod_list_default", "05-BestFit", 42, 92.0, 93.0),
            ("openb_pod_list_cpu050", "06-FGD", 42, 90.0, 91.0),
        )
    )


def test_what_is_read(published):
    assert published["trace"].tolist() == ["default"] * 3 + ["cpu050"]
    assert published["scheduler"].tolist() == ["FGD", "FGD", "BestFit", "FGD"]
    assert published["130"].tolist() == [95.2, 95.4, 93.0, 91.0]


@pytest.mark.parametrize(
    ("pods", "trace"),
    [
        pytest.param("default", "default", id="a name"),
        pytest.param("/data/openb_pod_list_cpu050.csv", "cpu050", id="a file"),
    ],
)
def test_the_list_of_a_run(tmp_path, pods, trace):
    assert trace_of(run(tmp_path, pods, "FGD", 0, 0.9, 0.9)) == trace


def test_a_run_of_something_else_has_no_list(tmp_path):
    other = run(tmp_path, "default", "FGD", 0, 0.9, 0.9)
    (other.path / "config.yaml").write_text("workload: {items: []}")
    assert trace_of(other) == ""


def test_the_difference_and_its_interval(tmp_path, published):
    runs = [
        run(tmp_path, "default", "FGD", seed, at / 100, 0.95)
        for seed, at in enumerate((95.0, 95.2, 95.4))
    ]
    frame = against_published(runs, published).set_index("demand")
    row = frame.loc[100]
    # own 95.2, variance .04 of 3; theirs 95.1, variance .02 of 2: s^2 = .04 / 3 + .01 = .023333,
    # degrees of freedom s^4 / ((.04/3)^2 / 2 + .01^2 / 1) = 2.882; t at 97.5 % is 3.256
    assert (row["n"], row["published_n"]) == (3, 2)
    assert row["difference"] == pytest.approx(0.1)
    assert row["high"] - row["difference"] == pytest.approx(3.256 * math.sqrt(0.07 / 3), abs=2e-3)
    assert row["within"]
    # all of ours are 95.0, theirs 95.3 with variance .02 of 2: .1 and one degree of freedom
    assert frame.loc[130, "difference"] == pytest.approx(-0.3)
    assert frame.loc[130, "low"] == pytest.approx(-0.3 - 12.706 * 0.1, abs=1e-3)
    assert not frame.loc[130, "within"]


def test_what_nobody_published_is_left_out(tmp_path, published):
    runs = [
        run(tmp_path, "default", "Mine", 0, 0.9, 0.9),
        run(tmp_path, "cpu100", "FGD", 0, 0.9, 0.9),
        run(tmp_path, "default", "BestFit", 0, 0.92, 0.94),
    ]
    frame = against_published(runs, published)
    assert frame["scheduler"].tolist() == ["BestFit", "BestFit"]
    assert frame["difference"].tolist() == pytest.approx([0.0, 1.0])
    assert not frame["within"].any()  # one seed says nothing of the spread


def test_the_table_says_which_lie_within(tmp_path, published):
    runs = [run(tmp_path, "default", "FGD", s, 0.951 + s / 1000, 0.97) for s in range(5)]
    grid = published_grid(against_published(runs, published))
    assert grid.header == ("GPUs allocated", "FGD")
    assert [str(row[0]) for row in grid.rows] == ["default at 100 %", "default at 130 %"]
    assert str(grid.rows[0][1]).startswith("+0.20 +-")
    assert str(grid.rows[1][1]).endswith("!")
    assert "1 of 2 lie within" in grid.caption


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("a,b\n1,2\n", "workload", id="another table"),
        pytest.param(
            "workload,sc_policy,seed,100,130\nx,06-FGD,42,1.0,much\n", "much", id="not a number"
        ),
        pytest.param("", "readable", id="empty"),
    ],
)
def test_bad_files_are_named(tmp_path, text, message):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_published(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match="readable"):
        read_published(tmp_path / "nowhere.csv")
