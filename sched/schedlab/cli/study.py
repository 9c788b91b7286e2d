"""``schedlab study``: how often a solver beats kube-scheduler on a grid of placement problems."""

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
        int | None, typer.Option(min=1, help="Instances per cell, instead of the file's.")
    ] = None,
    time_limit: Annotated[
        list[str] | None,
        typer.Option(metavar="DURATION", help="Instead of the file's; may be repeated."),
    ] = None,
    out_: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Where results go.", show_default="results/NAME"),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Keep the instances that are solved there.")
    ] = False,
) -> None:
    """Run a placement study; print the shares of its outcomes with their intervals."""
    from schedlab.experiment.placement_study import read_study, run_study

    found = read_study(file, seeds=seeds, time_limits=time_limit)
    folder = out_ or Path("results") / found.name

    def told(row: Mapping[str, Any]) -> None:
        note(
            f"{row['nodes']} nodes x {row['pods_per_node']}, {row['priorities']} priorities, "
            f"{row['utilisation']:.0%}, {row['time_limit']}: {row['outcome']}"
            + (", proven" if row["tiers_proven"] else f", gap {row['gap']:.2%}")
        )

    results = run_study(found, folder, resume=resume, told=told)
    show(results)
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
