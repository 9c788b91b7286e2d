"""Workloads and clusters: specs, arrival processes, trace readers.

Everything becomes a `Workload`, a time-ordered stream of requests, and a `Cluster`, the nodes at
time 0. All randomness is keyed by (item, ordinal): the same seed gives the same bytes, and adding
an item changes no other one. DataFrames are read by `schedlab.workload.frames`, which isn't
imported here because the control plane does without pandas.
"""
