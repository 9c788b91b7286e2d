"""Queueing hints: which changes of the cluster may help a pod that was found unschedulable.

A pod that fits nowhere waits until something happens that may let it pass one of the plugins that
rejected it. `REGISTER` says, for each of kube-scheduler's plugins, which events these are and when
such an event can help (upstream's EventsToRegister and QueueingHintFn)::

    NodeUnschedulable, NodeName,       a node that is added, or changes so that it passes now
    TaintToleration, NodeAffinity
    NodePorts                          a pod goes that holds one of the ports; a new node
    NodeResourcesFit                   a pod goes, or a node grows, and there is room now
    VolumeRestrictions                 a pod goes that uses the disk or claim; a claim; a new node
    NodeVolumeLimits                   a pod goes that has volumes attached; CSINode, claim
    VolumeBinding, VolumeZone          claims, volumes, classes, drivers, capacities, nodes
    PodTopologySpread                  a pod goes that is counted, or comes and lifts the minimum
    InterPodAffinity                   a pod comes that is wanted near, or goes that kept it away

Where upstream looks at the event alone, the cluster is looked at too if that tells more: a pod that
goes helps with resources only if there is room then, be it after preemption. And where upstream
would leave a pod to the flush after five minutes, it is tried here when something happens: a
namespace is labelled, a Service selects other pods, or what stood in the way of preemption, which
may be another plugin's matter than those that rejected the pod as things were.

A user's plugin has a method ``queueing_hint(event, pod_class, state) -> bool``. Without it every
event may help, unless the plugin declares that it depends on the node alone: then a change of that
node helps if the filter passes there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from schedlab.api.objects import Node
from schedlab.api.selectors import first_untolerated, toleration_tolerates
from schedlab.cluster.carried import Kind
from schedlab.cluster.classes import ClassTable, PodClass, collide
from schedlab.cluster.nodes import NodeColumns
from schedlab.cluster.state import ClusterState
from schedlab.scheduling.base import Pod
from schedlab.scheduling.framework.cluster_events import (
    ANY,
    NODE_ADD,
    NODE_DELETE,
    NODE_UPDATE,
    POD_ADD,
    POD_DELETE,
    ClusterEvent,
    Hint,
    Registered,
    Waiting,
    always,
    labels_of,
    relabelled,
)
from schedlab.scheduling.framework.evaluation import PREFILTER, Evaluation
from schedlab.scheduling.framework.interface import POINTS, Cycle, Depends, depends_on
from schedlab.scheduling.framework.profiles import Profile
from schedlab.scheduling.framework.volume_hints import (
    node_volume_limits,
    volume_binding,
    volume_restrictions,
    volume_zone,
)
from schedlab.scheduling.plugins.default_selector import KINDS as SELECTING
from schedlab.scheduling.plugins.node_unschedulable import TAINT as CORDON
from schedlab.scheduling.plugins.pod_topology_spread import PodTopologySpread, hard_counts


class QueueingHints:
    """What may help pods that the plugins of a profile reject.

    Parameters
    ----------
    profile : Profile
        The plugins.
    preempts : bool, optional
        Whether its pods may preempt; by default if it has PostFilter plugins.
    """

    def __init__(self, profile: Profile, *, preempts: bool | None = None) -> None:
        plugins = {p.name: p for point in POINTS for p in profile.plugins(point)}
        self._plugins: Mapping[str, Any] = plugins
        self._filters = frozenset(plugin.name for plugin in profile.filters)
        self._preempts = bool(profile.plugins("post_filter")) if preempts is None else preempts
        self._least = _Least()
        self._known: dict[tuple[int, frozenset[str]], Mapping[str, tuple[Hint, ...]]] = {}

    def of(
        self, pod: Pod, rejected_by: frozenset[str] | None, state: ClusterState
    ) -> Mapping[str, tuple[Hint, ...]]:
        """Return, by event, the hints of the plugins that rejected a pod; any of them is enough.

        Parameters
        ----------
        pod : Pod
            The pod, just found unschedulable.
        rejected_by : frozenset of str, optional
            Names of the plugins; where they are not known, all filters.
        state : ClusterState
            The cluster.
        """
        names = self._filters if rejected_by is None else rejected_by
        if self._may_preempt(pod.pod_class, state):  # others may be in the way of preemption
            names = names | self._filters
        key = (pod.pod_class.id, names)
        found = self._known.get(key)
        if found is None:
            hints: dict[str, tuple[Hint, ...]] = {}
            for name in sorted(names):
                for event, hint in self._registered(name, pod, state).items():
                    hints[event] = (*hints.get(event, ()), hint)
            found = hints
            if not self._varies(pod.pod_class, names):
                self._known[key] = found
        return found

    def _may_preempt(self, pod: PodClass, state: ClusterState) -> bool:
        """Return whether there may be pods that those of a class could preempt at all."""
        if not self._preempts or pod.priority <= self._least.of(state):
            return False
        return pod.spec.preemption_policy != "Never"

    def _varies(self, pod: PodClass, names: frozenset[str]) -> bool:
        """Return whether hints are not the same for every pod of a class at any time."""
        if any(volume.ephemeral is not None for volume in pod.spec.volumes):
            return True
        spread = self._plugins.get("PodTopologySpread") if "PodTopologySpread" in names else None
        return isinstance(spread, PodTopologySpread) and spread.may_filter(pod)

    def _registered(self, name: str, pod: Pod, state: ClusterState) -> Registered:
        plugin, pod_class = self._plugins.get(name), pod.pod_class
        waiting = Waiting(
            plugin,
            pod_class,
            pod.name.rpartition("/")[2],
            state,
            lambda: self._may_preempt(pod_class, state),
        )
        own = getattr(plugin, "queueing_hint", None)
        if own is not None:
            return {ANY: lambda event: bool(own(event, pod_class, state))}
        register = REGISTER.get(name)
        if register is not None:
            return register(waiting)
        return _of_others(waiting)


class _Least:
    """The lowest priority of any class."""

    def __init__(self) -> None:
        self._classes: ClassTable | None = None
        self._seen = 0
        self._least = 0

    def of(self, state: ClusterState) -> int:
        classes = state.classes
        if classes is not self._classes or len(classes) != self._seen:
            self._classes, self._seen = classes, len(classes)
            self._least = min((c.priority for c in classes), default=0)
        return self._least


def rejectors(found: Evaluation, profile: Profile) -> frozenset[str]:
    """Return the names of the plugins that rejected a pod that fits nowhere."""
    if found.rejection is not None:
        return frozenset((found.rejection[0],))
    filters = profile.filters
    names = {filters[number].name for number in found.rejecting()}
    left_out = bool(found.only_by) and PREFILTER in found.rejected_by
    return frozenset(names.union(found.only_by) if left_out else names)


# --- nodes ----------------------------------------------------------------------------------------


def _when_good(bad: Callable[[Node], bool]) -> Registered:
    """Return that a node helps which is not *bad* any more."""

    def turns_good(event: ClusterEvent) -> bool:
        old, new = event.old, event.new
        if not isinstance(new, Node) or bad(new):
            return False
        return not isinstance(old, Node) or bad(old)

    return {NODE_ADD: turns_good, NODE_UPDATE: turns_good}


def _node_unschedulable(waiting: Waiting) -> Registered:
    tolerations = waiting.pod.spec.tolerations
    if any(toleration_tolerates(toleration, CORDON) for toleration in tolerations):
        return {}
    return _when_good(lambda node: bool(node.spec.unschedulable))


def _node_name(waiting: Waiting) -> Registered:
    wanted = waiting.pod.spec.node_name
    return _when_good(lambda node: bool(wanted) and node.metadata.name != wanted)


def _taint_toleration(waiting: Waiting) -> Registered:
    tolerations, repelling = waiting.pod.spec.tolerations, ("NoSchedule", "NoExecute")

    def repels(node: Node) -> bool:
        return first_untolerated(tolerations, node.spec.taints, repelling) is not None

    return _when_good(repels)


def _node_affinity(waiting: Waiting) -> Registered:
    plugin, pod = waiting.plugin, waiting.pod
    return _when_good(lambda node: not plugin.admits(pod, node))


# --- what pods hold on their node -----------------------------------------------------------------


def _node_ports(waiting: Waiting) -> Registered:
    wanted = waiting.pod.host_ports

    def frees_port(event: ClusterEvent) -> bool:
        taken = () if event.pod is None else event.pod.host_ports
        return any(collide(one, other) for one in wanted for other in taken)

    return {POD_DELETE: frees_port, NODE_ADD: always} if wanted else {}


def _node_resources_fit(waiting: Waiting) -> Registered:
    state, pod, may_preempt = waiting.state, waiting.pod, waiting.may_preempt
    nodes = state.nodes
    wanted = waiting.plugin.wanted(pod, nodes)

    def has_room(event: ClusterEvent) -> bool:
        if event.node < 0 or nodes.fits(event.node, wanted):
            return True
        return may_preempt() and room_by_preemption(state, event.node, pod, wanted)

    def grows(event: ClusterEvent) -> bool:
        return _grown(event, wanted, nodes) and has_room(event)

    return {POD_DELETE: has_room, NODE_ADD: has_room, NODE_UPDATE: grows}


def _grown(event: ClusterEvent, wanted: tuple[tuple[int, int], ...], nodes: NodeColumns) -> bool:
    """Return whether a node offers more of a wanted resource than before."""
    old, new = event.old, event.new
    if not isinstance(old, Node) or not isinstance(new, Node):
        return True
    before, after = old.status.allocatable, new.status.allocatable
    names = (nodes.resources[row] for row, _ in wanted)
    return any(after.get(name, 0) > before.get(name, 0) for name in names)


def room_by_preemption(
    state: ClusterState, row: int, pod: PodClass, wanted: tuple[tuple[int, int], ...]
) -> bool:
    """Return whether *wanted* would fit on a node without its pods of lower priority."""
    nodes = state.nodes
    pods = state.pods_on[row] if row < len(state.pods_on) else {}
    lower = [c for c in pods.values() if c.priority < pod.priority]
    if not lower or not nodes.present[row]:
        return False
    freed: dict[int, int] = {}
    for other in lower:
        for resource, amount in other.requests:
            freed[resource] = freed.get(resource, 0) + amount
    return all(
        nodes.requested[resource, row] - freed.get(resource, 0) + amount
        <= nodes.allocatable[resource, row]
        for resource, amount in wanted
    )


def _of_others(waiting: Waiting) -> Registered:
    """Return what may help with a plugin that says nothing of it."""
    plugin, pod, state = waiting.plugin, waiting.pod, waiting.state
    by_node = depends_on(plugin) in (Depends.STATIC, Depends.NODE)
    concerns = getattr(plugin, "concerns", None)
    if concerns is not None and not concerns(state, pod):
        return {}
    if plugin is None or not by_node or hasattr(plugin, "permit") or hasattr(plugin, "pre_enqueue"):
        return {ANY: always}

    def passes(event: ClusterEvent) -> bool:
        row = event.node
        if row < 0 or not state.nodes.present[row]:
            return False
        if not plugin.filter(Cycle(state, pod), np.array([row], np.int64))[0]:
            return True
        return waiting.may_preempt() and room_by_preemption(state, row, pod, ())

    return {POD_DELETE: passes, NODE_ADD: passes, NODE_UPDATE: passes}


# --- other pods -----------------------------------------------------------------------------------


def _pod_topology_spread(waiting: Waiting) -> Registered:
    plugin, pod, state = waiting.plugin, waiting.pod, waiting.state
    if not plugin.may_filter(pod):
        return {}

    def leasts() -> dict[str, int]:
        hard = plugin.hard_constraints(Cycle(state, pod)).constraints
        return {c.term.key + c.topology_key: hard_counts(state, c).least for c in hard}

    hard = plugin.hard_constraints(Cycle(state, pod)).constraints
    before = leasts()  # pods that come help only when the emptiest domain is no longer so empty
    keys = [constraint.topology_key for constraint in hard]

    def counts(event: ClusterEvent) -> bool:
        other = event.pod
        return other is not None and any(c.term.matches(other, state.objects) for c in hard)

    def lifts(event: ClusterEvent) -> bool:
        return counts(event) and any(least > before.get(k, -1) for k, least in leasts().items())

    def takes_part(event: ClusterEvent) -> bool:
        ends = [found for found in (event.old, event.new) if isinstance(found, Node)]
        return any(all(key in labels_of(node) for key in keys) for node in ends)

    def moves(event: ClusterEvent) -> bool:
        old, new = event.old, event.new
        if not isinstance(old, Node) or not isinstance(new, Node):
            return True
        differ = labels_of(old) != labels_of(new) or old.spec.taints != new.spec.taints
        return differ and takes_part(event)

    found: dict[str, Hint] = {}
    if hard:
        found = {
            POD_ADD: lifts,
            POD_DELETE: counts,
            NODE_ADD: takes_part,
            NODE_DELETE: takes_part,
            NODE_UPDATE: moves,
        }
    if not pod.spec.topology_spread_constraints:  # those by default follow from other objects
        found |= {f"{k}/{what}": always for k in SELECTING for what in ("Add", "Update", "Delete")}
    return found


def _inter_pod_affinity(waiting: Waiting) -> Registered:
    state, pod = waiting.state, waiting.pod
    carried, objects = state.carried, state.objects
    near = [term for term in carried.own(pod) if term.kind is Kind.NEAR]
    apart = [term for term in carried.own(pod) if term.kind is Kind.APART]

    def wanted(event: ClusterEvent) -> bool:
        other = event.pod
        return other is not None and all(term.pods.matches(other, objects) for term in near)

    def was_in_the_way(event: ClusterEvent) -> bool:
        other = event.pod
        if other is None:
            return False
        if any(term.pods.matches(other, objects) for term in apart):
            return True
        theirs = (term for term in carried.own(other) if term.kind is Kind.APART)
        if any(term.pods.matches(pod, objects) for term in theirs):
            return True
        # without any partner left, a pod that is its own partner may start a domain anywhere
        return bool(near) and wanted(event) and all(t.pods.matches(pod, objects) for t in near)

    def joins(event: ClusterEvent) -> bool:
        new = event.new
        return new is not None and all(term.topology_key in labels_of(new) for term in near)

    def namespaces_matter(_: ClusterEvent) -> bool:
        terms = (*near, *apart, *carried.about(pod))
        return any(term.pods.asks_namespaces() for term in terms)

    found: dict[str, Hint] = {
        POD_DELETE: was_in_the_way,
        NODE_ADD: joins,
        NODE_UPDATE: relabelled,
        **{f"Namespace/{what}": namespaces_matter for what in ("Add", "Update", "Delete")},
    }
    return {**found, POD_ADD: wanted} if near else found


def _nothing(_: Waiting) -> Registered:
    """Wait for nothing: gates are lifted by a change of the pod itself."""
    return {}


def _default_preemption(_: Waiting) -> Registered:
    """Wait for room, on behalf of a pod that had to give way before it was bound."""
    return {POD_DELETE: always, NODE_ADD: always}


REGISTER: Final[Mapping[str, Callable[[Waiting], Registered]]] = {
    "NodeUnschedulable": _node_unschedulable,
    "NodeName": _node_name,
    "TaintToleration": _taint_toleration,
    "NodeAffinity": _node_affinity,
    "NodePorts": _node_ports,
    "NodeResourcesFit": _node_resources_fit,
    "VolumeRestrictions": volume_restrictions,
    "NodeVolumeLimits": node_volume_limits,
    "VolumeBinding": volume_binding,
    "VolumeZone": volume_zone,
    "PodTopologySpread": _pod_topology_spread,
    "InterPodAffinity": _inter_pod_affinity,
    "DynamicResources": _nothing,
    "SchedulingGates": _nothing,
    "DefaultPreemption": _default_preemption,
}
"""Plugin -> what it waits for on behalf of a pod that it rejected: hints by event."""
