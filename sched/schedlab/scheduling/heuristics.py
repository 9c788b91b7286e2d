"""The packing heuristics that every comparison needs: one ranking each, the same filters for all.

Ranks over the resources r that a pod asks for (the pod count excepted), with its request q_r, the
node's free amount f_r and its allocatable amount a_r:

* ``best-fit``: smallest sum of (f_r - q_r) / a_r, what would be left (the tightest node);
* ``worst-fit``: largest sum of the same (the emptiest node);
* ``dot-product``: largest sum of (q_r / c_r)(f_r / c_r), c_r the largest node's amount: the request
  aligned with what is free, as in Tetris (Grandl et al., SIGCOMM 2014);
* ``first-fit``: the first node; ``round-robin``: the next node after the last choice;
* ``random``: any feasible node, drawn by the pod's key.

Ties go to the first node.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from schedlab.cluster.classes import PodClass
from schedlab.cluster.state import ClusterState
from schedlab.rng import Draws
from schedlab.scheduling.base import Placement, Pod, PodBatch
from schedlab.scheduling.framework.class_cache import ClassCaches
from schedlab.scheduling.framework.feasibility import NO_NODES, Feasibility
from schedlab.scheduling.framework.filter_cache import BYTES_PER_NODE, FilterCache
from schedlab.scheduling.framework.interface import Depends, depends_on
from schedlab.scheduling.framework.kernels import (
    BEST_FIT,
    DOT_PRODUCT,
    FIRST_FIT,
    WORST_FIT,
    choose_nth,
    choose_rank,
)
from schedlab.scheduling.framework.profiles import Profile
from schedlab.scheduling.greedy import Decision, schedule_greedily
from schedlab.scheduling.plugins.node_resources_fit import NodeResourcesFit
from schedlab.scheduling.view import ClusterView


class _Heuristic:
    """Filters of the default profile, and a way to choose."""

    def __init__(self, mode: int) -> None:
        self._mode = mode
        self._view: ClusterView | None = None

    def _watch(self, view: ClusterView) -> None:
        """Keep filters and ranks for the cluster behind *view*."""
        filters = tuple(
            plugin
            for plugin in Profile.default().filters
            if depends_on(plugin) is Depends.STATIC or isinstance(plugin, NodeResourcesFit)
        )

        def cache(pod: PodClass, state: ClusterState) -> FilterCache:
            return FilterCache(filters, pod, state, self._mode)

        self._view = view
        self._feasibility = Feasibility(view)
        self._caches = ClassCaches(cache, BYTES_PER_NODE)

    def schedule(self, pods: PodBatch, view: ClusterView, rng: Draws) -> Placement:
        """Place the pods one after the other."""
        if view is not self._view:
            self._watch(view)
        return schedule_greedily(pods, view, lambda pod: self._decide(pod, view, rng))

    def _decide(self, pod: Pod, view: ClusterView, rng: Draws) -> Decision:
        nodes = view.nodes
        if not len(nodes.row_of):
            return Decision(-1, 0, 0, NO_NODES)
        cache = self._caches.get(pod.pod_class, view.state)
        cache.refresh(nodes)
        outlook = self._feasibility.outlook(pod)
        if outlook.by_resources:
            row, feasible = self._choose(pod, cache, rng)
        else:
            rows = outlook.feasible(pod)
            feasible = len(rows)
            row = int(rows[self._pick(pod, rows, cache.ranks[rows], rng)]) if feasible else -1
        return Decision(row, feasible, nodes.size, outlook.message(pod) if row < 0 else "")

    def _choose(self, pod: Pod, cache: FilterCache, rng: Draws) -> tuple[int, int]:
        """Return the chosen row and the number of feasible nodes, resources alone deciding."""
        row, feasible = choose_rank(cache.verdicts.ok, cache.codes, cache.ranks)
        return row, feasible

    def _pick(
        self, pod: Pod, rows: NDArray[np.int64], ranks: NDArray[np.float64], rng: Draws
    ) -> int:
        """Return which of the feasible *rows* is chosen, by its index."""
        return int(ranks.argmax())


class FirstFit(_Heuristic):
    """The first feasible node."""

    tags = frozenset({"order_dependent", "stateful"})

    def __init__(self) -> None:
        super().__init__(FIRST_FIT)


class BestFit(_Heuristic):
    """The feasible node that would be left with the least."""

    tags = frozenset({"stateful"})

    def __init__(self) -> None:
        super().__init__(BEST_FIT)


class WorstFit(_Heuristic):
    """The feasible node that would be left with the most."""

    tags = frozenset({"stateful"})

    def __init__(self) -> None:
        super().__init__(WORST_FIT)


class DotProduct(_Heuristic):
    """The feasible node whose free resources point the way of the request."""

    tags = frozenset({"stateful"})

    def __init__(self) -> None:
        super().__init__(DOT_PRODUCT)


class RandomFit(_Heuristic):
    """Any feasible node, drawn by the pod's key and attempt."""

    tags = frozenset({"order_dependent", "stochastic", "stateful"})

    def __init__(self) -> None:
        super().__init__(FIRST_FIT)

    def _choose(self, pod: Pod, cache: FilterCache, rng: Draws) -> tuple[int, int]:
        u = rng.uniform(pod.key, pod.attempt)
        row, feasible = choose_nth(cache.verdicts.ok, cache.codes, 0, u)
        return row, feasible

    def _pick(
        self, pod: Pod, rows: NDArray[np.int64], ranks: NDArray[np.float64], rng: Draws
    ) -> int:
        return int(rng.uniform(pod.key, pod.attempt) * len(rows))


class RoundRobin(_Heuristic):
    """The first feasible node after the one that was chosen last."""

    tags = frozenset({"order_dependent", "stateful"})

    def __init__(self) -> None:
        super().__init__(FIRST_FIT)
        self._next = 0

    def _choose(self, pod: Pod, cache: FilterCache, rng: Draws) -> tuple[int, int]:
        row, feasible = choose_nth(cache.verdicts.ok, cache.codes, self._next, -1.0)
        if row >= 0:
            self._next = row + 1
        return row, feasible

    def _pick(
        self, pod: Pod, rows: NDArray[np.int64], ranks: NDArray[np.float64], rng: Draws
    ) -> int:
        index = int(np.searchsorted(rows, self._next)) % len(rows)
        self._next = int(rows[index]) + 1
        return index
