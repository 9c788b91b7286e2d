"""What must hold in every state of the cluster, as functions that return what is wrong.

Each takes a `ClusterState` and returns a list of sentences, empty when all is well. They are
observers: nothing in the model depends on them.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from schedlab.cluster.carried import Kind
from schedlab.cluster.classes import collide
from schedlab.cluster.devices import WHOLE
from schedlab.cluster.state import ClusterState


def columns_are_sums(state: ClusterState) -> list[str]:
    """Check that requested columns equal the sum over the pods that hold resources."""
    nodes = state.nodes
    expected = np.zeros_like(nodes.requested)
    nonzero = np.zeros_like(nodes.nonzero_requested)
    for row, pods in enumerate(state.pods_on):
        for pod_class in pods.values():
            for resource, amount in pod_class.requests:
                expected[resource, row] += amount
            if nodes.scored:
                nonzero[0, row] += pod_class.nonzero[0]
                nonzero[1, row] += pod_class.nonzero[1]
    wrong = [
        f"{nodes.names[n]}: {nodes.resources[r]} requested is {nodes.requested[r, n]}, "
        f"its pods sum to {expected[r, n]}"
        for r, n in np.argwhere(nodes.requested != expected).tolist()
    ]
    wrong += [
        f"{nodes.names[n]}: nonzero request {i} differs from the sum over its pods"
        for i, n in np.argwhere(nodes.nonzero_requested != nonzero).tolist()
    ]
    return wrong


def devices_are_sums(state: ClusterState) -> list[str]:
    """Check that what is left of each GPU is what its pods leave of it."""
    nodes, columns = state.nodes, state.nodes.devices
    if not columns.width:
        return []
    free = np.zeros_like(columns.free)
    holders = np.zeros_like(columns.holders)
    free[np.arange(columns.width) < columns.count[:, None]] = WHOLE
    wrong = []
    for row, pods in enumerate(state.pods_on):
        for pod, pod_class in pods.items():
            if pod_class.devices is None:
                continue
            held = state.devices_of[pod]
            free[row, list(held)] -= pod_class.devices.milli
            if held:
                holders[row, 0 if pod_class.devices.shared else len(held)] += 1
    wrong += [
        f"{nodes.names[n]}: GPU {d} has {columns.free[n, d]} left, its pods leave {free[n, d]}"
        for n, d in np.argwhere(columns.free != free).tolist()
    ]
    if (columns.holders != holders).any():
        wrong.append("the number of pods by what they hold of GPUs differs from a count")
    return wrong


def no_overcommit(state: ClusterState) -> list[str]:
    """Check that no present node has more requested than it can allocate.

    It holds for a single scheduler, and always for what kubelets have admitted.
    """
    nodes = state.nodes
    over = (nodes.requested > nodes.allocatable) & nodes.present
    wrong = [
        f"{nodes.names[n]}: {nodes.resources[r]} requested {nodes.requested[r, n]} of "
        f"{nodes.allocatable[r, n]}"
        for r, n in np.argwhere(over).tolist()
    ]
    return wrong + [
        f"{nodes.names[n]}: GPU {d} is given out beyond its {WHOLE} by {-nodes.devices.free[n, d]}"
        for n, d in np.argwhere(nodes.devices.free < 0).tolist()
        if nodes.present[n]
    ]


def bound_once(state: ClusterState) -> list[str]:
    """Check that every pod that holds resources stands on exactly one node."""
    seen: dict[int, int] = {}
    wrong = []
    for row, pods in enumerate(state.pods_on):
        for pod in pods:
            if pod in seen:
                wrong.append(f"pod {pod} is on nodes {seen[pod]} and {row}")
            seen[pod] = row
    if seen != state.node_of:
        wrong.append("the index of pods by node and the index of nodes by pod differ")
    return wrong


def ports_once(state: ClusterState) -> list[str]:
    """Check that no two pods on a node take ports that can't be taken at once.

    It holds for a single scheduler that looks at ports.
    """
    wrong = []
    for row, pods in enumerate(state.pods_on):
        taking = [(pod, port) for pod, c in pods.items() for port in c.host_ports]
        for (pod, port), (other, taken) in combinations(taking, 2):
            if pod != other and collide(port, taken):
                wrong.append(f"{state.nodes.names[row]}: pods {pod} and {other} take port {port}")
    return wrong


def kept_apart(state: ClusterState) -> list[str]:
    """Check that no pod shares a domain with one that its required anti-affinity means.

    It holds for a single scheduler that looks at affinity, while labels stay as they are.
    """
    wrong = []
    nodes, carried = state.nodes, state.carried
    for row, pods in enumerate(state.pods_on):
        for pod, pod_class in pods.items():
            for term in carried.own(pod_class):
                value = nodes.labels(row).get(term.topology_key)
                if term.kind is not Kind.APART or value is None:
                    continue
                wrong += [
                    f"pods {pod} and {other} share {term.topology_key}={value}"
                    for other, node in state.node_of.items()
                    if other != pod
                    and nodes.labels(node).get(term.topology_key) == value
                    and term.pods.matches(state.pods_on[node][other], state.objects)
                ]
    return wrong


def violations(state: ClusterState, *, single_scheduler: bool = True) -> list[str]:
    """Return everything that is wrong with *state*."""
    wrong = columns_are_sums(state) + devices_are_sums(state) + bound_once(state)
    return wrong + no_overcommit(state) if single_scheduler else wrong
