"""The whole control plane against closed forms: pods on nodes are customers at servers."""

import math

import numpy as np
from scipy import stats

from schedlab.rng import Draws
from schedlab.testing.runs import pod_template, pods_at, small_node, small_run
from schedlab.units import SECOND

SEEDS = 30


def queue(seed, *, servers, rate, service, count, priorities=None):
    """Run an M/M/c: one pod fills one node; return waits in seconds, by priority class."""
    draws = Draws(seed, "theory")
    entity = np.arange(count)
    gaps = -np.log1p(-draws.stream("gaps").uniforms(entity)) / rate
    lengths = -np.log1p(-draws.stream("lengths").uniforms(entity)) * service
    arrivals = np.cumsum(gaps)
    classes = priorities or (0,)
    which = (draws.stream("class").uniforms(entity) * len(classes)).astype(int)
    work = pods_at(
        *zip(arrivals.tolist(), lengths.tolist(), strict=True),
        templates=tuple(pod_template(1_000, priority=p) for p in classes),
        template=which.tolist(),
    )
    nodes = [small_node(f"n{i}", cpu=1_000) for i in range(servers)]
    pods = small_run(work, nodes=nodes, seed=seed, sample_period_us=10**12).run().tables["pods"]
    wait = (pods["bound_us"] - pods["created_us"]) / SECOND
    settled = entity >= count // 10  # warm-up
    return [float(wait[settled & (which == c)].mean()) for c in range(len(classes))]


def in_interval(samples, theory):
    """Return whether *theory* lies in the 99 % confidence interval of the mean."""
    half = stats.t.ppf(0.995, len(samples) - 1) * np.std(samples, ddof=1) / math.sqrt(len(samples))
    return abs(np.mean(samples) - theory) <= half


def test_mm2_waits_as_erlang_says():
    servers, rate, service = 2, 0.15, 10.0  # offered load a = 1.5, utilization 0.75
    a = rate * service
    tail = a**servers / math.factorial(servers) * servers / (servers - a)
    erlang_c = tail / (sum(a**k / math.factorial(k) for k in range(servers)) + tail)
    theory = erlang_c * service / (servers - a)  # = 9/14 x 10 / 0.5 = 12.857 s
    waits = [
        queue(seed, servers=servers, rate=rate, service=service, count=1_500)[0]
        for seed in range(SEEDS)
    ]
    assert in_interval(waits, theory), (np.mean(waits), theory)


def test_priority_mm1_waits_as_cobham_says():
    # two classes of equal rate, utilization 0.35 each, no preemption (Cobham 1954):
    # W0 = sum(rate_i E[S_i^2]) / 2 = 0.07 x 2 x 100 / 2 = 7 s
    rate, service = 0.07, 10.0
    residual = rate * service**2
    high = residual / (1 - 0.35)
    low = residual / ((1 - 0.35) * (1 - 0.7))
    waits = np.array(
        [
            queue(seed, servers=1, rate=rate, service=service, count=1_500, priorities=(10, 0))
            for seed in range(SEEDS)
        ]
    )
    assert in_interval(waits[:, 0], high), (waits[:, 0].mean(), high)
    assert in_interval(waits[:, 1], low), (waits[:, 1].mean(), low)
