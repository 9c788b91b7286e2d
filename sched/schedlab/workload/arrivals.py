"""Arrival processes: when clients send what the items of a workload ask for.

An open process is given by Λ(t), the number of arrivals expected by time t, as a line through
knots. Its k-th arrival is at Λ⁻¹(E_k / speed), where E_1, E_2, ... are the epochs of a unit-rate
process: for Poisson-like processes the sums of unit exponentials. One sequence E serves every
speed and every horizon, so a load factor moves arrivals without drawing new ones, and it keeps
the shape of a day and the bursts of an MMPP where they are. Thinning was rejected: it draws other
arrivals at another rate.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from schedlab.errors import InputError
from schedlab.rng import Draws
from schedlab.sim.distributions import parse_distribution
from schedlab.units import DAY, HOUR, SECOND, parse_duration_us
from schedlab.workload.model import DistributionSpec, DurationUs, Positive, Rate, Spec

MAX_ARRIVALS: Final = 10_000_000
"""More arrivals than this of one item are a mistake in the spec."""
_CELLS_PER_PERIOD: Final = 1440  # the rate of a day is constant within one minute

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Poisson(Spec):
    """Independent arrivals at a constant rate."""

    process: Literal["poisson"]
    rate: Rate


class Regular(Spec):
    """One arrival per interval, the first one at time 0."""

    process: Literal["regular"]
    interval: DurationUs

    @model_validator(mode="after")
    def _positive(self) -> Self:
        if self.interval == 0:
            raise InputError("interval", found=0, expected="a duration > 0")
        return self


class Diurnal(Spec):
    """Poisson arrivals whose rate follows a cosine over the day.

    ``rate`` is the mean over a period, ``peak_to_trough`` the ratio of the highest to the lowest
    rate (>= 1), ``peak_at`` the time of the highest rate within the period (time 0 = its start).
    """

    process: Literal["diurnal"]
    rate: Rate
    peak_to_trough: Annotated[float, Field(ge=1, le=1e6)] = 3.0
    period: DurationUs = DAY
    peak_at: DurationUs = 14 * HOUR

    @model_validator(mode="after")
    def _positive(self) -> Self:
        if self.period == 0:
            raise InputError("period", found=0, expected="a duration > 0")
        return self


class MmppState(Spec):
    """One state of an MMPP: its rate, and how long it lasts on average (exponential)."""

    rate: Rate
    mean: DurationUs


class Mmpp(Spec):
    """Bursty arrivals: a Markov-modulated Poisson process.

    A state lasts for an exponential time and is followed by one of the others, each as likely;
    the first one is drawn by the share of time that each state takes in the long run.
    """

    process: Literal["mmpp"]
    states: Annotated[tuple[MmppState, ...], Field(min_length=2)]

    @model_validator(mode="after")
    def _moves(self) -> Self:
        for i, state in enumerate(self.states):
            if state.mean == 0:
                raise InputError(f"states[{i}].mean", found=0, expected="a duration > 0")
        return self


class AtOnce(Spec):
    """Everything at one time."""

    process: Literal["at_once"] = "at_once"
    at: DurationUs = 0


class ClosedLoop(Spec):
    """A fixed number of users: each thinks, submits a pod, waits for its end, and thinks again.

    The first pod of each user arrives after its first think time. Load follows the cluster's
    speed, so it has no rate that `target_load` could scale.
    """

    process: Literal["closed_loop"]
    users: Positive
    think_time: DistributionSpec


class Times(Spec):
    """The times themselves: a list, or a column of a CSV file (durations since the start).

    They are sorted; with a count or a horizon the rest is cut off.
    """

    process: Literal["times"]
    times: tuple[DurationUs, ...] | None = None
    file: str | None = None
    column: str | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.times is None) == (self.file is None):
            raise InputError("times", found=self.times, expected="either times or file")
        if self.column is not None and self.file is None:
            raise InputError("column", found=self.column, expected="no column without a file")
        return self


ArrivalSpec = Annotated[
    Poisson | Regular | Diurnal | Mmpp | AtOnce | ClosedLoop | Times,
    Field(discriminator="process"),
]
OPEN: Final = (Poisson, Regular, Diurnal, Mmpp, Times)
"""Processes whose inter-arrival times a target load can scale."""


@dataclass(frozen=True)
class ArrivalTimes:
    """When the objects of one item arrive.

    Attributes
    ----------
    time_us : int64 array of shape [E], microseconds
        Ascending; a delay where ``after >= 0``.
    after : int32 array of shape [E] or None
        Entry whose end triggers this one, or -1; None in an open process.
    """

    time_us: Ints
    after: NDArray[np.int32] | None = None


def arrival_times(
    spec: ArrivalSpec,
    draws: Draws,
    *,
    count: int | None,
    horizon_us: int | None,
    speed: float = 1.0,
    base: Path | None = None,
) -> ArrivalTimes:
    """Return the arrivals of one item.

    Parameters
    ----------
    spec : ArrivalSpec
        The process.
    draws : Draws
        A stream of this item alone.
    count : int or None
        At most so many arrivals.
    horizon_us : int or None
        Only arrivals before this time.
    speed : float, default 1
        Inter-arrivals are divided by it (open processes only).
    base : Path, optional
        Directory to which a file of times is relative.

    Raises
    ------
    InputError
        The process has no end (neither count nor horizon), or too many arrivals.
    """
    if isinstance(spec, AtOnce):
        n = _required(count, "at_once")
        late = horizon_us is not None and spec.at >= horizon_us
        return ArrivalTimes(np.full(0 if late else n, spec.at, np.int64))
    if isinstance(spec, ClosedLoop):
        return _closed_loop(spec, draws, _required(count, "closed_loop"), base)
    if isinstance(spec, Times):
        given = np.rint(np.sort(_given_times(spec, base)) / speed).astype(np.int64)
        kept = given if horizon_us is None else given[given < horizon_us]
        return ArrivalTimes(kept if count is None else kept[:count])
    if count is None and horizon_us is None:
        raise InputError("count", found="<nothing>", expected="a count, or a horizon")
    _check_rate(spec)
    reach, wanted = horizon_us, None
    if horizon_us is None:
        epochs = _epochs(spec, draws, count or 0)
        wanted = float(epochs[-1]) / speed if len(epochs) else 0.0
    knots_us, expected = _knots(spec, draws, reach, wanted)
    if horizon_us is not None:
        epochs = _epochs_until(spec, draws, float(expected[-1]) * speed, count)
    times = np.interp(epochs / speed, expected, knots_us).astype(np.int64)
    if horizon_us is not None:
        times = times[times < horizon_us]
    return ArrivalTimes(times)


def _required(count: int | None, process: str) -> int:
    if count is None:
        raise InputError("count", found="<nothing>", expected=f"a count, as {process} has no end")
    return count


def _check_rate(spec: Poisson | Regular | Diurnal | Mmpp) -> None:
    rates = [s.rate for s in spec.states] if isinstance(spec, Mmpp) else []
    if isinstance(spec, Poisson | Diurnal):
        rates = [spec.rate]
    if rates and max(rates) == 0:
        raise InputError("arrivals", found="a rate of 0", expected="a rate > 0")


def _epochs(spec: Any, draws: Draws, n: int) -> Floats:
    """Return the first *n* epochs of the unit-rate process; a longer call has the same start."""
    if isinstance(spec, Regular):
        return np.arange(n, dtype=np.float64)
    return np.cumsum(draws.stream("gaps").generator().standard_exponential(n))


def _epochs_until(spec: Any, draws: Draws, end: float, count: int | None) -> Floats:
    """Return the epochs below *end*, at most *count* of them."""
    if end > MAX_ARRIVALS and (count is None or count > MAX_ARRIVALS):
        raise InputError(
            "arrivals", found=f"about {end:.3g} arrivals", expected=f"at most {MAX_ARRIVALS:,}"
        )
    n = int(end + 8 * math.sqrt(end) + 32)
    if count is not None:
        n = min(n, count)
    epochs = _epochs(spec, draws, n)
    return epochs[: np.searchsorted(epochs, end)]


def _knots(
    spec: Poisson | Regular | Diurnal | Mmpp,
    draws: Draws,
    horizon_us: int | None,
    wanted: float | None,
) -> tuple[Floats, Floats]:
    """Return times (microseconds) and Λ there, up to a horizon or an expected number."""
    make: Callable[[float], tuple[Floats, Floats]]
    if isinstance(spec, Diurnal):
        make, mean_rate = (lambda end: _diurnal_knots(spec, end)), spec.rate / SECOND
    elif isinstance(spec, Mmpp):
        make = lambda end: _mmpp_knots(spec, draws, end)  # noqa: E731  # mypy wants one type
        time = sum(s.mean for s in spec.states)
        mean_rate = sum(s.rate / SECOND * s.mean for s in spec.states) / time
    else:
        mean_rate = 1 / spec.interval if isinstance(spec, Regular) else spec.rate / SECOND
        make = lambda end: (np.array([0.0, end]), np.array([0.0, end * mean_rate]))  # noqa: E731
    if horizon_us is not None:
        return make(float(horizon_us))
    end = (wanted or 0.0) / mean_rate * 1.1 + SECOND
    while True:
        knots_us, expected = make(end)
        if expected[-1] >= (wanted or 0.0):
            return knots_us, expected
        end *= 2


def _diurnal_knots(spec: Diurnal, end: float) -> tuple[Floats, Floats]:
    step = spec.period / _CELLS_PER_PERIOD
    if end / step > MAX_ARRIVALS:
        raise InputError("period", found=spec.period, expected="a longer period, or fewer of them")
    t = np.append(np.arange(0.0, end, step), end)
    swing = (spec.peak_to_trough - 1) / (spec.peak_to_trough + 1)
    turn = 2 * math.pi / spec.period
    phase = spec.peak_at * turn
    wave = (np.sin(turn * t - phase) + math.sin(phase)) * swing / turn
    return t, (t + wave) * (spec.rate / SECOND)


def _mmpp_knots(spec: Mmpp, draws: Draws, end: float) -> tuple[Floats, Floats]:
    """Return the knots at which the state changes; a longer call has the same start."""
    means = [float(s.mean) for s in spec.states]
    stays = draws.stream("stays").generator()
    moves = draws.stream("states").generator()
    shares = np.cumsum(means) / math.fsum(means)
    state = min(int(np.searchsorted(shares, moves.random(), side="right")), len(means) - 1)
    times, expected = [0.0], [0.0]
    while times[-1] < end:
        if len(times) > MAX_ARRIVALS:
            raise InputError("states", found="too many changes", expected="longer mean times")
        stay = min(means[state] * float(stays.standard_exponential()), end - times[-1])
        times.append(times[-1] + stay)
        expected.append(expected[-1] + stay * spec.states[state].rate / SECOND)
        other = min(int(moves.random() * (len(means) - 1)), len(means) - 2)
        state = other + (other >= state)
    return np.array(times), np.array(expected)


def _closed_loop(spec: ClosedLoop, draws: Draws, count: int, base: Path | None) -> ArrivalTimes:
    think = parse_distribution(spec.think_time, field="arrivals.think_time", base=base)
    ordinals = np.arange(count)
    delays = think.quantiles(draws.stream("think").uniforms(ordinals))
    after = np.where(ordinals < spec.users, -1, ordinals - spec.users).astype(np.int32)
    first = np.sort(delays[: spec.users], kind="stable")
    return ArrivalTimes(np.concatenate([first, delays[spec.users :]]), after)


def _given_times(spec: Times, base: Path | None) -> Ints:
    if spec.times is not None:
        return np.array(spec.times, np.int64)
    path = (base or Path()) / (spec.file or "")
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            "arrivals.file", found=str(path), expected="a readable CSV file"
        ) from error
    header = rows[0] if rows else []
    column = spec.column or (header[0] if len(header) == 1 else None)
    if column not in header:
        raise InputError(
            "arrivals.column", found=column, expected=f"one of {', '.join(header)}", file=path
        )
    place = header.index(str(column))
    times = []
    for i, row in enumerate(rows[1:], start=2):
        try:
            times.append(parse_duration_us(row[place] if place < len(row) else ""))
        except InputError as error:
            raise InputError(
                f"row {i}: {column}", found=error.found, expected=error.expected, file=path
            ) from None
    return np.array(times, np.int64)
