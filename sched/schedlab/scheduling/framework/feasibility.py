"""Which nodes pass kube-scheduler's default filters: what `ClusterView.feasible` answers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from schedlab.scheduling.base import Pod
from schedlab.scheduling.framework.engine import Engine, Outlook
from schedlab.scheduling.framework.profiles import Profile
from schedlab.scheduling.framework.visiting import Visits
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
        self._engine = Engine(Profile.default())
        self._visits = Visits(by_zone=False)

    def outlook(self, pod: Pod) -> Outlook:
        """Return what the filters say of pods like *pod*, up to date."""
        state = self._view.state
        self._visits.refresh(state.nodes)
        return self._engine.outlook(pod.pod_class, state, self._visits)

    def rows(self, pod: Pod) -> NDArray[np.int64]:
        """Return the rows of the nodes that can take *pod*, increasing, int64 [F]."""
        if not len(self._view.nodes.row_of):
            return np.zeros(0, np.int64)
        return self.outlook(pod).feasible(pod)

    def message(self, pod: Pod) -> str:
        """Return why *pod* fits nowhere, in kube-scheduler's words."""
        if not len(self._view.nodes.row_of):
            return NO_NODES
        return self.outlook(pod).message(pod)


NO_NODES = "0/0 nodes are available."
"""kube-scheduler's words where there is no node at all."""
