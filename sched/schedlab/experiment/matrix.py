"""From an experiment to its scenarios: every list under ``matrix:`` is an axis of a product.

The values of one scenario are laid over the document before it is validated, so an axis may be
anything that can be written in the file, a whole cluster included. An axis of several paths, with
commas between, has a list of values for them at each of its points: they change together.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from schedlab.errors import InputError
from schedlab.experiment.config import (
    MAX_RUNS,
    Experiment,
    Source,
    keys_of,
    validate_experiment,
)
from schedlab.experiment.settings import PARTS, Setting, lay_over, relative_to_base, steps_of
from schedlab.workload.model import unknown_key

ONLY: Final = "default"
"""Name of the scenario of an experiment without a matrix."""
_NO_AXIS: Final = ("name", "description", "seeds", "matrix", "metrics", "baseline")
_VAGUE: Final = frozenset({"value", "count", "rate", "name", "mean", "options", "0", "1", "2"})


@dataclass(frozen=True)
class Scenario:
    """One point of the matrix, validated.

    Attributes
    ----------
    name : str
        As ``target_load.value=0.8``.
    experiment : Experiment
        The experiment with the values of this point.
    bases : mapping of str to Path
        Directory to which paths are relative: of ``""`` (the experiment) and of its parts.
    files : mapping of str to Path
        Files that hold the cluster and the workload, where they are not in the experiment's own.
    """

    name: str
    experiment: Experiment
    bases: Mapping[str, Path]
    files: Mapping[str, Path]


def scenarios(
    source: Source, settings: Sequence[Setting] = (), cwd: Path | None = None
) -> list[Scenario]:
    """Return the scenarios of an experiment, in the order of its matrix.

    Parameters
    ----------
    source : Source
        The experiment.
    settings : sequence of Setting
        From the command line; one that sets an axis, or what holds it, replaces the axis.
    cwd : Path, optional
        Directory to which paths in *settings* are relative; the current one where absent.

    Raises
    ------
    InputError
        With file, field, what was found and what is expected.
    """
    known = keys_of(Experiment)
    for setting in settings:
        if setting.steps[0] not in known:
            raise unknown_key(setting.steps[0], known).under(f"{setting.origin} {setting.path}")
    axes = _axes(source, settings)
    size = math.prod(len(points) for points in axes.values())
    if size > MAX_RUNS:
        raise InputError("matrix", found=f"<{size:,} scenarios>", expected=f"at most {MAX_RUNS:,}")
    names = axis_names(path for paths in axes for path in paths)
    found: list[Scenario] = []
    for points in itertools.product(*axes.values()):
        point = [entry for entries in points for entry in entries]
        label = ", ".join(f"{names[entry.path]}={label_of(entry.value)}" for entry in point)
        found.append(_scenario(source, label or ONLY, point, settings, cwd or Path()))
    return _uniquely_named(found)


_Points = list[tuple[Setting, ...]]


def _axes(source: Source, settings: Iterable[Setting]) -> dict[tuple[str, ...], _Points]:
    """Return the axes that no setting replaces: what each point of them sets, by their paths."""
    matrix = source.document.get("matrix") or {}
    settings = list(settings)
    for setting in settings:
        if setting.path == "matrix":
            matrix = setting.value or {}
    file = source.file or None
    if not isinstance(matrix, Mapping):
        raise InputError("matrix", found=matrix, expected="a mapping of paths to lists", file=file)
    axes = {}
    for key, values in matrix.items():
        paths = tuple(path.strip() for path in str(key).split(","))
        for path in paths:
            steps = steps_of(path, "matrix")
            if steps[0] in _NO_AXIS or steps == ("schedulers",):
                raise InputError(
                    f"matrix.{key}",
                    found=path,
                    expected="the path of something that a run depends on",
                    file=file,
                    hint="schedulers and seeds are axes of their own",
                )
        if not isinstance(values, list | tuple) or not values:
            expected = "a list of at least one value"
            raise InputError(f"matrix.{key}", found=values, expected=expected, file=file)
        points = [
            _point(paths, value, f"matrix.{key}[{i}]", file) for i, value in enumerate(values)
        ]
        if not all(_inside(entry, settings) for entry in points[0]):
            axes[paths] = points
    return axes


def _point(paths: tuple[str, ...], value: Any, field: str, file: str | None) -> tuple[Setting, ...]:
    """Return what one point of an axis sets."""
    if len(paths) == 1:
        return (Setting(paths[0], value, "matrix"),)
    if not isinstance(value, list | tuple) or len(value) != len(paths):
        expected = f"a list of {len(paths)} values, of {', '.join(paths)}"
        raise InputError(field, found=value, expected=expected, file=file)
    return tuple(Setting(path, own, "matrix") for path, own in zip(paths, value, strict=True))


def _scenario(
    source: Source, label: str, point: list[Setting], settings: Sequence[Setting], cwd: Path
) -> Scenario:
    """Lay one point and the settings over the document, and validate it."""
    below = [entry for entry in point if not _inside(entry, settings)]
    files: Mapping[str, Path] = {}
    try:
        laid = lay_over(source.document, source.base, below)
        moved: list[Setting] = []
        for setting in settings:
            moved.append(relative_to_base(setting, laid, cwd))
            laid = lay_over(source.document, source.base, [*below, *moved])
        files = laid.files
        document = {**laid.document}
        document.pop("matrix", None)
        experiment = validate_experiment(document, laid.bases[""])
    except InputError as error:
        raise located(error, source, [*point, *settings], files) from None
    return Scenario(label, experiment, laid.bases, laid.files)


def _inside(entry: Setting, settings: Sequence[Setting]) -> bool:
    return any(entry.steps[: len(s.steps)] == s.steps for s in settings)


def located(
    error: InputError,
    source: Source,
    settings: Sequence[Setting] = (),
    files: Mapping[str, Path] | None = None,
) -> InputError:
    """Return an error about a document that says where the value was written."""
    if error.file is not None or error.field.startswith("--"):
        return error
    steps = _steps_of_field(error.field)
    for setting in reversed(settings):
        if _is_about(steps, error.found, setting.steps):
            return InputError(
                f"{setting.origin} {setting.path}",
                found=error.found,
                expected=error.expected,
                file=None if setting.origin.startswith("--") else source.file or None,
                hint=error.hint,
            )
    part = steps[0] if steps else ""
    if files and part in files and part in PARTS:
        return InputError(
            error.field.removeprefix(part).removeprefix("."),
            found=error.found,
            expected=error.expected,
            file=files[part],
            hint=error.hint,
        )
    return _in(error, source.file)


def _is_about(field: tuple[str, ...], found: object, setting: tuple[str, ...]) -> bool:
    """Whether an error is about what a setting wrote: its value, or a key on the way to it.

    An entry of a list that is named matches any number.
    """
    same = all(a == b or a.isdigit() != b.isdigit() for a, b in zip(field, setting, strict=False))
    if not field or not same:
        return False
    return len(field) >= len(setting) or found == setting[len(field)]


def _steps_of_field(field: str) -> tuple[str, ...]:
    try:
        return steps_of(field, "") if field else ()
    except InputError:  # a field in words, as "Pod default/web: priorityClassName"
        return ()


def _in(error: InputError, file: str) -> InputError:
    return error.in_file(file) if file else error


def axis_names(paths: Iterable[str]) -> dict[str, str]:
    """Return a short name of each axis: the end of its path that tells it from the others.

    >>> axis_names(["workload.target_load.value", "controlPlane.scheduler.qps"])
    {'workload.target_load.value': 'target_load.value', 'controlPlane.scheduler.qps': 'qps'}
    """
    steps = {path: steps_of(path, "matrix") for path in paths}
    names = {}
    for path, own in steps.items():
        length = 2 if own[-1] in _VAGUE and len(own) > 1 else 1
        while length < len(own) and any(
            other != own and other[-length:] == own[-length:] for other in steps.values()
        ):
            length += 1
        names[path] = ".".join(own[-length:])
    return names


def label_of(value: Any) -> str:
    """Return a short text of the value of an axis.

    >>> label_of(0.95), label_of("clusters/big.yaml"), label_of({"name": "burst", "items": []})
    ('0.95', 'big', 'burst')
    """
    if isinstance(value, str):
        return Path(value).stem if value.endswith((".yaml", ".yml", ".json")) else value
    if isinstance(value, Mapping) and isinstance(value.get("name"), str):
        return str(value["name"])
    return json.dumps(value, separators=(",", ":")).replace('"', "")


def _uniquely_named(found: list[Scenario]) -> list[Scenario]:
    counts: dict[str, int] = {}
    for scenario in found:
        counts[scenario.name] = counts.get(scenario.name, 0) + 1
    if len(counts) == len(found):
        return found
    return [
        Scenario(f"{s.name} #{i}", s.experiment, s.bases, s.files) if counts[s.name] > 1 else s
        for i, s in enumerate(found)
    ]
