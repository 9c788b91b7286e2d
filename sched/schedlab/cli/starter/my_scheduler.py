"""A scheduler of your own: change `score`, then compare it with the others."""

import numpy as np
from numpy.typing import NDArray

from schedlab import ClusterView, Draws, Placement, PodBatch


class MyScheduler:
    """Take the feasible node with the most free cpu."""

    def schedule(self, pods: PodBatch, view: ClusterView, rng: Draws) -> Placement:
        """Decide on the pods at the head of the queue."""
        placement = Placement.of(pods)
        for i, pod in enumerate(pods):
            rows = view.feasible(pod)  # nodes that pass kube-scheduler's filters
            if len(rows):
                placement.place(i, rows[self.score(view, rows).argmax()])
        return placement

    def score(self, view: ClusterView, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return one number per feasible node; the highest wins, the first one of equals."""
        return view.free("cpu")[rows]
