"""``schedlab solve``: the best placement of a cluster dump's pending pods, and what is proven."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.table import Table

from schedlab.cli.console import note, out
from schedlab.cli.decide import Config, Scenario

if TYPE_CHECKING:
    from schedlab.experiment.solving import Solved

SHOWN = 30
"""Pods in the list of those without a node."""


def solve(
    scenario: Scenario,
    config: Config = None,
    objective: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            help="Levels, most important first, as placed,disruption,nodes; see the documentation "
            "of schedlab.scheduling.ilp.objectives.",
        ),
    ] = "placed,disruption",
    time_limit: Annotated[str, typer.Option(metavar="DURATION", help="Time at most.")] = "10s",
    solver: Annotated[str, typer.Option(help="auto, cp-sat, highs, partitioned or flow.")] = "auto",
    displace: Annotated[
        Literal["none", "lower", "any"],
        typer.Option(
            help="Which running pods may be evicted or moved: none, those below the most "
            "important pod that waits, or any."
        ),
    ] = "lower",
    budget: Annotated[
        int | None,
        typer.Option(min=0, help="Most running pods displaced.", show_default="no limit"),
    ] = None,
    parts: Annotated[int, typer.Option(min=1, help="Parts, with --solver partitioned.")] = 16,
    workers: Annotated[int, typer.Option(min=0, help="Threads; 0 = one per processor.")] = 0,
    deterministic: Annotated[
        bool,
        typer.Option(
            "--deterministic",
            help="One thread, and work counted instead of time: equal input, equal answer.",
        ),
    ] = False,
    json_: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write all of it there, too.")
    ] = None,
) -> None:
    """Place the pending pods of a cluster dump together, with a proof or a bound."""
    from schedlab.experiment.decide import profiles_of
    from schedlab.experiment.scenario import read_scenario
    from schedlab.experiment.solving import solve_scenario
    from schedlab.scheduling.ilp.result import Limits
    from schedlab.scheduling.ilp.schedulers import displacement
    from schedlab.units import parse_duration_us

    limits = Limits(
        parse_duration_us(time_limit) / 1e6,
        workers=1 if deterministic else workers,
        deterministic=deterministic,
    )
    read = read_scenario(scenario)
    solved = solve_scenario(
        read,
        profiles_of(read, config),
        limits,
        objective=objective,
        method=solver,
        displace=displacement(displace, budget),
        parts=parts,
    )
    _show(solved)
    if json_ is not None:
        json_.parent.mkdir(parents=True, exist_ok=True)
        json_.write_text(json.dumps(solved.as_json(), indent=1) + "\n", encoding="utf-8")
        note(f"wrote {json_}")


def _show(solved: Solved) -> None:
    console, result = out(), solved.result
    placed = sum(row >= 0 for row in result.node)
    console.print(
        f"{result.status.value}: {placed} of {len(solved.pods)} pending pods placed, "
        f"{len(result.moved)} running pods moved, {len(result.evicted)} evicted, "
        f"in {result.wall_s:.2f} s",
        markup=False,
        soft_wrap=True,
    )
    if result.levels:
        console.print(_levels(solved))
    found = solved.as_json()
    for move in found["moved"]:
        console.print(f"moved {move['pod']} from {move['from']} to {move['to']}", markup=False)
    for eviction in found["evicted"]:
        console.print(f"evicted {eviction['pod']} from {eviction['node']}", markup=False)
    without = [(pod, reason) for pod, reason in found["reasons"].items()]
    for pod, reason in without[:SHOWN]:
        console.print(f"not placed {pod}: {reason}", markup=False, soft_wrap=True)
    if len(without) > SHOWN:
        console.print(f"and {len(without) - SHOWN} more; --json FILE has all", markup=False)


def _levels(solved: Solved) -> Table:
    table = Table("objective", header_style="bold")
    for name in ("value", "bound", "gap"):
        table.add_column(name, justify="right")
    table.add_column("proven by")
    for level in solved.result.levels:
        whom = "" if level.priority is None else f", priority {level.priority} and above"
        known = math.isfinite(level.bound)
        table.add_row(
            level.name + whom,
            str(level.value),
            f"{level.bound:g}" if known else "unknown",
            f"{level.gap:.2%}" if known else "unknown",
            level.by if level.optimal else "",
        )
    return table
