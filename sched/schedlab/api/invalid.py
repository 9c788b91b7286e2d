"""From pydantic's errors to ours: camelCase path, what was found, what would do, nearest key."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from schedlab.api.base import PATTERN_PHRASES, ApiModel, step
from schedlab.errors import InputError

_PHRASES: Mapping[str, str] = {
    "missing": "a value",
    "string_type": "a string (quote it if it is one)",
    "bool_type": "true or false",
    "int_type": "an integer",
    "mapping_type": "a mapping",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "tuple_type": "a list",
    "literal_error": "{expected}",
    "greater_than_equal": "a number >= {ge}",
    "less_than_equal": "a number <= {le}",
    "string_too_long": "at most {max_length} characters",
}
"""pydantic's error type -> what was expected, with fields of the error's context."""


def input_error(error: ValidationError, model: type[ApiModel]) -> InputError:
    """Return the first thing that is wrong, unknown keys before all else.

    An unknown key is often the reason for what follows, such as a required field that is missing.

    Parameters
    ----------
    error : ValidationError
        What pydantic said.
    model : type of ApiModel
        What was being validated.
    """
    details = _causes(error.errors(include_url=False))
    first = next((d for d in details if d["type"] == "extra_forbidden"), details[0])
    made = _unknown_key(first, model) if first["type"] == "extra_forbidden" else _wrong(first)
    more = len(details) - 1
    if more:
        hint = "; ".join(part for part in (made.hint, f"{more} more after this") if part)
        made = InputError(made.field, found=made.found, expected=made.expected, hint=hint)
    return made


def _causes(details: list[ErrorDetails]) -> list[ErrorDetails]:
    """Return the errors without those that follow from one below them (a list without entries)."""
    places = [d["loc"] for d in details]
    return [
        d
        for d in details
        if not any(len(p) > len(d["loc"]) and p[: len(d["loc"])] == d["loc"] for p in places)
    ]


def nearest(key: str, known: Iterator[str] | list[str] | tuple[str, ...]) -> str:
    """Return a hint that names the key of *known* that is nearest to *key*, or an empty string."""
    known = list(known)
    folded = {_fold(name): name for name in known}
    found = folded.get(_fold(key))
    if found is None:
        close = difflib.get_close_matches(key, known, n=1) or [
            folded[name] for name in difflib.get_close_matches(_fold(key), list(folded), n=1)
        ]
        found = close[0] if close else None
    return f"did you mean {found!r}?" if found else ""


def _fold(key: str) -> str:
    return re.sub(r"[-_.\s]", "", key).lower()


def known_keys(model: type[ApiModel]) -> list[str]:
    """Return the keys that *model* accepts, as they are written."""
    return sorted({*field_names(model), *model.harmless})


def field_names(model: type[ApiModel]) -> dict[str, str]:
    """Return the key of each field -> its attribute."""
    return {info.alias or name: name for name, info in model.model_fields.items()}


def _unknown_key(detail: ErrorDetails, model: type[ApiModel]) -> InputError:
    *parents, key = detail["loc"]
    owner = _model_at(model, parents)
    what = "a known field" if owner is None else f"a field of {owner.__name__}"
    keys = [] if owner is None else known_keys(owner)
    if owner is model:
        keys = [*keys, "apiVersion", "kind"]
    return InputError(_path(detail["loc"]), found=key, expected=what, hint=nearest(str(key), keys))


def _wrong(detail: ErrorDetails) -> InputError:
    path, kind = _path(detail["loc"]), detail["type"]
    context = detail.get("ctx", {})
    cause = context.get("error")
    if isinstance(cause, InputError):
        return cause.under(path) if path else cause
    found: object = "<nothing>" if kind == "missing" else detail["input"]
    if kind == "string_pattern_mismatch":
        return InputError(path, found=found, expected=PATTERN_PHRASES[context["pattern"]])
    if kind == "too_short":
        return InputError(path, found="<an empty list>", expected="at least one entry")
    if kind in _PHRASES:
        return InputError(path, found=found, expected=_PHRASES[kind].format(**context))
    return InputError(path, found=found, expected=detail["msg"])


def _path(location: tuple[int | str, ...]) -> str:
    """Return a location as text: ``spec.containers[0].resources``."""
    return "".join(step(part) for part in location if part != "[key]").removeprefix(".")


def _model_at(model: type[ApiModel], location: list[int | str]) -> type[ApiModel] | None:
    """Return the model that stands at *location* below *model*, None when there is none."""
    current: type[ApiModel] | None = model
    for part in location:
        if isinstance(part, int):
            continue
        name = field_names(current).get(part) if current is not None else None
        if current is None or name is None:
            return None
        current = next(models_in(current.model_fields[name].annotation), None)
    return current


def models_in(annotation: Any) -> Iterator[type[ApiModel]]:
    """Yield the models that a field's type is made of."""
    if isinstance(annotation, type) and issubclass(annotation, ApiModel):
        yield annotation
    for argument in get_args(annotation):
        yield from models_in(argument)
