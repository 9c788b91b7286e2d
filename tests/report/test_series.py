from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from schedlab.report.series import bands, keyed, one_scenario, schedulers_of


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
