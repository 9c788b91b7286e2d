"""Run directories: one folder per run, whole or absent, and the summary of all runs.

    <root>/scenario=<...>/scheduler=<...>/seed=<n>/{config.yaml, manifest.json, <table>.parquet,
    wallclock.parquet}  and  <root>/runs.parquet with one row a run

A run is written under a temporary name beside its place and renamed when it is complete, so that a
killed sweep loses only the run in hand. ``manifest.json`` is written last and lists the files with
their hashes; a folder without it, or with a file missing or of another size, is not complete. Real
time stands in ``wallclock.parquet`` alone, which no hash covers: everything else is byte-identical
for the same code, configuration and seed on the same platform.

One database file for all runs was rejected: parallel processes would have to share it, and a
folder of Parquet files is read by everything.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
import pyarrow as pa
import yaml

from schedlab.errors import InputError
from schedlab.record.metrics import available, find_metric, lower_bounds, run_tables
from schedlab.record.provenance import commit, platform_name, versions
from schedlab.record.recorder import RunRecord
from schedlab.record.tables import frame_of, read_parquet, to_arrow, write_parquet
from schedlab.record.wallclock import Lap

FORMAT = 1
MANIFEST = "manifest.json"
SUMMARY = "runs.parquet"
WALLCLOCK = "wallclock.parquet"
_LONGEST_NAME = 120


@dataclass(frozen=True, order=True, slots=True)
class RunKey:
    """What a run is within its experiment.

    Parameters
    ----------
    scenario : str
        Point of the matrix, as ``load=0.8``.
    scheduler : str
        Name of the scheduler.
    seed : int
        Seed of the run.
    """

    scenario: str
    scheduler: str
    seed: int

    def path(self, root: str | Path) -> Path:
        """Return the directory of the run below *root*, the experiment's directory."""
        parts = (f"scenario={_quoted(self.scenario)}", f"scheduler={_quoted(self.scheduler)}")
        return Path(root, *parts, f"seed={self.seed}")


@dataclass(frozen=True)
class RunDir:
    """One complete run on disk.

    Parameters
    ----------
    path : Path
        Its directory.
    manifest : mapping
        Content of ``manifest.json``.
    """

    path: Path
    manifest: Mapping[str, Any]

    @property
    def key(self) -> RunKey:
        """Scenario, scheduler and seed of the run."""
        manifest = self.manifest
        return RunKey(manifest["scenario"], manifest["scheduler"], manifest["seed"])

    def config(self) -> dict[str, Any]:
        """Return the resolved configuration that the run was made with."""
        text = (self.path / "config.yaml").read_text(encoding="utf-8")
        loaded: dict[str, Any] = yaml.safe_load(text)
        return loaded

    def table(self, name: str, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return one table of the run, as of `schema.TABLES`, or ``wallclock``."""
        return read_parquet(self.path / f"{name}.parquet", columns)

    def optional(self, name: str) -> pd.DataFrame | None:
        """Return a table of `schema.OPTIONAL_TABLES`; None where this run has none."""
        return self.table(name) if f"{name}.parquet" in self.manifest["files"] else None

    def metrics(self) -> dict[str, float]:
        """Return the metrics computed when the run was written; NaN where undefined."""
        stored = self.manifest["metrics"]
        return {name: math.nan if value is None else value for name, value in stored.items()}


def write_run(
    root: str | Path,
    key: RunKey,
    record: RunRecord,
    *,
    config: Mapping[str, Any],
    run_id: str = "",
    experiment: str = "",
    warmup_us: int = 0,
    inputs: Mapping[str, str] | None = None,
    laps: Sequence[Lap] = (),
) -> RunDir:
    """Write one run below *root*, whole or not at all, in place of an earlier one.

    Parameters
    ----------
    root : str or Path
        Directory of the experiment's results.
    key : RunKey
        Scenario, scheduler and seed.
    record : RunRecord
        What the run left behind.
    config : mapping
        The resolved configuration, of plain YAML values.
    run_id : str, optional
        Identity of the run; the hash of configuration, seed and inputs by default.
    experiment : str, optional
        Name of the experiment.
    warmup_us : int, default 0
        Start of the measured window.
    inputs : mapping of str to str, optional
        SHA-256 of each input file, by name.
    laps : sequence of Lap
        Measured times, for ``wallclock.parquet``.

    Returns
    -------
    RunDir
    """
    final = key.path(root)
    partial = _beside(final, "partial")
    partial.mkdir(parents=True)
    try:
        manifest = _identity(key, config, run_id, experiment, warmup_us, dict(inputs or {}))
        tables = to_arrow(record)
        frames = {name: frame_of(table) for name, table in tables.items()}
        manifest |= _outcome(record, frames, warmup_us)
        text = yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True)
        (partial / "config.yaml").write_text(text, encoding="utf-8")
        for name, table in tables.items():
            write_parquet(partial / f"{name}.parquet", table)
        manifest["files"] = {path.name: _described(path) for path in sorted(partial.iterdir())}
        write_parquet(partial / WALLCLOCK, _laps_table(laps))
        written = _json(manifest)
        (partial / MANIFEST).write_text(written, encoding="utf-8")
        _take_place(partial, final)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return RunDir(final, json.loads(written))  # the same order of keys as when it is read


def read_run(path: str | Path) -> RunDir | None:
    """Return the run in directory *path*, or None when it isn't there or isn't complete."""
    folder = Path(path)
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        sizes = {name: entry["bytes"] for name, entry in manifest["files"].items()}
        whole = all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # half written, damaged or not a run: to be run again
    return RunDir(folder, manifest) if whole and manifest.get("format") == FORMAT else None


def verify(run: RunDir) -> list[str]:
    """Return the names of the files of a run whose content isn't what its manifest says."""
    expected = run.manifest["files"]
    return [name for name in expected if _described(run.path / name) != expected[name]]


def find_runs(*paths: str | Path) -> list[RunDir]:
    """Return the complete runs at or below *paths*, by path given, scenario, scheduler and seed.

    Raises
    ------
    InputError
        When a path doesn't exist.
    """
    found: dict[Path, RunDir] = {}
    for path in paths:
        root = Path(path)
        if not root.is_dir():
            raise InputError("results", found=str(path), expected="a directory with results")
        manifests = [root / MANIFEST, *root.glob(f"**/seed=*/{MANIFEST}")]
        runs = [read_run(manifest.parent) for manifest in manifests]
        for run in sorted((run for run in runs if run is not None), key=lambda run: run.key):
            found.setdefault(run.path.resolve(), run)
    return list(found.values())


def remove_partial(root: str | Path) -> int:
    """Remove what killed runs left below *root*; return how many. Not while others write there."""
    leftovers = [*Path(root).glob("**/.seed=*.partial-*"), *Path(root).glob("**/.seed=*.old-*")]
    for path in leftovers:
        shutil.rmtree(path)
    return len(leftovers)


def write_summary(root: str | Path, runs: Iterable[RunDir] | None = None) -> pd.DataFrame:
    """Rebuild ``runs.parquet`` of an experiment, atomically.

    Parameters
    ----------
    root : str or Path
        Directory of the experiment's results.
    runs : iterable of RunDir, optional
        The runs of it; all complete ones below *root* by default.

    Returns
    -------
    DataFrame
        One row a run, see `summary_of`.
    """
    frame = summary_of(find_runs(root) if runs is None else runs)
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    described = []
    for field in table.schema:
        try:
            metric = find_metric(field.name)
        except InputError:  # a column that isn't a metric
            described.append(field)
            continue
        text = {"better": metric.better, "description": metric.description, "unit": metric.unit}
        described.append(field.with_metadata(text))
    write_parquet(Path(root) / SUMMARY, table.cast(pa.schema(described)))
    return frame


def summary_of(runs: Iterable[RunDir]) -> pd.DataFrame:
    """Return one row a run: what it is, how its pods ended (``count_*``), and its metrics.

    Column ``lower_bounds`` names, separated by commas, the metrics whose value is a lower bound.
    """
    rows = []
    for run in runs:
        manifest = run.manifest
        row: dict[str, Any] = {"experiment": manifest["experiment"]}
        row |= {field.name: getattr(run.key, field.name) for field in fields(RunKey)}
        row |= {name: manifest[name] for name in ("run_id", "digest", "end_us", "warmup_us")}
        row |= {f"count_{name}": count for name, count in manifest["counts"].items()}
        row["lower_bounds"] = ",".join(manifest["lower_bounds"])
        rows.append(row | run.metrics())
    return pd.DataFrame(rows)


class Runs:
    """The results of several runs as DataFrames, read when first asked for.

    Each table has the columns ``experiment``, ``scenario``, ``scheduler`` and ``seed`` in front;
    there, `decisions` names the scheduler within the run ``scheduler_name``, as `pods` does.

    Parameters
    ----------
    directories : sequence of RunDir
        Complete runs, see `find_runs`.
    """

    def __init__(self, directories: Sequence[RunDir]) -> None:
        self.directories = tuple(directories)

    def __len__(self) -> int:
        return len(self.directories)

    def __repr__(self) -> str:
        return f"Runs({len(self)} runs)"

    def table(self, name: str) -> pd.DataFrame:
        """Return the table *name* of all runs, one below the other."""
        parts = []
        for run in self.directories:
            part = run.table(name)
            for position, column in enumerate(("experiment", "scenario", "scheduler", "seed")):
                part.insert(position, column, run.manifest[column])
            parts.append(part)
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()

    @cached_property
    def pods(self) -> pd.DataFrame:
        """Table ``pods`` of all runs."""
        return self.table("pods")

    @cached_property
    def nodes(self) -> pd.DataFrame:
        """Table ``nodes`` of all runs."""
        return self.table("nodes")

    @cached_property
    def samples(self) -> pd.DataFrame:
        """Table ``samples`` of all runs."""
        return self.table("samples")

    @cached_property
    def decisions(self) -> pd.DataFrame:
        """Table ``decisions`` of all runs."""
        return self.table("decisions")

    @cached_property
    def events(self) -> pd.DataFrame:
        """Table ``events`` of all runs."""
        return self.table("events")

    @cached_property
    def wallclock(self) -> pd.DataFrame:
        """What each phase of each run cost the machine."""
        return self.table("wallclock")

    @cached_property
    def summary(self) -> pd.DataFrame:
        """One row a run, see `summary_of`."""
        return summary_of(self.directories)

    @property
    def notes(self) -> list[str]:
        """What a reader has to know, each note once, with the number of runs that have it."""
        counted: dict[str, int] = {}
        for run in self.directories:
            for note in run.manifest["notes"]:
                counted[note] = counted.get(note, 0) + 1
        return [f"{note} ({count} of {len(self)} runs)" for note, count in counted.items()]


def config_hash(config: Mapping[str, Any]) -> str:
    """Return the SHA-256, in hex, of a configuration, whatever the order of its keys."""
    return hashlib.sha256(_json(config).encode()).hexdigest()


def _identity(
    key: RunKey,
    config: Mapping[str, Any],
    run_id: str,
    experiment: str,
    warmup_us: int,
    inputs: dict[str, str],
) -> dict[str, Any]:
    software = versions()
    about = {
        "config": config_hash(config),
        "inputs": inputs,
        "key": [key.scenario, key.scheduler, key.seed],
        "schedlab": software["schedlab"],
    }
    return {
        "format": FORMAT,
        "run_id": run_id or config_hash(about)[:16],
        "experiment": experiment,
        **{field.name: getattr(key, field.name) for field in fields(RunKey)},
        "warmup_us": warmup_us,
        "config_hash": about["config"],
        "inputs": inputs,
        "versions": software,
        "commit": commit(),
        "platform": platform_name(),
    }


def _outcome(
    record: RunRecord, frames: Mapping[str, pd.DataFrame], warmup_us: int
) -> dict[str, Any]:
    run = run_tables(frames, {"end_us": record.end_us, "warmup_us": warmup_us})
    values = {metric.name: metric.function(run) for metric in available(run)}
    return {
        "digest": record.digest,
        "end_us": int(record.end_us),
        "counts": {name: int(count) for name, count in record.counts.items()},
        "notes": list(record.notes),
        "rows": {name: len(frame) for name, frame in frames.items()},
        "metrics": {name: _finite(value) for name, value in values.items()},
        "lower_bounds": lower_bounds(run),
    }


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _take_place(partial: Path, final: Path) -> None:
    """Rename *partial* to *final*; a run that stands there makes room first."""
    if final.exists():
        aside = _beside(final, "old")
        os.replace(final, aside)
        os.replace(partial, final)
        shutil.rmtree(aside)
    else:
        os.replace(partial, final)


def _beside(final: Path, what: str) -> Path:
    """Return a hidden path next to *final*, of this process alone, where nothing stands."""
    path = final.with_name(f".{final.name}.{what}-{os.getpid()}")
    if path.exists():
        shutil.rmtree(path)
    return path


def _laps_table(laps: Sequence[Lap]) -> pa.Table:
    kinds = {"phase": pa.string(), "peak_memory_bytes": pa.int64()}
    names = [field.name for field in fields(Lap)]
    columns = [[getattr(lap, name) for lap in laps] for name in names]
    schema = pa.schema([(name, kinds.get(name, pa.float64())) for name in names])
    return pa.table(columns, schema=schema)


def _described(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"bytes": path.stat().st_size, "sha256": digest}


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def _quoted(name: str) -> str:
    """Return *name* as one component of a path that all file systems take."""
    text = quote(name, safe="=,+@~ ")
    if len(text) > _LONGEST_NAME:
        digest = hashlib.sha256(name.encode()).hexdigest()[:12]
        text = f"{text[: _LONGEST_NAME - 13]}~{digest}"
    return text
