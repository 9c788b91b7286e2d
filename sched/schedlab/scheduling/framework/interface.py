"""What a plugin is: kube-scheduler's extension points over columns instead of single nodes.

A plugin answers for many nodes at once. A filter returns one code per node, 0 = the node passes;
what a code means in words is asked only when somebody wants to know. A score plugin returns raw
scores, and normalises them over the feasible nodes of the cycle, as upstream does.
"""

from __future__ import annotations

import enum
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from schedlab.cluster.classes import PodClass
from schedlab.cluster.nodes import NodeColumns

Rows = NDArray[np.int64]
Codes = NDArray[np.int64]
Scores = NDArray[np.int64]
MAX_NODE_SCORE = 100


class Depends(enum.Enum):
    """What a plugin's answer for a node depends on: decides how long it may be kept."""

    STATIC = "labels, taints and flags of that node"
    NODE = "what is requested of that node"
    GLOBAL = "anything"


class Code(enum.IntEnum):
    """Status codes of kube-scheduler that a filter can give."""

    SUCCESS = 0
    UNSCHEDULABLE = 2
    UNSCHEDULABLE_AND_UNRESOLVABLE = 3


@runtime_checkable
class FilterPlugin(Protocol):
    """Says which nodes can't take a pod."""

    name: str
    depends: Depends

    def filter(self, pod: PodClass, nodes: NodeColumns, rows: Rows) -> Codes:
        """Return a code for each of *rows*: 0 = passes, int64 [len(rows)]."""
        ...

    def reasons(self, pod: PodClass, nodes: NodeColumns, code: int) -> tuple[str, ...]:
        """Return upstream's words for a code."""
        ...

    def status(self, pod: PodClass, nodes: NodeColumns, row: int, code: int) -> Code:
        """Return whether evicting pods could help (UNSCHEDULABLE) or not."""
        ...


@runtime_checkable
class ScorePlugin(Protocol):
    """Says how good the feasible nodes are."""

    name: str
    depends: Depends

    def skips(self, pod: PodClass, nodes: NodeColumns) -> bool:
        """Return whether PreScore takes the plugin out of this pod's cycle."""
        ...

    def score(self, pod: PodClass, nodes: NodeColumns, rows: Rows) -> Scores:
        """Return raw scores of the feasible *rows*, int64 [len(rows)]."""
        ...

    def normalize(self, raw: Scores) -> Scores:
        """Return the scores in 0 .. 100, from the raw scores of all feasible nodes."""
        ...


def default_normalize(raw: Scores, *, reverse: bool) -> Scores:
    """Scale raw scores to 0 .. 100 by their maximum, as upstream's DefaultNormalizeScore.

    Parameters
    ----------
    raw : int64 array of shape [F]
        Raw scores, >= 0.
    reverse : bool
        The smallest raw score is the best.

    Returns
    -------
    int64 array of shape [F]
        ``100 raw / max``, truncated; 100 minus that when reversed; where the maximum is zero, all
        100 when reversed and all 0 when not.
    """
    most = int(raw.max(initial=0))
    scaled = raw * MAX_NODE_SCORE // most if most else np.zeros_like(raw)
    return MAX_NODE_SCORE - scaled if reverse else scaled


def fit_error(size: int, counts: dict[str, int]) -> str:
    """Return kube-scheduler's message for a pod that fits nowhere.

    Parameters
    ----------
    size : int
        Number of nodes in the cluster.
    counts : dict of str to int
        How many nodes gave each reason.

    Examples
    --------
    >>> fit_error(3, {"Insufficient cpu": 2, "node(s) were unschedulable": 1})
    '0/3 nodes are available: 1 node(s) were unschedulable, 2 Insufficient cpu.'
    """
    parts = sorted(f"{count} {reason}" for reason, count in counts.items())
    head = f"0/{size} nodes are available"
    return f"{head}: {', '.join(parts)}." if parts else f"{head}."
