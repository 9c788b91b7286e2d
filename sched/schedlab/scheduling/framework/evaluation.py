"""One decision in full: every verdict and every score, by the plugins' own vector code.

This is the plain form of what the engine keeps up to date incrementally: nothing is remembered
between decisions. It explains decisions, and it is the oracle that the engine is tested against.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schedlab.cluster.classes import PodClass
from schedlab.cluster.nodes import NodeColumns
from schedlab.scheduling.framework.interface import Rows, Scores
from schedlab.scheduling.framework.profiles import Profile


@dataclass(frozen=True)
class Evaluation:
    """Verdicts and scores of one class over the nodes of a cluster.

    Attributes
    ----------
    rows : int64 array of shape [N]
        Rows of the nodes, increasing.
    rejected_by : int64 array of shape [N]
        Index of the first filter plugin that rejects each node; -1 = feasible.
    codes : int64 array of shape [N]
        Its code.
    feasible : int64 array of shape [F]
        Rows of the feasible nodes.
    raw, weighted : dict of str to int64 array of shape [F]
        Raw scores, and normalised scores times weight, by plugin; plugins that skip are absent.
    total : int64 array of shape [F]
        Sum of the weighted scores.
    """

    rows: Rows
    rejected_by: NDArray[np.int64]
    codes: NDArray[np.int64]
    feasible: Rows
    raw: dict[str, Scores]
    weighted: dict[str, Scores]
    total: Scores


def evaluate(profile: Profile, pod: PodClass, nodes: NodeColumns) -> Evaluation:
    """Run all filters and scores of *profile* for a class."""
    nodes.reserve_resources()
    rows = np.flatnonzero(nodes.present[: nodes.size]).astype(np.int64)
    rejected_by = np.full(len(rows), -1, np.int64)
    codes = np.zeros(len(rows), np.int64)
    for index, plugin in enumerate(profile.filters):
        found = plugin.filter(pod, nodes, rows)
        new = (found != 0) & (rejected_by < 0)
        rejected_by[new] = index
        codes[new] = found[new]
    feasible = rows[rejected_by < 0]
    raw: dict[str, Scores] = {}
    weighted: dict[str, Scores] = {}
    total = np.zeros(len(feasible), np.int64)
    for scorer, weight in profile.scores:
        if len(feasible) and not scorer.skips(pod, nodes):
            raw[scorer.name] = scorer.score(pod, nodes, feasible)
            weighted[scorer.name] = scorer.normalize(raw[scorer.name]) * weight
            total += weighted[scorer.name]
    return Evaluation(rows, rejected_by, codes, feasible, raw, weighted, total)
