"""The annotations by which a manifest tells what only a simulation needs to know.

``schedlab.io/duration``: how long a pod runs after its start, a duration (``90s``) or a
distribution in flow form (``{"lognormal": {"median": "60s", "sigma": 1.2}}``), drawn per replica.
``schedlab.io/estimated-duration``: the duration that schedulers are told.
``schedlab.io/submit-at`` and ``schedlab.io/delete-at``: when a client creates and deletes the
object, since the start of the run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from schedlab.api.yaml_loader import load_documents
from schedlab.errors import InputError
from schedlab.sim.distributions import Constant, Distribution, Empirical, parse_distribution
from schedlab.units import SECOND, parse_duration_us
from schedlab.workload.stream import DURATION_ANNOTATION, ESTIMATE_ANNOTATION

SUBMIT_ANNOTATION: Final = "schedlab.io/submit-at"
DELETE_ANNOTATION: Final = "schedlab.io/delete-at"
MAX_INLINE: Final = 4096
"""Values of an empirical distribution that fit an annotation."""


def pod_duration(annotations: Mapping[str, str]) -> Distribution | None:
    """Return how long a pod with these annotations runs; None = until deleted.

    Raises
    ------
    InputError
        The annotation is neither a duration nor a distribution.
    """
    text = annotations.get(DURATION_ANNOTATION)
    if text is None:
        return None
    field = _field(DURATION_ANNOTATION)
    if not text.lstrip().startswith("{"):
        return Constant(_duration(text, field))
    try:
        value = load_documents(text)[0][0]
    except InputError as error:
        raise InputError(field, found=text, expected=error.expected) from None
    if "empirical" in value and not isinstance(value["empirical"], list):
        raise InputError(field, found=text, expected="the values themselves, not a file")
    return parse_distribution(value, field=field)


def pod_estimate_us(annotations: Mapping[str, str]) -> int:
    """Return the estimated duration in microseconds, -1 where there is none."""
    return _optional(annotations, ESTIMATE_ANNOTATION, absent=-1)


def submit_time_us(annotations: Mapping[str, str]) -> int:
    """Return when the object is created, microseconds; 0 where nothing is said."""
    return _optional(annotations, SUBMIT_ANNOTATION, absent=0)


def delete_time_us(annotations: Mapping[str, str]) -> int:
    """Return when the client deletes the object, microseconds; -1 = never.

    Raises
    ------
    InputError
        It is deleted before it is created.
    """
    time_us = _optional(annotations, DELETE_ANNOTATION, absent=-1)
    if 0 <= time_us < submit_time_us(annotations):
        raise InputError(
            _field(DELETE_ANNOTATION),
            found=annotations[DELETE_ANNOTATION],
            expected=f"a time at or after {SUBMIT_ANNOTATION}",
        )
    return time_us


def _optional(annotations: Mapping[str, str], name: str, *, absent: int) -> int:
    text = annotations.get(name)
    return absent if text is None else _duration(text, _field(name))


def _field(name: str) -> str:
    return f"annotations[{name!r}]"


def _duration(text: str, field: str) -> int:
    try:
        return parse_duration_us(text)
    except InputError as error:
        raise InputError(field, found=error.found, expected=error.expected) from None


def duration_text(us: int) -> str:
    """Return the exact text of a duration for an annotation.

    >>> duration_text(90_000_000), duration_text(1_500)
    ('90s', '1500us')
    """
    return f"{us}us" if us % SECOND else f"{us // SECOND}s"


def duration_annotation(value: Any, *, field: str, base: Path | None = None) -> str:
    """Return the annotation for a duration or distribution of a spec, self-contained.

    Raises
    ------
    InputError
        It is no distribution, or can't be drawn per pod by the control plane.
    """
    if isinstance(value, Mapping):
        own = [key for key in ("step", "min", "max", "choices") if key in value]
        if own:
            raise InputError(
                f"{field}.{own[0]}",
                found=value[own[0]],
                expected="a plain distribution",
                hint="each pod of a controller draws its own duration; on a Job, duration_per: job "
                "lifts this limit",
            )
    distribution = parse_distribution(value, field=field, base=base)
    if isinstance(distribution, Constant):
        return duration_text(distribution.value)
    if isinstance(distribution, Empirical):
        if len(distribution.values) > MAX_INLINE:
            raise InputError(
                field,
                found=f"{len(distribution.values)} values",
                expected=f"at most {MAX_INLINE} values per Job or Deployment",
            )
        value = {"empirical": [duration_text(us) for us in distribution.values]}
    return json.dumps(value, separators=(",", ":"))
