"""What every API object is built on: frozen models that know Kubernetes' rules of JSON.

A model has snake_case attributes and camelCase keys. A key that is null counts as absent, as in
Kubernetes. A key that Kubernetes knows, but that can't change what schedlab simulates, stands in
`schedlab.api.known_fields.HARMLESS` and is dropped; any other key is an error. ``None`` means
absent where Kubernetes has a pointer; where its zero value means absent (strings, lists, maps,
plain booleans) so it does here. Resource lists hold ints (`schedlab.units.amount`) and read
quantities; wrap ints that are amounts already in `Amounts`, otherwise 2 means two cores.

Extra fields of type ``Any`` for everything harmless were rejected: they double the memory of a
container and blur what is modelled.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    model_validator,
)
from pydantic.alias_generators import to_camel

from schedlab.api.known_fields import HARMLESS
from schedlab.errors import InputError
from schedlab.units import amount, format_quantity, parse_quantity

INT32_MAX = 2**31 - 1


class ModelWarning(UserWarning):
    """Input that Kubernetes would act on and schedlab doesn't, where no decision depends on it."""


class ApiModel(BaseModel):
    """Base of all parts of API objects."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_alias=True,
        validate_by_name=True,
    )

    harmless: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Look up the keys that this type drops."""
        cls.harmless = HARMLESS.get(cls.__name__, frozenset())

    @model_validator(mode="before")
    @classmethod
    def _drop_absent(cls, data: Any) -> Any:
        """Drop nulls and harmless keys."""
        if isinstance(data, dict) and (None in data.values() or not cls.harmless.isdisjoint(data)):
            harmless = cls.harmless
            return {k: v for k, v in data.items() if v is not None and k not in harmless}
        return data


class Amounts(dict[str, int]):
    """Resource amounts that are canonical already: milli-cores, bytes, counts.

    A resource field of a model takes it as it is, where any other mapping is read as quantities.

    >>> Amounts(cpu=500)["cpu"]
    500
    """


_ROUNDED = ("cpu", "memory", "ephemeral-storage", "storage")


def _amounts(value: object) -> Amounts:
    if isinstance(value, Amounts):
        return value
    if not isinstance(value, Mapping):
        raise InputError("", found=value, expected="a mapping of resource names to quantities")
    return Amounts({name: _amount(name, text) for name, text in value.items()})


def _amount(name: object, text: Any) -> int:
    field = step(name).removeprefix(".")
    if not isinstance(name, str) or not _QUALIFIED_NAME.fullmatch(name):
        raise InputError(field, found=name, expected="a resource name, as cpu or nvidia.com/gpu")
    try:
        value = amount(name, text)
        whole = name in _ROUNDED or name.startswith("hugepages-")
        if value < 0:
            raise InputError("", found=text, expected="a quantity >= 0")
        if not whole and parse_quantity(text).denominator != 1:
            raise InputError("", found=text, expected="an integer: this resource can't be split")
    except InputError as error:
        raise error.under(field) from None
    return value


def _quantities(value: Mapping[str, int]) -> dict[str, str]:
    return {name: format_quantity(name, number) for name, number in value.items()}


def _storage_quantity(value: object) -> object:
    if isinstance(value, str | float) and not isinstance(value, bool):
        return amount("storage", value)
    return value


def _int_or_percent(value: object) -> object:
    if isinstance(value, str):
        good = re.fullmatch(r"[0-9]{1,9}%", value) is not None
    else:
        good = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= INT32_MAX
    if not good:
        raise InputError("", found=value, expected="an integer >= 0 or a percentage as 25%")
    return value


def _port_or_name(value: object) -> object:
    good = isinstance(value, str) and 0 < len(value) <= 15
    if not good and (isinstance(value, bool | str) or value not in range(65536)):
        raise InputError("", found=value, expected="a port number or a port's name")
    return value


NAME = r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*)?$"
LABEL_KEY = (
    r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?"
    r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
)
LABEL_VALUE = r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$"
_QUALIFIED_NAME = re.compile(LABEL_KEY)

PATTERN_PHRASES: dict[str, str] = {
    NAME: "a name of lower-case letters, digits, '-' and '.'",
    LABEL_KEY: "a label key such as app or example.com/app",
    LABEL_VALUE: "a label value: up to 63 letters, digits, '-', '_' and '.'",
}
"""What the patterns above mean, for error messages."""

Name = Annotated[str, Field(pattern=NAME, max_length=253)]
LabelKey = Annotated[str, Field(pattern=LABEL_KEY)]
LabelValue = Annotated[str, Field(pattern=LABEL_VALUE)]
Labels = Mapping[LabelKey, LabelValue]
Bool = Annotated[bool, Field(strict=True)]
Int32 = Annotated[int, Field(strict=True, ge=-INT32_MAX - 1, le=INT32_MAX)]
Count = Annotated[int, Field(strict=True, ge=0, le=INT32_MAX)]
Int64 = Annotated[int, Field(strict=True, ge=-(2**63), le=2**63 - 1)]
Seconds = Annotated[int, Field(strict=True, ge=0, le=2**63 - 1)]
Port = Annotated[int, Field(strict=True, ge=1, le=65535)]
PortOrName = Annotated[int | str, BeforeValidator(_port_or_name)]
IntOrPercent = Annotated[int | str, BeforeValidator(_int_or_percent)]
Bytes = Annotated[
    int,
    BeforeValidator(_storage_quantity),
    PlainSerializer(lambda value: format_quantity("storage", value)),
]
ResourceList = Annotated[Mapping[str, int], PlainValidator(_amounts), PlainSerializer(_quantities)]
Raw = Mapping[str, Any]
"""A part that is kept as it was read."""


def step(key: object) -> str:
    """Return *key* as one more step of a field path.

    >>> step("cpu"), step("nvidia.com/gpu"), step(3)
    ('.cpu', "['nvidia.com/gpu']", '[3]')
    """
    if isinstance(key, int):
        return f"[{key}]"
    text = str(key)
    return f".{text}" if text.replace("-", "_").isidentifier() else f"[{text!r}]"
