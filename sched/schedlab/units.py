"""Kubernetes quantities and durations, exactly, as integers.

Inside schedlab a resource amount is one int: milli-cores for cpu, bytes for memory and storage, a
count for everything else (`amount`). Time is int microseconds (`parse_duration_us`). Text exists
only at the edge. Quantities follow the grammar of k8s.io/apimachinery ``resource.Quantity``:
fractions are kept exactly down to 10**-9 and rounded away from zero below, so that who asks for
something never asks for nothing. One difference is deliberate: what doesn't fit an int64 is an
error here, where upstream caps binary suffixes at 2**63 - 1 and wraps the others. Floats as
internal form were rejected: 0.1 + 0.2 cores must be 300 milli-cores.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction
from functools import lru_cache
from typing import Final

from schedlab.errors import InputError

US: Final = 1
MS: Final = 1_000
SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

INT64_MAX: Final = 2**63 - 1

_QUANTITY = re.compile(
    r"([+-]?)(?=\.?[0-9])([0-9]*)(?:\.([0-9]*))?([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]+)?",
    re.ASCII,
)
_DECIMAL: Final = {
    "n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18
}  # fmt: skip
_BINARY: Final = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_NANO: Final = 10**9
_LONGEST: Final = 100  # characters; guards the big-integer arithmetic below
_FARTHEST: Final = 200  # decimal exponent; beyond it a quantity is too large, or rounds to 1n

_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h|d)", re.ASCII)
_BARE_NUMBER = re.compile(r"\+?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,2})?", re.ASCII)
_UNIT_US: Final = {
    "ns": Fraction(1, 1000), "us": Fraction(US), "µs": Fraction(US), "μs": Fraction(US),
    "ms": Fraction(MS), "s": Fraction(SECOND), "m": Fraction(MINUTE), "h": Fraction(HOUR),
    "d": Fraction(DAY),
}  # fmt: skip


def parse_quantity(text: str | int | float) -> Fraction:
    """Return the value of a Kubernetes quantity such as ``100m``, ``0.5Ki`` or ``1e3``.

    Parameters
    ----------
    text : str or int or float
        The quantity; numbers as YAML gives them, floats read by their shortest decimal form.

    Returns
    -------
    Fraction
        Exact to 10**-9; smaller digits are rounded away from zero.

    Raises
    ------
    InputError
        When *text* isn't a quantity.

    Examples
    --------
    >>> parse_quantity("0.5Ki"), parse_quantity("1E"), parse_quantity("1E3")
    (Fraction(512, 1), Fraction(1000000000000000000, 1), Fraction(1000, 1))
    """
    if isinstance(text, bool) or not isinstance(text, str | int | float):
        raise _not_a_quantity(text)
    if isinstance(text, int):
        return Fraction(text)
    if isinstance(text, float):
        if not math.isfinite(text):
            raise _not_a_quantity(text)
        return parse_quantity(repr(text))
    match = _QUANTITY.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None:
        raise _not_a_quantity(text)
    sign, whole, fraction, suffix = (part or "" for part in match.groups())
    digits = int(f"{whole}{fraction}")
    exponent = -len(fraction)
    factor = 1
    if suffix in _BINARY:
        factor = 1 << _BINARY[suffix]
    elif suffix in _DECIMAL:
        exponent += _DECIMAL[suffix]
    else:
        exponent += int(suffix[1:])
    if digits and exponent > _FARTHEST:
        raise InputError("", found=text, expected="a quantity that fits a 64-bit integer")
    value = digits * factor * Fraction(10) ** min(max(exponent, -_FARTHEST), _FARTHEST)
    nanos = value * _NANO
    if nanos.denominator != 1:
        value = Fraction(math.ceil(nanos), _NANO)
    return -value if sign == "-" else value


def cpu_milli(text: str | int | float) -> int:
    """Return a cpu quantity in milli-cores, rounded up as upstream's ``MilliValue``.

    >>> cpu_milli("1.5"), cpu_milli("100m"), cpu_milli("0.1m")
    (1500, 100, 1)
    """
    return _int64(parse_quantity(text) * 1000, text)


def quantity_value(text: str | int | float) -> int:
    """Return a quantity as an integer, rounded up as upstream's ``Value``.

    >>> quantity_value("2Gi"), quantity_value("1k"), quantity_value("0.5")
    (2147483648, 1000, 1)
    """
    return _int64(parse_quantity(text), text)


def amount(resource: str, text: str | int | float) -> int:
    """Return the canonical amount of *resource*: milli-cores for cpu, else the rounded-up value.

    >>> amount("cpu", "2"), amount("memory", "1Ki"), amount("nvidia.com/gpu", 8)
    (2000, 1024, 8)
    """
    if isinstance(text, str):
        return _amount_of_text(resource, text)
    return cpu_milli(text) if resource == "cpu" else quantity_value(text)


@lru_cache(maxsize=65536)  # manifests repeat a few hundred quantities
def _amount_of_text(resource: str, text: str) -> int:
    return cpu_milli(text) if resource == "cpu" else quantity_value(text)


def format_quantity(resource: str, value: int) -> str:
    """Return the text of a canonical amount; `amount` reads the same number back.

    >>> format_quantity("cpu", 1500), format_quantity("cpu", 2000)
    ('1500m', '2')
    >>> format_quantity("memory", 3 * 2**30), format_quantity("nvidia.com/gpu", 8)
    ('3Gi', '8')
    """
    if resource == "cpu":
        whole, rest = divmod(value, 1000)
        return f"{value}m" if rest else str(whole)
    if value and _in_bytes(resource):
        for suffix, power in reversed(_BINARY.items()):
            if value % (1 << power) == 0:
                return f"{value >> power}{suffix}"
    return str(value)


def _in_bytes(resource: str) -> bool:
    return resource in ("memory", "ephemeral-storage", "storage") or resource.startswith(
        "hugepages-"
    )


def parse_duration_us(text: str | int | float) -> int:
    """Return a duration in microseconds.

    Parameters
    ----------
    text : str or int or float
        Such as ``250ms``, ``1.5s``, ``10m``, ``1h30m``, ``3d``; a bare number is in seconds.

    Returns
    -------
    int
        Microseconds, rounded to the nearest (half up).

    Raises
    ------
    InputError
        When *text* is no duration, is negative, or is longer than an int64 of microseconds.

    Examples
    --------
    >>> parse_duration_us("1h30m") == HOUR + 30 * MINUTE
    True
    >>> parse_duration_us(2), parse_duration_us("0.25")
    (2000000, 250000)
    """
    value = math.floor(_duration(text) + Fraction(1, 2))
    if value > INT64_MAX:
        raise InputError("", found=text, expected="a duration below 292,000 years")
    return value


def _duration(text: str | int | float) -> Fraction:
    """Return a duration in microseconds, exactly."""
    if isinstance(text, int | float) and not isinstance(text, bool) and 0 <= text < 1e30:
        return Fraction(repr(text)) * SECOND
    if not isinstance(text, str) or not 0 < len(text) <= _LONGEST:
        raise _not_a_duration(text)
    if _BARE_NUMBER.fullmatch(text):
        return Fraction(text) * SECOND
    total, position = Fraction(0), 0
    for part in _DURATION_PART.finditer(text):
        if part.start() != position:
            break
        total += Fraction(part[1]) * _UNIT_US[part[2]]
        position = part.end()
    if position != len(text):
        raise _not_a_duration(text)
    return total


def format_duration(us: int) -> str:
    """Return microseconds as people write them.

    >>> format_duration(1_500_000), format_duration(2 * HOUR + 3 * MINUTE), format_duration(250)
    ('1.5s', '2h03m', '250us')
    """
    if us < 0:
        return f"-{format_duration(-us)}"
    if us < MS:
        return f"{us}us" if us else "0s"
    if us < SECOND:
        return f"{_three_digits(us, MS)}ms"
    if us < MINUTE:
        return f"{_three_digits(us, SECOND)}s"
    seconds = us // SECOND
    if us < HOUR:
        return f"{seconds // 60}m{seconds % 60:02d}s" if seconds % 60 else f"{seconds // 60}m"
    minutes = seconds // 60
    if us < DAY:
        return f"{minutes // 60}h{minutes % 60:02d}m" if minutes % 60 else f"{minutes // 60}h"
    hours = minutes // 60
    return f"{hours // 24}d{hours % 24:02d}h" if hours % 24 else f"{hours // 24}d"


def _three_digits(us: int, unit: int) -> str:
    """Return *us* in *unit* with at most three decimals, cut (never rounded up to the next)."""
    whole, rest = divmod(us, unit)
    decimals = f"{rest * 1000 // unit:03d}".rstrip("0")
    return f"{whole}.{decimals}" if decimals else str(whole)


def _int64(value: Fraction, text: object) -> int:
    rounded = math.ceil(value) if value >= 0 else math.floor(value)
    if not -INT64_MAX - 1 <= rounded <= INT64_MAX:
        raise InputError("", found=text, expected="a quantity that fits a 64-bit integer")
    return rounded


def _not_a_quantity(found: object) -> InputError:
    return InputError("", found=found, expected="a quantity such as 500m, 1.5, 2Gi or 1e3")


def _not_a_duration(found: object) -> InputError:
    return InputError("", found=found, expected="a duration >= 0 such as 250ms, 1.5s or 1h30m")
