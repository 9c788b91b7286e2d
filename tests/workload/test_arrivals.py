"""Arrival processes against theory, at fixed seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError
from scipy import stats

from schedlab.errors import InputError
from schedlab.rng import Draws
from schedlab.units import DAY, HOUR, MINUTE, SECOND
from schedlab.workload.arrivals import ArrivalSpec, arrival_times

READER: TypeAdapter[Any] = TypeAdapter(ArrivalSpec)
MMPP = {
    "process": "mmpp",
    "states": [{"rate": "1/s", "mean": "60s"}, {"rate": "20/s", "mean": "20s"}],
}
DIURNAL = {"process": "diurnal", "rate": "1000/h", "peak_to_trough": 4}
OPEN = [
    pytest.param({"process": "poisson", "rate": "2/s"}, id="poisson"),
    pytest.param(MMPP, id="mmpp"),
    pytest.param(DIURNAL, id="diurnal"),
    pytest.param({"process": "regular", "interval": "700ms"}, id="regular"),
]


def times(
    spec: dict[str, Any], seed: int = 1, *, base: Path | None = None, **limits: Any
) -> NDArray[np.int64]:
    limits = {"count": None, "horizon_us": None} | limits
    read: Any = READER.validate_python(spec)
    return arrival_times(read, Draws(seed, "item"), base=base, **limits).time_us


def test_poisson_counts_lie_in_their_interval() -> None:
    rate, hours = 90.0, 40
    total = [
        len(
            times(
                {"process": "poisson", "rate": rate / HOUR * SECOND}, seed, horizon_us=hours * HOUR
            )
        )
        for seed in range(30)
    ]
    low, high = stats.poisson.interval(0.999, rate * hours * 30)
    assert low <= sum(total) <= high
    # the variance of a Poisson count is its mean: chi-square of 29 degrees of freedom
    spread = 29 * np.var(total, ddof=1) / (rate * hours)
    assert stats.chi2.ppf(0.001, 29) < spread < stats.chi2.ppf(0.999, 29)


def test_poisson_gaps_are_exponential() -> None:
    gaps = np.diff(times({"process": "poisson", "rate": 5}, count=20_000)) / SECOND
    assert stats.kstest(gaps, "expon", args=(0, 0.2)).pvalue > 0.01


def dispersion(found: NDArray[np.int64], bin_us: int) -> float:
    counts = np.bincount(found // bin_us)
    return float(counts.var() / counts.mean())


def test_mmpp_is_bursty_and_poisson_is_not() -> None:
    horizon = 12 * HOUR
    bursty = dispersion(times(MMPP, horizon_us=horizon), 10 * SECOND)
    even = dispersion(times({"process": "poisson", "rate": 5.75}, horizon_us=horizon), 10 * SECOND)
    assert bursty > 10
    assert even == pytest.approx(1, abs=0.1)


def test_mmpp_has_the_mean_rate_of_its_states() -> None:
    # (1/s x 60 s + 20/s x 20 s) / 80 s = 5.75/s
    mean = np.mean([len(times(MMPP, seed, horizon_us=12 * HOUR)) for seed in range(12)])
    assert mean / (12 * 3600) == pytest.approx(5.75, rel=0.05)


def test_mmpp_with_three_states_visits_all_of_them() -> None:
    states = [{"rate": 0, "mean": "1m"}, {"rate": 1, "mean": "1m"}, {"rate": 10, "mean": "1m"}]
    found = times({"process": "mmpp", "states": states}, horizon_us=20 * HOUR)
    per_minute = np.bincount(found // MINUTE, minlength=1200)
    assert (per_minute == 0).mean() > 0.1
    assert (per_minute > 400).mean() > 0.05
    assert len(found) / (20 * 3600) == pytest.approx(11 / 3, rel=0.15)


def test_diurnal_has_its_peak_to_trough_ratio() -> None:
    found = times(DIURNAL, horizon_us=60 * DAY)
    hour = found // HOUR % 24
    peak, trough = ((hour == 13) | (hour == 14)).sum(), ((hour == 1) | (hour == 2)).sum()
    assert peak / trough == pytest.approx(4, rel=0.08)
    assert len(found) / 60 / 24 == pytest.approx(1000, rel=0.01)


@pytest.mark.parametrize("spec", OPEN)
def test_same_seed_same_times_and_another_seed_differs(spec: dict[str, Any]) -> None:
    first = times(spec, 1, count=200)
    assert first.tobytes() == times(spec, 1, count=200).tobytes()
    if spec["process"] != "regular":
        assert first.tobytes() != times(spec, 2, count=200).tobytes()


@pytest.mark.parametrize("spec", OPEN)
def test_a_longer_horizon_only_adds_arrivals(spec: dict[str, Any]) -> None:
    short, long = times(spec, horizon_us=HOUR), times(spec, horizon_us=3 * HOUR)
    assert 0 < len(short) < len(long)
    assert long[: len(short)].tolist() == short.tolist()
    assert (np.diff(long) >= 0).all()
    assert long[-1] < 3 * HOUR


@pytest.mark.parametrize("spec", OPEN)
def test_count_and_horizon_agree(spec: dict[str, Any]) -> None:
    by_time = times(spec, horizon_us=2 * HOUR)
    by_count = times(spec, count=len(by_time))
    assert np.abs(by_count - by_time).max() <= 1  # microseconds; the knots end elsewhere
    assert len(times(spec, count=7, horizon_us=2 * HOUR)) == 7


def test_speed_divides_the_gaps_of_poisson_and_keeps_the_day_of_diurnal() -> None:
    slow = times({"process": "poisson", "rate": 1}, count=500)
    fast = times({"process": "poisson", "rate": 1}, count=500, speed=4.0)
    assert np.abs(fast - slow / 4).max() <= 1
    found = times(DIURNAL, horizon_us=30 * DAY, speed=3.0)
    hour = found // HOUR % 24
    assert ((hour == 13) | (hour == 14)).sum() / ((hour == 1) | (hour == 2)).sum() == pytest.approx(
        4, rel=0.1
    )
    assert len(found) / 30 / 24 == pytest.approx(3000, rel=0.02)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**64), rate=st.floats(0.001, 50), count=st.integers(0, 200))
def test_any_poisson_has_its_count_and_ascends(seed: int, rate: float, count: int) -> None:
    found = times({"process": "poisson", "rate": rate}, seed, count=count)
    assert len(found) == count
    assert (np.diff(found, prepend=0) >= 0).all()


def test_closed_loop_triggers_each_pod_by_the_one_of_the_same_user() -> None:
    spec = READER.validate_python(
        {"process": "closed_loop", "users": 3, "think_time": {"exponential": {"mean": "10s"}}}
    )
    found = arrival_times(spec, Draws(1), count=8, horizon_us=None)
    assert found.after is not None
    assert found.after.tolist() == [-1, -1, -1, 0, 1, 2, 3, 4]
    assert (found.time_us > 0).all()
    assert (np.diff(found.time_us[:3]) >= 0).all()


def test_at_once_is_at_once() -> None:
    assert times({"process": "at_once", "at": "5s"}, count=3).tolist() == [5 * SECOND] * 3
    assert len(times({"process": "at_once", "at": "5s"}, count=3, horizon_us=5 * SECOND)) == 0


def test_given_times_are_sorted_scaled_and_cut(tmp_path: Path) -> None:
    assert times({"process": "times", "times": ["3s", 1, "2s"]}).tolist() == [
        SECOND,
        2 * SECOND,
        3 * SECOND,
    ]
    assert times({"process": "times", "times": [2, 4]}, speed=2.0).tolist() == [SECOND, 2 * SECOND]
    (tmp_path / "t.csv").write_text("id,at\na,2\nb,500ms\n")
    spec = {"process": "times", "file": "t.csv", "column": "at"}
    assert times(spec, base=tmp_path).tolist() == [500_000, 2 * SECOND]
    assert times(spec, base=tmp_path, horizon_us=SECOND).tolist() == [500_000]


@pytest.mark.parametrize(
    ("text", "field"),
    [
        pytest.param("at\n1\nNaN\n", "row 3: at", id="NaN"),
        pytest.param("at\n-1\n", "row 2: at", id="negative"),
        pytest.param("when\n1\n", "arrivals.column", id="column missing"),
    ],
)
def test_bad_files_of_times_name_the_row(tmp_path: Path, text: str, field: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(InputError) as caught:
        times({"process": "times", "file": "t.csv", "column": "at"}, base=tmp_path)
    assert caught.value.field == field
    assert caught.value.file == str(tmp_path / "t.csv")


@pytest.mark.parametrize(
    ("spec", "limits", "expected"),
    [
        pytest.param({"process": "poisson", "rate": 1}, {}, "a count, or a horizon", id="endless"),
        pytest.param({"process": "at_once"}, {}, "a count", id="at_once without count"),
        pytest.param({"process": "poisson", "rate": 0}, {"count": 1}, "a rate > 0", id="rate 0"),
        pytest.param(
            {"process": "poisson", "rate": 1e6},
            {"horizon_us": DAY},
            "at most 10,000,000",
            id="too many",
        ),
        pytest.param(
            {"process": "times", "file": "no.csv"}, {}, "a readable CSV file", id="no file"
        ),
    ],
)
def test_what_cannot_end_is_refused(
    spec: dict[str, Any], limits: dict[str, Any], expected: str
) -> None:
    with pytest.raises(InputError) as caught:
        times(spec, **limits)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"process": "poisson", "rate": "fast"}, id="rate is no rate"),
        pytest.param({"process": "poisson", "rate": -1}, id="negative rate"),
        pytest.param({"process": "poisson", "rate": float("nan")}, id="NaN rate"),
        pytest.param({"process": "poisson", "rate": "1/fortnight"}, id="unknown unit"),
        pytest.param({"process": "regular", "interval": 0}, id="interval 0"),
        pytest.param(
            {"process": "diurnal", "rate": 1, "peak_to_trough": 0.5}, id="trough above peak"
        ),
        pytest.param({"process": "diurnal", "rate": 1, "period": 0}, id="period 0"),
        pytest.param({"process": "mmpp", "states": [{"rate": 1, "mean": 1}]}, id="one state"),
        pytest.param(
            {"process": "mmpp", "states": [{"rate": 1, "mean": 0}] * 2}, id="state of no length"
        ),
        pytest.param({"process": "times"}, id="no times"),
        pytest.param({"process": "times", "times": [1], "column": "a"}, id="column without file"),
        pytest.param({"process": "poisson", "rate": 1, "rat": 2}, id="unknown key"),
        pytest.param({"process": "weekly"}, id="unknown process"),
    ],
)
def test_bad_specs_are_refused(spec: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        READER.validate_python(spec)
