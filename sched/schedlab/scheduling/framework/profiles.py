"""Profiles: which plugins run at which point, with which weights and arguments.

Built from an unmodified ``KubeSchedulerConfiguration`` (v1), as kube-scheduler's --config takes it:
``multiPoint``, enabled and disabled plugins per extension point, weights, ``pluginConfig``. A
plugin of one's own is named by the path to it, as ``path/to/file.py:Class`` or
``package.module:Class``; it takes part in the points for which it has a method
(`schedlab.scheduling.framework.interface.POINTS`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from pydantic.alias_generators import to_snake

from schedlab.api.invalid import nearest
from schedlab.errors import InputError
from schedlab.scheduling.framework.builtin_plugins import (
    DEFAULT_PLUGINS,
    Arguments,
    make_plugin,
    takes_arguments,
)
from schedlab.scheduling.framework.configuration import (
    Plugin,
    PluginConfig,
    Plugins,
    PluginSet,
    ProfileConfig,
    read_configuration,
)
from schedlab.scheduling.framework.interface import POINTS, FilterPlugin, ScorePlugin

PREPARED: Final[Mapping[str, tuple[str, ...]]] = {
    "filter": (
        "NodePorts",
        "NodeResourcesFit",
        "VolumeRestrictions",
        "VolumeBinding",
        "PodTopologySpread",
        "InterPodAffinity",
        "DynamicResources",
    ),
    "score": ("TaintToleration", "PodTopologySpread", "InterPodAffinity"),
}
"""Plugins that upstream fails without at ``preFilter`` or ``preScore``."""


@dataclass(frozen=True)
class Profile:
    """One profile of the framework; `Profile.default` is kube-scheduler's, and a bit more.

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
    others : mapping of str to tuple, optional
        Plugins of the other points by method name; without it *filters* and *scores* take part
        wherever they have a method.
    """

    scheduler_name: str = "default-scheduler"
    filters: tuple[FilterPlugin, ...] = ()
    scores: tuple[tuple[ScorePlugin, int], ...] = ()
    percentage_of_nodes_to_score: int = 0
    others: Mapping[str, tuple[Any, ...]] | None = None

    @classmethod
    def default(cls) -> Profile:
        """Return kube-scheduler's default profile, complete, with GpuShare beside it.

        Upstream has no such plugin: a cluster whose pods share GPUs runs its vendor's. It concerns
        no other pods, and a configuration has to name it.
        """
        upstreams = _profile(ProfileConfig(), "profiles[0]", 0, None)
        shares = make_plugin("GpuShare", Arguments(), "profiles[0]")
        return replace(upstreams, filters=(*upstreams.filters, shares))

    def plugins(self, point: str) -> tuple[Any, ...]:
        """Return the plugins that take part in an extension point (a method name), in order."""
        if point == "filter":
            return self.filters
        scores = tuple(plugin for plugin, _ in self.scores)
        if point == "score":
            return scores
        if self.others is not None:
            return self.others.get(point, ())
        every = {id(plugin): plugin for plugin in (*self.filters, *scores)}
        return tuple(plugin for plugin in every.values() if hasattr(plugin, point))

    def plugin(self, name: str) -> Any | None:
        """Return the plugin of a name, at whatever point it runs; None when it doesn't."""
        for point in POINTS:
            for plugin in self.plugins(point):
                if plugin.name == name:
                    return plugin
        return None


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


class Configured(NamedTuple):
    """What a KubeSchedulerConfiguration says."""

    profiles: list[Profile]
    """The profiles, at least one."""
    backoff_seconds: tuple[int | None, int | None]
    """First and longest backoff of the queue; None where the file doesn't say."""


def read_profiles(
    source: str | Path | Mapping[str, Any], base: Path | None = None
) -> list[Profile]:
    """Read the profiles of a KubeSchedulerConfiguration; see `read_configured`."""
    return read_configured(source, base).profiles


def read_configured(source: str | Path | Mapping[str, Any], base: Path | None = None) -> Configured:
    """Read a KubeSchedulerConfiguration.

    Parameters
    ----------
    source : str, Path or mapping
        A YAML or JSON file, or its content.
    base : Path, optional
        Directory to which users' plugins are relative; by default that of the file.

    Raises
    ------
    InputError
        Another kind or version, an unknown plugin, bad arguments.
    """
    if base is None and not isinstance(source, Mapping):
        base = Path(source).parent
    try:
        config = read_configuration(source)
        profiles = config.profiles or (ProfileConfig(),)
        found = [
            _profile(profile, f"profiles[{i}]", config.percentage_of_nodes_to_score, base)
            for i, profile in enumerate(profiles)
        ]
        _check_names(profiles)
        _check_queue_sort(found)
    except InputError as error:
        raise error if isinstance(source, Mapping) else error.in_file(source) from None
    backoff = (config.pod_initial_backoff_seconds, config.pod_max_backoff_seconds)
    return Configured(found, backoff)


def _check_names(profiles: Sequence[ProfileConfig]) -> None:
    names = [profile.scheduler_name for profile in profiles]
    for i, profile in enumerate(profiles):
        if len(profiles) > 1 and "scheduler_name" not in profile.model_fields_set:
            raise InputError(
                f"profiles[{i}].schedulerName",
                found="<nothing>",
                expected="schedulerNames that are unique, as there are several profiles",
            )
    for name in names:
        if names.count(name) > 1:
            raise InputError("profiles", found=name, expected="schedulerNames that are unique")


def _check_queue_sort(profiles: Sequence[Profile]) -> None:
    """Refuse profiles that sort the one queue they share in different ways."""
    names = [[plugin.name for plugin in p.plugins("sort_key")] for p in profiles]
    for i, own in enumerate(names):
        where = f"profiles[{i}].plugins.queueSort"
        if len(own) != 1:
            raise InputError(where, found=own or "<no plugin>", expected="exactly one plugin")
        if own != names[0]:
            raise InputError(where, found=own[0], expected=f"{names[0][0]}, as in profiles[0]")


def _profile(config: ProfileConfig, where: str, share: int, base: Path | None) -> Profile:
    everywhere = _everywhere(config.plugins.multi_point)
    at = f"{where}.plugins"
    named = {entry.name: f"{at}.multiPoint" for entry in everywhere}
    for key, own in _points(config.plugins):
        _check_point(own, f"{at}.{key}")
        for i, entry in enumerate(own.enabled):
            named.setdefault(entry.name, f"{at}.{key}.enabled[{i}].name")
    arguments = _arguments(config.plugin_config, f"{where}.pluginConfig")
    made = {
        name: make_plugin(name, arguments.get(name, Arguments()), place, base)
        for name, place in named.items()
    }
    _check_made(made, named)
    found = {
        method: _at_point(getattr(config.plugins, to_snake(key)), everywhere, method, made, at)
        for method, key in POINTS.items()
    }
    _check_whole(found, at)
    others = {
        method: tuple(made[name] for name in names)
        for method, names in found.items()
        if method not in ("filter", "score")
    }
    own_share = config.percentage_of_nodes_to_score
    return Profile(
        config.scheduler_name,
        tuple(made[name] for name in found["filter"]),
        tuple((made[name], weight or 1) for name, weight in found["score"].items()),
        share if own_share is None else own_share,
        others,
    )


def _points(plugins: Plugins) -> list[tuple[str, PluginSet]]:
    """Return all sets of plugins with their keys, ``multiPoint`` included."""
    return [
        (info.alias or name, getattr(plugins, name)) for name, info in Plugins.model_fields.items()
    ]


def _everywhere(multi_point: PluginSet) -> list[Plugin]:
    """Return what runs at every point it can: the default plugins with the profile's changes.

    A default plugin that is named keeps its place and takes the weight that is given there.
    """
    off = {entry.name for entry in multi_point.disabled}
    named = {entry.name: entry for entry in multi_point.enabled}
    kept = [
        named.get(name, Plugin(name=name, weight=weight))
        for name, weight in DEFAULT_PLUGINS.items()
        if name not in off and "*" not in off
    ]
    replaced = {entry.name for entry in kept}
    return kept + [entry for entry in multi_point.enabled if entry.name not in replaced]


def _at_point(
    own: PluginSet, everywhere: Sequence[Plugin], method: str, made: Mapping[str, Any], where: str
) -> dict[str, int]:
    """Return the plugins of one extension point, in order, with their weights (0 = 1).

    The order is upstream's (expandMultiPointPlugins): first what the point names and ``multiPoint``
    has as well, then the rest of ``multiPoint``, then what only the point names. What a point
    disables counts as not in ``multiPoint``.
    """
    named = {entry.name: entry.weight for entry in own.enabled}
    for name in named:
        if not hasattr(made[name], method):
            raise InputError(
                f"{where}.{POINTS[method]}.enabled",
                found=name,
                expected=f"plugins that take part there (with a method {method})",
            )
    off = {entry.name for entry in own.disabled}
    if "*" in off:
        return named
    rest = {
        entry.name: entry.weight
        for entry in everywhere
        if entry.name not in off and hasattr(made[entry.name], method)
    }
    overriding = {name: weight for name, weight in named.items() if name in rest}
    return {**overriding, **{k: v for k, v in rest.items() if k not in named}, **named}


def _check_point(own: PluginSet, where: str) -> None:
    """Refuse plugins that are named twice, and names to switch off that nobody has."""
    seen: set[str] = set()
    for i, entry in enumerate(own.enabled):
        if entry.name in seen:
            raise InputError(
                f"{where}.enabled[{i}].name", found=entry.name, expected="each plugin once"
            )
        seen.add(entry.name)
    for i, entry in enumerate(own.disabled):
        if entry.name != "*" and ":" not in entry.name and entry.name not in DEFAULT_PLUGINS:
            raise InputError(
                f"{where}.disabled[{i}].name",
                found=entry.name,
                expected="a plugin of kube-scheduler, or *",
                hint=nearest(entry.name, [*DEFAULT_PLUGINS]),
            )


def _check_made(made: Mapping[str, Any], places: Mapping[str, str]) -> None:
    """Refuse two plugins that call themselves the same."""
    by_name: dict[str, str] = {}
    for key, plugin in made.items():
        if by_name.setdefault(plugin.name, key) != key:
            raise InputError(
                places[key], found=plugin.name, expected="plugins with names of their own"
            )


def _check_whole(found: Mapping[str, Mapping[str, int]], where: str) -> None:
    """Refuse profiles without what they can't do without."""
    if not found["bind"]:
        raise InputError(
            f"{where}.bind", found="<no plugin>", expected="at least one, such as DefaultBinder"
        )
    for point, names in PREPARED.items():
        for name in names:
            if name in found[point] and name not in found[f"pre_{point}"]:
                raise InputError(
                    f"{where}.{POINTS[f'pre_{point}']}",
                    found="<it switched off>",
                    expected=f"{name}: it runs at {point} and prepares that here",
                )


def _arguments(entries: Sequence[PluginConfig], where: str) -> dict[str, Arguments]:
    found: dict[str, Arguments] = {}
    for i, entry in enumerate(entries):
        at = f"{where}[{i}]"
        if entry.name in found:
            raise InputError(f"{at}.name", found=entry.name, expected="each plugin once")
        if not takes_arguments(entry.name):
            raise InputError(
                f"{at}.name",
                found=entry.name,
                expected="a plugin that takes arguments",
                hint=nearest(
                    entry.name, [name for name in DEFAULT_PLUGINS if takes_arguments(name)]
                ),
            )
        found[entry.name] = Arguments(entry.args, f"{at}.args")
    return found
