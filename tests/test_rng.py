import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from schedlab.rng import Draws, entity_key

KEYS = st.integers(0, 2**64 - 1)


@given(st.integers(), st.text(max_size=10), st.lists(KEYS, min_size=1, max_size=20), KEYS)
def test_vector_and_scalar_draws_are_equal_bit_for_bit(seed, stream, entities, attempt):
    attempt &= 0xFFFF_FFFF
    draws = Draws(seed, stream)
    vector = draws.uniforms(np.array(entities, np.uint64), attempt)
    assert vector.tolist() == [draws.uniform(entity, attempt) for entity in entities]


@given(KEYS, st.integers(1, 2**31))
def test_integers_stay_below_their_bound(entity, bound):
    assert 0 <= Draws(3).integer(bound, entity) < bound


def test_draws_are_uniform_over_entities_attempts_and_seeds():
    entities = Draws(7, "x").uniforms(np.arange(20_000))
    attempts = Draws(7, "x").uniforms(np.zeros(20_000, np.int64), np.arange(20_000))
    seeds = np.array([Draws(seed, "x").uniform(1) for seed in range(5_000)])
    for sample in (entities, attempts, seeds):
        assert stats.kstest(sample, "uniform").pvalue > 0.001
    assert abs(np.corrcoef(entities, attempts)[0, 1]) < 0.03


def test_a_draw_does_not_depend_on_what_was_drawn_before():
    fresh = Draws(1).stream("sizes").uniform(42)
    busy = Draws(1)
    for entity in range(100):
        busy.stream("durations").uniform(entity)
        busy.stream("sizes").uniform(entity)
    assert busy.stream("sizes").uniform(42) == fresh


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(Draws(1), Draws(2), id="seed"),
        pytest.param(Draws(1, "a"), Draws(1, "b"), id="stream"),
        pytest.param(Draws(1).stream("a"), Draws(1).stream("a").stream("a"), id="sub-stream"),
    ],
)
def test_streams_are_independent(one, other):
    a, b = (d.uniforms(np.arange(4_000)) for d in (one, other))
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.06


def test_keys_tell_parts_apart():
    keys = [entity_key("a", "b"), entity_key("ab"), entity_key("a", 1), entity_key("a", "1")]
    assert len(set(keys)) == len(keys)


def test_keys_and_draws_are_the_same_in_every_process():
    code = (
        "from schedlab.rng import *; "
        "print(entity_key('web', 3), Draws(5, 's').bits(9, 2), Draws(5).generator().random())"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    here = f"{entity_key('web', 3)} {Draws(5, 's').bits(9, 2)} {Draws(5).generator().random()}\n"
    assert outputs == {here}
