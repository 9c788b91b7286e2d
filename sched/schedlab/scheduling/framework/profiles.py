"""Profiles: which plugins run, with which weights and arguments.

Built from an unmodified ``KubeSchedulerConfiguration`` (v1), as kube-scheduler's --config takes it:
``multiPoint``, enabled and disabled plugins per extension point, weights, ``pluginConfig``. What
asks for a plugin that is not there yet is an error, never silence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from schedlab.api.invalid import nearest
from schedlab.errors import InputError
from schedlab.scheduling.framework.configuration import (
    NodeAffinityArgs,
    NodeResourcesBalancedAllocationArgs,
    NodeResourcesFitArgs,
    Plugin,
    PluginConfig,
    Plugins,
    ProfileConfig,
    ResourceSpec,
    read_configuration,
    validated,
)
from schedlab.scheduling.framework.interface import FilterPlugin, ScorePlugin
from schedlab.scheduling.plugins.node_affinity import NodeAffinity
from schedlab.scheduling.plugins.node_name import NodeName
from schedlab.scheduling.plugins.node_resources import DEFAULT_RESOURCES, ResourceWeights
from schedlab.scheduling.plugins.node_resources_balanced_allocation import (
    NodeResourcesBalancedAllocation,
)
from schedlab.scheduling.plugins.node_resources_fit import STRATEGIES, FitArgs, NodeResourcesFit
from schedlab.scheduling.plugins.node_unschedulable import NodeUnschedulable
from schedlab.scheduling.plugins.taint_toleration import TaintToleration

FILTERS = ("NodeUnschedulable", "NodeName", "TaintToleration", "NodeAffinity", "NodeResourcesFit")
"""Filter plugins in upstream's order."""
WEIGHTS: dict[str, int] = {
    "TaintToleration": 3,
    "NodeAffinity": 2,
    "NodeResourcesFit": 1,
    "NodeResourcesBalancedAllocation": 1,
}
"""Score plugins in upstream's order, with upstream's default weights."""
BUILT_IN = ("SchedulingGates", "PrioritySort", "DefaultBinder")
"""Plugins that the queue and the binding of the scheduler component implement; always on."""
NEEDED = {
    "pre_enqueue": ("SchedulingGates",),
    "queue_sort": ("PrioritySort",),
    "pre_filter": ("NodeAffinity", "NodeResourcesFit"),
    "pre_score": tuple(WEIGHTS),
    "bind": ("DefaultBinder",),
}
"""What has to run at a point: always, or where the plugin runs at the point it prepares."""
NEEDS = "the scheduler component or the plugin's own later steps need it here"
WITHOUT_EFFECT = {
    "NodePorts": "host ports",
    "VolumeRestrictions": "volumes",
    "NodeVolumeLimits": "volumes",
    "VolumeBinding": "volumes",
    "VolumeZone": "volumes",
    "PodTopologySpread": "topology spread constraints",
    "InterPodAffinity": "inter-pod affinity",
    "DynamicResources": "resource claims",
    "DefaultPreemption": "preemption",
    "ImageLocality": "image locality",
}
"""Default plugins that are not modelled; pods that would need them are refused."""


@dataclass(frozen=True)
class Profile:
    """One profile of the framework.

    Attributes
    ----------
    scheduler_name : str
        Pods of this ``schedulerName`` are its own.
    filters : tuple of FilterPlugin
        In order: the first that rejects a node names the reason.
    scores : tuple of (ScorePlugin, int)
        With their weights.
    percentage_of_nodes_to_score : int
        Share of the nodes that must be found feasible before the search stops; 0 = adaptive.
    """

    scheduler_name: str = "default-scheduler"
    filters: tuple[FilterPlugin, ...] = field(
        default_factory=lambda: tuple(_MAKERS[name](({}, "")) for name in FILTERS)
    )
    scores: tuple[tuple[ScorePlugin, int], ...] = field(
        default_factory=lambda: tuple((_MAKERS[n](({}, "")), w) for n, w in WEIGHTS.items())
    )
    percentage_of_nodes_to_score: int = 0

    def plugins(self, point: str) -> tuple[Any, ...]:
        """Return the plugins that take part in an extension point (a method name), in order."""
        every = {id(p): p for p in (*self.filters, *(plugin for plugin, _ in self.scores))}
        return tuple(plugin for plugin in every.values() if hasattr(plugin, point))


def nodes_to_find(size: int, percentage: int) -> int:
    """Return how many feasible nodes end the search, as upstream's numFeasibleNodesToFind.

    Parameters
    ----------
    size : int
        Number of nodes.
    percentage : int
        ``percentageOfNodesToScore``; 0 = adaptive: 50 - size / 125 per cent, at least 5.

    Examples
    --------
    >>> [nodes_to_find(n, 0) for n in (99, 100, 1000, 5000, 20000)]
    [99, 100, 420, 500, 1000]
    """
    if size < 100:
        return size
    if percentage == 0:
        percentage = max(50 - size // 125, 5)
    if percentage >= 100:
        return size
    return max(size * percentage // 100, 100)


def read_profiles(source: str | Path | Mapping[str, Any]) -> list[Profile]:
    """Read the profiles of a KubeSchedulerConfiguration.

    Parameters
    ----------
    source : str, Path or mapping
        A YAML or JSON file, or its content.

    Raises
    ------
    InputError
        Another kind or version, an unknown plugin, bad arguments.
    """
    try:
        config = read_configuration(source)
        found = [
            _profile(profile, f"profiles[{i}]", config.percentage_of_nodes_to_score)
            for i, profile in enumerate(config.profiles or (ProfileConfig(),))
        ]
        names = [profile.scheduler_name for profile in found]
        for name in names:
            if names.count(name) > 1:
                raise InputError("profiles", found=name, expected="schedulerNames that are unique")
    except InputError as error:
        raise error if isinstance(source, Mapping) else error.in_file(source) from None
    return found


def _profile(config: ProfileConfig, where: str, share: int) -> Profile:
    own = config.percentage_of_nodes_to_score
    arguments = _arguments(config.plugin_config, f"{where}.pluginConfig")
    _check(config.plugins, f"{where}.plugins")
    filters = _at_point(config.plugins, "filter", FILTERS, f"{where}.plugins")
    scores = _at_point(config.plugins, "score", tuple(WEIGHTS), f"{where}.plugins")
    made = {name: _MAKERS[name](arguments.get(name, ({}, ""))) for name in {*filters, *scores}}
    return Profile(
        config.scheduler_name,
        tuple(made[name] for name in filters),
        tuple((made[name], weight) for name, weight in scores.items()),
        share if own is None else own,
    )


def _at_point(plugins: Plugins, point: str, default: Sequence[str], where: str) -> dict[str, int]:
    """Return the plugins of one extension point, in order, with their weights.

    The order is upstream's (expandMultiPointPlugins): first what the point names and ``multiPoint``
    has as well, then the rest of ``multiPoint``, then what only the point names. A weight that is
    not given where a plugin is enabled is 1, whatever its default.
    """
    every = _multi_point(plugins)
    own = getattr(plugins, point)
    named = {entry.name: entry.weight or 1 for entry in own.enabled}
    off = {entry.name for entry in own.disabled}
    for i, entry in enumerate(own.enabled):
        if point == "score" and entry.weight and entry.name in WITHOUT_EFFECT:
            raise _not_modelled(entry.name, f"{where}.{point}.enabled[{i}]")
    rest = {
        name: weight
        for name, weight in every.items()
        if name not in named and name not in off and "*" not in off
    }
    first = {name: weight for name, weight in named.items() if name in every}
    found = {**first, **rest, **named}
    return {name: weight for name, weight in found.items() if name in default}


def _multi_point(plugins: Plugins) -> dict[str, int]:
    """Return what runs at every point it can: the default plugins with the profile's changes."""
    defaults = {**dict.fromkeys((*BUILT_IN, *FILTERS), 0), **WEIGHTS}
    off = {entry.name for entry in plugins.multi_point.disabled}
    named = {entry.name: entry.weight or 1 for entry in plugins.multi_point.enabled}
    kept = {} if "*" in off else {k: v for k, v in defaults.items() if k not in off}
    return {**kept, **named}


def _check(plugins: Plugins, where: str) -> None:
    """Refuse plugins that nobody knows, and profiles without what they can't do without."""
    known = sorted({*FILTERS, *WEIGHTS, *BUILT_IN, *WITHOUT_EFFECT})
    for point, info in Plugins.model_fields.items():
        own, key = getattr(plugins, point), info.alias
        for state, entries in (("enabled", own.enabled), ("disabled", own.disabled)):
            for i, entry in enumerate(entries):
                _check_name(entry, f"{where}.{key}.{state}[{i}].name", state, known)
        wanted = NEEDED.get(point, ())
        if point in ("pre_filter", "pre_score"):
            wanted = tuple(_at_point(plugins, point.removeprefix("pre_"), wanted, where))
        there = _at_point(plugins, point, wanted, where)
        for name in wanted:
            if name not in there:
                raise InputError(
                    f"{where}.{key}", found="<it switched off>", expected=f"{name}: {NEEDS}"
                )


def _check_name(entry: Plugin, where: str, state: str, known: list[str]) -> None:
    if entry.name not in known and not (state == "disabled" and entry.name == "*"):
        raise InputError(
            where,
            found=entry.name,
            expected="a plugin of kube-scheduler",
            hint=nearest(entry.name, known),
        )


def _not_modelled(name: str, where: str) -> InputError:
    return InputError(
        f"{where}: {name}",
        found=f"<{WITHOUT_EFFECT[name]}>",
        expected="plugins that schedlab models so far",
    )


Arguments = tuple[Mapping[str, Any], str]
"""The arguments of a plugin, and where they stand."""


def _arguments(entries: Sequence[PluginConfig], where: str) -> dict[str, Arguments]:
    found: dict[str, Arguments] = {}
    for i, entry in enumerate(entries):
        at = f"{where}[{i}]"
        if entry.name in found:
            raise InputError(f"{at}.name", found=entry.name, expected="each plugin once")
        if entry.name in WITHOUT_EFFECT:
            if set(entry.args) - {"apiVersion", "kind"}:
                raise _not_modelled(entry.name, at)
        elif entry.name not in _TAKES_ARGUMENTS:
            raise InputError(
                f"{at}.name",
                found=entry.name,
                expected="a plugin that takes arguments",
                hint=nearest(entry.name, _TAKES_ARGUMENTS),
            )
        found[entry.name] = (entry.args, f"{at}.args")
    return found


def _fit(arguments: Arguments) -> NodeResourcesFit:
    content, where = arguments
    try:
        args = validated(NodeResourcesFitArgs, content)
        strategy = args.scoring_strategy
        at = "scoringStrategy"
        if strategy.type not in STRATEGIES:
            raise InputError(
                f"{at}.type", found=strategy.type, expected=f"one of {', '.join(STRATEGIES)}"
            )
        points = strategy.requested_to_capacity_ratio.shape
        shape = tuple((point.utilization, point.score) for point in points)
        ratio = strategy.type == "RequestedToCapacityRatio"
        if ratio and (not shape or any(a[0] >= b[0] for a, b in pairwise(shape))):
            raise InputError(
                f"{at}.requestedToCapacityRatio.shape",
                found=list(shape) or "<nothing>",
                expected="points of growing utilization",
            )
    except InputError as error:
        raise error.under(where) from None
    return NodeResourcesFit(
        FitArgs(
            strategy.type,
            _weighted(strategy.resources),
            shape if ratio else (),
            frozenset(args.ignored_resources),
            frozenset(args.ignored_resource_groups),
        )
    )


def _balanced(arguments: Arguments) -> NodeResourcesBalancedAllocation:
    content, where = arguments
    try:
        args = validated(NodeResourcesBalancedAllocationArgs, content)
    except InputError as error:
        raise error.under(where) from None
    return NodeResourcesBalancedAllocation(_weighted(args.resources))


def _weighted(resources: Sequence[ResourceSpec]) -> ResourceWeights:
    found = tuple((entry.name, entry.weight or 1) for entry in resources)
    return found or DEFAULT_RESOURCES


def _affinity(arguments: Arguments) -> NodeAffinity:
    content, where = arguments
    try:
        return NodeAffinity(validated(NodeAffinityArgs, content).added_affinity)
    except InputError as error:
        raise error.under(where) from None


_MAKERS: dict[str, Callable[[Arguments], Any]] = {
    "NodeUnschedulable": lambda _: NodeUnschedulable(),
    "NodeName": lambda _: NodeName(),
    "TaintToleration": lambda _: TaintToleration(),
    "NodeAffinity": _affinity,
    "NodeResourcesFit": _fit,
    "NodeResourcesBalancedAllocation": _balanced,
}
_TAKES_ARGUMENTS = ("NodeAffinity", "NodeResourcesBalancedAllocation", "NodeResourcesFit")
