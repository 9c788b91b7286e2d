"""How long pods took from one stage to another, with those that never got there kept in view.

A pod that is still on its way when the run ends, or that was deleted or evicted on its way, has
taken *at least* the time it has spent so far: it counts with that bound (right-censoring) and is
never dropped, for dropping it would flatter the scheduler that leaves pods waiting. Pods that left
for another reason (succeeded, failed, rejected, dropped before the stage) have no such time; they
are counted by metrics of their own.

Percentiles are order statistics, the value at rank ceil(q n) as Kubernetes' own load tests take
them; interpolation was rejected because it invents values between a measured and a bounded one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from schedlab.record.usage import Floats, Ints, micros

SECOND = 1e6
STILL_OR_CUT = ("pending", "running", "deleted", "evicted")
BOUND_THRESHOLD_S = 10.0
"""Runtimes below this count as this in the bounded slowdown (Feitelson's usual 10 s)."""


@dataclass(frozen=True, eq=False)
class Elapsed:
    """Elapsed times of some pods or groups of pods.

    Parameters
    ----------
    seconds : float64 array of shape [E]
        Measured time, or the least it can be where `at_least` holds.
    at_least : bool array of shape [E]
        Whether the end was not reached.
    """

    seconds: Floats
    at_least: NDArray[np.bool_]

    def percentile(self, q: float) -> float:
        """Return the value at rank ceil(*q* n), 0 < q <= 1; NaN when there is none."""
        if not len(self.seconds):
            return float("nan")
        rank = max(math.ceil(q * len(self.seconds)), 1) - 1
        return float(np.partition(self.seconds, rank)[rank])

    def percentile_is_bound(self, q: float) -> bool:
        """Whether the true percentile may be larger than `percentile` says."""
        value = self.percentile(q)
        if math.isnan(value):
            return False
        reached = int(np.count_nonzero(self.seconds[~self.at_least] <= value))
        return reached < math.ceil(q * len(self.seconds))

    def mean(self) -> float:
        """Return the mean; NaN when there is nothing to average."""
        return float(self.seconds.mean()) if len(self.seconds) else float("nan")

    def any_bound(self) -> bool:
        """Whether some end was not reached, so that mean and maximum are lower bounds."""
        return bool(self.at_least.any())

    def divided_by(self, seconds: Floats, *, floor: float = -math.inf) -> Elapsed:
        """Return the ratio to *seconds* [E], but at least *floor*."""
        return Elapsed(np.maximum(self.seconds / seconds, floor), self.at_least)


def stage_elapsed(
    pods: pd.DataFrame, start: str, stop: str, end_us: int, less: tuple[str, str] | None = None
) -> Elapsed:
    """Return the time from stage *start* to stage *stop* of the pods that reached *start*.

    Parameters
    ----------
    pods : DataFrame
        Rows of the table of pods.
    start, stop : str
        Time columns, as ``created_us``.
    end_us : int
        Simulated time at which the run ended.
    less : tuple of two str, optional
        Time columns whose difference is taken off, where both happened.
    """
    begin, finish = micros(pods, start), micros(pods, stop)
    open_ended = pods["outcome"].isin(STILL_OR_CUT).to_numpy() & (finish < 0)
    last = np.where(finish >= 0, finish, _last_alive(pods, end_us))
    taken = (begin >= 0) & ((finish >= 0) | open_ended)
    microseconds = last - begin
    if less is not None:
        first, second = micros(pods, less[0]), micros(pods, less[1])
        second = np.where(second < 0, last, second)
        microseconds -= np.where(first >= 0, second - first, 0)
    seconds = np.maximum(microseconds[taken], 0) / SECOND
    return Elapsed(seconds, finish[taken] < 0)


def _last_alive(pods: pd.DataFrame, end_us: int) -> Ints:
    """Return when each pod ended, or the end of the run where it hasn't: int64 [P]."""
    never = np.iinfo(np.int64).max
    ends = [micros(pods, column) for column in ("finished_us", "deleted_us")]
    ended = np.minimum(*(np.where(end < 0, never, end) for end in ends))
    return np.minimum(ended, end_us)


@dataclass(frozen=True, eq=False)
class Completions:
    """Work that is meant to end, one entry per logical replica: columns of shape [C].

    A replica lives through the pods that replace each other under it. It is complete when one of
    them succeeded; it counts as "at least" while one of them is pending or running.
    """

    created_us: Ints
    elapsed: Elapsed
    run_s: Floats
    item: NDArray[np.object_]
    owner: NDArray[np.object_]
    last_us: Ints

    @cached_property
    def slowdown(self) -> Elapsed:
        """Completion time / run time of the replicas that run for some time."""
        some = self.run_s > 0
        kept = Elapsed(self.elapsed.seconds[some], self.elapsed.at_least[some])
        return kept.divided_by(self.run_s[some])

    @cached_property
    def bounded_slowdown(self) -> Elapsed:
        """Of each replica max(1, completion time / max(run time, 10 s))."""
        return self.elapsed.divided_by(np.maximum(self.run_s, BOUND_THRESHOLD_S), floor=1.0)

    @cached_property
    def jobs(self) -> Elapsed:
        """Per Job the time from its first pod's creation to its last completion."""
        mine = np.flatnonzero([str(owner).startswith("Job/") for owner in self.owner])
        item, owner = pd.Series(self.item[mine]), pd.Series(self.owner[mine])
        group = pd.DataFrame({"item": item, "owner": owner}).assign(
            first=self.created_us[mine],
            last=self.last_us[mine],
            at_least=self.elapsed.at_least[mine],
        )
        jobs = group.groupby(["item", "owner"], sort=True).agg(
            {"first": "min", "last": "max", "at_least": "max"}
        )
        seconds = (jobs["last"] - jobs["first"]).to_numpy(dtype=np.float64) / SECOND
        return Elapsed(seconds, jobs["at_least"].to_numpy(dtype=np.bool_))


def completions(pods: pd.DataFrame, start_us: int, end_us: int) -> Completions:
    """Group the pods that run for a given time into logical replicas.

    Parameters
    ----------
    pods : DataFrame
        Table of pods of one run.
    start_us, end_us : int
        Replicas count whose first pod was created in [start_us, end_us].
    """
    finite = pods[(micros(pods, "duration_us") >= 0) & (micros(pods, "created_us") >= 0)]
    keys = [pd.factorize(finite["item"])[0], finite["replica"].to_numpy()]
    order = np.lexsort((finite["incarnation"].to_numpy(), keys[1], keys[0]))
    finite = finite.iloc[order]
    item, replica = (np.asarray(key)[order] for key in keys)
    new = np.append(True, (item[1:] != item[:-1]) | (replica[1:] != replica[:-1]))
    first = np.flatnonzero(new[: len(finite)])
    if not len(first):
        nothing, text = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.object_)
        none = Elapsed(np.zeros(0), np.zeros(0, dtype=np.bool_))
        return Completions(nothing, none, np.zeros(0), text, text, nothing)
    outcome = finite["outcome"].to_numpy()
    finished = micros(finite, "finished_us")
    success = np.where((outcome == "succeeded") & (finished >= 0), finished, -1)
    done_us = np.maximum.reduceat(success, first)
    open_ended = np.maximum.reduceat(np.isin(outcome, ("pending", "running")), first)
    created = micros(finite, "created_us")[first]
    run_us = np.maximum.reduceat(micros(finite, "duration_us"), first)
    kept = ((done_us >= 0) | open_ended) & (created >= start_us)
    last = np.where(done_us >= 0, done_us, end_us)[kept]
    seconds = (last - created[kept]) / SECOND
    return Completions(
        created_us=created[kept],
        elapsed=Elapsed(seconds, done_us[kept] < 0),
        run_s=run_us[kept] / SECOND,
        item=finite["item"].to_numpy(dtype=np.object_)[first][kept],
        owner=finite["owner"].fillna("").to_numpy(dtype=np.object_)[first][kept],
        last_us=last,
    )
