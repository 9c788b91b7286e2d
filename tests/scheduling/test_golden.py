"""Every decision recorded from kube-scheduler 1.35.4, line by line and in full."""

from collections import Counter
from pathlib import Path

import pytest
from typer import Typer
from typer.testing import CliRunner

from schedlab.testing.golden import Agreement, compare, compare_lines, recordings, report

GOLDEN = Path(__file__).parents[1] / "golden" / "kube-scheduler"
SAMPLE = recordings(GOLDEN)
FAMILIES = Counter(path.parent.name for path in SAMPLE)


@pytest.mark.parametrize("path", SAMPLE, ids=lambda p: f"{p.parent.name}-{p.name.split('.')[0]}")
def test_every_line_is_the_recorded_one(path):
    found = compare(path)
    assert (found.first, found.equal, found.engine) == ("", found.lines, found.decided)
    assert found.same == found.said


def test_the_sample_covers_all_families_and_plugins():
    assert len(FAMILIES) == 19
    assert min(FAMILIES.values()) >= 6


LINE = {
    "pod": "default/a",
    "prefilter_reject": None,
    "skip_filter": ["NodePorts"],
    "filtered": {"n1": {"plugin": "NodeName", "reasons": ["x"], "code": "Unschedulable"}},
    "also_failed": {"n1": {"NodeName": "Unschedulable", "NodePorts": "Unschedulable"}},
    "feasible": ["n0"],
    "raw_scores": {"ImageLocality": [5]},
    "scores": {"ImageLocality": [10]},
    "total": [10],
    "chosen": "n0",
}


@pytest.mark.parametrize(
    ("change", "equal", "off", "first"),
    [
        pytest.param({}, 1, {}, "", id="equal"),
        pytest.param(
            {"chosen": "n1"}, 0, {}, "default/a: chosen: expected 'n0', found 'n1'", id="chosen"
        ),
        pytest.param(
            {"raw_scores": {"ImageLocality": [6]}},
            0,
            {"ImageLocality": 2},  # the recorded 5 and our 6
            "raw_scores.ImageLocality: expected [5], found [6]",
            id="score",
        ),
        pytest.param({"skip_filter": []}, 0, {"NodePorts": 1}, "skip_filter: expected", id="skip"),
        pytest.param(
            {"filtered": {}}, 0, {"NodeName": 1}, "filtered.n1: expected {'plugin'", id="filtered"
        ),
        pytest.param(
            {"also_failed": {"n1": {"NodeName": "Unschedulable"}}},
            0,
            {"NodePorts": 1},
            "also_failed.n1.NodePorts: expected 'Unschedulable', found None",
            id="also failed",
        ),
        pytest.param(
            {"preemption": {"node": "n1"}},
            0,
            {"DefaultPreemption": 1},
            "preemption: expected None, found {'node': 'n1'}",
            id="preemption",
        ),
    ],
)
def test_what_a_comparison_counts(change, equal, off, first):
    found = compare_lines({**LINE, **change}, LINE, "here")
    assert (found.lines, found.equal) == (1, equal)
    assert first in found.first
    assert dict(found.said - found.same) == off
    whole = Agreement()
    whole.add(found)
    whole.add(compare_lines(LINE, LINE))
    assert (whole.lines, whole.equal) == (2, equal + 1)


def shown(*arguments):
    app = Typer()
    app.command()(report)
    return CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "120"})


def test_the_report_is_all_or_nothing(tmp_path):
    family = tmp_path / "one"
    family.mkdir()
    for path in (GOLDEN / "schedulinggates").glob("0.json*.gz"):
        (family / path.name).write_bytes(path.read_bytes())
    good = shown(tmp_path)
    assert good.exit_code == 0, good.output
    assert "100.00 %" in good.output
    assert "SchedulingGates" in good.output
    other = GOLDEN / "schedulinggates" / "1.jsonl.gz"
    (family / "0.jsonl.gz").write_bytes(other.read_bytes())
    bad = shown(tmp_path)
    assert bad.exit_code == 1
    assert "45 decisions, 86 were recorded" in bad.output


def test_a_directory_without_recordings(tmp_path):
    found = shown(tmp_path)
    assert found.exit_code == 2
    assert "holds no recordings" in found.output
