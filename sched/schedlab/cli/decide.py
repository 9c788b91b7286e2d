"""``schedlab decide`` and ``explain``: what a scheduler makes of a cluster dump, and why."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TextIO

import typer
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from schedlab.cli.console import note, out

if TYPE_CHECKING:
    from schedlab.experiment.decide import Decision

Scenario = Annotated[
    Path,
    typer.Argument(
        metavar="SCENARIO", help="Cluster and pending pods: JSON or YAML, also gzipped."
    ),
]
Config = Annotated[
    Path | None, typer.Option(metavar="FILE", help="A KubeSchedulerConfiguration (v1).")
]
SHOWN: Final = 20
"""Nodes in a table, unless told otherwise."""
_WORDS: Final = re.compile("[A-Z][^A-Z]*")


def decide(
    scenario: Scenario,
    config: Config = None,
    scheduler: Annotated[
        str, typer.Option(metavar="NAME", help="A built-in scheduler, or file.py:Class.")
    ] = "kube-scheduler",
    tie_break: Annotated[
        Literal["first", "random"], typer.Option(help="Which of several best nodes.")
    ] = "first",
    out_: Annotated[
        Path | None,
        typer.Option(
            "-o", "--out", metavar="FILE", help="Where to.", show_default="standard output"
        ),
    ] = None,
) -> None:
    """Decide on the pending pods of a cluster dump, one JSON line a pod."""
    from schedlab.errors import InputError
    from schedlab.experiment.decide import choices, decisions, profiles_of
    from schedlab.experiment.scenario import read_scenario
    from schedlab.scheduling.registry import load_scheduler

    found: Iterable[Decision]
    if scheduler == "kube-scheduler":
        read = read_scenario(scenario)
        found = decisions(read, profiles_of(read, config), tie_break=tie_break)
    else:
        if config is not None:
            raise InputError("--config", found=str(config), expected="nothing: only kube-scheduler")
        found = choices(read_scenario(scenario), load_scheduler(scheduler))
    pods = placed = 0
    with _written(out_) as file:
        for decision in found:
            file.write(json.dumps(decision.line, separators=(",", ":")) + "\n")
            pods, placed = pods + 1, placed + (decision.line["chosen"] is not None)
    if out_ is not None:
        note(f"wrote {out_}: {pods} pods, {placed} placed")


@contextmanager
def _written(path: Path | None) -> Iterator[TextIO]:
    """Open a file that appears under its name only when it is complete."""
    if path is None:
        yield sys.stdout
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("w", encoding="utf-8") as file:
            yield file
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def explain(
    scenario: Scenario,
    pod: Annotated[
        str, typer.Argument(metavar="POD", help="Its name, namespace/name, or how it starts.")
    ],
    config: Config = None,
    nodes: Annotated[
        int, typer.Option(min=1, help="Show at most so many feasible and rejected nodes.")
    ] = SHOWN,
) -> None:
    """Show how kube-scheduler decides on one pod of a cluster dump, node by node."""
    from schedlab.experiment.decide import decision_on, profiles_of
    from schedlab.experiment.scenario import read_scenario

    read = read_scenario(scenario)
    decision = decision_on(read, profiles_of(read, config), pod)
    console = out()
    for line in _said(decision):
        console.print(line, markup=False, soft_wrap=True)
    for table in (_scores(decision, nodes, console), _rejections(decision, nodes)):
        if table is not None:
            console.print(table)


def _said(decision: Decision) -> Iterator[str]:
    """Yield in sentences what became of the pod."""
    line = decision.line
    chosen = line["chosen"]
    yield f"{decision.pod}: " + ("not placed" if chosen is None else f"placed on {chosen}")
    if "skipped" in line:
        yield f"Not decided on: {line['skipped']}."
    for key, point in (("gated", "PreEnqueue"), ("prefilter_reject", "PreFilter")):
        if line.get(key):
            yield f"{point} of {line[key]['plugin']}: {', '.join(line[key]['reasons'])}."
    if "nominated" in line:
        yield f"It was nominated for {line['nominated']}, which is taken first."
    said = line.get("preemption")
    if said:
        yield from _preempted(said)


def _preempted(said: dict[str, Any]) -> Iterator[str]:
    if said["victims"]:
        names = ", ".join(f"{victim['pod']} ({victim['priority']})" for victim in said["victims"])
        yield (
            f"Preemption on {said['node']}: {names}; "
            f"{said['pdb_violations']} violations of disruption budgets."
        )
    for reason in said.get("reasons", ()):
        yield f"PostFilter: {reason}"
    recheck = said.get("recheck")
    if recheck:
        yield f"After it {recheck['plugin']} rejects the node: {', '.join(recheck['reasons'])}."


def _scores(decision: Decision, most: int, console: Console) -> Table | None:
    """Return the feasible nodes, the best first, with what each plugin gives them.

    Where that is too wide for a terminal, names of plugins are broken between their words.
    """
    table = _score_table(decision, most)
    if table is None:
        return None
    needed = Measurement.get(console, console.options.update(max_width=10_000), table).maximum
    if needed > console.width and console.is_terminal:
        return _score_table(decision, most, broken=True)
    console.width = max(console.width, needed)
    return table


def _score_table(decision: Decision, most: int, *, broken: bool = False) -> Table | None:
    line, profile = decision.line, decision.profile
    if profile is None or not line["feasible"]:
        return None
    weights = {plugin.name: weight for plugin, weight in profile.scores}
    scored = [name for name in weights if any(line["scores"].get(name, ()))]
    order = sorted(range(len(line["feasible"])), key=lambda i: -line["total"][i])
    table = Table("node", title=_title("feasible", len(order), most), header_style="bold")
    for name in scored:
        head = "\n".join(_WORDS.findall(name)) if broken else name
        table.add_column(f"{head} x{weights[name]}", justify="right")
    table.add_column("total", justify="right")
    for i in order[:most]:
        node = line["feasible"][i]
        cells = [f"{line['scores'][n][i]} ({line['raw_scores'][n][i]})" for n in scored]
        style = "bold" if node == line["chosen"] else ""
        table.add_row(node, *cells, str(line["total"][i]), style=style)
    table.caption = "score times weight (raw score); plugins that give 0 to all are left out"
    return table


def _rejections(decision: Decision, most: int) -> Table | None:
    """Return the other nodes, each with the plugin that rejects it and what it says."""
    line = decision.line
    filtered = line["filtered"]
    if not filtered:
        return None
    nodes = [node for node in decision.nodes if node in filtered]
    title = _title("rejected", len(nodes), most)
    table = Table("node", "plugin", "reason", "also rejects", title=title, header_style="bold")
    for node in nodes[:most]:
        first = filtered[node]
        others = [name for name in line.get("also_failed", {}).get(node, ())]
        table.add_row(
            node,
            first["plugin"],
            ", ".join(first["reasons"]).replace("[", r"\["),
            ", ".join(name for name in others if name != first["plugin"]),
        )
    return table


def _title(what: str, count: int, most: int) -> str:
    shown = f", the first {most}" if count > most else ""
    return f"{count} node{'s' if count != 1 else ''} {what}{shown}"
