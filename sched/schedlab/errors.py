"""The errors that a user can cause: each says where, what was found and what was expected.

The command line prints them without a traceback and exits with code 2. Everything else that is
raised is a defect of schedlab. One class with fields was chosen over a tree of subclasses: callers
need the fields, never the type.
"""

from __future__ import annotations

from pathlib import Path


class InputError(ValueError):
    """Input that can't be used.

    Parameters
    ----------
    field : str
        Path of the offending field, as ``pools[2].count``; empty when the whole input is meant.
    found : object
        What stands there.
    expected : str
        What would be accepted.
    file : str or Path, optional
        The file that holds the field.
    hint : str, optional
        One more sentence for the user, as the nearest valid key.
    """

    def __init__(
        self,
        field: str,
        *,
        found: object,
        expected: str,
        file: str | Path | None = None,
        hint: str = "",
    ) -> None:
        self.field = field
        self.found = found
        self.expected = expected
        self.file = None if file is None else str(file)
        self.hint = hint
        super().__init__(str(self))

    def __reduce__(self) -> tuple[object, ...]:
        """Let the error travel between processes with all its fields."""
        return _rebuilt, (self.field, self.found, self.expected, self.file, self.hint)

    def __str__(self) -> str:
        where = ": ".join(part for part in (self.file, self.field) if part)
        text = f"expected {self.expected}, found {_shown(self.found)}"
        if where:
            text = f"{where}: {text}"
        return f"{text} ({self.hint})" if self.hint else text

    def in_file(self, file: str | Path) -> InputError:
        """Return the same error, saying that it stands in *file* (kept when one is set)."""
        return InputError(
            self.field,
            found=self.found,
            expected=self.expected,
            file=self.file or file,
            hint=self.hint,
        )

    def under(self, prefix: str) -> InputError:
        """Return the same error with its field below *prefix*."""
        joint = "" if not self.field or self.field.startswith("[") else "."
        return InputError(
            f"{prefix}{joint}{self.field}",
            found=self.found,
            expected=self.expected,
            file=self.file,
            hint=self.hint,
        )


def _rebuilt(field: str, found: object, expected: str, file: str | None, hint: str) -> InputError:
    return InputError(field, found=found, expected=expected, file=file, hint=hint)


def _shown(found: object) -> str:
    if isinstance(found, str) and found.startswith("<") and found.endswith(">"):
        return found[1:-1]  # "<nothing>" is a description, not a value
    text = repr(found)
    return text if len(text) <= 80 else text[:77] + "..."
