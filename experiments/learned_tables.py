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
from scipy import stats

import schedlab

LEARNED = "learned"
METRICS = {  # name: (what it says, factor, decimals, whether more is better)
    "gpu_allocation_at_130": ("GPUs allocated at 130 % of demand, in percent", 100, 2, True),
    "gpu_allocation_at_100": ("GPUs allocated at 100 % of demand, in percent", 100, 2, True),
    "gpu_fragmentation_at_130": ("Fragmentation at 130 %, in percent of all GPUs", 100, 2, False),
    "pods_dropped": ("Pods dropped", 1, 1, False),
    "create_to_schedule_seconds_mean": ("Mean wait, in seconds", 1, 2, False),
    "create_to_schedule_seconds_p99": (
        "Wait that one pod in a hundred exceeds, in seconds",
        1,
        0,
        False,
    ),
}


def row_name(scenario: str) -> str:
    """Return the values of a scenario, but for the file of a cluster that its workload names.

    >>> row_name("cluster=cluster-gpu-render, workload=gpu-render")
    'gpu-render'
    """
    values = [part.partition("=")[2] for part in scenario.split(", ")]
    return ", ".join(value for value in values if not value.startswith("cluster-"))


def verdict(difference: pd.Series, decimals: int, *, more_is_better: bool) -> tuple[str, str]:
    """Return the mean difference with half of its interval, and a sign."""
    mean = float(difference.mean())
    error = float(difference.std(ddof=1)) / len(difference) ** 0.5
    half = float(stats.t.ppf(0.975, len(difference) - 1)) * error
    ahead = mean if more_is_better else -mean
    sign = "≈" if abs(mean) <= half else "▲" if ahead > 0 else "▼"
    return f"{mean:+.{decimals}f} ± {half:.{decimals}f} {sign}", sign


def table(runs: pd.DataFrame, metric: str) -> list[str]:
    """Return the lines of the table of one metric."""
    about, factor, decimals, more_is_better = METRICS[metric]
    others = [name for name in runs["scheduler"].unique() if name != LEARNED]
    lines = [f"{about}:", "", f"| held out (seeds) | `{LEARNED}` | {' | '.join(others)} |"]
    lines.append("|---" * (len(others) + 2) + "|")
    signs: dict[str, Counter[str]] = {name: Counter() for name in others}
    for scenario, rows in runs.groupby("scenario", sort=False):
        seeds = rows.pivot(index="seed", columns="scheduler", values=metric).dropna() * factor
        cells = []
        for name in others:
            cell, sign = verdict(
                seeds[LEARNED] - seeds[name], decimals, more_is_better=more_is_better
            )
            signs[name][sign] += 1
            cells.append(cell)
        held_out = f"{row_name(str(scenario))} ({len(seeds)})"
        mean = f"{seeds[LEARNED].mean():.{decimals}f}"
        lines.append(f"| {held_out} | {mean} | {' | '.join(cells)} |")
    counts = [f"{c['▲']} ▲, {c['≈']} ≈, {c['▼']} ▼" for c in signs.values()]
    return [*lines, f"| all | | {' | '.join(counts)} |", ""]


def main(*directories: str) -> None:
    """Print the tables of some results."""
    runs = pd.concat([schedlab.load(path).runs for path in directories])
    for metric in METRICS:
        if metric in runs and runs[metric].nunique() > 1:  # else nothing differs
            print("\n".join(table(runs, metric)))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
