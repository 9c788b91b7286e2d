"""``schedlab trace`` and ``why``: the story of one pod."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from schedlab.cli.console import out

if TYPE_CHECKING:
    import pandas as pd

    from schedlab.record.rundir import RunDir

Directory = Annotated[Path, typer.Argument(metavar="DIR", help="Results of an experiment.")]
Pod = Annotated[str, typer.Option(help="Name of the pod, namespace/name, or how the name starts.")]
Scenario = Annotated[str | None, typer.Option(help="Of which run; the first one by default.")]
Scheduler = Annotated[str | None, typer.Option(help="Of which run; the first one by default.")]
Seed = Annotated[int | None, typer.Option(help="Of which run; the first one by default.")]


def trace(
    directory: Directory,
    pod: Pod,
    scenario: Scenario = None,
    scheduler: Scheduler = None,
    seed: Seed = None,
) -> None:
    """Show the way of one pod through the components, with simulated times."""
    from rich.table import Table

    from schedlab.experiment.explain import way_of
    from schedlab.units import format_duration

    run, row = _run_of(directory, pod, scenario, scheduler, seed)
    table = Table("time", "after", "component", "what", header_style="bold")
    before = None
    for step in way_of(run, row):
        since = "" if before is None else f"+{format_duration(step.time_us - before)}"
        table.add_row(
            f"{step.time_us / 1e6:.6f} s", since, step.component, step.what.replace("[", r"\[")
        )
        before = step.time_us
    console = out()
    console.print(f"{row['pod']} ({_name(run)}): {row['outcome']}", markup=False, soft_wrap=True)
    console.print(table)


def why(
    directory: Directory,
    pod: Pod,
    scenario: Scenario = None,
    scheduler: Scheduler = None,
    seed: Seed = None,
) -> None:
    """Say why a pod is or was pending: nodes by reason, as kube-scheduler says it."""
    from rich.table import Table

    from schedlab.experiment.explain import attempts_of, nodes_by_reason, why_of

    run, row = _run_of(directory, pod, scenario, scheduler, seed)
    console = out()
    for line in why_of(run, row):
        console.print(line, markup=False, soft_wrap=True)
    attempts = attempts_of(run, row)
    refused = attempts[attempts["verdict"] != "placed"]
    counted = nodes_by_reason(str(refused.iloc[-1]["reason"])) if len(refused) else []
    if counted:
        table = Table("nodes", "reason", header_style="bold")
        for nodes, reason in counted:
            table.add_row(f"{nodes}", reason.replace("[", r"\["))
        console.print(table)
        total = len(run.table("nodes"))
        if sum(nodes for nodes, _ in counted) > total:
            console.print("A node can have several reasons.")


def _run_of(
    directory: Path, pod: str, scenario: str | None, scheduler: str | None, seed: int | None
) -> tuple[RunDir, pd.Series]:
    from schedlab.experiment.explain import run_with_pod
    from schedlab.experiment.results import load

    results = load(directory)
    if scenario is not None or scheduler is not None or seed is not None:
        runs = [results.run(scenario=scenario, scheduler=scheduler, seed=seed)]
    else:
        runs = list(results.directories)
    return run_with_pod(runs, pod)


def _name(run: RunDir) -> str:
    key = run.key
    scenario = "" if key.scenario == "default" else f"{key.scenario}, "
    return f"{scenario}{key.scheduler}, seed {key.seed}"
