"""Sizes: quantiles, steps, the copula, tables, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from schedlab.errors import InputError
from schedlab.rng import Draws, entity_key
from schedlab.sim.distributions import Constant
from schedlab.workload.model import validated
from schedlab.workload.sizes import (
    Correlation,
    Sized,
    Sizes,
    parse_count,
    parse_size,
    parse_sizes,
    parse_table,
    parse_time,
)

MI = 2**20
U = np.linspace(0, 1, 20_001)[:-1]
KEYS = np.array([entity_key("item", i) for i in range(20_000)], np.uint64)


def sized(resource: str, value: Any) -> Sized:
    """Parse a size that is rounded."""
    found = parse_size(resource, value, field=resource)
    assert isinstance(found, Sized)
    return found


def joint(correlations: list[tuple[str, str, float]], **marginals: Any) -> Sizes:
    parsed = {
        name: parse_time(value, field=name)
        if name == "duration"
        else parse_size(name, value, field=name)
        for name, value in marginals.items()
    }
    pairs = tuple(
        validated(Correlation, {"between": [a, b], "rank": r}) for a, b, r in correlations
    )
    return parse_sizes(parsed, None, pairs, field="items[0]")


def test_lognormal_quantiles_are_those_of_theory() -> None:
    size = parse_size(
        "memory", {"lognormal": {"median": "1Gi", "sigma": 0.8}, "step": "1Mi"}, field="m"
    )
    drawn = size.quantiles(Draws(3).uniforms(KEYS)) / 2**30
    for p in (0.1, 0.5, 0.9, 0.99):
        # a quantile of n draws lies within the order statistics of p +- 4 sqrt(p (1 - p) / n)
        half = 4 * np.sqrt(p * (1 - p) / len(KEYS))
        low, high = (float(stats.lognorm.ppf(q, 0.8)) for q in (p - half, p + half))
        assert low <= np.quantile(drawn, p) <= high


def test_default_steps_keep_the_number_of_sizes_small() -> None:
    size = sized("cpu", {"lognormal": {"median": "500m", "sigma": 1}})
    drawn = size.quantiles(U)
    assert set(drawn[drawn <= 800]) == {50, 100, 150, 200, 250, 300, 350, 400, 500, 600, 700, 800}
    assert len(np.unique(drawn)) < 40
    assert drawn.mean() == pytest.approx(size.mean(), rel=0.01)
    moved = np.abs(drawn / np.maximum(size.base.quantiles(U), 1) - 1)
    assert (moved[drawn > 200] <= 0.13).all()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param({"uniform": ["100m", "1"], "step": "250m"}, {250, 500, 750, 1000}, id="step"),
        pytest.param(
            {"uniform": ["100m", "1"], "step": "250m", "min": "300m", "max": "800m"},
            {300, 500, 750, 800},
            id="bounds come last",
        ),
        pytest.param({"choices": {"1": 1, "33m": 1}}, {1000, 33}, id="choices are not rounded"),
        pytest.param({"empirical": ["1", "33m"]}, {1000, 33}, id="values are not rounded"),
        pytest.param({"choices": {"1": 1, "33m": 0}}, {1000}, id="weight 0"),
        pytest.param("33m", {33}, id="constant"),
        pytest.param(0.5, {500}, id="number"),
    ],
)
def test_values_that_come_out(value: Any, expected: set[int]) -> None:
    assert set(parse_size("cpu", value, field="cpu").quantiles(U).tolist()) == expected


@given(st.floats(0, 1, exclude_max=True), st.integers(1, 500))
def test_rounding_moves_by_half_a_step_at_most(u: float, step: int) -> None:
    size = sized("cpu", {"uniform": ["1", "9"], "step": f"{step}m"})
    found = size.quantile(u)
    assert found % step == 0
    assert abs(found - size.base.quantile(u)) <= step / 2


def test_tails_beyond_64_bits_are_cut_not_wrapped() -> None:
    size = parse_size(
        "memory", {"pareto": {"scale": "1Gi", "shape": 0.05}, "max": "1Ti"}, field="m"
    )
    assert size.quantiles(U).max() == 2**40
    endless = parse_size("memory", {"pareto": {"scale": "1Gi", "shape": 0.05}}, field="m")
    assert endless.quantiles(U).max() == 2**53


def test_weights_are_shares() -> None:
    size = parse_size("cpu", {"choices": {"1": 3, "2": 1}}, field="cpu")
    drawn = size.quantiles(Draws(1).uniforms(KEYS))
    low, high = stats.binom.interval(0.999, len(KEYS), 0.25)
    assert low <= (drawn == 2000).sum() <= high
    assert size.mean() == 1250


@pytest.mark.parametrize("rank", [-0.7, 0.0, 0.3, 0.9])
def test_copula_has_the_rank_correlation_asked_for(rank: float) -> None:
    sizes = joint(
        [("cpu", "memory", rank), ("memory", "duration", 0.2)],
        cpu={"lognormal": {"median": "1", "sigma": 1.5}, "step": "1m"},
        memory={"pareto": {"scale": "1Mi", "shape": 1.1}, "step": "1"},
        duration={"exponential": {"mean": "10m"}},
    )
    drawn = sizes.draw(KEYS, Draws(7))
    # the error of a rank correlation of 20,000 pairs is about 0.007
    assert stats.spearmanr(drawn["cpu"], drawn["memory"]).statistic == pytest.approx(
        rank, abs=0.025
    )
    assert stats.spearmanr(drawn["memory"], drawn["duration"]).statistic == pytest.approx(
        0.2, abs=0.025
    )


def test_copula_keeps_the_marginals() -> None:
    sizes = joint([("cpu", "memory", 0.8)], cpu={"uniform": ["1", "3"], "step": "1m"}, memory="1Gi")
    drawn = sizes.draw(KEYS, Draws(7))["cpu"]
    assert stats.kstest(drawn / 1000, "uniform", args=(1, 2)).pvalue > 0.01


def test_a_correlation_leaves_the_other_dimensions_alone() -> None:
    spec = {
        "cpu": {"uniform": ["1", "2"]},
        "memory": {"uniform": ["1Gi", "9Gi"]},
        "duration": {"uniform": [1, 9]},
    }
    plain = joint([], **spec).draw(KEYS, Draws(1))
    tied = joint([("cpu", "memory", 0.5)], **spec).draw(KEYS, Draws(1))
    assert plain["duration"].tolist() == tied["duration"].tolist()
    assert plain["cpu"].tolist() == tied["cpu"].tolist()  # the first one of a pair leads
    assert plain["memory"].tolist() != tied["memory"].tolist()


def test_draws_of_a_few_are_those_of_many() -> None:
    sizes = joint(
        [("cpu", "memory", 0.5)], cpu={"uniform": ["1", "9"]}, memory={"uniform": ["1Gi", "9Gi"]}
    )
    few, many = sizes.draw(KEYS[:13], Draws(1)), sizes.draw(KEYS, Draws(1))
    assert all(few[name].tolist() == many[name][:13].tolist() for name in few)


@pytest.mark.parametrize(
    ("correlations", "field"),
    [
        pytest.param([("cpu", "gpu", 0.5)], "items[0].correlation[0].between", id="unknown"),
        pytest.param([("cpu", "cpu", 0.5)], "items[0].correlation[0].between", id="with itself"),
        pytest.param(
            [("cpu", "memory", 0.5), ("memory", "cpu", 0.5)],
            "items[0].correlation[1].between",
            id="twice",
        ),
        pytest.param(
            [("cpu", "memory", 0.9), ("memory", "duration", 0.9), ("cpu", "duration", -0.9)],
            "items[0].correlation",
            id="contradiction",
        ),
    ],
)
def test_impossible_correlations(correlations: list[tuple[str, str, float]], field: str) -> None:
    with pytest.raises(InputError) as caught:
        joint(correlations, cpu=1, memory="1Gi", duration="1s")
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("value", "field"),
    [
        pytest.param("abc", "cpu", id="no quantity"),
        pytest.param(-1, "cpu", id="negative"),
        pytest.param(float("nan"), "cpu", id="NaN"),
        pytest.param({"choices": {}}, "cpu.choices", id="no choices"),
        pytest.param({"choices": {"1": -1}}, "cpu.choices[1]", id="negative weight"),
        pytest.param({"choices": {"1": 0}}, "cpu.choices", id="no weight at all"),
        pytest.param({"choices": {"x": 1}}, "cpu.choices[x]", id="choice is no quantity"),
        pytest.param(
            {"lognormal": {"median": "x", "sigma": 1}}, "cpu.lognormal.median", id="median"
        ),
        pytest.param({"uniform": [1, 2], "step": 0}, "cpu.step", id="step 0"),
        pytest.param({"uniform": [1, 2], "min": 3, "max": 2}, "cpu.max", id="max below min"),
        pytest.param({"uniform": [1, 2], "mean": 3}, "cpu", id="unknown key"),
    ],
)
def test_bad_sizes_name_the_field(value: Any, field: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_size("cpu", value, field="cpu")
    assert caught.value.field == field


def test_counts_are_integers_at_least_low() -> None:
    assert parse_count(3, field="replicas", low=0).quantile(0.5) == 3
    assert set(parse_count({"choices": {"1": 1, "4": 1}}, field="c", low=1).quantiles(U)) == {1, 4}
    assert parse_count({"uniform": [0, 5]}, field="c", low=1).quantiles(U).min() == 1
    for bad in (0, 1.5, True, "many"):
        with pytest.raises(InputError):
            parse_count(bad, field="completions", low=1)


def test_times_are_exact() -> None:
    assert isinstance(parse_time("90s", field="d"), Constant)
    assert parse_time({"uniform": ["1ms", "3ms"]}, field="d").quantile(0.5) == 2000


ROWS = [
    {"weight": 3, "cpu": "1", "memory": "4Gi", "duration": "10m"},
    {"weight": 1, "cpu": 8, "memory": "32Gi", "duration": "1h"},
]


def test_table_draws_whole_rows_by_weight() -> None:
    sizes = parse_sizes({}, parse_table(ROWS, field="t"), (), field="items[0]")
    drawn = sizes.draw(KEYS, Draws(2))
    rows = set(zip(*(drawn[n].tolist() for n in ("cpu", "memory", "duration")), strict=True))
    assert rows == {(1000, 4096 * MI, 600_000_000), (8000, 32768 * MI, 3_600_000_000)}
    low, high = stats.binom.interval(0.999, len(KEYS), 0.25)
    assert low <= (drawn["cpu"] == 8000).sum() <= high


def test_table_of_a_csv_file(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("cpu,memory,weight\n500m,1Gi,1\n2,8Gi,0\n")
    table = parse_table("t.csv", field="t", base=tmp_path)
    assert table.columns["cpu"].tolist() == [500, 2000]
    assert set(table.rows(U)) == {0}


@pytest.mark.parametrize(
    ("rows", "field"),
    [
        pytest.param([], "t", id="no rows"),
        pytest.param("none.csv", "t", id="no file"),
        pytest.param(7, "t", id="no table"),
        pytest.param([{"cpu": 1}, {"cpu": "x"}], "t[1].cpu", id="bad cell"),
        pytest.param([{"cpu": 1, "memory": 1}, {"cpu": 1}], "t[1].memory", id="missing cell"),
        pytest.param([{"cpu": 1}, {"cpu": 1, "memory": 1}], "t[1]", id="one more cell"),
        pytest.param([{"cpu": 1, "weight": -1}], "t[0].weight", id="negative weight"),
    ],
)
def test_bad_tables(rows: Any, field: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_table(rows, field="t")
    assert caught.value.field.rstrip(".") == field


def test_bad_cell_of_a_csv_file_names_its_row(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("cpu\n1\nNaN\n")
    with pytest.raises(InputError) as caught:
        parse_table("t.csv", field="t", base=tmp_path)
    assert (caught.value.field, caught.value.file) == ("row 3: cpu", str(tmp_path / "t.csv"))


def test_a_dimension_stands_once() -> None:
    table = parse_table(ROWS, field="t")
    with pytest.raises(InputError, match="each dimension once"):
        parse_sizes({"cpu": Constant(1)}, table, (), field="items[0]")
