"""What a pod that fits nowhere is told: the reasons of all nodes, counted and sorted as text."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schedlab.scheduling.framework.evaluation import PAIRS, Evaluation
from schedlab.scheduling.framework.interface import fit_error
from schedlab.scheduling.framework.kernels import count_pairs


@pytest.mark.parametrize(
    ("size", "counts", "message"),
    [
        pytest.param(
            12,
            {"Insufficient memory": 2, "Insufficient cpu": 10, "Too many pods": 1},
            "0/12 nodes are available: "
            "1 Too many pods, 10 Insufficient cpu, 2 Insufficient memory.",
            id="by their text, so that 10 stands before 2",
        ),
        pytest.param(
            3, {"Too many pods": 3}, "0/3 nodes are available: 3 Too many pods.", id="one reason"
        ),
        pytest.param(
            2,
            {"Insufficient memory": 2, "Insufficient cpu": 2},
            "0/2 nodes are available: 2 Insufficient cpu, 2 Insufficient memory.",
            id="two reasons a node",
        ),
    ],
)
def test_the_message_is_upstreams(size, counts, message):
    assert fit_error(size, counts) == message


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(-2, 3), st.integers(0, 4)), max_size=60))
def test_pairs_are_counted_in_one_pass(pairs):
    by, codes = np.array(pairs, np.int64).reshape(-1, 2).T
    found = np.empty((PAIRS, 4), np.int64)
    size = count_pairs(by, codes, found)
    counted = {(b, code): (number, first) for b, code, number, first in found[:size].tolist()}
    expected = {pair: (number, pairs.index(pair)) for pair, number in Counter(pairs).items()}
    assert counted == expected


class Words:
    """A filter whose words are its code, by node or not."""

    def __init__(self, *, by_node):
        self.words_by_node = by_node

    def reasons(self, cycle, row, code):
        return (f"code {code}", "always") if code else ("nothing",)


@pytest.mark.parametrize(
    "codes",
    [
        pytest.param(5, id="few codes"),
        pytest.param(PAIRS, id="as many as are counted in one pass"),
        pytest.param(PAIRS + 3, id="more than that"),
    ],
)
def test_all_ways_to_count_say_the_same(codes):
    rows = np.arange(3 * codes)
    found = Evaluation(rows, np.zeros(len(rows), np.int64), rows % codes, rows[:0])
    ways = [found.message(None, [Words(by_node=by_node)]) for by_node in (False, True)]
    parts = ["3 nothing", f"{3 * codes - 3} always", *(f"3 code {i}" for i in range(1, codes))]
    assert ways == [f"0/{3 * codes} nodes are available: {', '.join(sorted(parts))}."] * 2
