"""What ports and required anti-affinity must look like, on clusters of three nodes.

n0 and n1 are in zone a, n2 is in zone b.
"""

import pytest

from schedlab.cluster.invariants import kept_apart, ports_once
from schedlab.testing.affinity import pod_affinity, pod_term
from schedlab.testing.hints import ZONE, asks, zoned_cluster

FAR = asks(app="web", affinity=pod_affinity(apart=[pod_term(ZONE, "db")]))
SOLITARY = asks(app="web", affinity=pod_affinity(apart=[pod_term(ZONE, "web")]))
DB = asks(app="db")


@pytest.mark.parametrize(
    ("pods", "wrong"),
    [
        pytest.param([(0, asks(ports=[80])), (1, asks(ports=[80]))], [], id="two nodes"),
        pytest.param([(0, asks(ports=[80])), (0, asks(ports=[81]))], [], id="two ports"),
        pytest.param(
            [(0, asks(ports=[80], ip="10.0.0.1")), (0, asks(ports=[80], ip="10.0.0.2"))],
            [],
            id="two addresses",
        ),
        pytest.param(
            [(1, asks(ports=[80])), (1, asks(ports=[80], ip="10.0.0.1"))],
            ["n1: pods 0 and 1"],
            id="every address is one of them",
        ),
        pytest.param(
            [(0, asks(ports=[80]))] * 3,
            ["n0: pods 0 and 1", "n0: pods 0 and 2", "n0: pods 1 and 2"],
            id="each pair is told",
        ),
    ],
)
def test_ports_are_taken_once(pods, wrong):
    found = ports_once(zoned_cluster("a", "a", "b", pods=pods))
    assert [line.partition(" take")[0] for line in found] == wrong


@pytest.mark.parametrize(
    ("pods", "wrong"),
    [
        pytest.param([(0, FAR), (2, DB)], [], id="in two zones"),
        pytest.param([(0, FAR), (1, FAR)], [], id="it means others only"),
        pytest.param([(0, SOLITARY)], [], id="a pod is not its own neighbour"),
        pytest.param([(0, FAR), (1, DB)], ["pods 0 and 1"], id="two nodes of a zone"),
        pytest.param([(1, DB), (1, FAR)], ["pods 1 and 0"], id="whoever came first"),
        pytest.param(
            [(0, SOLITARY), (1, SOLITARY)],
            ["pods 0 and 1", "pods 1 and 0"],
            id="each of them says so",
        ),
    ],
)
def test_pods_are_kept_apart(pods, wrong):
    found = kept_apart(zoned_cluster("a", "a", "b", pods=pods))
    assert found == [f"{pair} share {ZONE}=a" for pair in wrong]
