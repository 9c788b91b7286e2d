import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedlab.errors import InputError
from schedlab.rng import Draws
from schedlab.sim import (
    Constant,
    Empirical,
    Exponential,
    Lognormal,
    Pareto,
    QuantileTable,
    Uniform,
    parse_distribution,
)

ALL = [
    pytest.param(Constant(500), id="constant"),
    pytest.param(Uniform(100, 900), id="uniform"),
    pytest.param(Exponential(1_000), id="exponential"),
    pytest.param(Lognormal(1_000, 0.8), id="lognormal"),
    pytest.param(Pareto(1_000, 3.0), id="pareto"),
    pytest.param(QuantileTable((0.5, 0.9, 0.99), (9_300, 13_100, 24_600)), id="quantiles"),
    pytest.param(Empirical((1, 5, 5, 20)), id="empirical"),
]
UNIT = st.floats(0, 1, exclude_max=True)


@pytest.mark.parametrize("distribution", ALL)
@given(st.lists(UNIT, min_size=1, max_size=30))
def test_vector_equals_scalar_and_grows_with_u(distribution, us):
    values = distribution.quantiles(np.array(us))
    assert values.tolist() == [distribution.quantile(u) for u in us]
    assert [distribution.quantile(u) for u in sorted(us)] == sorted(values.tolist())


@pytest.mark.parametrize("distribution", ALL)
def test_the_sample_mean_is_the_mean(distribution):
    sample = distribution.quantiles(Draws(1).uniforms(np.arange(100_000)))
    error = 5 * sample.std() / math.sqrt(len(sample)) + 0.5 + 1e-9  # 5 sigma and the rounding down
    assert abs(sample.mean() - distribution.mean()) <= error


@pytest.mark.parametrize(
    ("distribution", "u", "value"),
    [
        pytest.param(Uniform(100, 900), 0.25, 300, id="uniform: 100 + 0.25 x 800"),
        pytest.param(Exponential(1_000), 1 - math.exp(-2), 2_000, id="exponential: -ln(1-u) = 2"),
        pytest.param(Lognormal(1_000, 2.0), 0.5, 1_000, id="lognormal: the median"),
        pytest.param(Pareto(10, 1.0), 0.75, 40, id="pareto: 10 / 0.25"),
        pytest.param(QuantileTable((0.5, 1 - 2**-7), (10, 30)), 0.5, 10, id="table: at a knot"),
        pytest.param(QuantileTable((0.5,), (100,)), 0.25, 50, id="table: half-way up from zero"),
        pytest.param(QuantileTable((0.5,), (100,)), 0.75, 150, id="table: last slope goes on"),
        pytest.param(Empirical((1, 5, 9, 20)), 0.75, 20, id="empirical: rank floor(0.75 x 4)"),
    ],
)
def test_quantiles_by_hand(distribution, u, value):
    assert distribution.quantile(u) == pytest.approx(value, abs=1)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("10ms", Constant(10_000), id="duration"),
        pytest.param(2, Constant(2_000_000), id="a number is seconds"),
        pytest.param({"constant": "1s"}, Constant(1_000_000), id="constant"),
        pytest.param({"uniform": ["1ms", "5ms"]}, Uniform(1_000, 5_000), id="uniform"),
        pytest.param({"exponential": {"mean": "10ms"}}, Exponential(10_000), id="exponential"),
        pytest.param(
            {"lognormal": {"median": "60s", "sigma": 1.2}},
            Lognormal(60_000_000, 1.2),
            id="lognormal",
        ),
        pytest.param(
            {"pareto": {"scale": "1s", "shape": 1.5}}, Pareto(1_000_000, 1.5), id="pareto"
        ),
        pytest.param(
            {"quantiles": {0.9: "2ms", "0.5": "1ms"}},
            QuantileTable((0.5, 0.9), (1_000, 2_000)),
            id="quantiles in any order",
        ),
        pytest.param({"empirical": ["2ms", "1ms"]}, Empirical((1_000, 2_000)), id="empirical list"),
    ],
)
def test_parse(value, expected):
    assert parse_distribution(value) == expected


def test_parse_empirical_file(tmp_path):
    (tmp_path / "pulls.csv").write_text("node,seconds\na,2\nb,1.5\n")
    found = parse_distribution({"empirical": "pulls.csv", "column": "seconds"}, base=tmp_path)
    assert found == Empirical((1_500_000, 2_000_000))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        pytest.param({"gamma": 1}, "expected one of constant, uniform", id="unknown kind"),
        pytest.param({"constant": 1, "uniform": [1, 2]}, "expected one of", id="two kinds"),
        pytest.param({"uniform": ["5ms", "1ms"]}, "low <= high", id="uniform upside down"),
        pytest.param({"uniform": "5ms"}, "[low, high]", id="uniform without a pair"),
        pytest.param({"exponential": {"rate": 3}}, "a mapping with mean", id="wrong parameter"),
        pytest.param({"lognormal": {"median": 1, "sigma": -1}}, ">= 0", id="negative sigma"),
        pytest.param({"pareto": {"scale": 1, "shape": 0}}, "> 0", id="shape of zero"),
        pytest.param({"pareto": {"scale": 1, "shape": float("nan")}}, "> 0", id="NaN"),
        pytest.param({"quantiles": {1.5: "1ms"}}, "within (0, 1)", id="probability above one"),
        pytest.param({"quantiles": {0.5: "2s", 0.9: "1s"}}, "values that grow", id="falling"),
        pytest.param({"quantiles": {}}, "a mapping of probability", id="no quantiles"),
        pytest.param({"empirical": []}, "at least one value", id="no values"),
        pytest.param({"empirical": "missing.csv"}, "a readable CSV file", id="no file"),
        pytest.param({"uniform": [1, 2], "column": "x"}, "no column here", id="stray column"),
        pytest.param("-5ms", "etcd.commit", id="negative duration names the field"),
    ],
)
def test_bad_distributions_are_refused(value, message, tmp_path):
    with pytest.raises(InputError) as caught:
        parse_distribution(value, field="etcd.commit", base=tmp_path)
    assert message in str(caught.value)
    assert "etcd.commit" in str(caught.value)


def test_a_bad_row_of_a_file_is_named(tmp_path):
    (tmp_path / "x.csv").write_text("s\n1\nsoon\n")
    with pytest.raises(InputError) as caught:
        parse_distribution({"empirical": "x.csv"}, base=tmp_path)
    assert "x.csv" in str(caught.value)
    assert "row 3" in str(caught.value)
