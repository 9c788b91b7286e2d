"""Schedulers by name: the built-in ones, a user's own, and those that packages announce.

The table holds ``module:Class`` strings, so that a solver or a learning library is imported only
when a scheduler that needs it is used.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from schedlab.api.invalid import nearest
from schedlab.errors import InputError
from schedlab.scheduling.base import Scheduler
from schedlab.scheduling.functions import as_scheduler

SCHEDULERS: dict[str, str] = {
    "kube-scheduler": "schedlab.scheduling.kube_scheduler:KubeScheduler",
    "first-fit": "schedlab.scheduling.heuristics:FirstFit",
    "best-fit": "schedlab.scheduling.heuristics:BestFit",
    "worst-fit": "schedlab.scheduling.heuristics:WorstFit",
    "dot-product": "schedlab.scheduling.heuristics:DotProduct",
    "random": "schedlab.scheduling.heuristics:RandomFit",
    "round-robin": "schedlab.scheduling.heuristics:RoundRobin",
    "fgd": "schedlab.scheduling.gpu.schedulers:FgdScheduler",
    "fgd-stranded": "schedlab.scheduling.gpu.schedulers:FgdStrandedScheduler",
    "gpu-best-fit": "schedlab.scheduling.gpu.schedulers:GpuBestFit",
    "gpu-dot-product": "schedlab.scheduling.gpu.schedulers:GpuDotProduct",
    "gpu-packing": "schedlab.scheduling.gpu.schedulers:GpuPackingScheduler",
    "gpu-clustering": "schedlab.scheduling.gpu.schedulers:GpuClusteringScheduler",
    "gpu-random": "schedlab.scheduling.gpu.schedulers:GpuRandom",
    "ilp": "schedlab.scheduling.ilp.schedulers:Ilp",
    "ilp-fallback": "schedlab.scheduling.ilp.schedulers:IlpFallback",
    "ilp-rebalance": "schedlab.scheduling.ilp.schedulers:IlpRebalance",
    "flow": "schedlab.scheduling.ilp.schedulers:Flow",
    "ilp-partitioned": "schedlab.scheduling.ilp.schedulers:IlpPartitioned",
    "learned": "schedlab.scheduling.learned.scheduler:Learned",
}
"""Built-in schedulers: name -> ``module:Class``."""

ENTRY_POINTS = "schedlab.schedulers"
"""Entry-point group under which packages announce schedulers of their own."""


def describe(name: str) -> str:
    """Return the first line of a built-in scheduler's documentation."""
    return (inspect.getdoc(_import(SCHEDULERS[name], name)) or "").partition("\n")[0]


def load_scheduler(
    name: str, options: Mapping[str, Any] | None = None, base: Path | None = None
) -> Scheduler:
    """Return a fresh scheduler.

    Parameters
    ----------
    name : str
        A built-in name, ``path/to/file.py:Class``, ``package.module:Class``, or the name of an
        entry point in the group `ENTRY_POINTS`. In place of a class a function
        ``f(pods, view, rng)`` or ``f(pod, view)`` will do (see `functions.scheduler`).
    options : mapping, optional
        Keyword arguments of the class.
    base : Path, optional
        Directory to which a file is relative.

    Raises
    ------
    InputError
        There is no such scheduler, it can't be imported, or it takes no such option.
    """
    given = dict(options or {})
    made = _find(name, base)
    if inspect.isfunction(made):
        if given:
            raise InputError(f"{name}: options", found=given, expected="none: it is a function")
        return as_scheduler(made)
    if isinstance(made, type):
        config = given.get("config")
        if isinstance(config, str) and base is not None:
            given["config"] = str(base / config)
        model = given.get("model")
        if isinstance(model, str) and model.endswith((".npz", ".json")) and base is not None:
            given["model"] = str(base / model)
        made = instantiate(name, made, given)
    elif given:
        raise InputError(f"{name}: options", found=given, expected="none: it is an instance")
    if not callable(getattr(made, "schedule", None)):
        raise InputError(
            f"{name}", found=made, expected="a class with a method schedule(pods, view, rng)"
        )
    scheduler: Scheduler = made
    return scheduler


def _find(name: str, base: Path | None) -> Any:
    if name in SCHEDULERS:
        return _import(SCHEDULERS[name], name)
    if ":" in name:
        return load_attribute(name, base)
    announced = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    if name in announced:
        try:
            return announced[name].load()
        except (ImportError, AttributeError) as error:
            raise InputError(
                name, found=announced[name].value, expected=f"an entry point to load: {error}"
            ) from error
    known = sorted({*SCHEDULERS, *announced})
    raise InputError(
        "scheduler",
        found=name,
        expected=f"one of {', '.join(known)}, file.py:Class or package.module:Class",
        hint=nearest(name, known),
    )


def load_attribute(name: str, base: Path | None = None) -> Any:
    """Return what ``path/to/file.py:Name`` or ``package.module:Name`` stands for.

    Parameters
    ----------
    name : str
        File or module, and a name that is defined there.
    base : Path, optional
        Directory to which a file is relative.

    Raises
    ------
    InputError
        There is no such file, module or name, or it can't be imported.
    """
    module, _, attribute = name.rpartition(":")
    if module.endswith(".py"):
        return _attribute(_import_file(name, (base or Path()) / module), attribute, name)
    return _import(name, name)


def instantiate(name: str, kind: type, options: Mapping[str, Any]) -> Any:
    """Return an instance of a user's class.

    Parameters
    ----------
    name : str
        What the class is called in errors.
    kind : type
        The class.
    options : mapping
        Its keyword arguments.

    Raises
    ------
    InputError
        It takes no such option, or needs one that is missing.
    """
    parameters = inspect.signature(kind).parameters
    takes_all = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    for option in options:
        if option not in parameters and not takes_all:
            raise InputError(
                f"{name}: options.{option}",
                found=options[option],
                expected=f"one of {', '.join(parameters) or 'no options'}",
                hint=nearest(option, sorted(parameters)),
            )
    try:
        return kind(**options)
    except TypeError as error:
        raise InputError(f"{name}: options", found=options, expected=str(error)) from error


def _import(path: str, name: str) -> Any:
    module, _, attribute = path.rpartition(":")
    if not all(part.isidentifier() for part in module.split(".")):
        raise InputError(
            "scheduler", found=path, expected="path/to/file.py:Class or package.module:Class"
        )
    try:
        found = importlib.import_module(module)
    except ImportError as error:
        raise InputError(name, found=module, expected=f"a module to import: {error}") from error
    return _attribute(found, attribute, name)


def _attribute(module: Any, attribute: str, name: str) -> Any:
    if not hasattr(module, attribute):
        public = sorted(n for n in vars(module) if not n.startswith("_"))
        raise InputError(
            name,
            found=attribute,
            expected=f"a name defined there: {', '.join(public)}",
            hint=nearest(attribute, public),
        )
    return getattr(module, attribute)


def _import_file(name: str, path: Path) -> Any:
    if not path.is_file():
        raise InputError(name, found=str(path), expected="a Python file")
    key = f"schedlab_user_{path.stem}"
    spec = importlib.util.spec_from_file_location(key, path)
    if spec is None or spec.loader is None:
        raise InputError(name, found=str(path), expected="a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[key] = module  # so that its classes can be pickled
    beside = str(path.resolve().parent)
    if beside not in sys.path:  # it may import its neighbours, as a script does
        sys.path.insert(0, beside)
    try:
        spec.loader.exec_module(module)
    except ImportError as error:
        raise InputError(
            name, found=f"<{error}>", expected="a file whose imports are there", file=path
        ) from error
    except SyntaxError as error:
        raise InputError(
            f"line {error.lineno}", found=error.msg, expected="valid Python", file=path
        ) from error
    except Exception as error:  # whatever a user's file may raise, it is not ours
        del sys.modules[key]
        line = _line_in(error, path)
        raise InputError(
            f"line {line}" if line else "",
            found=f"<{type(error).__name__}: {error}>",
            expected="a module that can be imported",
            file=path,
        ) from error
    return module


def _line_in(error: BaseException, path: Path) -> int:
    """Return the last line of a file that an error passed through; 0 = none."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno or 0 for frame in frames if Path(frame.filename) == path]
    return lines[-1] if lines else 0
