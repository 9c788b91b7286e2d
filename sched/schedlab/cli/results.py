"""``schedlab compare``, ``report`` and ``plot``: what finished runs say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from schedlab.cli.console import note, out

if TYPE_CHECKING:
    from schedlab.experiment.results import Results

Directory = Annotated[Path, typer.Argument(metavar="DIR", help="Results of an experiment.")]
Format = Literal["table", "markdown", "csv"]


def compare(
    directories: Annotated[
        list[Path], typer.Argument(metavar="DIR...", help="Results of one or more experiments.")
    ],
    metric: Annotated[
        list[str] | None,
        typer.Option(help="A metric or alias, as wait_p99; may be repeated."),
    ] = None,
    baseline: Annotated[
        str | None, typer.Option(help="The scheduler that others are compared to.")
    ] = None,
    differences: Annotated[
        bool, typer.Option("--differences", help="Show the paired differences too.")
    ] = False,
    published: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV",
            help="Compare runs of fgd-atc23 with a table of GPUs allocated that FGD's authors "
            "published, instead of with each other.",
        ),
    ] = None,
    format_: Annotated[Format, typer.Option("--format", help="How to print.")] = "table",
) -> None:
    """Compare schedulers: means with 95 % intervals, and paired differences over common seeds."""
    from schedlab.experiment.comparison import remarks
    from schedlab.experiment.results import load
    from schedlab.report import tables

    results = load(*directories)
    if published is not None:
        _compare_published(results, published, format_)
        return
    comparison = results.compare(metric, baseline)
    if format_ == "csv":
        typer.echo(comparison.to_csv(index=False), nl=False)
        return
    grids = tables.means(comparison)
    if differences and comparison["scheduler"].nunique() > 1:
        grids += tables.differences(comparison)
    if format_ == "markdown":
        typer.echo("\n".join(tables.to_markdown(grid, results.name) for grid in grids))
        return
    console = out()
    for grid in grids:
        console.print(tables.to_rich(grid, results.name))
    for text in [*remarks(comparison, results.runs), *results.run_notes]:
        console.print(f"- {text}", markup=False, soft_wrap=True)


def _compare_published(results: Results, published: Path, format_: Format) -> None:
    from schedlab.errors import InputError
    from schedlab.experiment.published import against_published, published_grid, read_published
    from schedlab.report import tables

    frame = against_published(results.directories, read_published(published))
    if not len(frame):
        raise InputError(
            "--published",
            found=f"no list and policy of the runs in {published}",
            expected="runs of fgd-atc23, with its names of schedulers",
        )
    grid = published_grid(frame)
    if format_ == "csv":
        typer.echo(frame.to_csv(index=False), nl=False)
    elif format_ == "markdown":
        typer.echo(tables.to_markdown(grid, results.name))
    else:
        out().print(tables.to_rich(grid, results.name))


def report(
    directory: Directory,
    out_: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Where to.", show_default="DIR/report.html"),
    ] = None,
) -> None:
    """Write one self-contained HTML file: tables, plots, and where the results come from."""
    from schedlab.experiment.results import load

    typer.echo(load(directory).report(out_ or directory / "report.html"))


def plot(
    directory: Directory,
    kind: Annotated[
        str,
        typer.Option(
            help="utilization, queue, heatmap, wait, startup, waterfall, stages, differences, "
            "gpu-allocation, gpu-fragments, gpu-fragment-rate or gpu-bars."
        ),
    ] = "utilization",
    scenario: Annotated[
        str | None, typer.Option(help="Which scenario, where there are several.")
    ] = None,
    resource: Annotated[
        str | None, typer.Option(help="For utilization and heatmap.", show_default="cpu")
    ] = None,
    scheduler: Annotated[str | None, typer.Option(help="For a heatmap: of which run.")] = None,
    seed: Annotated[int | None, typer.Option(help="For a heatmap: of which run.")] = None,
    out_: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="File to write; its ending (png, svg, pdf) says how.",
            show_default="DIR/KIND.png",
        ),
    ] = None,
) -> None:
    """Draw one plot into a file."""
    from schedlab.errors import InputError
    from schedlab.experiment.results import load

    options = {
        name: value
        for name, value in (
            ("scenario", scenario),
            ("resource", resource),
            ("scheduler", scheduler),
            ("seed", seed),
        )
        if value is not None
    }
    path = out_ or directory / f"{kind}.png"
    figure = load(directory).figure(kind, **options)
    known = figure.canvas.get_supported_filetypes()
    if path.suffix.removeprefix(".") not in known:
        raise InputError(
            "--out", found=str(path), expected=f"a file ending in one of {', '.join(known)}"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150, bbox_inches="tight")
    note(f"wrote {path}")
