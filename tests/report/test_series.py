from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from schedlab.report.series import (
    bands,
    exact_samples,
    keyed,
    last_time,
    one_scenario,
    schedulers_of,
)


def samples(*runs: tuple[str, int, list[int], list[float]]) -> pd.DataFrame:
    parts = [
        pd.DataFrame(
            {"scenario": "s", "scheduler": name, "seed": seed, "time_us": times, "value": values}
        )
        for name, seed, times, values in runs
    ]
    return pd.concat(parts, ignore_index=True)


def only(frame: pd.DataFrame, points: int):
    found = dict(bands(frame, lambda run: run["value"].to_numpy(float), points=points))
    assert len(found) == 1
    return next(iter(found.values()))


def test_the_last_sample_holds_until_the_next():
    band = only(samples(("a", 0, [0, 4, 8], [1, 3, 2])), points=5)  # grid 0 2 4 6 8
    assert band.mean.tolist() == [1, 1, 3, 3, 2]
    assert band.seeds == 1


def test_mean_and_range_over_seeds():
    band = only(samples(("a", 0, [0, 4], [1, 3]), ("a", 1, [0, 4], [2, 5])), points=2)
    assert (band.mean.tolist(), band.low.tolist(), band.high.tolist()) == ([1.5, 4], [1, 3], [2, 5])


def test_a_line_stops_when_fewer_than_half_of_the_seeds_still_run():
    frame = samples(("a", 0, [0, 10], [1, 1]), ("a", 1, [0, 10], [2, 2]), ("a", 2, [0, 20], [9, 9]))
    band = only(frame, points=5)  # grid 0 5 10 15 20: from 15 on one run of three is left
    assert band.mean[:3].tolist() == [4, 4, 4]
    assert np.isnan(band.mean[3:]).all()


def test_tables_of_one_run_need_no_keys():
    frame = keyed(pd.DataFrame({"time_us": [0]}))
    assert frame[["scenario", "scheduler", "seed"]].to_numpy().tolist() == [["", "", 0]]


def test_schedulers_keep_their_order():
    assert schedulers_of(samples(("b", 0, [0], [0]), ("a", 0, [0], [0]))) == ["b", "a"]


def test_scenarios_are_not_mixed():
    frame = samples(("a", 0, [0], [0]))
    mixed = pd.concat([frame, frame.assign(scenario="t")])
    with pytest.raises(ValueError, match="one plot shows one scenario, found s, t"):
        one_scenario(mixed)


def test_exact_samples_are_means_over_bins(results):
    exact = exact_samples(results["pods"], results["nodes"], points=50)
    runs = results["samples"].groupby(["scheduler", "seed"])
    assert exact.groupby(["scheduler", "seed"]).size().to_dict() == dict.fromkeys(runs.groups, 51)
    # The mean over the run of the sampled curve comes close to that of the exact one.
    for column in ("pending", "requested_cpu_milli", "allocatable_memory_bytes"):
        sampled = runs[column].mean()
        means = exact.groupby(["scheduler", "seed"])[column].mean()
        np.testing.assert_allclose(means, sampled, rtol=0.05, atol=0.5)


def test_exact_pending_by_hand(results):
    # Two pods stored at 0 and 2; the first is bound at 4, the second never, the run ends at 8.
    pods = results["pods"].iloc[:2].copy()
    for column in [name for name in pods if name.endswith("_us")]:
        pods[column] = pd.array([pd.NA, pd.NA], dtype="Int64")
    pods["stored_us"] = pd.array([0, 2], dtype="Int64")
    pods["bound_us"] = pd.array([4, pd.NA], dtype="Int64")
    nodes = results["nodes"]
    ends = {(str(pods["scheduler"].iloc[0]), 0): 8}
    exact = exact_samples(pods, nodes, ends, points=4)
    assert exact["time_us"].tolist() == [0, 2, 4, 6, 8]
    assert exact["pending"].tolist() == [1, 2, 1, 1, 1]
    assert last_time(pods) == 4
    assert exact_samples(pods.iloc[:0], nodes).empty
