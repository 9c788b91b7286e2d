"""The state of the cluster as one component sees it: nodes, and which pod is where.

The life of a pod in a scheduler's state::

      (queued) --assume--> assumed --confirm--> added --remove--> (gone)
                  ^           |                               ^
                  |           +--------forget-----------------+
                  +---- the binding failed ----+

An assumed pod holds its resources from the decision on, before the API server knows of it.
`mark` and `undo` give an overlay for trials: changes after a mark are rolled back in reverse order,
which costs as much as the changes themselves; copying the columns per trial was rejected.
"""

from __future__ import annotations

from schedlab.cluster.classes import ClassTable, PodClass
from schedlab.cluster.nodes import NodeColumns


class ClusterState:
    """Nodes, and the pods that hold resources on them.

    Parameters
    ----------
    classes : ClassTable
        The pod classes of the run.
    scored : bool, default True
        See `NodeColumns`.

    Attributes
    ----------
    nodes : NodeColumns
        The nodes in columns.
    node_of : dict of int to int
        Pod row -> node row, for every pod that holds resources.
    pods_on : list of dict of int to PodClass
        Pods by node row, in the order in which they were added.
    """

    __slots__ = ("_journal", "_marks", "classes", "node_of", "nodes", "pods_on")

    def __init__(self, classes: ClassTable, *, scored: bool = True) -> None:
        self.classes = classes
        self.nodes = NodeColumns(classes.resources, scored=scored)
        self.node_of: dict[int, int] = {}
        self.pods_on: list[dict[int, PodClass]] = []
        self._journal: list[tuple[int, int, PodClass, int]] | None = None
        self._marks = 0

    def add_pod(self, pod: int, pod_class: PodClass, node: int) -> None:
        """Let *pod* hold its requests on *node*: assumed, or seen bound.

        Parameters
        ----------
        pod : int
            Row of the pod.
        pod_class : PodClass
            Its class.
        node : int
            Row of the node.

        Raises
        ------
        ValueError
            The pod holds resources already.
        """
        if pod in self.node_of:
            raise ValueError(f"pod {pod} is on node {self.node_of[pod]} already")
        while len(self.pods_on) <= node:
            self.pods_on.append({})
        self.node_of[pod] = node
        self.pods_on[node][pod] = pod_class
        self.nodes.charge(node, pod_class.requests, pod_class.nonzero, 1)
        if self._journal is not None:
            self._journal.append((-1, pod, pod_class, node))

    def remove_pod(self, pod: int) -> int:
        """Free what *pod* holds; return its node's row, or -1 when it held nothing."""
        node = self.node_of.pop(pod, -1)
        if node >= 0:
            pod_class = self.pods_on[node].pop(pod)
            self.nodes.charge(node, pod_class.requests, pod_class.nonzero, -1)
            if self._journal is not None:
                self._journal.append((1, pod, pod_class, node))
        return node

    def mark(self) -> int:
        """Start to record changes, or note how far the record goes, for `undo`."""
        if self._journal is None:
            self._journal = []
        self._marks += 1
        return len(self._journal)

    def undo(self, mark: int) -> None:
        """Roll back every change since the last *mark*; marks are undone in reverse order."""
        journal = self._journal
        if journal is None:
            raise ValueError("undo without a mark")
        self._journal = None  # what is rolled back is not recorded
        for sign, pod, pod_class, node in reversed(journal[mark:]):
            if sign < 0:
                self.remove_pod(pod)
            else:
                self.add_pod(pod, pod_class, node)
        del journal[mark:]
        self._marks -= 1
        if self._marks:
            self._journal = journal
