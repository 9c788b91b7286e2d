"""Values laid over a document: ``--set a.b.c=value``, and the points of a matrix.

A path goes through mappings by key and through lists by number or by the ``name`` of an entry:
``workload.items.web.count``, ``cluster.pools[0].count``. Nothing is checked here but the way to the
place; whether such a key exists is for the models to say, which know the nearest valid one.
"""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from schedlab.api.yaml_loader import load_documents
from schedlab.errors import InputError
from schedlab.experiment.config import read_mapping, read_text

PARTS: Final = ("cluster", "workload")
"""Keys of an experiment that may name a file instead of holding its content."""
_PATH_KEYS: Final = frozenset({"data", "file", "table", "empirical", "use", "manifests", *PARTS})
_STEP = re.compile(r'([^.\[\]]+)|\[([0-9]+)\]|\["([^"]+)"\]')
_DOMAIN = re.compile(r"(.*\.)?([^.\[\]]+(?:\.[^.\[\]/]+)+/[^.\[\]]+)")


@dataclass(frozen=True)
class Setting:
    """One value and where it goes.

    Attributes
    ----------
    path : str
        Dotted path.
    value : object
        Plain YAML value.
    origin : str
        What errors name, such as ``--set``.
    """

    path: str
    value: Any
    origin: str = "--set"

    @property
    def steps(self) -> tuple[str, ...]:
        """The keys and numbers of the path."""
        return steps_of(self.path, self.origin)


@dataclass(frozen=True)
class Laid:
    """A document over which values were laid, and where its parts came from.

    Attributes
    ----------
    document : dict
        Plain values; files under ``cluster`` and ``workload`` are taken in.
    files : mapping of str to Path
        The files that were taken in, by key.
    bases : mapping of str to Path
        Directory to which paths are relative: of ``""`` (the experiment), and of each part.
    """

    document: dict[str, Any]
    files: dict[str, Path]
    bases: dict[str, Path]


def parse_setting(text: str) -> Setting:
    """Return ``a.b=value`` as a setting; the value is read as YAML.

    >>> parse_setting("workload.target_load.value=0.9")
    Setting(path='workload.target_load.value', value=0.9, origin='--set')
    """
    path, sign, value = text.partition("=")
    path = path.strip()
    if not sign or not path:
        raise InputError("--set", found=text, expected="key=value, such as seeds=3")
    steps_of(path, "--set")
    documents = load_documents(value, f"--set {path}")
    return Setting(path, documents[0][0] if documents else None)


def steps_of(path: str, origin: str) -> tuple[str, ...]:
    """Return the keys and numbers of a dotted path.

    >>> steps_of("workload.items[0].count", "--set")
    ('workload', 'items', '0', 'count')
    >>> steps_of("cluster.pools.gpu.allocatable.nvidia.com/gpu", "--set")[-1]
    'nvidia.com/gpu'
    >>> steps_of('workload.items.web.labels["app.kubernetes.io/name"]', "--set")[-1]
    'app.kubernetes.io/name'
    """
    steps, position = [], 0
    domain = _DOMAIN.fullmatch(path)
    tail = [domain[2]] if domain else []  # a resource such as nvidia.com/gpu is one key
    text = (domain[1] or "").removesuffix(".") if domain else path
    while position < len(text):
        match = _STEP.match(text, position)
        if match is None:
            raise InputError(origin, found=path, expected="a path such as workload.horizon")
        steps.append(match[1] or match[2] or match[3])
        position = match.end()
        if text[position : position + 1] == "." and position + 1 < len(text):
            position += 1
    return (*steps, *tail)


def lay_over(document: Mapping[str, Any], base: Path, settings: Iterable[Setting]) -> Laid:
    """Return a copy of *document* with values laid over it and the files of its parts taken in.

    Parameters
    ----------
    document : mapping
        An experiment as it was written.
    base : Path
        Directory to which its paths are relative.
    settings : iterable of Setting
        In order; a later one wins. Paths in values are relative to *base*.

    Raises
    ------
    InputError
        A path leads through something that is no mapping or list, or a file can't be read.
    """
    laid = Laid(copy.deepcopy(dict(document)), {}, {part: base for part in ("", *PARTS)})
    for setting in settings:
        steps = setting.steps
        if steps[0] in PARTS and len(steps) > 1:
            _take_in(laid, steps[0])
        _put(laid.document, setting)
        if steps[0] in PARTS and len(steps) == 1:
            laid.files.pop(steps[0], None)
            laid.bases[steps[0]] = base
    for part in PARTS:
        _take_in(laid, part)
    return laid


def relative_to_base(setting: Setting, laid: Laid, cwd: Path) -> Setting:
    """Return a setting of the command line, whose paths are relative to *cwd*, for its document.

    What looks like a path but names nothing that exists is kept as it is under free keys.
    """
    steps = setting.steps
    base = laid.bases[steps[0] if steps[0] in PARTS and len(steps) > 1 else ""]
    key = next((step for step in reversed(steps) if not step.isdigit()), "")
    return Setting(setting.path, _moved(setting.value, key, cwd, base), setting.origin)


def _moved(value: Any, key: str, cwd: Path, base: Path) -> Any:
    if isinstance(value, Mapping):
        return {k: _moved(v, str(k), cwd, base) for k, v in value.items()}
    if isinstance(value, list):
        return [_moved(v, key, cwd, base) for v in value]
    if not isinstance(value, str) or not value:
        return value
    file, colon, name = value.rpartition(":") if ".py:" in value else (value, "", "")
    named = key in _PATH_KEYS and (key != "use" or colon)
    if not (named or (colon and key == "schedulers") or (cwd / file).is_file()):
        return value
    if Path(file).is_absolute():
        return value
    return f"{os.path.relpath(cwd / file, base)}{colon}{name}"


def _take_in(laid: Laid, part: str) -> None:
    """Replace the name of a file under *part* by what the file holds."""
    named = laid.document.get(part)
    if not isinstance(named, str):
        return
    path = laid.bases[part] / named
    if not path.is_file():
        raise InputError(part, found=named, expected=f"a file with a {part} spec, or the spec")
    laid.document[part] = read_mapping(read_text(path), str(path))
    laid.files[part] = path
    laid.bases[part] = path.parent


def _put(document: dict[str, Any], setting: Setting) -> None:
    here: Any = document
    steps = setting.steps
    for i, step in enumerate(steps[:-1]):
        here = _descend(here, step, setting, ".".join(steps[:i]))
    last = steps[-1]
    if isinstance(here, list):
        here[_position(here, last, setting)] = setting.value
    else:
        here[last] = setting.value


def _descend(here: Any, step: str, setting: Setting, so_far: str) -> Any:
    if isinstance(here, list):
        position = _position(here, step, setting)
        if here[position] == step:
            here[position] = {"name": step}
        inner = here[position]
    else:
        inner = here.get(step)
        if inner is None:
            inner = here[step] = {}
    if not isinstance(inner, dict | list):
        where = f"{so_far}.{step}" if so_far else step
        raise InputError(
            f"{setting.origin} {setting.path}",
            found=inner,
            expected=f"a mapping or a list at {where}",
        )
    return inner


def _position(entries: list[Any], step: str, setting: Setting) -> int:
    if step.isdigit() and int(step) < len(entries):
        return int(step)
    names = [entry.get("name") if isinstance(entry, dict) else entry for entry in entries]
    if step in names:
        return names.index(step)
    known = ", ".join(str(name) for name in names if name is not None)
    raise InputError(
        f"{setting.origin} {setting.path}",
        found=step,
        expected=f"a number below {len(entries)}" + (f", or one of {known}" if known else ""),
    )
