"""``schedlab run``: an experiment from its file to the table, the plots and the report."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from schedlab.cli.console import err, note, out

if TYPE_CHECKING:
    from schedlab.experiment.results import Results
    from schedlab.experiment.run import Plan


def run(
    experiment: Annotated[
        str, typer.Argument(help="File of an experiment, or the name of a built-in one.")
    ],
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Lay a YAML value over the file, as workload.horizon=1h; may be repeated. Paths "
            "are relative to the current directory.",
        ),
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(
            metavar="N|LIST", help="Number of seeds, or a list such as 3,5,8; 42, is seed 42."
        ),
    ] = None,
    jobs: Annotated[
        int, typer.Option(min=-1, help="Processes; -1 = one per processor. Results don't change.")
    ] = 1,
    out_: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Where results go.", show_default="results/NAME"),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Keep finished runs that are there already.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything and say what would be run.")
    ] = False,
    report: Annotated[
        bool, typer.Option(help="Write plots and the HTML report into the results.")
    ] = True,
) -> None:
    """Run an experiment: every scenario with every scheduler under every seed; then compare."""
    from schedlab.experiment.run import make_plan, run_plan
    from schedlab.experiment.settings import Setting, parse_setting

    settings = [parse_setting(text) for text in set_ or []]
    if seeds is not None:
        settings.append(Setting("seeds", _seeds(seeds), "--seeds"))
    plan = make_plan(experiment, settings)
    root = out_ or Path("results") / plan.experiment.name
    if plan.left_out:
        note(f"left out, as their traces are not there: {', '.join(plan.left_out)}")
    if dry_run:
        _say_plan(plan, root)
        return
    if jobs == 0:
        jobs = 1
    console = err()
    from schedlab.cli.progress import Bar, Lines

    watcher = Bar(console) if console.is_terminal else Lines(console)
    try:
        results = run_plan(plan, root, jobs=jobs, resume=resume, watcher=watcher)
    except KeyboardInterrupt:
        _say_interrupted(plan, root, experiment)
        raise typer.Exit(128 + signal.SIGINT) from None
    show_comparison(results)
    if report:
        _write_pictures(results, root)
    note(f"results: {root}")


def _seeds(text: str) -> object:
    from schedlab.errors import InputError

    try:
        numbers = [int(part) for part in text.removesuffix(",").split(",")]
    except ValueError:
        raise InputError(
            "--seeds", found=text, expected="a number such as 10, or a list such as 3,5,8"
        ) from None
    return numbers[0] if len(numbers) == 1 and "," not in text else numbers


def _say_plan(plan: Plan, root: Path) -> None:
    from schedlab.experiment.run import check

    experiment = plan.experiment
    lines = check(plan)
    console = out()
    console.print(f"{experiment.name}: {experiment.description}", markup=False, soft_wrap=True)
    for line in lines:
        console.print(f"  scenario {line}", markup=False, soft_wrap=True)
    schedulers = ", ".join(scheduler.name for scheduler in experiment.schedulers)
    console.print(
        f"  {len(plan.scenarios)} scenarios x {len(experiment.schedulers)} schedulers "
        f"({schedulers}) x {len(experiment.seeds)} seeds = {len(plan.runs)} runs into {root}",
        markup=False,
        soft_wrap=True,
    )


def _say_interrupted(plan: Plan, root: Path, experiment: str) -> None:
    from schedlab.record.rundir import read_run

    ids = {spec.key.path(root): spec.run_id for spec in plan.runs}
    runs = {path: read_run(path) for path in ids}
    done = sum(run is not None and run.manifest["run_id"] == ids[p] for p, run in runs.items())
    note(
        f"interrupted: {done} of {len(plan.runs)} runs are finished and kept in {root}; "
        f"the same command with --resume goes on from there"
    )


def show_comparison(results: Results, metrics: list[str] | None = None) -> None:
    """Print means with intervals per scenario, and what a reader has to know."""
    from schedlab.experiment.comparison import remarks
    from schedlab.report import tables

    console = out()
    comparison = results.compare(metrics)
    for grid in tables.means(comparison):
        console.print(tables.to_rich(grid, results.name))
    for text in [*remarks(comparison, results.runs), *results.run_notes]:
        console.print(f"- {text}", markup=False, soft_wrap=True)


def _write_pictures(results: Results, root: Path) -> None:
    from schedlab.experiment.kinds import OF_ALL, WRITTEN

    written = results.report(root / "report.html")
    several = results.runs["scenario"].nunique() > 1
    for scenario in dict.fromkeys(results.runs["scenario"]):
        folder = root / "plots" / (scenario.replace("/", "_") if several else "")
        for kind in results.plots or WRITTEN:
            if kind not in OF_ALL:
                _draw(results, kind, folder / f"{kind}.png", scenario)
    for kind in results.plots:
        if kind in OF_ALL:
            _draw(results, kind, root / "plots" / f"{kind}.png", None)
    note(f"report: {written}; plots: {root / 'plots'}")


def _draw(results: Results, kind: str, path: Path, scenario: str | None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    results.figure(kind, scenario=scenario).savefig(path, dpi=150, bbox_inches="tight")
