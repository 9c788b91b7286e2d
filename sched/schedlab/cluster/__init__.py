"""The cluster as columns: nodes, pod classes, the state that a component sees, its invariants.

Arrays are resource-major (``[R, N]``): filtering five thousand nodes was measured five to ten times
faster that way than node-major.
"""

from schedlab.cluster.classes import ClassTable, PodClass
from schedlab.cluster.nodes import NodeColumns
from schedlab.cluster.state import ClusterState
from schedlab.cluster.vocabulary import ResourceNames, Vocabulary

__all__ = ["ClassTable", "ClusterState", "NodeColumns", "PodClass", "ResourceNames", "Vocabulary"]
