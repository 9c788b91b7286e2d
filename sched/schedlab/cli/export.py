"""``schedlab export-decisions``: a data set for learning from a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from schedlab.cli.console import note


def export_decisions(
    run: Annotated[Path, typer.Argument(help="Directory of one run: .../scheduler=.../seed=...")],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Parquet file.", show_default="RUN/decision-features"),
    ] = None,
    others: Annotated[
        int, typer.Option(min=0, help="Nodes that had room, beside the chosen one.")
    ] = 8,
    base: Annotated[
        Path, typer.Option(help="Directory to which the paths of the experiment are relative.")
    ] = Path(),
    seed: Annotated[int, typer.Option(help="Draws the other nodes.")] = 0,
) -> None:
    """Write what was known of nodes at each decision of a run, what was chosen, what came of it."""
    from schedlab.errors import InputError
    from schedlab.experiment.export import export_decisions as export
    from schedlab.experiment.replay import remake_run
    from schedlab.record.rundir import read_run

    found = read_run(run)
    if found is None:
        raise InputError("", found=str(run), expected="the directory of a finished run")
    path = out or run / "decision-features.parquet"
    rows = export(found, remake_run(found, base), path, others=others, seed=seed)
    note(f"{rows:,} rows: {path}")
