"""``schedlab train``: a model from a training file."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated

import typer

from schedlab.cli.console import note, out


def train(
    file: Annotated[Path, typer.Argument(help="File that says what to train on, and how.")],
    data: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Directory of the traces, instead of the file's."),
    ] = None,
    jobs: Annotated[
        int, typer.Option(min=-1, help="Candidates at a time; -1 = one per processor.")
    ] = 1,
    out_: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Where it goes.", show_default="results/NAME"),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the training that is there.")
    ] = False,
) -> None:
    """Train a scorer by a file; write its weights, their card and a learning curve."""
    from schedlab.experiment.training import train as train_model
    from schedlab.experiment.training_config import read_training

    training, source = read_training(file, data)
    root = out_ or Path("results") / training.name
    note(f"{training.name}: {training.method}, gains in percent over the start")

    def told(row: dict[str, float | None]) -> None:
        check = row["validation"]
        out().print(
            f"{row['generation']:>5.0f}  best {row['best']:+8.3f}  mean {row['mean']:+8.3f}"
            + ("" if check is None else f"  validation {check:+8.3f}"),
            highlight=False,
        )

    try:
        trained = train_model(
            training,
            source,
            root,
            jobs=jobs or 1,
            resume=resume,
            command=f"schedlab train {file.as_posix()}",
            told=told,
        )
    except KeyboardInterrupt:
        note(f"interrupted: the same command with --resume goes on from what is in {root}")
        raise typer.Exit(128 + signal.SIGINT) from None
    note(f"model: {trained.path}")
