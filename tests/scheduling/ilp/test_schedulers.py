"""The schedulers that solve: the conformance kit, and what each does that greedy doesn't."""

from __future__ import annotations

import pytest

from schedlab.scheduling.ilp.schedulers import Flow, Ilp, IlpFallback, IlpPartitioned, IlpRebalance
from schedlab.testing.conformance import check_scheduler

QUICK = {"time_limit": "100ms"}


@pytest.mark.parametrize(
    "factory",
    [
        pytest.param(lambda: Ilp(**QUICK), id="ilp"),
        pytest.param(lambda: IlpFallback(displace="none", **QUICK), id="ilp-fallback"),
        pytest.param(lambda: IlpRebalance(**QUICK), id="ilp-rebalance"),
        pytest.param(Flow, id="flow"),
        pytest.param(lambda: IlpPartitioned(parts=3, **QUICK), id="ilp-partitioned"),
    ],
)
def test_conformance(factory):
    check_scheduler(factory, seeds=(0,))
