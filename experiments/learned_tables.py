"""The tables of a model's card: the learned scorer beside each policy, by held-out workload.

python experiments/learned_tables.py results/learned-heldout results/learned-heldout-made-up

For each metric a Markdown table: a row is a workload, `learned` its mean there, and the other
columns are what it is ahead of a policy by, with half of the paired difference's 95 % interval:
▲ better, ▼ worse, ≈ not told apart. The last row counts these.
"""

from __future__ import annotations

import sys
from collections import Counter

import pandas as pd

import schedlab
from schedlab.record.metrics import find_metric

LEARNED = "learned"
METRICS = {  # name: (what it says, factor, decimals)
    "gpu_allocation_at_130": ("GPUs allocated at 130 % of demand, in percent", 100, 2),
    "gpu_allocation_at_100": ("GPUs allocated at 100 % of demand, in percent", 100, 2),
    "gpu_fragmentation_at_130": ("Fragmentation at 130 %, in percent of all GPUs", 100, 2),
    "pods_dropped": ("Pods dropped", 1, 1),
    "wait_mean": ("Mean wait, in seconds", 1, 2),
    "wait_p99": ("Wait that one pod in a hundred exceeds, in seconds", 1, 0),
}


def row_name(scenario: str) -> str:
    """Return the values of a scenario, but for the file of a cluster that its workload names.

    >>> row_name("cluster=cluster-gpu-render, workload=gpu-render")
    'gpu-render'
    """
    values = [part.partition("=")[2] for part in scenario.split(", ")]
    return ", ".join(value for value in values if not value.startswith("cluster-"))


def table(compared: pd.DataFrame, name: str) -> list[str]:
    """Return the lines of the table of one metric, from what `Results.compare` says of it."""
    about, factor, decimals = METRICS[name]
    others = [other for other in compared["scheduler"].unique() if other != LEARNED]
    lines = [f"{about}:", "", f"| held out (seeds) | `{LEARNED}` | {' | '.join(others)} |"]
    lines.append("|---" * (len(others) + 2) + "|")
    signs: dict[str, Counter[str]] = {other: Counter() for other in others}
    for scenario, rows in compared.groupby("scenario", sort=False):
        rows = rows.set_index("scheduler")
        cells = []
        for other in others:
            ahead = 0.0 - factor * rows["difference"][other]  # and no -0.0
            half = factor * (rows["difference_high"] - rows["difference_low"])[other] / 2
            better = (ahead > 0) == (find_metric(name).better == "higher")
            sign = "≈" if abs(ahead) <= half else "▲" if better else "▼"
            signs[other][sign] += 1
            cells.append(f"{ahead:+.{decimals}f} ± {half:.{decimals}f} {sign}")
        held_out = f"{row_name(str(scenario))} ({rows['n'][LEARNED]})"
        mean = f"{factor * rows['mean'][LEARNED]:.{decimals}f}"
        lines.append(f"| {held_out} | {mean} | {' | '.join(cells)} |")
    counts = [f"{c['▲']} ▲, {c['≈']} ≈, {c['▼']} ▼" for c in signs.values()]
    return [*lines, f"| all | | {' | '.join(counts)} |", ""]


def main(*directories: str) -> None:
    """Print the tables of some results, of the metrics that their experiments name."""
    results = [schedlab.load(path) for path in directories]
    for name in METRICS:
        compared = [r.compare([name], LEARNED) for r in results if name in r.metrics]
        if compared:
            print("\n".join(table(pd.concat(compared), name)))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
