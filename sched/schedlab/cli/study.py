"""``schedlab study``: solvers on a grid of small placement problems, or on one large problem."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from schedlab.cli.console import note, out

if TYPE_CHECKING:
    import pandas as pd


def study(
    file: Annotated[Path, typer.Argument(help="File of the study.")],
    seeds: Annotated[
        int | None,
        typer.Option(min=1, help="Instances per cell, instead of the file's (study: placement)."),
    ] = None,
    time_limit: Annotated[
        list[str] | None,
        typer.Option(metavar="DURATION", help="Instead of the file's; may be repeated."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Directory of the traces (study: solvers)."),
    ] = None,
    out_: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Where results go.", show_default="results/NAME"),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Keep what is solved there already.")
    ] = False,
) -> None:
    """Run a study of solvers: many small problems against kube-scheduler, or one large one."""
    from schedlab.errors import InputError
    from schedlab.experiment.config import read_mapping, read_text

    kind = read_mapping(read_text(file), str(file)).get("study")
    if kind == "solvers":
        _solvers(file, data, time_limit, out_, resume=resume)
    elif kind == "placement":
        _placement(file, seeds, time_limit, out_, resume=resume)
    else:
        raise InputError(
            "study", found=kind or "<nothing>", expected="placement or solvers", file=str(file)
        )


def _placement(
    file: Path, seeds: int | None, limits: list[str] | None, folder: Path | None, *, resume: bool
) -> None:
    from schedlab.experiment.placement_study import read_study, run_study

    found = read_study(file, seeds=seeds, time_limits=limits)
    folder = folder or Path("results") / found.name

    def told(row: Mapping[str, Any]) -> None:
        note(
            f"{row['nodes']} nodes x {row['pods_per_node']}, {row['priorities']} priorities, "
            f"{row['utilisation']:.0%}, {row['time_limit']}: {row['outcome']}"
            + (", proven" if row["tiers_proven"] else f", gap {row['gap']:.2%}")
        )

    results = run_study(found, folder, resume=resume, told=told)
    show(results)
    note(f"results: {folder}")


def _solvers(
    file: Path, data: str | None, limits: list[str] | None, folder: Path | None, *, resume: bool
) -> None:
    from schedlab.experiment.solver_study import read_solver_study, run_solver_study

    found = read_solver_study(file, data=data, time_limits=limits)
    folder = folder or Path("results") / found.name

    def told(row: Mapping[str, Any]) -> None:
        within = f" within {row['time_limit']}" if row["time_limit"] else ""
        note(f"{row['method']}{within}: {row['placed'][-1]:,} of {row['pods']:,} pods")

    results = run_solver_study(found, file.parent, folder, resume=resume, told=told)
    table = Table(header_style="bold")
    for name in ("method", "limit", "time", "placed", "bound", "gap"):
        table.add_column(name, justify="left" if name == "method" else "right")
    for row in results.to_dict("records"):
        placed = "/".join(f"{n:,}" for n in row["placed"])
        wall, bound, gap = f"{row['wall_s']:.1f} s", f"{row['bound']:,.0f}", f"{row['gap']:.2%}"
        table.add_row(str(row["method"]), str(row["time_limit"]), wall, placed, bound, gap)
    out().print(table)
    first = results.iloc[0]
    out().print(
        f"{first['nodes']:,} nodes, {first['pods']:,} pods of {first['classes']:,} kinds; pods "
        "placed per priority, each with those above it. Times start with an empty cluster and "
        f"include {first['greedy_s']:.1f} s of kube-scheduler's placement; the linear relaxation "
        f"took {first['relaxation_s']:.1f} s.",
        soft_wrap=True,
    )
    note(f"results: {folder}")


def show(results: pd.DataFrame) -> None:
    """Print the shares of all rows, and of each cell."""
    from schedlab.experiment.placement_study import CELL, OUTCOMES, shares

    columns = [*OUTCOMES, "better or optimal", "tiers proven"]
    for by in ([], CELL):
        table = Table(header_style="bold")
        for name in ("time", *by, "n", *columns, "mean gap"):
            table.add_column(name, justify="right")
        for _, row in shares(results, by).iterrows():
            cells = [_share(row, name) for name in columns]
            keys = [f"{row[name]:g}" for name in by]
            gap = f"{row['mean gap']:.2%}"
            table.add_row(row["time_limit"], *keys, str(row["n"]), *cells, gap)
        out().print(table)


def _share(row: Any, name: str) -> str:
    return f"{row[name]:.0%} ({row[f'{name} low']:.0%} .. {row[f'{name} high']:.0%})"
