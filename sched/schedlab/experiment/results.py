"""The results of an experiment: tables of all its runs, comparison, plots and report."""

from __future__ import annotations

import re
import shutil
import weakref
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd
import yaml

from schedlab.errors import InputError
from schedlab.experiment.comparison import compare_runs, remarks
from schedlab.experiment.kinds import DEMAND, KINDS, OF_ALL, WAITS
from schedlab.record.rundir import RunDir, RunKey, Runs, find_runs

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from schedlab.experiment.replay import Remake

INDEX: Final = "experiment.yaml"
"""File at the root of an experiment's results: what was asked, and which runs belong to it."""


class Results:
    """What an experiment found: tables as DataFrames, comparison, plots, report.

    Attributes
    ----------
    name : str
        Name of the experiment.
    metrics : tuple of str
        What `compare` shows unless told otherwise; empty = the usual ones.
    baseline : str or None
        The scheduler that others are compared to; None = the first one.
    plots : tuple of str
        Kinds of plots that its report shows; empty = the usual ones.
    remakes : dict of Path to callable
        What makes a run again, by its directory, where that is known (see `explain`).
    """

    def __init__(
        self,
        runs: Sequence[RunDir],
        *,
        name: str = "",
        metrics: Sequence[str] = (),
        baseline: str | None = None,
        plots: Sequence[str] = (),
        remakes: Mapping[Path, Remake] | None = None,
    ) -> None:
        self._runs = Runs(runs)
        self.remakes = dict(remakes or {})
        self.name = name
        self.metrics = tuple(metrics)
        self.baseline = baseline
        self.plots = tuple(plots)
        self._curves: dict[str, pd.DataFrame] = {}

    def removing(self, folder: Path) -> Results:
        """Return these results; *folder* is removed when nobody needs them any more."""
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return self

    def __len__(self) -> int:
        return len(self._runs)

    def __repr__(self) -> str:
        frame = self.runs
        counts = [frame[column].nunique() for column in ("scenario", "scheduler", "seed")]
        words = ("scenario", "scheduler", "seed")
        text = ", ".join(
            f"{n} {word}{'s' if n != 1 else ''}" for n, word in zip(counts, words, strict=True)
        )
        return f"<Results {self.name!r}: {len(self)} runs, {text}>"

    def _repr_html_(self) -> str:
        from html import escape

        from schedlab.report import tables

        comparison = self.compare()
        notes = "".join(f"<li>{escape(note)}</li>" for note in remarks(comparison, self.runs))
        parts = [f"<p>{escape(repr(self))}</p>"]
        for grid in tables.means(comparison):
            head = "".join(f"<th>{escape(str(cell))}</th>" for cell in grid.header)
            body = "".join(
                "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>"
                for row in grid.rows
            )
            parts.append(f"<p><b>{escape(grid.scenario)}</b></p>" if grid.scenario else "")
            parts.append(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")
            parts.append(f"<p>{escape(grid.caption)}</p>")
        return "".join([*parts, f"<ul>{notes}</ul>" if notes else ""])

    # --- tables ---------------------------------------------------------------------------------

    @property
    def directories(self) -> tuple[RunDir, ...]:
        """The runs on disk, in the order of the experiment."""
        return self._runs.directories

    @property
    def runs(self) -> pd.DataFrame:
        """One row a run: scenario, scheduler, seed, counts of pods, and all metrics."""
        return self._runs.summary

    @property
    def pods(self) -> pd.DataFrame:
        """One row a pod and run: outcome, node, and the time of each stage."""
        return self._runs.pods

    @property
    def nodes(self) -> pd.DataFrame:
        """One row a node and run."""
        return self._runs.nodes

    @property
    def samples(self) -> pd.DataFrame:
        """The cluster at regular times, in each run."""
        return self._runs.samples

    @property
    def decisions(self) -> pd.DataFrame:
        """One row a scheduling attempt and run."""
        return self._runs.decisions

    @property
    def notes(self) -> list[str]:
        """What readers have to know: of the comparison, then of the runs."""
        return [*remarks(self.compare(), self.runs), *self.run_notes]

    @property
    def run_notes(self) -> list[str]:
        """What the runs note; notes that differ in numbers alone stand there once."""
        alike: dict[str, list[str]] = {}
        for run in self.directories:
            for note in run.manifest["notes"]:
                alike.setdefault(re.sub(r"[0-9][0-9.,e+-]*", "#", note), []).append(note)
        lines = []
        for notes in alike.values():
            differ = ", with other numbers" if len(set(notes)) > 1 else ""
            where = "" if len(notes) == len(self) and not differ else f" (in {len(notes)} of "
            where += f"{len(self)} runs{differ})" if where else ""
            lines.append(notes[0] + where)
        return lines

    # --- what they say --------------------------------------------------------------------------

    def compare(
        self, metrics: Sequence[str] | None = None, baseline: str | None = None
    ) -> pd.DataFrame:
        """Return means with intervals, and paired differences to the baseline.

        Parameters
        ----------
        metrics : sequence of str, optional
            Metrics or aliases such as ``wait_p99``; those of the experiment by default.
        baseline : str, optional
            A scheduler; that of the experiment by default.

        Returns
        -------
        DataFrame
            One row per scenario, metric and scheduler.
        """
        wanted = list(metrics) if metrics is not None else list(self.metrics)
        return compare_runs(self.runs, wanted or None, baseline or self.baseline)

    def plot(
        self,
        kind: str = "utilization",
        *,
        ax: Axes | None = None,
        scenario: str | None = None,
        resource: str = "cpu",
        scheduler: str | None = None,
        seed: int | None = None,
    ) -> Axes:
        """Draw one plot and return its axes.

        Parameters
        ----------
        kind : str, default "utilization"
            One of `KINDS`.
        ax : Axes, optional
            Where to draw.
        scenario : str, optional
            Which scenario; needed where there are several.
        resource : str, default "cpu"
            For utilization and heatmap.
        scheduler, seed : optional
            Which run, for a heatmap: the first one by default.

        Raises
        ------
        InputError
            There is no such kind, scenario, scheduler or seed.
        """
        from schedlab.report import plots, stages

        if kind not in KINDS:
            raise InputError("kind", found=kind, expected=f"one of {', '.join(KINDS)}")
        if kind in DEMAND or kind in OF_ALL:
            return self._gpu_plot(kind, scenario, ax)
        name = self._one(scenario)

        def of(frame: pd.DataFrame) -> pd.DataFrame:
            return frame[frame["scenario"] == name]

        if kind == "utilization":
            return plots.utilization(of(self.samples), resource, ax=ax)
        if kind == "queue":
            return plots.queue_length(of(self.samples), ax=ax)
        if kind in WAITS:
            return plots.latency_cdf(of(self.pods), "created_us", WAITS[kind], ax=ax)
        if kind == "waterfall":
            return stages.stage_waterfall(of(self.pods), ax=ax)
        if kind == "stages":
            return stages.stage_latency(of(self.pods), ax=ax)
        if kind == "differences":
            return stages.forest(of(self.compare()), ax=ax)
        run = self.run(scenario=name, scheduler=scheduler, seed=seed)
        return plots.node_heatmap(
            run.table("pods"),
            run.table("nodes"),
            resource,
            end_us=int(run.manifest["end_us"]),
            ax=ax,
            name=f"{run.key.scheduler}, seed {run.key.seed}",
        )

    def _gpu_plot(self, kind: str, scenario: str | None, ax: Axes | None) -> Axes:
        from schedlab.report import gpu

        if kind in OF_ALL:
            shown = self.runs
            if scenario is not None:
                shown = shown[shown["scenario"] == self._one(scenario)]
            return gpu.demand_bars(shown, ax=ax)
        name = self._one(scenario)
        if name not in self._curves:
            runs = [run for run in self.directories if run.key.scenario == name]
            self._curves[name] = gpu.demand_curves(runs)
        return gpu.demand_plot(self._curves[name], DEMAND[kind], ax=ax)

    def figure(self, kind: str = "utilization", **options: Any) -> Figure:
        """Return the whole figure of a plot; see `plot`. Utilization shows each resource."""
        from schedlab.report import plots

        if kind == "utilization" and "resource" not in options:
            name = self._one(options.get("scenario"))
            samples = self.samples
            return plots.utilization_panels(samples[samples["scenario"] == name])
        figure = self.plot(kind, **options).get_figure(root=True)
        assert figure is not None  # it was drawn into one
        return figure

    def run(
        self, *, scenario: str | None = None, scheduler: str | None = None, seed: int | None = None
    ) -> RunDir:
        """Return the first run that is meant."""
        for run in self.directories:
            key = run.key
            wanted = ((scenario, key.scenario), (scheduler, key.scheduler), (seed, key.seed))
            if all(asked is None or asked == there for asked, there in wanted):
                return run
        asked = {"scenario": scenario, "scheduler": scheduler, "seed": seed}
        found = ", ".join(f"{name} {value}" for name, value in asked.items() if value is not None)
        known = "; ".join(
            f"{run.key.scenario} / {run.key.scheduler} / {run.key.seed}"
            for run in self.directories[:4]
        )
        raise InputError("run", found=found, expected=f"a run that is there, such as {known}")

    def explain(
        self,
        pod: str,
        *,
        attempt: int | None = None,
        scenario: str | None = None,
        scheduler: str | None = None,
        seed: int | None = None,
        base: str | Path | None = None,
    ) -> pd.DataFrame:
        """Return what every plugin said of every node when a pod was decided on.

        The run is made again up to that decision. All nodes are looked at, even where the
        scheduler stopped its search earlier (``percentageOfNodesToScore``). A scheduler without
        plugins is explained by the filters that ``view.feasible`` asks.

        Parameters
        ----------
        pod : str
            ``namespace/name``, the name, or how one of them starts.
        attempt : int, optional
            Which attempt to schedule it; the last one by default.
        scenario, scheduler, seed : optional
            Which run: the first one by default.
        base : str or Path, optional
            For results from `load`: the directory to which paths in the experiment are relative;
            the current one by default.

        Returns
        -------
        DataFrame
            One row per node and plugin, see `schedlab.experiment.explain.table_of`.

        Raises
        ------
        InputError
            There is no such run, pod or attempt, or the run can't be made again.
        """
        from schedlab.experiment.explain import table_of
        from schedlab.experiment.replay import decision_in, remake_run

        run = self.run(scenario=scenario, scheduler=scheduler, seed=seed)
        remake = self.remakes.get(run.path) or remake_run(run, Path(base or "."))
        return table_of(decision_in(run, remake, pod, attempt))

    def gaps(self, *, moments: int = 20, base: str | Path = ".") -> pd.DataFrame:
        """Return how far the runs were from the best that could be; see `experiment.gap.gaps`."""
        from schedlab.experiment.gap import gaps

        return gaps(self, moments=moments, base=base)

    def report(self, path: str | Path) -> Path:
        """Write everything into one HTML file and return its path."""
        from schedlab.report.html_report import write_report

        return write_report(
            path,
            title=self.name or "schedlab",
            comparison=self.compare(),
            pods=pd.DataFrame() if self.plots else self.pods,
            nodes=pd.DataFrame() if self.plots else self.nodes,
            notes=self.notes,
            manifests=[run.manifest for run in self.directories],
            figures=self._figures() if self.plots else None,
        )

    def _figures(self) -> dict[str, list[tuple[str, Figure]]]:
        """Return the experiment's own choice of plots by scenario; those of all come first."""
        scenarios = list(dict.fromkeys(self.runs["scenario"].astype(str)))
        found: dict[str, list[tuple[str, Figure]]] = {name: [] for name in scenarios}
        for kind in self.plots:
            if kind in OF_ALL:
                found[scenarios[0]].append((KINDS[kind], self.figure(kind)))
        for name in scenarios:
            for kind in self.plots:
                if kind not in OF_ALL:
                    found[name].append((KINDS[kind], self.figure(kind, scenario=name)))
        return found

    def _one(self, scenario: str | None) -> str:
        known = list(dict.fromkeys(self.runs["scenario"].astype(str)))
        if scenario is None and len(known) == 1:
            return known[0]
        if scenario not in known:
            raise InputError(
                "scenario", found=scenario or "<nothing>", expected=f"one of {'; '.join(known)}"
            )
        return scenario


def write_index(root: Path, about: Mapping[str, Any], keys: Iterable[tuple[RunKey, str]]) -> None:
    """Write what an experiment asked, and its runs with their ids, into its directory."""
    runs = [
        {"scenario": key.scenario, "scheduler": key.scheduler, "seed": key.seed, "run_id": run_id}
        for key, run_id in keys
    ]
    text = yaml.safe_dump({**about, "runs": runs}, sort_keys=False, allow_unicode=True)
    partial = root / f".{INDEX}.partial"
    partial.write_text(text, encoding="utf-8")
    partial.replace(root / INDEX)


def load(*paths: str | Path) -> Results:
    """Load the results of one or more directories.

    Directories of one experiment are put together where they have different schedulers or seeds;
    others become scenarios of their own.

    Parameters
    ----------
    *paths : str or Path
        Directories that `run` wrote: of an experiment, or one that holds several.

    Raises
    ------
    InputError
        There is no such directory, or no complete run in it.
    """
    found: list[tuple[str, Results]] = []
    for path in paths:
        root = Path(path)
        runs = find_runs(root)
        if not runs:
            raise InputError("results", found=str(path), expected="a directory with finished runs")
        roots = sorted({_root_of(run) for run in runs})
        found += [
            (str(own), _load_one(own, [run for run in runs if _root_of(run) == own]))
            for own in roots
        ]
    return joined(found)


def _root_of(run: RunDir) -> Path:
    """Return the directory of the experiment that a run belongs to."""
    return run.path.resolve().parents[2]


def _load_one(root: Path, runs: Sequence[RunDir]) -> Results:
    """Return the results of one experiment: those of its last command, in its order."""
    names = list(dict.fromkeys(run.manifest["experiment"] for run in runs))
    index = root / INDEX
    if not index.is_file():
        return Results(runs, name=names[0])
    about = yaml.safe_load(index.read_text(encoding="utf-8"))
    by_id = {(run.key, run.manifest["run_id"]): run for run in runs}
    wanted = [
        by_id.get((RunKey(e["scenario"], e["scheduler"], e["seed"]), e["run_id"]))
        for e in about["runs"]
    ]
    kept = [run for run in wanted if run is not None]
    return Results(
        kept or runs,
        name=about.get("name", names[0]),
        metrics=about.get("metrics") or (),
        baseline=about.get("baseline"),
        plots=about.get("plots") or (),
    )


def joined(parts: Sequence[tuple[str, Results]]) -> Results:
    """Return several results as one; each part has a label that tells it from the others."""
    if len(parts) == 1:
        return parts[0][1]
    runs = [run for _, part in parts for run in part.directories]
    names = [part.name for _, part in parts]
    keys = [(run.manifest["experiment"], run.key) for run in runs]
    if len(set(names)) > 1 or len(set(keys)) < len(keys):
        alike = len(set(names)) < len(names)
        runs = [
            _relabelled(run, f"{label if alike else part.name}: {run.key.scenario}")
            for label, part in parts
            for run in part.directories
        ]
    baselines = {part.baseline for _, part in parts}
    return Results(
        runs,
        name=" + ".join(dict.fromkeys(names)),
        metrics=tuple(dict.fromkeys(name for _, part in parts for name in part.metrics)),
        baseline=baselines.pop() if len(baselines) == 1 else None,
        remakes={path: remake for _, part in parts for path, remake in part.remakes.items()},
    )


def _relabelled(run: RunDir, scenario: str) -> RunDir:
    return RunDir(run.path, {**run.manifest, "scenario": scenario})
