"""The base of all specs: frozen models whose errors name the field and the nearest valid key.

Durations and rates are read from text and written back as text, so that a spec that was dumped
and read again is the same spec. Quantities and distributions stay as they were written and are
parsed where they are used, because a file that they name is relative to the file of the spec.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from schedlab.errors import InputError
from schedlab.units import DAY, HOUR, MINUTE, SECOND, parse_duration_us

_RATE = re.compile(r"\s*([0-9.]+(?:[eE][+-]?[0-9]{1,2})?)\s*(?:/|per)\s*([a-z]+)\s*")
_PER = {
    **dict.fromkeys(("s", "sec", "second"), SECOND),
    **dict.fromkeys(("m", "min", "minute"), MINUTE),
    **dict.fromkeys(("h", "hour"), HOUR),
    **dict.fromkeys(("d", "day"), DAY),
}


class Spec(BaseModel):
    """Base of all parts of a spec."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, data: Any) -> Any:
        """Refuse unknown keys, naming the nearest valid one."""
        if isinstance(data, Mapping):
            for key in data:
                if key not in cls.model_fields:
                    raise unknown_key(key, list(cls.model_fields))
        return data


def unknown_key(key: object, valid: list[str], *, file: str | Path | None = None) -> InputError:
    """Return the error for a key that isn't one of *valid*."""
    near = difflib.get_close_matches(str(key), valid, n=1, cutoff=0.5)
    return InputError(
        "",
        found=key,
        expected=f"one of {', '.join(valid)}",
        file=file,
        hint=f"nearest valid key: {near[0]}" if near else "",
    )


def parse_rate(value: Any) -> float:
    """Return a rate in events per second; a bare number is per second.

    >>> parse_rate("90/min"), parse_rate("1800 per hour"), parse_rate(0.25)
    (1.5, 0.5, 0.25)
    """
    rate = math.nan
    if isinstance(value, int | float) and not isinstance(value, bool):
        rate = float(value)
    elif isinstance(value, str) and (match := _RATE.fullmatch(value)) and match[2] in _PER:
        try:
            rate = float(match[1]) * SECOND / _PER[match[2]]
        except ValueError:  # as in "1.2.3/s"
            rate = math.nan
    if not 0 <= rate < math.inf:
        raise InputError("", found=value, expected="a rate >= 0 such as 7/s, 90/min or 420/h")
    return rate


def _duration_text(us: int) -> str:
    return f"{us}us" if us % SECOND else f"{us // SECOND}s"


_TEXT_OR_NUMBER = {"type": ["string", "number"]}
DurationUs = Annotated[
    int,
    BeforeValidator(parse_duration_us),
    PlainSerializer(_duration_text),
    WithJsonSchema({**_TEXT_OR_NUMBER, "examples": ["10m", "1h30m"]}),
]
"""A duration: ``250ms``, ``10m``, ``1h30m``, or a number of seconds; microseconds inside."""
Rate = Annotated[
    float,
    BeforeValidator(parse_rate),
    PlainSerializer(lambda rate: f"{rate!r}/s"),
    WithJsonSchema({**_TEXT_OR_NUMBER, "examples": ["7/s", "420/h"]}),
]
"""Events per time: ``7/s``, ``90/min``, ``420/h``, or a number per second; per second inside."""
Positive = Annotated[int, Field(strict=True, ge=1)]
NonNegative = Annotated[int, Field(strict=True, ge=0)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,50}[a-z0-9])?$")]
"""Lower-case letters, digits and '-', at most 52 characters, so that ordinals still fit."""
DistributionSpec = Annotated[
    Any,
    WithJsonSchema(
        {
            "type": ["string", "number", "object"],
            "examples": ["10m", {"lognormal": {"median": "60s", "sigma": 1.2}}],
        }
    ),
]
"""A distribution as `schedlab.sim.distributions.parse_distribution` reads it."""

M = TypeVar("M", bound=BaseModel)


def validated(model: type[M], data: Any, *, file: str | Path | None = None) -> M:
    """Return *data* as a *model*; what doesn't fit is an `InputError` that names the field."""
    try:
        return model.model_validate(data)
    except ValidationError as failure:
        raise input_error(failure, data, file=file) from None


def input_error(
    failure: ValidationError, data: Any, *, file: str | Path | None = None
) -> InputError:
    """Return the first error that pydantic found in *data* as an `InputError`.

    A union reports one error per alternative; the one that reaches deepest is meant.
    """
    found = [
        (_field_path(error["loc"], data, missing=error["type"] == "missing"), error)
        for error in failure.errors(include_url=False)
    ]
    start = found[0][0]
    field, first = max(
        (entry for entry in found if entry[0].startswith(start)), key=lambda entry: len(entry[0])
    )
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, InputError):
        error = cause.under(field) if field else cause
        if not cause.field and field:  # `under` would leave a trailing dot
            error = InputError(
                field, found=cause.found, expected=cause.expected, file=cause.file, hint=cause.hint
            )
        return error.in_file(file) if file is not None else error
    if first["type"] == "missing":
        return InputError(field, found="<nothing>", expected="a value: it is required", file=file)
    expected = first["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    return InputError(field, found=first["input"], expected=expected, file=file)


def _field_path(loc: tuple[int | str, ...], data: Any, *, missing: bool) -> str:
    """Return the path of a field without the tags that pydantic adds for unions."""
    path, here = "", data
    for i, step in enumerate(loc):
        if isinstance(step, int) and isinstance(here, list | tuple) and step < len(here):
            path, here = f"{path}[{step}]", here[step]
        elif isinstance(here, Mapping) and step in here:
            path, here = f"{path}.{step}" if path else str(step), here[step]
        elif missing and i == len(loc) - 1:
            path = f"{path}.{step}" if path else str(step)
    return path
