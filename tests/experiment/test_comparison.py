"""The statistics: intervals, paired tests, Holm's method, what could have been seen."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from schedlab.errors import InputError
from schedlab.experiment.comparison import (
    compare_runs,
    detectable_effect,
    holm,
    interval,
    nothing_scarce,
    p_value,
    remarks,
)
from schedlab.rng import Draws

WAIT = "create_to_schedule_seconds_p99"
numbers = st.floats(-1e6, 1e6, allow_nan=False)


def runs(**waits):
    """Return a table of runs: scheduler = waits by seed."""
    rows = [
        {
            "scenario": "default",
            "scheduler": name.replace("_", "-"),
            "seed": seed,
            WAIT: wait,
            "attempts_per_pod": 2.0,
            "pending_at_end": 0.0,
            "lower_bounds": "",
        }
        for name, values in waits.items()
        for seed, wait in enumerate(values)
    ]
    return pd.DataFrame(rows)


def row(frame, scheduler):
    return frame[frame["scheduler"] == scheduler].iloc[0]


def test_interval_is_the_t_interval():
    values = np.array([4.0, 7.0, 1.0, 9.0])
    low, high = stats.t.interval(0.95, 3, values.mean(), stats.sem(values))
    found = interval(values)
    assert (found.n, found.mean) == (4, 5.25)
    assert (found.low, found.high) == pytest.approx((low, high))


@pytest.mark.parametrize(
    ("values", "mean", "low"),
    [([], math.nan, math.nan), ([3.0], 3.0, math.nan), ([2.5, 2.5], 2.5, 2.5)],
    ids=["none", "one", "all the same"],
)
def test_intervals_of_few_values(values, mean, low):
    found = interval(np.array(values))
    assert np.array([found.mean, found.low]) == pytest.approx([mean, low], nan_ok=True)


@pytest.mark.parametrize(
    ("effect", "pairs"),
    # pairs that a two-sided paired t-test needs for power 0.8 at 5 %, for Cohen's effects
    [(0.2, 199), (0.5, 34), (0.8, 15), (1.0, 10)],
)
def test_smallest_effect_agrees_with_known_sample_sizes(effect, pairs):
    assert detectable_effect(pairs) <= effect < detectable_effect(pairs - 1)


@pytest.mark.parametrize("n", range(2, 60))
def test_smallest_effect_has_the_stated_power(n):
    critical = stats.t.ppf(0.975, n - 1)
    assert stats.nct.sf(critical, n - 1, detectable_effect(n) * math.sqrt(n)) == pytest.approx(0.8)


def test_p_value_is_that_of_scipy():
    a, b = np.array([3.0, 5.0, 4.5, 9.0]), np.array([2.0, 5.5, 3.0, 7.0])
    assert p_value(a - b) == pytest.approx(stats.ttest_rel(a, b).pvalue)


@pytest.mark.parametrize(
    ("differences", "expected"),
    [([1.0], math.nan), ([2.0, 2.0, 2.0], 0.0), ([0.0, 0.0], 1.0)],
    ids=["one pair", "always the same", "none"],
)
def test_p_values_without_spread(differences, expected):
    assert p_value(np.array(differences)) == pytest.approx(expected, nan_ok=True)


def test_holm_on_a_worked_example():
    # sorted .005 x 4, .01 x 3, .03 x 2, .04 x 1, never falling
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, math.nan, 0.9])[:1] == [1.0]
    assert math.isnan(holm([0.5, math.nan])[1])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_keeps_the_order_and_never_lowers(values):
    adjusted = holm(values)
    order = np.argsort(values, kind="stable")
    assert np.all(np.diff(np.array(adjusted)[order]) >= 0)
    assert all(
        a >= v and a <= min(1, v * len(values)) for a, v in zip(adjusted, values, strict=True)
    )


def test_paired_differences_cancel_what_seeds_have_in_common():
    # the seeds differ by hundreds, the schedulers by about 10
    found = compare_runs(runs(a=[100, 500, 900, 300], b=[110, 511, 909, 312]), [WAIT])
    b = row(found, "b")
    assert (b["difference"], b["verdict"], b["baseline"]) == (10.5, "worse", "a")
    assert 0 < b["smallest_detectable"] < 5
    assert b["difference_low"] > 0
    assert b["low"] < b["mean"] < b["high"]
    assert row(found, "a")["verdict"] == ""


def test_verdicts():
    found = compare_runs(
        runs(
            base=[10.0, 20.0, 30.0],
            better=[1.0, 10.5, 21.0],
            same=[10.0, 20.0, 30.0],
            noisy=[5.0, 30.0, 25.0],
        ),
        [WAIT],
    )
    verdicts = dict(zip(found["scheduler"], found["verdict"], strict=True))
    assert verdicts == {
        "base": "",
        "better": "better",
        "same": "identical",
        "noisy": "no difference seen",
    }


def test_a_metric_without_direction_has_no_verdict():
    frame = runs(a=[1, 2, 3], b=[5, 6, 7.5]).assign(pods_arrived=[1, 2, 3, 5, 6, 7.5])
    found = compare_runs(frame, ["pods_arrived"])
    assert row(found, "b")["p_holm"] < 0.05
    assert row(found, "b")["verdict"] == ""


def test_holm_counts_all_differences_of_the_scenario():
    frame = runs(a=[1.0, 2.0, 3.0, 4.0], b=[1.5, 2.6, 3.5, 4.9])
    frame["makespan_seconds"] = frame[WAIT] ** 2
    one, two = compare_runs(frame, [WAIT]), compare_runs(frame, [WAIT, "makespan_seconds"])
    assert row(one, "b")["p_holm"] == row(one, "b")["p_value"]
    assert row(two, "b")["p_holm"] == pytest.approx(2 * row(two, "b")["p_value"])


def test_seeds_that_only_one_scheduler_has_are_not_paired():
    frame = runs(a=[1.0, 2.0, 3.0], b=[2.0, 3.5])
    found = compare_runs(frame, [WAIT])
    assert row(found, "b")["n"] == 2
    assert row(found, "b")["difference"] == pytest.approx((1.0 + 1.5) / 2)


def test_one_seed_has_no_interval_and_says_so():
    frame = runs(a=[1.0], b=[2.0])
    found = compare_runs(frame, [WAIT])
    assert row(found, "b")[["low", "high", "p_value", "smallest_detectable"]].isna().all()
    assert row(found, "b")["difference"] == 1.0
    assert row(found, "b")["verdict"] == ""
    assert any(text.startswith("One seed") for text in remarks(found, frame))


@pytest.mark.parametrize(
    ("attempts", "pending", "scarce"),
    [(1.0, 0.0, False), (1.2, 0.0, True), (1.0, 3.0, True), (math.nan, 0.0, False)],
    ids=["first attempt", "a second attempt", "pending", "no pods"],
)
def test_scarcity(attempts, pending, scarce):
    frame = runs(a=[1.0, 1.5], b=[1.0, 1.5])
    frame = frame.assign(attempts_per_pod=attempts, pending_at_end=pending)
    assert nothing_scarce(frame) is not scarce
    said = " ".join(remarks(compare_runs(frame, [WAIT]), frame))
    assert ("Nothing was scarce" in said) is not scarce


def test_lower_bounds_are_named():
    frame = runs(a=[1.0, 2.0], b=[1.0, 2.5])
    frame.loc[3, "lower_bounds"] = f"other,{WAIT}"
    found = compare_runs(frame, [WAIT])
    assert found["lower_bound"].tolist() == [False, True]
    assert any(WAIT in text and "lower bounds" in text for text in remarks(found, frame))


@pytest.mark.parametrize(
    ("metrics", "baseline", "field"),
    [
        (["wait_p98"], None, "metrics"),
        (["stranded_gpu"], None, "metrics"),
        ([WAIT], "c", "baseline"),
    ],
    ids=["unknown metric", "metric that isn't there", "unknown baseline"],
)
def test_bad_questions(metrics, baseline, field):
    with pytest.raises(InputError) as caught:
        compare_runs(runs(a=[1.0], b=[1.0]), metrics, baseline)
    assert caught.value.field == field


def test_an_alias_is_its_metric():
    assert compare_runs(runs(a=[1.0]), ["wait_p99"])["metric"].tolist() == [WAIT]


@given(st.lists(st.tuples(numbers, numbers), min_size=2, max_size=8), numbers)
def test_a_shift_of_both_changes_no_difference(pairs, shift):
    a, b = (np.array(side) for side in zip(*pairs, strict=True))
    one = row(compare_runs(runs(a=a, b=b), [WAIT]), "b")
    two = row(compare_runs(runs(a=a + shift, b=b + shift), [WAIT]), "b")
    scale = 1e-9 * (1 + np.abs(pairs).max() + abs(shift))
    assert one["difference"] == pytest.approx(two["difference"], abs=scale)


def test_intervals_cover_as_often_as_they_say():
    # 2,000 studies of 5 seeds: the share that covers is 95 % with a deviation of 0.5 %
    normal = stats.norm.ppf(Draws(1, "coverage").uniforms(np.arange(10_000))).reshape(2_000, 5)
    found = [interval(study) for study in normal]
    covered = np.mean([i.low <= 0 <= i.high for i in found])
    assert 0.935 < covered < 0.965
