"""The story of one pod: its way in time, why it waited, and one decision node by node."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd

from schedlab.errors import InputError
from schedlab.experiment.decide import Decision
from schedlab.record.rundir import RunDir
from schedlab.units import format_duration

WAY: Final[tuple[tuple[str, str, str], ...]] = (
    ("created_us", "client", "sent the create request"),
    ("stored_us", "etcd", "committed it"),
    ("seen_by_scheduler_us", "scheduler", "its informer delivered it"),
    ("decided_us", "scheduler", "chose a node (last attempt)"),
    ("bound_us", "etcd", "committed the binding"),
    ("seen_by_kubelet_us", "kubelet", "its informer delivered it"),
    ("pulled_us", "kubelet", "images are on the node"),
    ("started_us", "kubelet", "containers run"),
    ("ready_us", "etcd", "committed the Ready condition"),
    ("finished_us", "kubelet", "containers ended"),
    ("released_us", "etcd", "committed its end: resources are free"),
    ("deleted_us", "etcd", "removed the object"),
)
"""Times of a pod, who made them, and what happened."""
_TABLE: Final[dict[str, str]] = {
    "node": "str",
    "plugin": "str",
    "verdict": "str",
    "code": "str",
    "reason": "str",
    "raw_score": "Int64",
    "weight": "Int64",
    "score": "Int64",
    "total": "Int64",
    "chosen": "bool",
}
_MESSAGE = re.compile(r"0/(\d+) nodes are available: (.*?)\.?(?: preemption: .*)?$", re.DOTALL)
_COUNTED = re.compile(r"(\d+) (.+?)(?=, \d+ |$)", re.DOTALL)


@dataclass(frozen=True)
class Step:
    """One moment on the way of a pod.

    Attributes
    ----------
    time_us : int
        Simulated time.
    component : str
        Who did it.
    what : str
        What happened.
    """

    time_us: int
    component: str
    what: str


def find_pod(pods: pd.DataFrame, name: str) -> pd.Series:
    """Return the row of the pod that is meant: its key, its name, or the start of its name.

    Raises
    ------
    InputError
        No pod, or more than one, has such a name.
    """
    keys = pods["pod"].astype(str)
    for candidates in (
        keys == name,
        keys.str.partition("/")[2] == name,
        keys.str.startswith(name) | keys.str.partition("/")[2].str.startswith(name),
    ):
        if candidates.sum() == 1:
            return pods[candidates].iloc[0]
        if candidates.sum() > 1:
            some = ", ".join(keys[candidates].head(4))
            raise InputError(
                "--pod",
                found=name,
                expected=f"one pod of the {candidates.sum()} that match: {some}",
            )
    some = ", ".join(keys.head(3))
    raise InputError("--pod", found=name, expected=f"the name of a pod, such as {some}")


def run_with_pod(runs: Iterable[RunDir], name: str) -> tuple[RunDir, pd.Series]:
    """Return the first run that has the pod, and the pod's row."""
    last: InputError | None = None
    for run in runs:
        try:
            return run, find_pod(run.table("pods"), name)
        except InputError as error:
            last = last or error
    raise last or InputError("results", found="<nothing>", expected="at least one run")


def way_of(run: RunDir, pod: pd.Series) -> list[Step]:
    """Return what happened to a pod in order of time, failed attempts to schedule it included."""
    steps = []
    for column, component, what in WAY:
        if not pd.isna(pod[column]):
            detail = f": {pod['node']}" if column == "bound_us" else ""
            steps.append(Step(int(pod[column]), component, what + detail))
    for row in attempts_of(run, pod).to_dict("records"):
        if row["verdict"] != "placed":
            what = f"attempt {row['attempt']}: {row['verdict']}: {row['reason']}"
            if row["verdict"] == "nominated":
                what = f"attempt {row['attempt']}: room is made on {row['node']}: {row['reason']}"
            steps.append(Step(int(row["time_us"]), "scheduler", what))
    return sorted(steps, key=lambda step: step.time_us)


def attempts_of(run: RunDir, pod: pd.Series) -> pd.DataFrame:
    """Return the scheduling attempts of a pod, in order."""
    decisions = run.table("decisions")
    mine: pd.DataFrame = decisions[decisions["pod"] == pod["pod"]]
    return mine.sort_values("time_us", kind="stable")


def nodes_by_reason(message: str) -> list[tuple[int, str]]:
    """Return the nodes per reason of a scheduler's message, most first.

    >>> nodes_by_reason("0/5 nodes are available: 2 Insufficient cpu, 3 Too many pods.")
    [(3, 'Too many pods'), (2, 'Insufficient cpu')]
    """
    matched = _MESSAGE.match(message)
    counted = _COUNTED.findall(matched[2]) if matched else []
    return sorted(((int(n), reason.strip()) for n, reason in counted), key=lambda e: (-e[0], e[1]))


def why_of(run: RunDir, pod: pd.Series) -> list[str]:
    """Return, in sentences, why a pod is or was pending."""
    attempts = attempts_of(run, pod)
    refused = attempts[attempts["verdict"] != "placed"]
    end_us = int(run.manifest["end_us"])
    bound = None if pd.isna(pod["bound_us"]) else int(pod["bound_us"])
    waited = format_duration((end_us if bound is None else bound) - int(pod["created_us"]))
    lines = []
    if bound is not None:
        lines.append(
            f"{pod['pod']} waited {waited} until it was bound to {pod['node']}, "
            f"at attempt {pod['attempts']}; in the end it was {pod['outcome']}."
        )
        if not len(refused):
            lines.append("No attempt to schedule it failed: it never waited for room.")
            return lines
    else:
        lines.append(
            f"{pod['pod']} was never bound: {pod['outcome']} after {waited} "
            f"and {pod['attempts']} attempts."
        )
        if isinstance(pod["reason"], str) and pod["reason"]:
            lines.append(str(pod["reason"]))
        if not len(attempts):
            lines.append(
                "No scheduler tried it: none is named "
                f"{pod['scheduler_name']!r}, or the run ended before its turn."
            )
            return lines
    last = refused.iloc[-1]
    lines.append(
        f"Last refusal, attempt {last['attempt']} at {format_duration(int(last['time_us']))}: "
        f"{last['reason']}"
    )
    if len(refused) > 1:
        first = refused.iloc[0]
        lines.append(
            f"It was refused {len(refused)} times, first at "
            f"{format_duration(int(first['time_us']))}: {first['reason']}"
        )
    return lines


def table_of(decision: Decision) -> pd.DataFrame:
    """Return one decision as a table of nodes and plugins.

    Parameters
    ----------
    decision : Decision
        As `schedlab.experiment.decide` makes it.

    Returns
    -------
    DataFrame
        One row per node and plugin, in order: *verdict* of its filter ("passed", "rejected",
        "skipped" by its PreFilter, "not asked"; empty for plugins that only score) with *code* and
        *reason* of a rejection (the reason where it was the first), *raw_score*, *weight* and
        *score* (normalised times weight) where the node is feasible, the node's *total*, and
        whether it was *chosen*. Empty where nothing was evaluated.
    """
    line, profile = decision.line, decision.profile
    if profile is None or not decision.nodes:
        return pd.DataFrame(columns=[*_TABLE])
    filters = [plugin.name for plugin in profile.filters]
    weights = {plugin.name: weight for plugin, weight in profile.scores}
    places = {node: i for i, node in enumerate(line["feasible"])}
    rows = []
    for node in decision.nodes:
        at = places.get(node)
        for plugin in dict.fromkeys((*filters, *weights)):
            scored = at is not None and plugin in line.get("raw_scores", ())
            verdict = _verdict(line, node, plugin) if plugin in filters else ("", "", "")
            rows.append(
                (
                    node,
                    plugin,
                    *verdict,
                    line["raw_scores"][plugin][at] if scored else pd.NA,
                    weights[plugin] if scored else pd.NA,
                    line["scores"][plugin][at] if scored else pd.NA,
                    line["total"][at] if at is not None and "total" in line else pd.NA,
                    node == line["chosen"],
                )
            )
    return pd.DataFrame(rows, columns=[*_TABLE]).astype(_TABLE)


def _verdict(line: Mapping[str, Any], node: str, plugin: str) -> tuple[str, str, str]:
    """Return what a filter says of a node, with code and reason."""
    first = line["prefilter_reject"] or line["filtered"].get(node)
    if first is not None and plugin in first["plugin"].split(","):
        return "rejected", first["code"], ", ".join(first["reasons"])
    if plugin in line.get("skip_filter", ()):
        return "skipped", "", ""
    if line["prefilter_reject"] or (first is not None and first.get("prefilter")):
        return "not asked", "", ""
    code = line.get("also_failed", {}).get(node, {}).get(plugin)
    return ("passed", "", "") if code is None else ("rejected", code, "")
