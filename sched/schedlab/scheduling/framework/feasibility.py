"""Which nodes pass kube-scheduler's default filters: what `ClusterView.feasible` answers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from schedlab.cluster.classes import PodClass
from schedlab.cluster.state import ClusterState
from schedlab.scheduling.base import Pod
from schedlab.scheduling.framework.class_cache import ClassCaches
from schedlab.scheduling.framework.filter_cache import BYTES_PER_NODE, FilterCache
from schedlab.scheduling.framework.profiles import Profile
from schedlab.scheduling.view import ClusterView


class Feasibility:
    """Feasible nodes by class, kept up to date.

    Parameters
    ----------
    view : ClusterView
        The view whose nodes are filtered.
    """

    def __init__(self, view: ClusterView) -> None:
        self._view = view
        filters = Profile().filters

        def cache(pod: PodClass, state: ClusterState) -> FilterCache:
            return FilterCache(filters, pod, state)

        self._caches = ClassCaches(cache, BYTES_PER_NODE)

    def _cache(self, pod: Pod) -> FilterCache:
        state = self._view.state
        found = self._caches.get(pod.pod_class, state)
        found.refresh(state.nodes)
        return found

    def rows(self, pod: Pod) -> NDArray[np.int64]:
        """Return the rows of the nodes that can take *pod*, increasing, int64 [F]."""
        return self._cache(pod).rows()

    def message(self, pod: Pod) -> str:
        """Return why *pod* fits nowhere, in kube-scheduler's words."""
        return self._cache(pod).message(self._view.nodes)
