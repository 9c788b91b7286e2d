"""kube-scheduler's own plugins by name, and users' plugins by the path to them.

One literal table says which plugins there are, in upstream's order and with upstream's weights, and
one how each is made from its arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from schedlab.api.invalid import nearest
from schedlab.errors import InputError
from schedlab.scheduling.framework.configuration import validated
from schedlab.scheduling.framework.interface import POINTS
from schedlab.scheduling.framework.plugin_arguments import (
    DefaultPreemptionArgs,
    DynamicResourcesArgs,
    InterPodAffinityArgs,
    NodeAffinityArgs,
    NodeResourcesBalancedAllocationArgs,
    NodeResourcesFitArgs,
    PodTopologySpreadArgs,
    ResourceSpec,
    VolumeBindingArgs,
)
from schedlab.scheduling.gpu.makers import GPU_PLUGINS
from schedlab.scheduling.gpu.makers import WITH_ARGUMENTS as GPU_PLUGINS_WITH_ARGUMENTS
from schedlab.scheduling.plugins.default_binder import DefaultBinder
from schedlab.scheduling.plugins.default_preemption import DefaultPreemption
from schedlab.scheduling.plugins.dynamic_resources import DynamicResources
from schedlab.scheduling.plugins.image_locality import ImageLocality
from schedlab.scheduling.plugins.inter_pod_affinity import InterPodAffinity
from schedlab.scheduling.plugins.node_affinity import NodeAffinity
from schedlab.scheduling.plugins.node_name import NodeName
from schedlab.scheduling.plugins.node_ports import NodePorts
from schedlab.scheduling.plugins.node_resources import DEFAULT_RESOURCES, ResourceWeights
from schedlab.scheduling.plugins.node_resources_balanced_allocation import (
    NodeResourcesBalancedAllocation,
)
from schedlab.scheduling.plugins.node_resources_fit import FitArgs, NodeResourcesFit
from schedlab.scheduling.plugins.node_unschedulable import NodeUnschedulable
from schedlab.scheduling.plugins.node_volume_limits import NodeVolumeLimits
from schedlab.scheduling.plugins.pod_topology_spread import PodTopologySpread
from schedlab.scheduling.plugins.priority_sort import PrioritySort
from schedlab.scheduling.plugins.scheduling_gates import SchedulingGates
from schedlab.scheduling.plugins.taint_toleration import TaintToleration
from schedlab.scheduling.plugins.volume_binding import VolumeBinding
from schedlab.scheduling.plugins.volume_restrictions import VolumeRestrictions
from schedlab.scheduling.plugins.volume_zone import VolumeZone
from schedlab.scheduling.registry import instantiate, load_attribute

DEFAULT_PLUGINS: Final[Mapping[str, int]] = {
    "SchedulingGates": 0,
    "PrioritySort": 0,
    "NodeUnschedulable": 0,
    "NodeName": 0,
    "TaintToleration": 3,
    "NodeAffinity": 2,
    "NodePorts": 0,
    "NodeResourcesFit": 1,
    "VolumeRestrictions": 0,
    "NodeVolumeLimits": 0,
    "VolumeBinding": 0,
    "VolumeZone": 0,
    "PodTopologySpread": 2,
    "InterPodAffinity": 2,
    "DynamicResources": 2,
    "DefaultPreemption": 0,
    "NodeResourcesBalancedAllocation": 1,
    "ImageLocality": 1,
    "DefaultBinder": 0,
}
"""The plugins that run at every point they can, in order, with their weights (0 = 1)."""


class Arguments(NamedTuple):
    """The arguments of a plugin."""

    content: Mapping[str, Any] = {}
    where: str = ""
    """Where they stand in the configuration."""


def make_plugin(name: str, arguments: Arguments, where: str, base: Path | None = None) -> Any:
    """Return a fresh plugin.

    Parameters
    ----------
    name : str
        One of `DEFAULT_PLUGINS`, of `GPU_PLUGINS`, ``path/to/file.py:Class`` or
        ``package.module:Class``.
    arguments : Arguments
        Of the profile's ``pluginConfig``; keyword arguments of a user's class.
    where : str
        Where the plugin is named, for errors.
    base : Path, optional
        Directory to which a file is relative.

    Raises
    ------
    InputError
        There is no such plugin, or it doesn't take these arguments.
    """
    if ":" in name:
        return _own(name, arguments, where, base)
    if name not in _MAKERS:
        raise InputError(
            where,
            found=name,
            expected="a plugin of kube-scheduler, file.py:Class or package.module:Class",
            hint=nearest(name, [*_MAKERS]),
        )
    try:
        kind = arguments.content.get("kind", f"{name}Args")
        if kind != f"{name}Args":
            raise InputError("kind", found=kind, expected=f"{name}Args")
        return _MAKERS[name](arguments.content)
    except InputError as error:
        raise error.under(arguments.where) from None


def takes_arguments(name: str) -> bool:
    """Return whether a plugin has arguments at all."""
    return ":" in name or name in _WITH_ARGUMENTS


def _own(name: str, arguments: Arguments, where: str, base: Path | None) -> Any:
    options = {k: v for k, v in arguments.content.items() if k not in ("apiVersion", "kind")}
    try:
        made = load_attribute(name, base)
        if isinstance(made, type):
            made = instantiate(name, made, options)
    except InputError as error:
        raise error.under(where) from None
    if not isinstance(getattr(made, "name", None), str) or made.name in _MAKERS:
        raise InputError(
            where, found=name, expected="a class with an attribute name of its own, a string"
        )
    if not any(hasattr(made, point) for point in POINTS):
        raise InputError(
            where, found=name, expected=f"a class with one of the methods {', '.join(POINTS)}"
        )
    return made


def _fit(content: Mapping[str, Any]) -> NodeResourcesFit:
    args = validated(NodeResourcesFitArgs, content)
    strategy = args.scoring_strategy
    ratio = strategy.requested_to_capacity_ratio
    points = () if ratio is None else ratio.shape
    return NodeResourcesFit(
        FitArgs(
            strategy.type,
            _weighted(strategy.resources),
            tuple((point.utilization, point.score) for point in points),
            frozenset(args.ignored_resources),
            frozenset(args.ignored_resource_groups),
        )
    )


def _balanced(content: Mapping[str, Any]) -> NodeResourcesBalancedAllocation:
    args = validated(NodeResourcesBalancedAllocationArgs, content)
    return NodeResourcesBalancedAllocation(_weighted(args.resources))


def _weighted(resources: Sequence[ResourceSpec]) -> ResourceWeights:
    found = tuple((entry.name, entry.weight or 1) for entry in resources)
    return found or DEFAULT_RESOURCES


def _pod_affinity(content: Mapping[str, Any]) -> InterPodAffinity:
    args = validated(InterPodAffinityArgs, content)
    return InterPodAffinity(
        args.hard_pod_affinity_weight, args.ignore_preferred_terms_of_existing_pods
    )


def _spread(content: Mapping[str, Any]) -> PodTopologySpread:
    args = validated(PodTopologySpreadArgs, content)
    return PodTopologySpread(None if args.defaulting_type == "System" else args.default_constraints)


def _volume_binding(content: Mapping[str, Any]) -> VolumeBinding:
    return VolumeBinding(validated(VolumeBindingArgs, content).bind_timeout_seconds)


def _preemption(content: Mapping[str, Any]) -> DefaultPreemption:
    args = validated(DefaultPreemptionArgs, content)
    return DefaultPreemption(args.min_candidate_nodes_percentage, args.min_candidate_nodes_absolute)


def _devices(content: Mapping[str, Any]) -> DynamicResources:
    validated(DynamicResourcesArgs, content)
    return DynamicResources()


def _without(kind: type) -> Callable[[Mapping[str, Any]], Any]:
    def make(content: Mapping[str, Any]) -> Any:
        if content:
            raise InputError("", found=dict(content), expected="nothing: it takes no arguments")
        return kind()

    return make


_MAKERS: Final[Mapping[str, Callable[[Mapping[str, Any]], Any]]] = {
    "SchedulingGates": _without(SchedulingGates),
    "PrioritySort": _without(PrioritySort),
    "NodeUnschedulable": _without(NodeUnschedulable),
    "NodeName": _without(NodeName),
    "TaintToleration": _without(TaintToleration),
    "NodeAffinity": lambda c: NodeAffinity(validated(NodeAffinityArgs, c).added_affinity),
    "NodePorts": _without(NodePorts),
    "NodeResourcesFit": _fit,
    "VolumeRestrictions": _without(VolumeRestrictions),
    "NodeVolumeLimits": _without(NodeVolumeLimits),
    "VolumeBinding": _volume_binding,
    "VolumeZone": _without(VolumeZone),
    "PodTopologySpread": _spread,
    "InterPodAffinity": _pod_affinity,
    "DynamicResources": _devices,
    "DefaultPreemption": _preemption,
    "NodeResourcesBalancedAllocation": _balanced,
    "ImageLocality": _without(ImageLocality),
    "DefaultBinder": _without(DefaultBinder),
    **GPU_PLUGINS,
}
"""How each plugin is made from its arguments."""
_WITH_ARGUMENTS: Final = frozenset(
    {
        "NodeAffinity", "NodeResourcesFit", "VolumeBinding", "PodTopologySpread",
        "InterPodAffinity", "DynamicResources", "DefaultPreemption",
        "NodeResourcesBalancedAllocation", *GPU_PLUGINS_WITH_ARGUMENTS,
    }
)  # fmt: skip
