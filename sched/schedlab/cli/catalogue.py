"""``schedlab list`` and ``schema``: what there is, and how it is written."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import typer

from schedlab.cli.console import out

if TYPE_CHECKING:
    from pydantic import BaseModel

Kind = Literal["schedulers", "metrics", "workloads", "experiments"]
What = Literal["experiment", "cluster", "workload"]


def show(
    what: Annotated[Kind, typer.Argument(help="What to list.")],
) -> None:
    """List schedulers, metrics, workloads (generators and traces) or experiments."""
    from rich.table import Table

    header, rows = {
        "schedulers": _schedulers,
        "metrics": _metrics,
        "workloads": _workloads,
        "experiments": _experiments,
    }[what]()
    table = Table(*header, header_style="bold")
    for row in rows:
        table.add_row(*(cell.replace("[", r"\[") for cell in row))
    out().print(table)


_Listing = tuple[tuple[str, ...], Iterable[tuple[str, ...]]]


def _schedulers() -> _Listing:
    from importlib.metadata import entry_points

    from schedlab.scheduling.registry import ENTRY_POINTS, SCHEDULERS, describe

    rows = [(name, describe(name)) for name in SCHEDULERS]
    rows += [(point.name, point.value) for point in entry_points(group=ENTRY_POINTS)]
    rows.append(("path/to/file.py:Class", "your own, relative to the experiment's file"))
    rows.append(("package.module:Class", "your own, from an installed package"))
    return ("name", "what it does"), rows


def _metrics() -> _Listing:
    from schedlab.record.metrics import ALIASES, GPU_METRICS, METRICS, RESOURCE_METRICS

    short: dict[str, str] = {}
    for alias, stem in ALIASES.items():
        for name in METRICS:
            ending = name.removeprefix(stem)
            if name.startswith(stem) and ending in ("", "_mean", "_p50", "_p90", "_p99"):
                short[name] = alias + ending
    rows = [
        (f"{name}_<resource>", "", family.unit, family.better, family.description)
        for name, family in RESOURCE_METRICS.items()
    ]
    rows += [
        (name, short.get(name, ""), metric.unit, metric.better, metric.description)
        for name, metric in (GPU_METRICS | METRICS).items()
    ]
    return ("name", "alias", "unit", "better", "what it is"), rows


def _workloads() -> _Listing:
    from schedlab.workload.arrivals import OPEN, AtOnce, ClosedLoop
    from schedlab.workload.fetch import RECIPES

    rows = [
        (
            f"items: arrivals.process: {get_args(kind.model_fields['process'].annotation)[0]}",
            (kind.__doc__ or "").partition("\n")[0],
        )
        for kind in (*OPEN, AtOnce, ClosedLoop)
    ]
    rows.append(("manifests: [FILE, ...]", "Kubernetes manifests, as kubectl apply takes them"))
    rows += [
        (f"trace: {recipe.name} (schedlab fetch {recipe.name})", recipe.about)
        for recipe in RECIPES.values()
    ]
    rows += [
        (str(path), _first_comment(path.read_text(encoding="utf-8")))
        for path in sorted(Path("workloads").glob("*.yaml"))
    ]
    return ("workload", "what it is"), rows


def _experiments() -> _Listing:
    from schedlab.experiment.config import builtin_names, builtin_text, read_mapping

    rows = [
        (name, str(read_mapping(builtin_text(name), name).get("description", "")))
        for name in builtin_names()
    ]
    rows += [
        (str(path), _first_comment(path.read_text(encoding="utf-8")))
        for path in sorted(Path("experiments").glob("*.yaml"))
    ]
    return ("experiment", "the question"), rows


def _first_comment(text: str) -> str:
    first = text.partition("\n")[0]
    return first.removeprefix("#").strip() if first.startswith("#") else ""


def schema(
    what: Annotated[What, typer.Argument(help="Schema of which kind of file.")] = "experiment",
) -> None:
    """Print the JSON Schema of a kind of file, for editors and checkers."""
    from schedlab.experiment.config import Experiment
    from schedlab.workload.specs import ClusterSpec, WorkloadSpec

    models: dict[str, type[BaseModel]] = {
        "experiment": Experiment,
        "cluster": ClusterSpec,
        "workload": WorkloadSpec,
    }
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **models[what].model_json_schema(by_alias=True, mode="validation"),
    }
    typer.echo(json.dumps(document, indent=2))
