"""``schedlab init`` and ``fetch``: what a study starts from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from schedlab.cli.console import note


def init(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Directory to make.")],
) -> None:
    """Make a starter project: an experiment, a workload, an own scheduler and a notebook."""
    from importlib import resources

    from schedlab.errors import InputError

    starter = resources.files("schedlab.cli") / "starter"
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise InputError("DIR", found=str(directory), expected="a directory that is new or empty")
    directory.mkdir(parents=True, exist_ok=True)
    for entry in sorted(starter.iterdir(), key=lambda found: found.name):
        if entry.is_file() and not entry.name.startswith("__"):
            (directory / entry.name).write_bytes(entry.read_bytes())
            typer.echo(directory / entry.name)
    note(f"next: cd {directory} && schedlab run experiment.yaml")


def fetch(
    name: Annotated[str, typer.Argument(help="Name of a trace; schedlab list workloads has them.")],
    dest: Annotated[
        Path | None,
        typer.Option(help="Directory to write to.", show_default="the user's cache"),
    ] = None,
) -> None:
    """Download a public trace and check its checksums; what is there already is kept."""
    from schedlab.workload import fetch as traces

    folder = traces.fetch(name, dest, progress=lambda file, state: note(f"{file}: {state}"))
    typer.echo(folder)
