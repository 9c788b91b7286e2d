"""KubeSchedulerConfiguration (v1) as its authors write it: what may stand in the file.

The shape only; `schedlab.scheduling.framework.plugin_arguments` holds the arguments of plugins, and
`schedlab.scheduling.framework.profiles` turns both into plugins. Every key is either used, without
any effect on decisions (`HARMLESS_KEYS`), announced by a warning because the scheduler *component*
has it among its own parameters (the limits of its client), or an error.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import Field, ValidationError

from schedlab.api.base import ApiModel, Count, ModelWarning
from schedlab.api.invalid import input_error
from schedlab.api.yaml_loader import load_documents
from schedlab.errors import InputError

API_VERSION = "kubescheduler.config.k8s.io/v1"
KIND = "KubeSchedulerConfiguration"
HARMLESS_KEYS = frozenset(
    {
        "parallelism", "leaderElection", "enableProfiling", "enableContentionProfiling",
        "delayCacheUntilActive", "healthzBindAddress", "metricsBindAddress",
    }
)  # fmt: skip
"""Keys that change how kube-scheduler runs, never what it decides."""

Percentage = Annotated[int, Field(strict=True, ge=0, le=100)]
WholeSeconds = Annotated[int, Field(strict=True, ge=1)]


class Plugin(ApiModel):
    """One plugin of a list."""

    name: str
    weight: Count = 0


class PluginSet(ApiModel):
    """What one extension point switches on and off."""

    enabled: tuple[Plugin, ...] = ()
    disabled: tuple[Plugin, ...] = ()


class Plugins(ApiModel):
    """The extension points."""

    pre_enqueue: PluginSet = PluginSet()
    queue_sort: PluginSet = PluginSet()
    pre_filter: PluginSet = PluginSet()
    filter: PluginSet = PluginSet()
    post_filter: PluginSet = PluginSet()
    pre_score: PluginSet = PluginSet()
    score: PluginSet = PluginSet()
    reserve: PluginSet = PluginSet()
    permit: PluginSet = PluginSet()
    pre_bind: PluginSet = PluginSet()
    bind: PluginSet = PluginSet()
    post_bind: PluginSet = PluginSet()
    multi_point: PluginSet = PluginSet()


class PluginConfig(ApiModel):
    """The arguments of one plugin, as they were read."""

    name: str
    args: Mapping[str, Any] = Field(default_factory=dict)


class ProfileConfig(ApiModel):
    """One profile."""

    scheduler_name: str = "default-scheduler"
    percentage_of_nodes_to_score: Percentage | None = None
    plugins: Plugins = Plugins()
    plugin_config: tuple[PluginConfig, ...] = ()


class KubeSchedulerConfiguration(ApiModel):
    """The whole file, without what `HARMLESS_KEYS` names."""

    percentage_of_nodes_to_score: Percentage = 0
    pod_initial_backoff_seconds: WholeSeconds | None = None
    pod_max_backoff_seconds: WholeSeconds | None = None
    profiles: tuple[ProfileConfig, ...] = ()
    extenders: tuple[Mapping[str, Any], ...] = ()
    client_connection: Mapping[str, Any] = Field(default_factory=dict)


M = TypeVar("M", bound=ApiModel)


def validated(model: type[M], content: Any) -> M:
    """Return *content* as *model*; ``apiVersion`` and ``kind`` are left out.

    Raises
    ------
    InputError
        The first thing that is wrong.
    """
    if isinstance(content, Mapping):
        content = {k: v for k, v in content.items() if k not in ("apiVersion", "kind")}
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise input_error(error, model) from None


def read_configuration(source: str | Path | Mapping[str, Any]) -> KubeSchedulerConfiguration:
    """Read a file, or its content.

    Raises
    ------
    InputError
        It can't be read, is of another kind or version, or has keys that nobody knows.
    """
    if isinstance(source, Mapping):
        return _read(source)
    path = Path(source)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("", found=str(path), expected="a readable file") from error
    try:
        documents = load_documents(text, str(path))
        if len(documents) != 1 or not isinstance(documents[0][0], Mapping):
            raise InputError("", found=f"<{len(documents)} documents>", expected="one mapping")
        return _read(documents[0][0])
    except InputError as error:
        raise error.in_file(path) from None


def _read(content: Mapping[str, Any]) -> KubeSchedulerConfiguration:
    if content.get("kind") != KIND:
        raise InputError("kind", found=content.get("kind", "<nothing>"), expected=KIND)
    version = content.get("apiVersion", "<nothing>")
    if version != API_VERSION:
        raise InputError("apiVersion", found=version, expected=API_VERSION)
    config = validated(
        KubeSchedulerConfiguration, {k: v for k, v in content.items() if k not in HARMLESS_KEYS}
    )
    first, longest = config.pod_initial_backoff_seconds or 1, config.pod_max_backoff_seconds or 10
    if longest < first:
        raise InputError(
            "podMaxBackoffSeconds",
            found=longest,
            expected=f"no less than podInitialBackoffSeconds, {first}",
        )
    if config.extenders:
        raise InputError(
            "extenders", found=f"<{len(config.extenders)} extenders>", expected="no extenders: "
            "they are not modelled",
        )  # fmt: skip
    for key in ("qps", "burst"):
        if key not in config.client_connection:
            continue
        warnings.warn(
            f"{KIND}: {key} is not read from here: set controlPlane.scheduler.{key}",
            ModelWarning,
            stacklevel=4,
        )
    return config
