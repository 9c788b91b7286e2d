"""How far our decisions agree with those recorded from the real kube-scheduler.

A directory of recordings holds, in one folder per family, scenarios (``<seed>.json.gz``) with the
decision lines that the real scheduler made of them (``<seed>.jsonl.gz``). A line agrees when it is
equal in full. What each plugin said is counted beside that: a rejection of a node with its code and
reasons, a raw and a weighted score, a Skip, a verdict on the pod. And the incremental engine, which
decides in runs, has to come to the same node or the same victims.

    python -m schedlab.testing.golden DIRECTORY [--jobs N]
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import joblib
import typer
from rich.console import Console
from rich.table import Table

from schedlab.experiment.decide import decisions, profiles_of
from schedlab.experiment.scenario import read_scenario
from schedlab.testing.golden_engine import Outcome, engine_outcomes, recorded_outcome

Line = Mapping[str, Any]


@dataclass
class Agreement:
    """What was compared, and how much of it is equal.

    Attributes
    ----------
    lines, equal : int
        Decision lines, and those that are equal in full.
    decided, engine : int
        Decisions on a node or on victims, and those to which the engine comes as well.
    said, same : Counter
        What each plugin said, in either of the two, and what both have in common.
    first : str
        The first difference, in words; empty when there is none.
    """

    lines: int = 0
    equal: int = 0
    decided: int = 0
    engine: int = 0
    said: Counter[str] = field(default_factory=Counter)
    same: Counter[str] = field(default_factory=Counter)
    first: str = ""

    def add(self, other: Agreement) -> None:
        """Count what *other* counted as well."""
        self.lines += other.lines
        self.equal += other.equal
        self.decided += other.decided
        self.engine += other.engine
        self.said += other.said
        self.same += other.same
        self.first = self.first or other.first


def recordings(root: Path) -> list[Path]:
    """Return the scenarios below *root* that have recorded decisions, in order."""
    found = [path for path in root.glob("*/*.json.gz") if recorded_at(path).is_file()]
    return sorted(found, key=lambda path: (path.parent.name, len(path.name), path.name))


def recorded_at(scenario: Path) -> Path:
    """Return where the decisions on a scenario are."""
    return scenario.with_name(scenario.name.replace(".json.gz", ".jsonl.gz"))


def compare(scenario: Path) -> Agreement:
    """Decide on a scenario and compare with what was recorded."""
    with gzip.open(recorded_at(scenario), "rt", encoding="utf-8") as file:
        recorded = [json.loads(line) for line in file]
    read = read_scenario(scenario)
    profiles = profiles_of(read)
    found = Agreement()
    made, by_engine = [], engine_outcomes(read, profiles)
    plain = decisions(read, profiles)
    while True:
        quick = next(by_engine, None)  # before the decision changes the cluster
        decision = next(plain, None)
        if decision is None:
            break
        made.append(decision.line)
        found.add(_compare_outcomes(quick, recorded_outcome(decision.line), decision.pod))
    if len(made) != len(recorded):
        found.lines += 1
        found.first = f"{scenario}: {len(made)} decisions, {len(recorded)} were recorded"
    for ours, theirs in zip(made, recorded, strict=False):
        found.add(compare_lines(ours, theirs, f"{scenario.parent.name}/{scenario.name}"))
    return found


def _compare_outcomes(engine: Outcome | None, plain: Outcome | None, pod: str) -> Agreement:
    same = engine == plain
    first = "" if same else f"{pod}: the engine decides {engine}, the evaluation {plain}"
    decided = int(plain is not None)
    return Agreement(decided=decided, engine=decided * same, first=first)


def compare_lines(ours: Line, theirs: Line, where: str = "") -> Agreement:
    """Compare two decision lines."""
    equal = ours == theirs
    first = "" if equal else f"{where}: {theirs.get('pod')}: {_difference(ours, theirs)}"
    a, b = Counter(_statements(ours)), Counter(_statements(theirs))
    both, either = Counter[str](), Counter[str]()
    for counts, statements in ((both, a & b), (either, a | b)):
        for (plugin, *_), number in statements.items():
            counts[plugin] += number
    return Agreement(1, int(equal), said=either, same=both, first=first)


def _difference(ours: Any, theirs: Any, path: str = "") -> str:
    """Return the first place where two values differ, with both."""
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        for key in dict.fromkeys((*theirs, *ours)):
            if ours.get(key) != theirs.get(key) or (key in ours) != (key in theirs):
                return _difference(ours.get(key), theirs.get(key), f"{path}.{key}")
    return f"{path.removeprefix('.')}: expected {theirs!r}, found {ours!r}"


def _statements(line: Line) -> Iterator[tuple[str, ...]]:
    """Yield what each plugin said, as (plugin, ...)."""
    for key in ("skip_filter", "skip_score"):
        for plugin in line.get(key, ()):
            yield plugin, key
    for key in ("gated", "prefilter_reject"):
        if line.get(key):
            yield line[key]["plugin"], key, _text(line[key])
    if "preemption" in line:
        yield "DefaultPreemption", "preemption", _text(line["preemption"])
    yield from _of_nodes(line)


def _of_nodes(line: Line) -> Iterator[tuple[str, ...]]:
    for node, entry in line["filtered"].items():
        yield entry["plugin"], "filtered", node, _text(entry)
    for node, codes in line.get("also_failed", {}).items():
        for plugin, code in codes.items():
            yield plugin, "also_failed", node, code
    for key in ("raw_scores", "scores"):
        for plugin, scores in line.get(key, {}).items():
            for node, score in zip(line["feasible"], scores, strict=True):
                yield plugin, key, node, str(score)


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def report(
    directory: Annotated[Path, typer.Argument(help="Folders of recordings, one per family.")],
    jobs: Annotated[int, typer.Option(help="Processes; -1 = one per processor.")] = 1,
) -> None:
    """Compare all recordings, print the agreement per family and plugin, fail below 100 %."""
    paths = recordings(directory)
    if not paths:
        raise typer.BadParameter(f"{directory} holds no recordings", param_hint="DIRECTORY")
    parts = joblib.Parallel(n_jobs=jobs)(joblib.delayed(compare)(path) for path in paths)
    families: dict[str, Agreement] = {}
    for path, part in zip(paths, parts, strict=True):
        families.setdefault(path.parent.name, Agreement()).add(part)
    total = Agreement()
    for part in families.values():
        total.add(part)
    console = Console(highlight=False)
    console.print(_table("family", [(f, a.equal, a.lines) for f, a in families.items()]))
    console.print(_table("plugin", [(p, total.same[p], n) for p, n in sorted(total.said.items())]))
    console.print(
        f"{len(paths)} scenarios: {total.equal} of {total.lines} decision lines are equal in full; "
        f"the engine decides {total.engine} of {total.decided} alike."
    )
    differences = [part.first for part in families.values() if part.first]
    for text in differences:
        console.print(text, markup=False, soft_wrap=True)
    if differences:
        raise typer.Exit(1)


def _table(what: str, rows: Sequence[tuple[str, int, int]]) -> Table:
    table = Table(what, header_style="bold")
    for name in ("equal", "compared", "agreement"):
        table.add_column(name, justify="right")
    for name, equal, count in rows:
        table.add_row(name, f"{equal:,}", f"{count:,}", f"{100 * equal / count:.2f} %")
    return table


if __name__ == "__main__":
    typer.run(report)
