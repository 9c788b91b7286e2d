"""Own runs of FGD's experiment against the tables that its authors published.

The paper's result files have a row per pod list, policy and seed and a column per cent of demand,
such as ``expected_results/analysis_allo_discrete.csv`` of its artifact. Their shuffles are others
than ours, so runs can't be paired: the interval of a difference is Welch's, which counts the spread
of both sides.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from schedlab.errors import InputError
from schedlab.experiment.comparison import LEVEL
from schedlab.record.rundir import RunDir
from schedlab.report.tables import Cell, Grid

METRIC: Final = "gpu_allocation_at_{}"
DEMANDS: Final = (100, 130)
KEYS: Final = ("workload", "sc_policy", "seed")
PREFIX: Final = "openb_pod_list_"
POINTS: Final = 1.0
"""Within so many points a mean counts as reproduced."""
COLUMNS: Final = (
    "trace", "demand", "scheduler", "n", "mean", "published_n", "published_mean", "difference",
    "low", "high", "within",
)  # fmt: skip

Floats = NDArray[np.float64]


def read_published(path: str | Path) -> pd.DataFrame:
    """Read a published table of GPUs allocated.

    Returns
    -------
    DataFrame
        Columns trace, scheduler, seed and one for each of `DEMANDS`, in per cent of all GPUs.

    Raises
    ------
    InputError
        The file can't be read, lacks columns, or holds something else than numbers.
    """
    file = Path(path)
    try:
        frame = pd.read_csv(file)
    except (OSError, ValueError) as error:
        raise InputError("", found=str(error), expected="a readable CSV file", file=file) from None
    wanted = [*KEYS, *map(str, DEMANDS)]
    lacking = [name for name in wanted if name not in frame]
    if lacking:
        raise InputError(
            "columns",
            found=", ".join(map(str, frame.columns[:6])),
            expected=f"{', '.join(lacking)} among them",
            file=file,
        )
    values = {str(demand): frame[str(demand)] for demand in DEMANDS}
    for name, column in values.items():
        wrong = pd.to_numeric(column, errors="coerce").isna() & column.notna()
        for line in np.flatnonzero(wrong.to_numpy())[:1].tolist():
            field, text = f"line {line + 2}, column {name}", str(column.iloc[line])
            raise InputError(field, found=text, expected="a number", file=file)
    out = pd.DataFrame(
        {
            "trace": frame["workload"].astype(str).str.removeprefix(PREFIX),
            "scheduler": frame["sc_policy"].astype(str).str.replace(r"^\d+-", "", regex=True),
            "seed": frame["seed"],
        }
    )
    for name, column in values.items():
        out[name] = column.astype(np.float64)
    return out


def trace_of(run: RunDir) -> str:
    """Return the name of the openb pod list that a run replayed; empty where it is none."""
    workload = run.config().get("workload")
    trace = workload.get("trace") if isinstance(workload, dict) else None
    openb = trace.get("openb") if isinstance(trace, dict) else None
    pods = openb.get("pods") if isinstance(openb, dict) else None
    return Path(str(pods)).name.removesuffix(".csv").removeprefix(PREFIX) if pods else ""


def against_published(runs: Sequence[RunDir], published: pd.DataFrame) -> pd.DataFrame:
    """Return how far means of runs are from published ones, in points.

    Parameters
    ----------
    runs : sequence of RunDir
        Of ``experiments/fgd-atc23.yaml``; others are left out.
    published : DataFrame
        As of `read_published`; its schedulers are matched by name.

    Returns
    -------
    DataFrame
        See `COLUMNS`: per trace, demand and scheduler both means in per cent, their difference
        with its 95 % interval, and whether that lies within `POINTS` of 0.
    """
    own: dict[tuple[str, str], list[dict[str, float]]] = {}
    for run in runs:
        own.setdefault((trace_of(run), run.key.scheduler), []).append(run.metrics())
    rows = []
    for (trace, scheduler), metrics in own.items():
        theirs = published[(published["trace"] == trace) & (published["scheduler"] == scheduler)]
        if not len(theirs):
            continue
        for demand in DEMANDS:
            values = np.array([100 * one.get(METRIC.format(demand), math.nan) for one in metrics])
            reference = theirs[str(demand)].to_numpy(dtype=np.float64)
            rows.append((trace, demand, scheduler, *_welch(values, reference)))
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    return frame.sort_values(["trace", "demand"], kind="stable", ignore_index=True)


def _welch(own: Floats, theirs: Floats) -> tuple[int, float, int, float, float, float, float, bool]:
    """Return both sizes and means, and their difference with its interval (Welch's)."""
    own, theirs = own[np.isfinite(own)], theirs[np.isfinite(theirs)]
    n, m = len(own), len(theirs)
    if not n or not m:
        return n, math.nan, m, math.nan, math.nan, math.nan, math.nan, False
    mean, reference = float(own.mean()), float(theirs.mean())
    difference = mean - reference
    if n < 2 or m < 2:
        return n, mean, m, reference, difference, math.nan, math.nan, False
    parts = np.array([own.var(ddof=1) / n, theirs.var(ddof=1) / m])
    spread = float(parts.sum())
    half = 0.0
    if spread > 0:
        freedom = spread**2 / float(parts[0] ** 2 / (n - 1) + parts[1] ** 2 / (m - 1))
        half = float(special.stdtrit(freedom, (1 + LEVEL) / 2)) * math.sqrt(spread)
    low, high = difference - half, difference + half
    return n, mean, m, reference, difference, low, high, max(-low, high) <= POINTS


def published_grid(frame: pd.DataFrame) -> Grid:
    """Return a comparison of `against_published` as a table: trace and demand by scheduler."""
    schedulers = list(dict.fromkeys(frame["scheduler"]))
    cells = frame.set_index(["trace", "demand", "scheduler"])
    rows, labels = [], []
    for trace, demand in dict.fromkeys(zip(frame["trace"], frame["demand"], strict=True)):
        row = [Cell(f"{trace} at {demand} %")]
        for scheduler in schedulers:
            key = (trace, demand, scheduler)
            row.append(_cell(cells.loc[[key]].iloc[0]) if key in cells.index else Cell(""))
        rows.append(tuple(row))
        labels.append(f"{trace} at {demand} %")
    within, known = int(frame["within"].sum()), len(frame)
    n, m = (int(frame[name].max()) for name in ("n", "published_n")) if known else (0, 0)
    caption = (
        f"Mean of {n} own seeds minus the published mean of {m}, in points of GPUs allocated, and "
        f"half of its 95 % interval (Welch's); ! where the interval leaves +-{POINTS:g}. "
        f"{within} of {known} lie within."
    )
    return Grid("", ("GPUs allocated", *schedulers), tuple(rows), caption, tuple(labels))


def _cell(row: pd.Series) -> Cell:
    half = (row["high"] - row["low"]) / 2
    width = "" if math.isnan(half) else f" +-{half:.2f}"
    return Cell(f"{row['difference']:+.2f}{width}{'' if row['within'] else ' !'}")
