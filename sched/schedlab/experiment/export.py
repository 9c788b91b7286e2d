"""A data set for learning from a run: what was known of nodes, what was decided, what came of it.

Runs record what was chosen, not what was known of all nodes: that would dwarf everything else. The
run is made again in memory, and at each decision the features of the chosen node and of a few
others that had room are written down.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from schedlab.errors import InputError
from schedlab.experiment.replay import Remake
from schedlab.record.provenance import versions
from schedlab.record.rundir import RunDir
from schedlab.rng import Draws
from schedlab.scheduling.base import Placement, Pod, PodBatch, Scheduler, Verdict
from schedlab.scheduling.framework.interface import Cycle
from schedlab.scheduling.learned.features import FEATURES, KINDS, NAMES
from schedlab.scheduling.learned.kernels import kind_of
from schedlab.scheduling.learned.model import Model
from schedlab.scheduling.learned.score import LearnedScore
from schedlab.scheduling.learned.surroundings import SURROUNDINGS, surroundings
from schedlab.scheduling.view import ClusterView

AROUND = tuple(feature.name for feature in SURROUNDINGS)
OUTCOMES = ("outcome", "created_us", "bound_us", "finished_us")
"""Columns of the table of pods that say what came of it."""


class Recorded:
    """A scheduler, and what was known of nodes at each of its decisions.

    Parameters
    ----------
    inner : Scheduler
        Who decides.
    others : int
        Nodes beside the chosen one, drawn.
    draws : Draws
        For them.

    Attributes
    ----------
    rows : list of dict
        One a decision and node.
    """

    def __init__(self, inner: Scheduler, others: int, draws: Draws) -> None:
        self._inner = inner
        self._others = others
        self._draws = draws
        self._seen = LearnedScore(Model.of({"device_left": -1.0}))  # shares go where they fit best
        self.rows: list[dict[str, Any]] = []
        self._decisions = 0
        self._estimates: dict[int, int] = {}
        self._refused: set[int] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def schedule(self, pods: PodBatch, view: ClusterView, rng: Draws) -> Placement:
        """Let the scheduler decide, and look at the nodes as they were for each pod's turn."""
        placement = self._inner.schedule(pods, view, rng)
        with view.fork() as trial:
            for i, pod in enumerate(pods):
                placed = placement.verdict[i] == Verdict.PLACED
                self._note(pod, view, placement.node[i] if placed else -1)
                self._refused.discard(pod.row)
                if not placed:
                    self._refused.add(pod.row)
                else:
                    self._estimates[pod.row] = pod.estimated_duration_us
                    trial.assume(pod, placement.node[i], placement.devices.get(i))
        return placement

    def _note(self, pod: Pod, view: ClusterView, chosen: int) -> None:
        cycle = Cycle(view.state, pod.pod_class, pod)
        rows = cycle.rows()
        features = self._seen.features(cycle, rows)
        fits = ~np.isnan(features[0]) if len(features) else np.zeros(len(rows), np.bool_)
        others = np.flatnonzero(fits & (rows != chosen))
        drawn = self._draws.generator(pod.key + pod.attempt).permutation(others)[: self._others]
        kept = np.concatenate([np.flatnonzero(rows == chosen), drawn])
        around = surroundings(
            view.state, pod, rows[kept], view.now_us, self._estimates, len(self._refused)
        )
        devices = pod.pod_class.devices
        milli, gpus = (0, 0) if devices is None else (devices.milli, devices.count)
        for k, outside in zip(kept.tolist(), around.T.tolist(), strict=True):
            self.rows.append(
                {
                    "decision": self._decisions,
                    "time_us": view.now_us,
                    "pod": pod.name,
                    "attempt": pod.attempt,
                    "kind": KINDS[kind_of(milli, gpus)],
                    "estimated_duration_us": pod.estimated_duration_us,
                    "feasible": int(fits.sum()),
                    "node": view.nodes.names[int(rows[k])],
                    "chosen": bool(rows[k] == chosen),
                    **dict(zip(NAMES, features[:, k].tolist(), strict=True)),
                    **dict(zip(AROUND, outside, strict=True)),
                }
            )
        self._decisions += 1


def export_decisions(
    run: RunDir, remake: Remake, path: Path, *, others: int = 8, seed: int = 0
) -> int:
    """Write the decisions of a run with features and outcome as Parquet; return the rows.

    Parameters
    ----------
    run : RunDir
        What was recorded.
    remake : callable
        What makes the run again.
    path : Path
        The file.
    others : int
        Nodes beside the chosen one at each decision.
    seed : int
        Draws them.

    Raises
    ------
    InputError
        The run can't be made again as it was.
    """
    recorded: list[Recorded] = []

    def wrap(inner: Scheduler) -> Scheduler:
        recorded.append(Recorded(inner, others, Draws(seed, "export")))
        return recorded[0]

    remake(wrap).run()
    found = pd.DataFrame(recorded[0].rows)
    pods = run.table("pods")
    if not found.empty:
        known = pods.assign(pod=pods["pod"].astype(str))[["pod", "node", *OUTCOMES]]
        known = known.rename(columns={"node": "bound_to"})
        found = found.merge(known, on="pod", how="left", validate="many_to_one")
        last = found[found["chosen"]].groupby("pod").tail(1)
        moved = last[last["bound_to"].notna() & (last["bound_to"] != last["node"])]
        if len(moved):
            row = moved.iloc[0]
            raise InputError(
                "run",
                found=f"<{row['pod']} on {row['node']} this time>",
                expected=f"it on {row['bound_to']}: code or data has changed since the run",
            )
    found.attrs = {
        "run": run.manifest["run_id"],
        "schedlab": versions()["schedlab"],
        "units": {feature.name: feature.unit for feature in (*FEATURES, *SURROUNDINGS)},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    found.to_parquet(path, index=False)
    return len(found)
