"""Moves: who is evicted, for whom room is kept, and until when."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from schedlab.cluster import ClassTable, ClusterState
from schedlab.cluster.vocabulary import ResourceNames
from schedlab.controlplane.moves import Moves
from schedlab.controlplane.nominations import Nominations
from schedlab.scheduling.base import Move
from schedlab.testing.runs import pod_template, small_node

OWN, OTHER = 4, 5
"""Owners."""


@pytest.fixture
def cluster():
    """Two nodes; pod 0 runs on the first, and has an owner."""
    state = ClusterState(ClassTable(ResourceNames()))
    for name in ("n0", "n1"):
        state.nodes.add(small_node(name))
    pod_class = state.classes.intern("default", pod_template().spec, 0)
    state.add_pod(0, pod_class, 0)
    pods = SimpleNamespace(pod_class=[pod_class.id] * 4, owner=[OWN, OWN, OTHER, OWN])
    evicted, events = [], []
    api = SimpleNamespace(evict_pod=lambda pod, at, reason: evicted.append((pod, at, reason)))
    bucket = SimpleNamespace(take=lambda now: now + 7)
    moves = Moves(state, pods, api, bucket, Nominations(state, events.append))
    return SimpleNamespace(state=state, moves=moves, evicted=evicted, events=events)


def test_the_replacement_gets_the_room(cluster):
    cluster.moves.begin([Move(0, 1, "tidy", 1_000)], 10)
    assert cluster.evicted == [(0, 17, "tidy")]
    assert [node for node, _ in cluster.state.nominated.values()] == [1]
    cluster.moves.claim(2)  # of somebody else
    assert 2 not in cluster.state.nominated
    cluster.moves.claim(1)
    assert {pod: node for pod, (node, _) in cluster.state.nominated.items()} == {1: 1}
    assert not cluster.moves
    cluster.moves.claim(3)  # a second one finds none
    assert 3 not in cluster.state.nominated


def test_room_is_kept_until_it_expires(cluster):
    cluster.moves.begin([Move(0, 1, "tidy", 1_000)], 10)
    cluster.moves.expire(999)
    assert cluster.moves
    cluster.moves.expire(1_000)
    assert not cluster.moves
    assert not cluster.state.nominated
    assert len(cluster.events) == 1  # whoever waits for the room may have it


def test_a_pod_that_has_gone_is_not_moved(cluster):
    cluster.state.remove_pod(0)
    cluster.moves.begin([Move(0, 1, "tidy", 1_000)], 10)
    assert not cluster.evicted
    assert not cluster.moves
