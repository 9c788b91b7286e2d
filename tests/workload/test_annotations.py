"""The annotations of schedlab on manifests."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from schedlab.errors import InputError
from schedlab.sim.distributions import Constant, Lognormal, parse_distribution
from schedlab.units import MINUTE, SECOND
from schedlab.workload.annotations import (
    delete_time_us,
    duration_annotation,
    duration_text,
    pod_duration,
    pod_estimate_us,
    submit_time_us,
)

DURATION = "schedlab.io/duration"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("90s", Constant(90 * SECOND), id="duration"),
        pytest.param('{"constant": "90s"}', Constant(90 * SECOND), id="json"),
        pytest.param(
            "{lognormal: {median: 1m, sigma: 0.5}}", Lognormal(MINUTE, 0.5), id="flow yaml"
        ),
    ],
)
def test_durations(text: str, expected: object) -> None:
    assert pod_duration({DURATION: text}) == expected


def test_absent_means_until_deleted_and_unknown() -> None:
    assert pod_duration({}) is None
    assert (pod_estimate_us({}), submit_time_us({}), delete_time_us({})) == (-1, 0, -1)


@pytest.mark.parametrize(
    "text",
    ["soon", "-1s", "NaN", "{uniform: [1", "{unknown: 1}", "{empirical: file.csv}", "{a: 1, a: 2}"],
)
def test_bad_durations_name_the_annotation(text: str) -> None:
    with pytest.raises(InputError) as caught:
        pod_duration({DURATION: text})
    assert caught.value.field.startswith("annotations['schedlab.io/duration']")


def test_deleting_before_creating_is_refused() -> None:
    times = {"schedlab.io/submit-at": "10m", "schedlab.io/delete-at": "5m"}
    with pytest.raises(InputError, match="at or after"):
        delete_time_us(times)
    assert delete_time_us({**times, "schedlab.io/delete-at": "10m"}) == 10 * MINUTE


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("1h30m", id="constant"),
        pytest.param(0.25, id="number"),
        pytest.param({"lognormal": {"median": "60s", "sigma": 1.2}}, id="lognormal"),
        pytest.param({"quantiles": {0.5: "1s", 0.9: "3s"}}, id="quantiles"),
        pytest.param({"empirical": ["1s", "250ms"]}, id="values"),
    ],
)
def test_what_is_written_is_read_back(value: object) -> None:
    text = duration_annotation(value, field="duration")
    found = pod_duration({DURATION: text})
    if text.startswith("{"):
        json.loads(text)
    assert found is not None
    assert duration_annotation(value, field="duration") == text
    assert found == parse_distribution(value)


def test_values_of_a_file_are_put_into_the_annotation(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("s\n1\n2.5\n")
    text = duration_annotation({"empirical": "d.csv"}, field="duration", base=tmp_path)
    assert json.loads(text) == {"empirical": ["1s", "2500000us"]}


def test_too_many_values_are_refused(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("s\n" + "1\n" * 5000)
    with pytest.raises(InputError, match="at most 4096"):
        duration_annotation({"empirical": "d.csv"}, field="duration", base=tmp_path)


@pytest.mark.parametrize("us", [0, 1, 999, 1_000_000, 90_000_000, 90_000_001])
def test_duration_text_is_exact(us: int) -> None:
    assert pod_estimate_us({"schedlab.io/estimated-duration": duration_text(us)}) == us
