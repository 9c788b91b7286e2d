"""Allocation against demand: a run by hand, and the paper's rounding."""

import numpy as np
import pandas as pd
import pytest

from schedlab.record.arrivals import arrival_curve, binned

MILLI = "request_alibabacloud.com/gpu-milli"
OFFERED = "allocatable_alibabacloud.com/gpu-milli"


def pods(*rows):
    """Return pods, each (created, bound, released, thousandths), times in s, -1 = never."""
    frame = pd.DataFrame(rows, columns=["created_us", "bound_us", "released_us", MILLI])
    for name in ("created_us", "bound_us", "released_us"):
        times = frame[name].to_numpy(dtype=np.float64)
        frame[name] = pd.array(np.where(times < 0, -1, times * 1e6).astype(int), "Int64")
        frame.loc[frame[name] < 0, name] = pd.NA
    return frame


NODES = pd.DataFrame({OFFERED: [2000, 2000]})
RUN = pods((0, 0, 3, 1000), (1, 1, -1, 2000), (2, -1, -1, 2000), (4, 5, -1, 500), (-1, -1, -1, 9))


def test_what_has_arrived_and_what_is_allocated():
    curve = arrival_curve(RUN, NODES)
    # of 4,000: 1,000, + 2,000, + 2,000, + 500, and the last pod was never created
    assert curve["arrived"].tolist() == [25.0, 75.0, 125.0, 137.5]
    # 1,000; + 2,000; the third fits nowhere; at 4 s the first is over and the fourth waits
    assert curve["allocated"].tolist() == [25.0, 75.0, 75.0, 50.0]


def test_fragments_are_those_of_the_moment():
    causes = ["gpu_and_cpu_short", "gpu_short", "usable", "cpu_short", "no_gpu_wanted",
              "no_gpu_wanted_cpu_short", "wrong_model"]  # fmt: skip
    table = pd.DataFrame(0.0, index=range(3), columns=[f"{cause}_milli" for cause in causes])
    table["time_us"] = [0, 1_000_000, 1_500_000]
    table["gpu_short_milli"] = [0.0, 400.0, 1000.0]
    table["usable_milli"] = [3000.0, 600.0, 0.0]
    curve = arrival_curve(RUN, NODES, table)
    assert curve["fragmented"].tolist() == [0.0, 10.0, 25.0, 25.0]  # of 4,000
    assert curve["fragmented_of_idle"].tolist() == [0.0, 40.0, 100.0, 100.0]  # of what is free


@pytest.mark.parametrize(
    ("frame", "nodes"),
    [
        pytest.param(RUN, pd.DataFrame({OFFERED: [0]}), id="no GPU"),
        pytest.param(RUN, pd.DataFrame({"node": ["a"]}), id="GPUs unheard of"),
        pytest.param(RUN.drop(columns=MILLI), NODES, id="no pod asks for any"),
    ],
)
def test_without_gpus_there_is_no_curve(frame, nodes):
    assert not len(arrival_curve(frame, nodes))


def test_a_value_is_the_mean_of_the_arrivals_near():
    curve = pd.DataFrame({"arrived": [0.4, 0.6, 1.4, 2.5, 3.5], "allocated": [0.4, 1, 2, 3, 4]})
    found = binned(curve, "allocated", last=6)
    # 0: .4 | 1: .6 and 1.4 | 2: 2.5, half to even | 3: none, so 2.5 and 3.5 | 4: 3.5 | 5: 3.5
    assert found[:6].tolist() == [0.4, 1.5, 3.0, 3.5, 4.0, 4.0]
    assert np.isnan(found[6])


@pytest.mark.parametrize("percent", [3, 54, 100, 101])
def test_half_a_per_cent_stays_half_and_rounds_to_even(percent):
    """By /6,212,000 x 100 these would be a bit more or less than half, and fall elsewhere."""
    milli = 6_212_000 * (2 * percent + 1) // 200
    frame, nodes = pods((0, 0, -1, milli)), pd.DataFrame({OFFERED: [6_212_000]})
    assert arrival_curve(frame, nodes)["arrived"].tolist() == [percent + 0.5]
