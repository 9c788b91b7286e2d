"""The report: one HTML file with tables, plots and where the results come from.

The file is self-contained: plots are inline SVG, styles are inline, nothing is fetched, and there
is no script. It follows the reader's light or dark mode; text and axes of the plots take the colour
of the page. The same results give the same bytes.

A notebook exported to HTML was rejected: it needs a kernel to be made and megabytes of scripts.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import matplotlib as mpl
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from schedlab.record.metrics import find_metric
from schedlab.report import plots, stages, tables
from schedlab.report.series import exact_samples, schedulers_of
from schedlab.report.style import INK, SeriesStyle

_DATA_INK = INK.lower()


@dataclass(frozen=True)
class Plot:
    """One figure of the report.

    Parameters
    ----------
    heading : str
        What it is, for readers who don't see it.
    svg : str
        The figure as SVG, without prolog.
    """

    heading: str
    svg: str


@dataclass(frozen=True)
class Section:
    """What the report says about one scenario."""

    scenario: str
    means: tables.Grid | None
    differences: tables.Grid | None
    plots: tuple[Plot, ...]


def write_report(
    path: str | Path,
    *,
    title: str,
    comparison: pd.DataFrame,
    pods: pd.DataFrame,
    nodes: pd.DataFrame,
    metrics: Sequence[str] | None = None,
    notes: Sequence[str] = (),
    manifests: Sequence[Mapping[str, Any]] = (),
    figures: Mapping[str, Sequence[tuple[str, Figure]]] | None = None,
) -> Path:
    """Write the report of one experiment as one HTML file, atomically.

    Parameters
    ----------
    path : str or Path
        The file to write.
    title : str
        Heading of the report.
    comparison : DataFrame
        As for `tables.means`.
    pods, nodes : DataFrame
        Tables of all runs, with columns scenario, scheduler and seed, as of `record.rundir.Runs`.
    metrics : sequence of str, optional
        Metrics to show, in this order; all that have a value by default.
    notes : sequence of str
        What a reader has to know, shown first.
    manifests : sequence of mapping
        The manifests of the runs.
    figures : mapping of str to sequence of (str, Figure), optional
        Figures with their headings by scenario, instead of those drawn from *pods* and *nodes*.

    Returns
    -------
    Path
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    sections = list(_sections(comparison, pods, nodes, metrics, manifests, figures))
    shown = list(
        dict.fromkeys(name for s in sections for grid in _grids(s) for name in grid.metrics)
    )
    text = _TEMPLATE.render(
        title=title,
        notes=notes,
        facts=_facts(manifests),
        sections=sections,
        definitions=[_definition(name) for name in shown],
        software=_software(manifests),
        runs=_run_rows(manifests),
        marks=tables.MARKS,
    )
    partial = target.with_name(f".{target.name}.partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, target)
    return target


def to_svg(drawing: Axes | Figure, salt: str = "") -> str:
    """Return a figure as SVG that can stand inside HTML, the same for the same drawing.

    Parameters
    ----------
    drawing : Axes or Figure
    salt : str, optional
        Keeps the ids of several figures on one page apart.
    """
    figure = drawing if isinstance(drawing, Figure) else drawing.get_figure(root=True)
    if figure is None:
        raise ValueError("these axes belong to no figure")
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": salt or "schedlab", "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*" height="[^"]*"|(<svg)', r"\1\2", text, count=1)
    text = _own_ids(text, salt)
    return text.replace(_DATA_INK, "currentColor")


def _own_ids(svg: str, salt: str) -> str:
    """Prefix ids, so that shapes shared by several figures of a page don't meet."""
    prefix = re.sub(r"\W", "-", salt) + "-" if salt else ""
    if not prefix:
        return svg
    svg = re.sub(r'\bid="', f'id="{prefix}', svg)
    svg = re.sub(r'href="#', f'href="#{prefix}', svg)
    return re.sub(r"url\(#", f"url(#{prefix}", svg)


def _sections(
    comparison: pd.DataFrame,
    pods: pd.DataFrame,
    nodes: pd.DataFrame,
    metrics: Sequence[str] | None,
    manifests: Sequence[Mapping[str, Any]],
    figures: Mapping[str, Sequence[tuple[str, Figure]]] | None,
) -> Iterator[Section]:
    scenarios = list(dict.fromkeys(map(str, pods["scenario"]))) if len(pods) else []
    scenarios = scenarios or list(dict.fromkeys(map(str, comparison.get("scenario", [])))) or [""]
    for number, scenario in enumerate(scenarios):
        compared = _of(comparison, scenario)
        means = tables.means(compared, metrics)
        paired = tables.is_paired(compared)
        differences = tables.differences(compared, metrics) if paired else []
        ends = {
            (str(manifest["scheduler"]), int(manifest["seed"])): int(manifest["end_us"])
            for manifest in manifests
            if str(manifest["scenario"]) == scenario
        }
        drawn: Iterable[tuple[str, Axes | Figure]]
        if figures is None:
            drawn = _plots(compared, _of(pods, scenario), _of(nodes, scenario), metrics, ends)
        else:
            drawn = figures.get(scenario, ())
        yield Section(
            scenario if len(scenarios) > 1 else "",
            means[0] if means else None,
            differences[0] if differences else None,
            tuple(
                Plot(heading, to_svg(drawing, f"s{number}p{rank}"))
                for rank, (heading, drawing) in enumerate(drawn)
            ),
        )


def _of(frame: pd.DataFrame, scenario: str) -> pd.DataFrame:
    return frame[frame["scenario"].astype(str) == scenario] if "scenario" in frame else frame


def _plots(
    comparison: pd.DataFrame,
    pods: pd.DataFrame,
    nodes: pd.DataFrame,
    metrics: Sequence[str] | None,
    ends: Mapping[tuple[str, int], int],
) -> Iterator[tuple[str, Axes | Figure]]:
    """Yield the figures of one scenario with their headings."""
    if not len(pods):
        return
    exact = exact_samples(pods, nodes, ends)
    yield "Allocation over time", plots.utilization_panels(exact)
    yield "Pods waiting over time", plots.queue_length(exact)
    style = SeriesStyle(schedulers_of(pods))
    if tables.is_paired(comparison):
        wanted = list(metrics) if metrics is not None else None
        yield "Paired differences", stages.forest(comparison, metrics=wanted)
    yield "Time until bound", plots.latency_cdf(pods, style=style)
    yield "Time until ready", plots.latency_cdf(pods, "created_us", "ready_us", style=style)
    yield "Stages of a pod", stages.stage_waterfall(pods)
    yield "Time in each stage", stages.stage_latency(pods, style=style)
    for name in schedulers_of(pods):
        mine = pods[pods["scheduler"] == name]
        seed = int(mine["seed"].min())
        one = mine[mine["seed"] == seed]
        grid = nodes[(nodes["scheduler"] == name) & (nodes["seed"] == seed)]
        scarce = next(
            (r for r in plots.resources_of(exact) if r not in ("cpu", "memory", "pods")), "cpu"
        )
        yield (
            f"Nodes over time, {name}",
            plots.node_heatmap(
                one, grid, scarce, end_us=ends.get((name, seed)), name=f"{name}, seed {seed}"
            ),
        )


def _grids(section: Section) -> list[tables.Grid]:
    return [grid for grid in (section.means, section.differences) if grid is not None]


def _definition(name: str) -> tuple[str, str, str, str]:
    metric = find_metric(name)
    direction = f"{metric.better} is better" if metric.better else ""
    return metric.title, name, metric.description, direction


def _facts(manifests: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return what the runs have in common, in a few words."""
    if not manifests:
        return []
    schedulers = dict.fromkeys(str(manifest["scheduler"]) for manifest in manifests)
    seeds = {manifest["seed"] for manifest in manifests}
    arrived = [int(manifest["counts"].get("arrived", 0)) for manifest in manifests]
    pods = (
        f"{min(arrived):,}"
        if min(arrived) == max(arrived)
        else f"{min(arrived):,} to {max(arrived):,}"
    )
    return [
        ("schedulers", ", ".join(schedulers)),
        ("seeds", str(len(seeds))),
        ("runs", str(len(manifests))),
        ("pods a run", pods),
    ]


def _software(manifests: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return versions, commit and platform; several where the runs differ."""
    found: dict[str, dict[str, None]] = {}
    for manifest in manifests:
        entries = dict(manifest.get("versions", {}))
        entries |= {"commit": manifest.get("commit"), "platform": manifest.get("platform")}
        for name, value in entries.items():
            if value:
                found.setdefault(name, {})[str(value)] = None
    return [(name, ", ".join(values)) for name, values in found.items()]


def _run_rows(manifests: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    columns = ("scenario", "scheduler", "seed", "run_id", "digest")
    return [
        (
            *(
                str(manifest[column])[:16] if column == "digest" else str(manifest[column])
                for column in columns
            ),
        )
        for manifest in manifests
    ]


def _svg(text: str) -> Markup:
    return Markup(text)  # our own drawing: not escaped


_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.filters["svg"] = _svg
_TEMPLATE = _ENVIRONMENT.get_template("report.html.j2")
