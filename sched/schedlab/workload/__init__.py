"""Workloads and clusters: specs, arrival processes, trace readers.

Everything becomes a `Workload`, a time-ordered stream of requests, and a `Cluster`, the nodes at
time 0. All randomness is keyed by (item, ordinal): the same seed gives the same bytes, and adding
an item changes no other one. DataFrames are read by `schedlab.workload.frames`, which isn't
imported here because the control plane does without pandas.
"""

from schedlab.workload.clusters import build_cluster
from schedlab.workload.generate import build_workload
from schedlab.workload.load import capacity, offered_load
from schedlab.workload.openb import read_openb_nodes, read_openb_pods
from schedlab.workload.specs import ClusterSpec, TargetLoad, WorkloadSpec, read_spec
from schedlab.workload.stream import Cluster, ObjectWrite, PodArrivals, Workload

__all__ = [
    "Cluster",
    "ClusterSpec",
    "ObjectWrite",
    "PodArrivals",
    "TargetLoad",
    "Workload",
    "WorkloadSpec",
    "build_cluster",
    "build_workload",
    "capacity",
    "offered_load",
    "read_openb_nodes",
    "read_openb_pods",
    "read_spec",
]
