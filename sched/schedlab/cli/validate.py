"""``schedlab validate``: check a file of any kind that schedlab reads, without running anything."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def validate(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help="Experiments, cluster or workload specs, manifests, scenarios, trace CSVs.",
        ),
    ],
) -> None:
    """Check files: experiments, specs, Kubernetes manifests, scenarios and trace CSVs."""
    from schedlab.experiment.check import check_files

    for file, text in check_files(files):
        typer.echo(f"{file}: {text}")
