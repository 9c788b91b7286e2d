"""Profiles: which plugins run, with which weights and arguments.

Read from an unmodified ``KubeSchedulerConfiguration`` (v1), as kube-scheduler's --config takes it:
``multiPoint``, enabled and disabled plugins per extension point, weights, ``pluginConfig``. What
asks for a plugin that is not there yet is an error, never silence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from schedlab.api.invalid import input_error, nearest
from schedlab.api.objects import NodeAffinity as NodeAffinityTerms
from schedlab.api.yaml_loader import load_documents
from schedlab.errors import InputError
from schedlab.scheduling.framework.interface import FilterPlugin, ScorePlugin
from schedlab.scheduling.plugins.node_affinity import NodeAffinity
from schedlab.scheduling.plugins.node_name import NodeName
from schedlab.scheduling.plugins.node_resources import ResourceWeights
from schedlab.scheduling.plugins.node_resources_balanced_allocation import (
    NodeResourcesBalancedAllocation,
)
from schedlab.scheduling.plugins.node_resources_fit import STRATEGIES, FitArgs, NodeResourcesFit
from schedlab.scheduling.plugins.node_unschedulable import NodeUnschedulable
from schedlab.scheduling.plugins.taint_toleration import TaintToleration

API_VERSION = "kubescheduler.config.k8s.io/v1"
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
POINTS = (
    "preEnqueue", "queueSort", "preFilter", "filter", "postFilter", "preScore", "score", "reserve",
    "permit", "preBind", "bind", "postBind", "multiPoint",
)  # fmt: skip


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
    filters: tuple[FilterPlugin, ...] = field(default_factory=lambda: _filters({}, set(FILTERS)))
    scores: tuple[tuple[ScorePlugin, int], ...] = field(
        default_factory=lambda: _scores({}, dict(WEIGHTS))
    )
    percentage_of_nodes_to_score: int = 0


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
    if isinstance(source, Mapping):
        return _read(source)
    path = Path(source)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError("", found=str(path), expected="a readable file") from error
    try:
        documents = load_documents(text, str(path))
        if len(documents) != 1 or not isinstance(documents[0][0], Mapping):
            raise InputError("", found=f"<{len(documents)} documents>", expected="one mapping")
        return _read(documents[0][0])
    except InputError as error:
        raise error.in_file(path) from None


def _read(config: Mapping[str, Any]) -> list[Profile]:
    if config.get("kind") != "KubeSchedulerConfiguration":
        raise InputError(
            "kind", found=config.get("kind", "<nothing>"), expected="KubeSchedulerConfiguration"
        )
    version = config.get("apiVersion", "<nothing>")
    if version != API_VERSION:
        raise InputError("apiVersion", found=version, expected=API_VERSION)
    share = config.get("percentageOfNodesToScore") or 0
    profiles = config.get("profiles") or [{}]
    found = [_read_profile(profile, f"profiles[{i}]", share) for i, profile in enumerate(profiles)]
    names = [profile.scheduler_name for profile in found]
    for name in names:
        if names.count(name) > 1:
            raise InputError("profiles", found=name, expected="schedulerNames that are unique")
    return found


def _read_profile(profile: Mapping[str, Any], where: str, share: int) -> Profile:
    arguments = _arguments(profile.get("pluginConfig") or (), f"{where}.pluginConfig")
    filters, weights = _selected(profile.get("plugins") or {}, f"{where}.plugins")
    own = profile.get("percentageOfNodesToScore")
    return Profile(
        profile.get("schedulerName") or "default-scheduler",
        _filters(arguments, filters),
        _scores(arguments, weights),
        share if own is None else own,
    )


def _selected(plugins: Mapping[str, Any], where: str) -> tuple[set[str], dict[str, int]]:
    """Return the filters and the weighted scores that a profile's ``plugins`` section leaves."""
    for point in plugins:
        if point not in POINTS:
            raise InputError(
                f"{where}.{point}", found=point, expected="an extension point",
                hint=nearest(point, POINTS),
            )  # fmt: skip
    filters, weights = set(FILTERS), dict(WEIGHTS)
    for point in ("multiPoint", "filter", "score"):
        section = plugins.get(point) or {}
        at = f"{where}.{point}"
        disabled = [n for n, _ in _entries(section.get("disabled"), f"{at}.disabled", star=True)]
        enabled = _entries(section.get("enabled"), f"{at}.enabled")
        if point != "score":
            filters -= set(FILTERS) if "*" in disabled else set(disabled)
            filters |= {name for name, _ in enabled if name in FILTERS}
        if point != "filter":
            gone = set(WEIGHTS) if "*" in disabled else set(disabled)
            weights = {name: weight for name, weight in weights.items() if name not in gone}
            _add_scores(enabled, weights, at)
    return filters, weights


def _add_scores(enabled: list[tuple[str, int]], weights: dict[str, int], where: str) -> None:
    for name, weight in enabled:
        if name in WEIGHTS:
            weights[name] = weight or weights.get(name) or 1
        elif name in WITHOUT_EFFECT and weight:
            raise _not_modelled(name, where)


def _entries(section: Any, where: str, *, star: bool = False) -> list[tuple[str, int]]:
    known = {*FILTERS, *WEIGHTS, *BUILT_IN, *WITHOUT_EFFECT}
    found = []
    for i, entry in enumerate(section or ()):
        name = entry.get("name")
        if name not in known and not (star and name == "*"):
            raise InputError(
                f"{where}[{i}].name",
                found=name,
                expected="a plugin of kube-scheduler",
                hint=nearest(str(name), sorted(known)),
            )
        found.append((name, int(entry.get("weight") or 0)))
    return found


def _not_modelled(name: str, where: str) -> InputError:
    return InputError(
        f"{where}: {name}",
        found=f"<{WITHOUT_EFFECT[name]}>",
        expected="plugins that schedlab models so far",
    )


def _arguments(entries: Iterable[Mapping[str, Any]], where: str) -> dict[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    for i, entry in enumerate(entries):
        name, args = entry.get("name", ""), dict(entry.get("args") or {})
        args.pop("apiVersion", None)
        args.pop("kind", None)
        at = f"{where}[{i}]"
        if name in WITHOUT_EFFECT:
            if args:
                raise _not_modelled(name, at)
            continue
        if name not in _ARGUMENTS:
            raise InputError(
                f"{at}.name", found=name, expected="a plugin that takes arguments",
                hint=nearest(str(name), sorted(_ARGUMENTS)),
            )  # fmt: skip
        for key in args:
            if key not in _ARGUMENTS[name]:
                raise InputError(
                    f"{at}.args.{key}", found=args[key], expected="a known argument",
                    hint=nearest(key, sorted(_ARGUMENTS[name])),
                )  # fmt: skip
        found[name] = {"where": f"{at}.args", **args}
    return found


_ARGUMENTS = {
    "NodeResourcesFit": {"scoringStrategy", "ignoredResources", "ignoredResourceGroups"},
    "NodeResourcesBalancedAllocation": {"resources"},
    "NodeAffinity": {"addedAffinity"},
}


def _fit(args: Mapping[str, Any]) -> NodeResourcesFit:
    where, strategy = args.get("where", ""), args.get("scoringStrategy") or {}
    at = f"{where}.scoringStrategy"
    kind = strategy.get("type", "LeastAllocated")
    if kind not in STRATEGIES:
        raise InputError(f"{at}.type", found=kind, expected=f"one of {', '.join(STRATEGIES)}")
    shape: tuple[tuple[int, int], ...] = ()
    if kind == "RequestedToCapacityRatio":
        points = (strategy.get("requestedToCapacityRatio") or {}).get("shape") or ()
        shape = tuple((int(p["utilization"]), int(p["score"])) for p in points)
        good = shape and all(0 <= x <= 100 and 0 <= y <= 10 for x, y in shape)
        if not good or any(a[0] >= b[0] for a, b in pairwise(shape)):
            raise InputError(
                f"{at}.requestedToCapacityRatio.shape",
                found=list(points),
                expected="points of growing utilization in 0 .. 100 with scores in 0 .. 10",
            )
    return NodeResourcesFit(
        FitArgs(
            kind,
            _resource_weights(strategy.get("resources"), f"{at}.resources"),
            shape,
            frozenset(args.get("ignoredResources") or ()),
            frozenset(args.get("ignoredResourceGroups") or ()),
        )
    )


def _resource_weights(entries: Any, where: str) -> ResourceWeights:
    if not entries:
        return (("cpu", 1), ("memory", 1))
    found = []
    for i, entry in enumerate(entries):
        weight = entry.get("weight") or 1
        if not isinstance(weight, int) or not 1 <= weight <= 100:
            raise InputError(f"{where}[{i}].weight", found=weight, expected="an integer, 1 to 100")
        found.append((str(entry["name"]), weight))
    return tuple(found)


def _affinity(args: Mapping[str, Any]) -> NodeAffinity:
    added = args.get("addedAffinity")
    if added is None:
        return NodeAffinity()
    try:
        return NodeAffinity(NodeAffinityTerms.model_validate(added))
    except ValidationError as error:
        raise input_error(error, NodeAffinityTerms).under(
            f"{args['where']}.addedAffinity"
        ) from None


_MAKERS: dict[str, Callable[[Mapping[str, Any]], Any]] = {
    "NodeUnschedulable": lambda _: NodeUnschedulable(),
    "NodeName": lambda _: NodeName(),
    "TaintToleration": lambda _: TaintToleration(),
    "NodeAffinity": _affinity,
    "NodeResourcesFit": _fit,
    "NodeResourcesBalancedAllocation": lambda args: NodeResourcesBalancedAllocation(
        _resource_weights(args.get("resources"), f"{args.get('where', '')}.resources")
    ),
}


def _filters(
    arguments: Mapping[str, Mapping[str, Any]], names: set[str]
) -> tuple[FilterPlugin, ...]:
    return tuple(_MAKERS[name](arguments.get(name, {})) for name in FILTERS if name in names)


def _scores(
    arguments: Mapping[str, Mapping[str, Any]], weights: Mapping[str, int]
) -> tuple[tuple[ScorePlugin, int], ...]:
    return tuple(
        (_MAKERS[name](arguments.get(name, {})), weights[name])
        for name in WEIGHTS
        if weights.get(name)
    )
