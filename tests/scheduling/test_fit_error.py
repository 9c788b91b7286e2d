"""What a pod that fits nowhere is told: the reasons of all nodes, counted and sorted as text."""

import pytest

from schedlab.scheduling.framework.interface import fit_error


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
