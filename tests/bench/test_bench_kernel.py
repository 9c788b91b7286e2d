"""Speed of the kernel: events per second of an empty handler, and cost of a keyed draw."""

import numpy as np
import pytest

from schedlab.rng import Draws
from schedlab.sim import Calendar, Exponential, Priority, QuantileTable

pytestmark = pytest.mark.bench
EVENTS = 100_000


@pytest.mark.parametrize("waiting", [1, 100, 10_000])
def test_events(benchmark, waiting):
    """A handler that posts its successor, with *waiting* events in the calendar."""

    def run():
        calendar = Calendar()
        left = [EVENTS]

        def handle(number):
            left[0] -= 1
            if left[0] > 0:
                calendar.post(calendar.now_us + 1 + number % 7, Priority.ARRIVAL, again, number)

        again = calendar.register("bench", "again", handle)
        for number in range(waiting):
            calendar.post(number, Priority.ARRIVAL, again, number)
        calendar.run()
        return calendar.processed

    processed = benchmark.pedantic(run, rounds=3, warmup_rounds=1)
    assert processed >= EVENTS
    if benchmark.stats is not None:
        benchmark.extra_info["events_per_s"] = processed / benchmark.stats["min"]


@pytest.mark.parametrize(
    "distribution",
    [
        pytest.param(Exponential(1_000), id="exponential"),
        pytest.param(QuantileTable((0.5, 0.9, 0.99), (1, 2, 3)), id="quantiles"),
    ],
)
def test_scalar_draws(benchmark, distribution):
    draws = Draws(1, "bench")

    def run():
        return sum(distribution.quantile(draws.uniform(entity)) for entity in range(10_000))

    assert benchmark.pedantic(run, rounds=3, warmup_rounds=1) > 0


def test_vector_draws(benchmark):
    draws, entities = Draws(1, "bench"), np.arange(1_000_000)
    values = benchmark.pedantic(lambda: draws.uniforms(entities), rounds=3, warmup_rounds=1)
    assert 0.49 < values.mean() < 0.51
