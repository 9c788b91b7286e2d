"""YAML and JSON text to plain Python values, safely and with Kubernetes' reading of scalars.

Kubernetes turns YAML into JSON, so a document here is made of dict, list, str, int, float, bool
and None, and mapping keys are strings. Scalars resolve as in go-yaml v2, which sigs.k8s.io/yaml
uses: ``yes``, ``on`` and ``y`` are true, ``0o17`` and ``017`` are 15, ``1e3`` is 1000, dates and
``1:30`` stay strings. Keys are the exception: they are the text that is written, so that ``n: 3``
isn't the key "false" (Kubernetes makes it one, and every such manifest is an accident). Tags are
never executed. What a file can be used to attack with is refused
with the line where it stands: duplicate keys, aliases that contain themselves or expand to more
than `MAX_EXPANDED` values, nesting beyond `MAX_DEPTH`, one scalar beyond `MAX_SCALAR` characters, a
text beyond `MAX_TEXT`, and numbers that are not finite.

The values are built from libyaml's events with an explicit stack. PyYAML's constructors were
rejected: they keep the last of duplicate keys, recurse in C, and expand aliases without a limit.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import yaml

from schedlab.errors import InputError

MAX_TEXT: Final = 256 * 2**20
"""Characters in one text; a dump of 5,000 nodes and 50,000 pods fits."""

MAX_SCALAR: Final = 2**20
"""Characters in one scalar; etcd refuses objects beyond 1.5 MiB."""

MAX_EXPANDED: Final = 1_000_000
"""Values that all aliases of one text may stand for together."""

MAX_DEPTH: Final = 100
"""Levels of nesting."""

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG: Final = "tag:yaml.org,2002:"
_INTEGER = re.compile(
    r"([-+]?)(?:0b([01_]+)|0x([0-9a-fA-F_]+)|0o?([0-7_]+)|([0-9][0-9_]*))", re.ASCII
)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_WORDS: Final[dict[str, bool | None]] = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "on", "On", "ON"), True),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "off", "Off", "OFF"), False),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
}
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


class _Merge:
    """The key ``<<``."""


_MERGE: Final = _Merge()
_NO_KEY: Final = object()


@dataclass(slots=True)
class _Frame:
    """A collection that is being built."""

    value: dict[str, Any] | list[Any]
    anchor: str | None
    line: int
    size: int = 1  # values in it, aliases expanded
    key: object = _NO_KEY
    merged: list[dict[str, Any]] = field(default_factory=list)


def load_documents(text: str, file: str = "") -> list[tuple[Any, int]]:
    """Return the documents of a YAML stream or a JSON text.

    Parameters
    ----------
    text : str
        The text. One that starts with ``{`` or ``[`` and is JSON is read as such, fast.
    file : str, default ""
        Name for error messages.

    Returns
    -------
    list of (object, int)
        Each document that isn't empty, with the line (from 1) where it starts. Parts that stand
        under several aliases are shared: treat them as read-only.

    Raises
    ------
    InputError
        With the file and line, for anything that the module's docstring refuses.
    """
    if len(text) > MAX_TEXT:
        raise InputError(
            "",
            found=f"<{len(text)} characters>",
            expected=f"at most {MAX_TEXT} characters",
            file=file or None,
        )
    try:
        if text.lstrip("\ufeff \t\r\n")[:1] in ("{", "["):
            document = _load_json(text.lstrip("\ufeff"))
            if document is not _NOT_JSON:
                return [(document, 1)]
        return _Builder().build(text)
    except InputError as error:
        raise error.in_file(file) if file else error from None


_NOT_JSON: Final = object()


def _load_json(text: str) -> Any:
    """Return the value of a JSON text, or `_NOT_JSON` (it may still be YAML)."""
    try:
        value = json.loads(
            text,
            object_pairs_hook=_json_object,
            parse_constant=_refuse_constant,
            parse_float=_json_float,
        )
        _check_depth(value)
        return value
    except InputError:
        if len(text) < MAX_SCALAR:
            _Builder().build(text)  # raises the same, with the line, for most of them
        raise
    except RecursionError:
        raise _too_deep("") from None
    except ValueError:
        return _NOT_JSON


def _check_depth(value: Any) -> None:
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise _too_deep("")
        level = [
            inner
            for outer in level
            for inner in (outer.values() if type(outer) is dict else outer)
            if type(inner) in (dict, list)
        ]


def _json_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise InputError("", found=f"<{twice!r} twice>", expected="unique keys")
    for key, value in pairs:
        if type(value) is str and len(value) > MAX_SCALAR:
            raise InputError(key, found=f"<{len(value)} characters>", expected=_SCALAR_LIMIT)
    return found


_SCALAR_LIMIT: Final = f"at most {MAX_SCALAR} characters in one value"


def _refuse_constant(name: str) -> float:
    raise InputError("", found=f"<{name}>", expected="a finite number")


def _json_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise InputError("", found=f"<{text[:40]}>", expected="a finite number")
    return value


class _Builder:
    """Builds the values of one stream from its events."""

    def __init__(self) -> None:
        self.documents: list[tuple[Any, int]] = []
        self.stack: list[_Frame] = []
        self.anchors: dict[str, tuple[Any, int]] = {}
        self.expanded = 0

    def build(self, text: str) -> list[tuple[Any, int]]:
        try:
            for event in yaml.parse(text, Loader=_LOADER):
                self._take(event)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            where = _at(mark.line + 1) if mark is not None else ""
            problem = " ".join(part for part in (error.context, error.problem) if part)
            raise InputError(where, found=f"<{problem}>", expected="valid YAML") from None
        except yaml.YAMLError as error:
            found = " ".join(str(error).split())
            raise InputError("", found=f"<{found}>", expected="valid YAML") from None
        except UnicodeError:
            raise InputError(
                "", found="<a lone surrogate>", expected="valid Unicode text"
            ) from None
        return self.documents

    def _take(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.ScalarEvent):
            self._put(self._scalar(event), 1, event)
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            self._open(event)
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self._close(event)
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event)
        elif isinstance(event, yaml.DocumentStartEvent):
            self.anchors.clear()

    def _scalar(self, event: yaml.ScalarEvent) -> Any:
        text, tag, line = event.value, event.tag, _line(event)
        if len(text) > MAX_SCALAR:
            raise InputError(_at(line), found=f"<{len(text)} characters>", expected=_SCALAR_LIMIT)
        plain = event.style is None or event.style == ""
        value: Any = text
        if tag is None:
            if plain and self._expects_key():
                value = _MERGE if text == "<<" else text
            elif plain:
                value = _resolve_at(text, line)
        elif tag not in ("!", _TAG + "str"):
            value = _tagged(tag, text, line)
        if event.anchor:
            self.anchors[event.anchor] = (value, 1)
        return value

    def _open(self, event: yaml.MappingStartEvent | yaml.SequenceStartEvent) -> None:
        line = _line(event)
        mapping = isinstance(event, yaml.MappingStartEvent)
        if event.tag not in (None, "!", _TAG + ("map" if mapping else "seq")):
            raise _bad_tag(event.tag, line)
        if self._expects_key():
            kind = "mapping" if mapping else "list"
            raise InputError(_at(line), found=f"<a {kind} as key>", expected="a string as key")
        if len(self.stack) >= MAX_DEPTH:
            raise _too_deep(_at(line))
        self.stack.append(_Frame({} if mapping else [], event.anchor, line))
        if event.anchor:
            self.anchors.pop(event.anchor, None)  # until it is complete it can't be used

    def _close(self, event: yaml.Event) -> None:
        frame = self.stack.pop()
        if isinstance(frame.value, dict):
            for other in frame.merged:
                for key, value in other.items():
                    frame.value.setdefault(key, value)
        if frame.anchor:
            self.anchors[frame.anchor] = (frame.value, frame.size)
        self._put(frame.value, frame.size, event, frame.line)

    def _alias(self, event: yaml.AliasEvent) -> None:
        line = _line(event)
        name = str(event.anchor)
        if name not in self.anchors:
            inside = any(frame.anchor == name for frame in self.stack)
            found = f"<*{name} inside itself>" if inside else f"<*{name}, which is not defined>"
            raise InputError(_at(line), found=found, expected="an alias of an earlier value")
        value, size = self.anchors[name]
        self.expanded += size
        if self.expanded > MAX_EXPANDED:
            raise InputError(
                _at(line),
                found=f"<aliases that stand for over {MAX_EXPANDED} values>",
                expected="less (is it an alias bomb?)",
            )
        self._put(value, size, event)

    def _expects_key(self) -> bool:
        if not self.stack:
            return False
        frame = self.stack[-1]
        return isinstance(frame.value, dict) and frame.key is _NO_KEY

    def _put(self, value: Any, size: int, event: yaml.Event, line: int = 0) -> None:
        """Put a complete value where it belongs."""
        if not self.stack:
            if value is not None:
                self.documents.append((value, line or _line(event)))
            return
        frame = self.stack[-1]
        frame.size += size
        container = frame.value
        if isinstance(container, list):
            container.append(value)
        elif frame.key is _NO_KEY:
            if not isinstance(value, str | _Merge):
                raise InputError(_at(_line(event)), found=value, expected="a string as key")
            if value in container:
                raise InputError(
                    _at(_line(event)),
                    found=f"<{value!r} twice>",
                    expected="unique keys",
                )
            frame.key = value
        else:
            if frame.key is _MERGE:
                frame.merged.extend(_merged(value, _line(event)))
            else:
                container[str(frame.key)] = value
            frame.key = _NO_KEY


def _merged(value: Any, line: int) -> list[dict[str, Any]]:
    parts = value if isinstance(value, list) else [value]
    if not all(isinstance(part, dict) for part in parts):
        raise InputError(_at(line), found="<something else>", expected="mappings to merge with <<")
    return parts


def _tagged(tag: str, text: str, line: int) -> Any:
    """Return the value of a scalar with an explicit tag of YAML itself."""
    wanted: dict[str, tuple[type, ...]] = {
        f"{_TAG}int": (int,),
        f"{_TAG}float": (float, int),
        f"{_TAG}bool": (bool,),
        f"{_TAG}null": (type(None),),
    }
    if tag not in wanted:
        raise _bad_tag(tag, line)
    value = _resolve_at(text, line)
    if not isinstance(value, wanted[tag]) or (isinstance(value, bool) and tag != f"{_TAG}bool"):
        raise InputError(_at(line), found=text, expected=f"a value of type {tag[len(_TAG) :]}")
    return value


def _resolve_at(text: str, line: int) -> Any:
    try:
        return _resolve(text)
    except InputError as error:
        raise error.under(_at(line)) from None


@lru_cache(maxsize=65536)
def _resolve(text: str) -> Any:
    """Return the value of a plain scalar."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789":
        return text
    if _NOT_FINITE.fullmatch(text):
        raise InputError("", found=f"<{text}>", expected="a finite number")
    match = _INTEGER.fullmatch(text) if len(text) < 100 else None
    if match is not None and (number := _integer(match)) is not None:
        return number
    plain = text.replace("_", "")
    if _FLOAT.fullmatch(plain):
        value = float(plain)
        if not math.isfinite(value):
            raise InputError("", found=f"<{text[:40]}>", expected="a finite number")
        return int(value) if value.is_integer() and abs(value) < 2**63 else value
    return text


def _integer(match: re.Match[str]) -> int | None:
    """Return the integer of a match of `_INTEGER`, None when it is too large for 64 bits."""
    sign, binary, hexadecimal, octal, decimal = match.groups()
    for digits, base in ((binary, 2), (hexadecimal, 16), (octal, 8), (decimal, 10)):
        if digits is not None:
            digits = digits.replace("_", "")
            if not digits or (base == 10 and digits[0] == "0" and len(digits) > 1):
                return None  # 08 is no octal number: go-yaml reads a float
            number = int(digits, base)
            return (-number if sign == "-" else number) if number < 2**64 else None
    return None


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark is not None else 0


def _at(line: int) -> str:
    return f"line {line}"


def _bad_tag(tag: str, line: int) -> InputError:
    return InputError(_at(line), found=tag, expected="plain YAML without tags")


def _too_deep(where: str) -> InputError:
    return InputError(
        where, found="<deeper nesting>", expected=f"at most {MAX_DEPTH} levels of nesting"
    )
