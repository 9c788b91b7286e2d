from __future__ import annotations

import doctest

import pytest

from schedlab.report import formatting
from schedlab.report.formatting import (
    NONE,
    common_scale,
    format_difference,
    format_duration,
    format_interval,
    format_value,
    shorten,
    time_unit,
)

NAN = float("nan")
INF = float("inf")


def test_examples_in_the_docstrings():
    assert doctest.testmod(formatting).failed == 0


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        pytest.param(0.0, "s", "0 s", id="zero"),
        pytest.param(0.0042, "s", "4.20 ms", id="milliseconds"),
        pytest.param(0.000003, "s", "3 µs", id="microseconds"),
        pytest.param(119, "s", "119 s", id="below two minutes"),
        pytest.param(120, "s", "2 min", id="two minutes"),
        pytest.param(149 * 86400, "s", "149 d", id="days"),
        pytest.param(1.0, "share", "100 %", id="whole share"),
        pytest.param(8152, "pods", "8,152 pods", id="thousands"),
        pytest.param(1234.5, "", "1,234", id="no digits below the third"),
        pytest.param(-0.5, "", "-0.500", id="negative"),
        pytest.param(NAN, "s", NONE, id="undefined"),
    ],
)
def test_format_value(value, unit, expected):
    assert format_value(value, unit) == expected


@pytest.mark.parametrize(
    ("mean", "low", "high", "unit", "expected"),
    [
        # half width 0.6: two digits of it are 0.60 -> two decimals... of per cent
        pytest.param(0.5, 0.494, 0.506, "share", "50.00 [49.40, 50.60] %", id="share"),
        pytest.param(90, 80, 100, "s", "90 [80, 100] s", id="half width 10: no decimals"),
        pytest.param(3600, 3000, 9000, "s", "1.00 [0.83, 2.50] h", id="one unit for all three"),
        pytest.param(5, 5, 5, "", "5", id="no spread"),
        pytest.param(5, NAN, NAN, "", "5", id="one run: no interval"),
        pytest.param(NAN, NAN, NAN, "s", NONE, id="undefined"),
    ],
)
def test_format_interval(mean, low, high, unit, expected):
    assert format_interval(mean, low, high, unit) == expected


@pytest.mark.parametrize(
    ("difference", "half", "unit", "expected"),
    [
        pytest.param(2, 1, "s", "+2.0 [1.0, 3.0] s", id="sign"),
        pytest.param(0, 0, "pods", "0 pods", id="none"),
        pytest.param(0.02, 0.01, "share", "+2.0 [1.0, 3.0] pp", id="percentage points"),
        pytest.param(-0.001, 0.02, "", "-0.001 [-0.021, 0.019]", id="across zero"),
        pytest.param(NAN, NAN, "", NONE, id="undefined"),
    ],
)
def test_format_difference(difference, half, unit, expected):
    assert format_difference(difference, difference - half, difference + half, unit) == expected


def test_small_numbers_never_show_a_negative_zero():
    assert format_interval(-0.0001, -0.1, 0.1, "") == "0.00 [-0.10, 0.10]"


def test_common_scale_is_one_unit_and_precision_for_a_row():
    scale = common_scale([90.0, 200.0, NAN], [6.0, 12.0, NAN], "s")
    assert scale.unit == "min"
    assert [scale.interval(v, v - 6, v + 6) for v in (90, 200)] == [
        "1.50 [1.40, 1.60]",
        "3.33 [3.23, 3.43]",
    ]
    assert scale.interval(NAN, NAN, NAN) == NONE


@pytest.mark.parametrize(
    ("means", "widths", "unit", "shown"),
    [
        pytest.param([2400.0, 2399.0], [0.0, 0.0], "pods", "2,400", id="counts stay whole"),
        pytest.param([0.0], [0.0], "s", "0", id="zero"),
        pytest.param([7199.8], [0.002], "s", "120.0", id="no more digits than one can use"),
        pytest.param([1 / 3], [NAN], "", "0.3333", id="one run"),
        pytest.param([], [], "", None, id="nothing"),
    ],
)
def test_common_scale_of_special_rows(means, widths, unit, shown):
    scale = common_scale(means, widths, unit)
    if shown is not None:
        mean, width = means[0], widths[0]
        assert scale.interval(mean, mean - width, mean + width) == shown


@pytest.mark.parametrize("seconds", [0.0, NAN, INF])
def test_time_unit_of_nothing_is_seconds(seconds):
    assert time_unit(seconds) == ("s", 1.0)


def test_tick_labels_are_short():
    assert [format_duration(v) for v in (1e-6, 60, 3600, 864000)] == [
        "1 µs",
        "60 s",
        "60 min",
        "10 d",
    ]


def test_shorten_keeps_both_ends():
    assert shorten("kube-scheduler") == "kube-scheduler"
    short = shorten("experiments/policies/my_sched.py:WorstFit", 20)
    assert len(short) == 20
    assert short.startswith("experi")
    assert short.endswith("py:WorstFit")
