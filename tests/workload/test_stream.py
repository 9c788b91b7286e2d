"""The columns of a workload: order, triggers, joining blocks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedlab.workload.stream import PodArrivals, join_arrivals, pod_arrivals


def block(times: list[int], after: list[int] | None = None, item: str = "a") -> PodArrivals:
    n = len(times)
    return pod_arrivals(
        np.array(times, np.int64),
        np.zeros(n, np.int32),
        tuple(f"{item}-{i}" for i in range(n)),
        item=(item,) * n,
        after=None if after is None else np.array(after, np.int32),
        replica=np.arange(n, dtype=np.int32),
    )


@given(st.lists(st.integers(0, 5), max_size=20))
def test_timed_rows_are_sorted_by_time_then_row(times: list[int]) -> None:
    found = block(times).sorted()
    expected = sorted(range(len(times)), key=lambda i: (times[i], i))
    assert found.replica.tolist() == expected


@given(st.data())
def test_triggers_follow_their_rows(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 12))
    users = data.draw(st.integers(1, n))
    times = data.draw(st.lists(st.integers(0, 9), min_size=n, max_size=n))
    after = [-1 if i < users else i - users for i in range(n)]
    other = data.draw(st.lists(st.integers(0, 9), max_size=5))
    found = join_arrivals([block(other, item="b"), block(times, after)], [1, 1])
    before = {
        name: found.name[a] if a >= 0 else None
        for name, a in zip(found.name, found.after.tolist(), strict=True)
    }
    for i, trigger in enumerate(after):
        assert before[f"a-{i}"] == (None if trigger < 0 else f"a-{trigger}")
    triggered = found.after >= 0
    assert not (triggered[:-1] & ~triggered[1:]).any()  # timed rows come first
    assert (found.after < np.arange(len(found))).all()  # a trigger stands before what it triggers


def test_templates_of_joined_blocks_are_renumbered() -> None:
    found = join_arrivals([block([5]), block([1], item="b")], [3, 1])
    assert (found.name, found.template.tolist()) == (("b-0", "a-0"), [3, 0])


def test_columns_are_read_only() -> None:
    with pytest.raises(ValueError, match="read-only"):
        block([1]).time_us[0] = 2


def test_columns_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="different length"):
        pod_arrivals(np.zeros(2, np.int64), np.zeros(1, np.int32), ("a",), item=("a",))


def test_no_blocks_are_no_pods() -> None:
    assert len(join_arrivals([], [])) == 0
