"""Nodes in groups that a class can't tell apart but by what is requested, best ones first at hand.

`Layout` parts the nodes that pass the STATIC filters into groups (same taints and preferences as
far as the class looks, same topology domains) and gives each a slot, group by group in blocks of
64. `Ranking` keeps the score of each slot and the maximum of each block, so that a changed node
costs one slot and a decision one look at the blocks.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from schedlab.cluster.nodes import NodeColumns
from schedlab.scheduling.framework.choice import BLOCK
from schedlab.scheduling.framework.class_cache import Cursor
from schedlab.scheduling.framework.static_part import StaticPart

BYTES_PER_NODE = 17
MOST_GROUPS = 64
NOTHING_BLOCKED = np.zeros(0, np.bool_)


class Layout:
    """Groups and slots of the nodes.

    Parameters
    ----------
    static : StaticPart
        Verdicts and scores that part the nodes.
    order : int64 array of shape [M]
        Rows of the nodes in the order of visit.
    doms : sequence of int32 array of shape [N]
        Domains that part the nodes.

    Attributes
    ----------
    groups : int64 array of shape [G + 1]
        First block of each group, and the number of blocks.
    members : int64 array of shape [G]
        Row of one node of each group.
    places : int64 array of shape [S]
        Place in *order* of the node in each slot, -1 = none.
    slot_of : int64 array of shape [N]
        Slot of each row, -1 = none.
    arrays : tuple
        What `choice.place_run` takes of it, with the raw scores of taints and node affinity per
        group.
    """

    def __init__(
        self, static: StaticPart, order: NDArray[np.int64], doms: Sequence[NDArray[np.int32]]
    ) -> None:
        places = np.flatnonzero(static.ok[order])
        rows = order[places]
        numbers = _numbers(
            [
                static.taints[rows],
                static.affinity[rows],
                *(of[rows].astype(np.int64) for of in doms),
            ]
        )
        sizes = np.bincount(numbers, minlength=1)
        blocks = -(-sizes // BLOCK)
        self._spare: Ranking | None = None
        self.groups = np.concatenate([[0], np.cumsum(blocks)]).astype(np.int64)
        by_group = np.argsort(numbers, kind="stable")
        first = np.cumsum(sizes) - sizes
        within = np.arange(len(rows)) - first[numbers[by_group]]
        slots = self.groups[numbers[by_group]] * BLOCK + within
        self.places = np.full(self.groups[-1] * BLOCK, -1, np.int64)
        self.places[slots] = places[by_group]
        self.slot_of = np.full(len(static.ok), -1, np.int64)
        self.slot_of[rows[by_group]] = slots
        self.members = rows[by_group][first] if len(rows) else np.zeros(0, np.int64)
        if not len(rows):
            self.groups = np.zeros(1, np.int64)
        self.arrays = (
            self.groups,
            self.places,
            self.slot_of,
            order,
            static.taints[self.members],
            static.affinity[self.members],
        )

    def spare(self, nodes: NodeColumns) -> Ranking:
        """Return a ranking that each class in turn takes over which isn't worth one of its own."""
        if self._spare is None:
            self._spare = Ranking(self, nodes)
        self._spare.cursor.usage = -1
        return self._spare

    @property
    def pays(self) -> bool:
        """Return whether there are few enough groups for a decision by groups."""
        return len(self.members) <= max(MOST_GROUPS, len(self.slot_of) // BLOCK)


def _numbers(columns: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Return a number per row, the same for rows that are alike in all *columns*."""
    key = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        if len(column) and column.min() != column.max():
            _, values = np.unique(column, return_inverse=True)
            _, key = np.unique(key * (int(values.max()) + 1) + values, return_inverse=True)
    return key


class Ranking:
    """Scores by slot and maxima by block, of classes that ask for the same under one layout.

    Parameters
    ----------
    layout : Layout
        Groups and slots.
    nodes : NodeColumns
        The nodes.

    Attributes
    ----------
    values : int64 array of shape [S]
        Score of each slot, -1 = infeasible.
    blocks : int64 array of shape [3, B]
        Best score of each block, how many slots have it, how many are feasible.
    cursor : Cursor
        How far they have followed the usage of the nodes.
    """

    __slots__ = ("arrays", "cursor", "layout")

    def __init__(self, layout: Layout, nodes: NodeColumns) -> None:
        self.layout = layout
        blocks = np.zeros((3, int(layout.groups[-1])), np.int64)
        blocks[0] = -1
        blocks[1] = BLOCK
        self.arrays = (np.full(len(layout.places), -1, np.int64), blocks)
        self.cursor = Cursor()
        self.cursor.outgrown(nodes)
