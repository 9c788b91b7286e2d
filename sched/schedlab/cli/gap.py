"""``schedlab gap``: how far the schedulers of an experiment were from a bound."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from schedlab.cli.console import note, out

if TYPE_CHECKING:
    import pandas as pd

ENDINGS = (".csv", ".parquet")


def gap(
    directory: Annotated[
        Path, typer.Argument(metavar="RUN", help="Results of an experiment, or of one run.")
    ],
    moments: Annotated[
        int, typer.Option(min=1, help="Moments of each run, evenly over its time.")
    ] = 20,
    base: Annotated[
        Path, typer.Option(help="Directory to which the paths of the experiment are relative.")
    ] = Path(),
    out_: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="FILE", help="Write each moment to a .csv or .parquet."
        ),
    ] = None,
) -> None:
    """Say how many more pods could have run at moments of finished runs, at most.

    The runs are made again for it, which takes as long as they took.
    """
    from schedlab.errors import InputError
    from schedlab.experiment.gap import gaps, summary
    from schedlab.experiment.results import load

    if out_ is not None and out_.suffix not in ENDINGS:
        raise InputError(
            "--out", found=str(out_), expected=f"a file ending in {' or '.join(ENDINGS)}"
        )
    found = gaps(load(directory), moments=moments, base=base)
    _show(summary(found))
    if out_ is not None:
        out_.parent.mkdir(parents=True, exist_ok=True)
        if out_.suffix == ".csv":
            found.to_csv(out_, index=False)
        else:
            found.to_parquet(out_, index=False)
        note(f"wrote {out_}")


def _show(found: pd.DataFrame) -> None:
    table = Table("scheduler", header_style="bold")
    for name in ("mean gap", "95 % interval", "worst", "moments at the bound", "seeds"):
        table.add_column(name, justify="right")
    several = found["scenario"].nunique() > 1
    for row in found.to_dict("records"):
        name = f"{row['scenario']}, {row['scheduler']}" if several else str(row["scheduler"])
        known = not math.isnan(row["low"])
        table.add_row(
            name.replace("[", r"\["),
            f"{row['mean']:.2%}",
            f"{row['low']:.2%} .. {row['high']:.2%}" if known else "",
            f"{row['worst']:.2%}",
            f"{row['at_bound']:.0%}",
            str(row["seeds"]),
        )
    out().print(table)
    out().print("The gap is the share of the pods that could have run at once and did not.")
