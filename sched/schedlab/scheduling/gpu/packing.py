"""BestFit, DotProduct, GpuPacking and GpuClustering: the packing policies that FGD is compared to.

They look at what is left of a node's CPU and GPUs and know nothing of the pods to come. The GPU of
a share is the one that it fits best, which is what the cluster's columns choose by themselves.
"""

from __future__ import annotations

import numpy as np

from schedlab.scheduling.framework.interface import Cycle, Depends, Rows, Scores
from schedlab.scheduling.gpu.asked import asked_of
from schedlab.scheduling.gpu.kernels import (
    best_fit_scores,
    clustering_scores,
    dot_product_scores,
    packing_scores,
)


class BestFit:
    """The node that would be left with the least CPU and GPU."""

    name = "BestFit"
    depends = Depends.NODE

    def score(self, cycle: Cycle, rows: Rows) -> Scores:
        """Return 100 minus the mean of the shares left, each of the largest node's.

        The program that it comes from stretches these scores to 0 .. 100 over the feasible nodes;
        that changes no order and makes no ties, so it is left out.
        """
        nodes, columns = cycle.nodes, cycle.nodes.devices
        scores: Scores = best_fit_scores(
            rows,
            nodes.allocatable,
            nodes.requested,
            columns.free,
            columns.count,
            asked_of(cycle).pod,
        )
        return scores


class DotProduct:
    """The node whose free CPU and GPU have the smallest product with what the pod asks for."""

    name = "DotProduct"
    depends = Depends.NODE

    def score(self, cycle: Cycle, rows: Rows) -> Scores:
        """Return 100 minus half the sum of the products of shares of the largest node."""
        nodes, columns = cycle.nodes, cycle.nodes.devices
        scores: Scores = dot_product_scores(
            rows,
            nodes.allocatable,
            nodes.requested,
            columns.free,
            columns.count,
            asked_of(cycle).pod,
        )
        return scores


class GpuPacking:
    """GPUs that are in use before idle ones, and those of nodes in use before idle nodes'."""

    name = "GpuPacking"
    depends = Depends.NODE

    def score(self, cycle: Cycle, rows: Rows) -> Scores:
        """Return `kernels.packing_scores`; 0 for a pod without GPUs."""
        asked, columns = asked_of(cycle), cycle.nodes.devices
        if asked.devices is None or not columns.width:
            return np.zeros(len(rows), np.int64)
        scores: Scores = packing_scores(rows, columns.free, columns.count, asked.pod)
        return scores


class GpuClustering:
    """Pods that ask for as many GPUs as this one, or shares with shares, on the same nodes."""

    name = "GpuClustering"
    depends = Depends.NODE

    def score(self, cycle: Cycle, rows: Rows) -> Scores:
        """Return `kernels.clustering_scores`; 0 for a pod without GPUs."""
        asked, columns = asked_of(cycle), cycle.nodes.devices
        if asked.devices is None or not columns.width:
            return np.zeros(len(rows), np.int64)
        kind = asked.kind
        if kind > columns.width:  # more GPUs than any node has: it fits nowhere
            return np.zeros(len(rows), np.int64)
        scores: Scores = clustering_scores(rows, columns.free, columns.count, columns.holders, kind)
        return scores
