"""A model: weights in a plain ``.npz``, and a JSON card that says where they come from.

A value is linear in the features, with weights for each kind of pod, plus a hidden layer of tanh
units where there is one. The files are read without pickle; what doesn't fit is an error that says
what was found and what was expected. A format with a library's own objects (pickle, joblib) was
rejected: it runs code when it is read, and ties the weights to the library's version.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from schedlab.api.invalid import nearest
from schedlab.errors import InputError
from schedlab.scheduling.learned.features import KINDS, NAMES

VERSION: Final = 1
"""Of the format; a file of another one is refused."""
ARRAYS: Final = ("linear", "hidden", "bias", "top", "levels")
Weights = tuple[
    NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], float
]


@dataclass(frozen=True, eq=False)
class Model:
    """A value for placing a pod, as a function of `features.FEATURES`.

    Attributes
    ----------
    linear : float64 array of shape [4, F]
        Weights of the features by kind of pod (`features.KINDS`).
    hidden : float64 array of shape [H, F]
        Weights of the hidden units; H may be 0.
    bias : float64 array of shape [4, H]
        Their bias by kind of pod.
    top : float64 array of shape [H]
        What each hidden unit adds.
    levels : float
        Values are rounded down to steps of 1 / *levels*: what lies closer is a tie.
    card : mapping
        Where the weights come from: command, data, seeds, commit, metrics.
    """

    linear: NDArray[np.float64]
    hidden: NDArray[np.float64]
    bias: NDArray[np.float64]
    top: NDArray[np.float64]
    levels: float
    card: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        weights: Mapping[str, float],
        levels: float = 1e6,
        kinds: Mapping[str, Mapping[str, float]] | None = None,
    ) -> Model:
        """Return a linear model from the weights of some features, the same for all kinds.

        Parameters
        ----------
        weights : mapping of str to float
            By name of the feature.
        levels : float
            See the class.
        kinds : mapping of str to mapping, optional
            What kinds of pods add to that.

        Examples
        --------
        >>> Model.of({"usable": 1.0}, levels=25).linear.sum()
        4.0
        """
        linear = np.zeros((len(KINDS), len(NAMES)))
        for name, weight in weights.items():
            linear[:, _index(name, NAMES, "feature")] = weight
        for kind, own in (kinds or {}).items():
            row = _index(kind, KINDS, "kind")
            for name, weight in own.items():
                linear[row, _index(name, NAMES, "feature")] += weight
        return cls.linear_of(linear, levels)

    @classmethod
    def linear_of(cls, linear: NDArray[np.float64], levels: float = 1e6) -> Model:
        """Return a model without hidden units."""
        features = linear.shape[1]
        return cls(
            np.ascontiguousarray(linear, np.float64),
            np.zeros((0, features)),
            np.zeros((len(KINDS), 0)),
            np.zeros(0),
            levels,
        )

    @property
    def weights(self) -> Weights:
        """The arrays in the order that the kernels take."""
        return (self.linear, self.hidden, self.bias, self.top, float(self.levels))

    def save(self, path: Path) -> None:
        """Write ``path.npz`` and ``path.json``, the card, which has the checksum of the weights."""
        arrays = {**{name: getattr(self, name) for name in ARRAYS[:4]}, "levels": self.levels}
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)
        content = buffer.getvalue()
        card = {
            **self.card,
            "version": VERSION,
            "features": list(NAMES),
            "kinds": list(KINDS),
            "weights": path.with_suffix(".npz").name,
            "sha256": hashlib.sha256(content).hexdigest(),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".npz").write_bytes(content)
        text = json.dumps(card, indent=2, ensure_ascii=False)
        path.with_suffix(".json").write_text(text + "\n", encoding="utf-8")


def load_model(name: str | Path) -> Model:
    """Read a model.

    Parameters
    ----------
    name : str or Path
        The path of its ``.npz`` or of its card, or the name of one that comes with the package.

    Raises
    ------
    InputError
        There is no such file, or it isn't a model of this version with these features.
    """
    path = Path(name)
    if path.suffix not in (".npz", ".json"):
        folder = resources.files("schedlab.scheduling.learned") / "models"
        path = Path(str(folder / f"{name}.npz"))
        if not path.is_file():
            known = sorted(p.stem for p in path.parent.glob("*.npz"))
            raise InputError(
                "model",
                found=str(name),
                expected=f"a file.npz, or one of {', '.join(known)}",
                hint=nearest(str(name), known),
            )
    card = _read_card(path.with_suffix(".json"))
    return _read_weights(path.with_suffix(".npz"), card)


def _read_card(path: Path) -> Mapping[str, Any]:
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        expected = f"the card of a model, in JSON ({error})"
        raise InputError("", found=str(path), expected=expected, file=path) from None
    if not isinstance(card, dict):
        raise InputError("", found=card, expected="a mapping", file=path)
    if card.get("version") != VERSION:
        raise InputError("version", found=card.get("version"), expected=str(VERSION), file=path)
    for key, known in (("features", NAMES), ("kinds", KINDS)):
        names = card.get(key)
        if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
            raise InputError(key, found=names, expected="a list of names", file=path)
        for i, name in enumerate(names):
            if name not in known:
                raise InputError(
                    f"{key}[{i}]",
                    found=name,
                    expected=f"one of {', '.join(known)}",
                    hint=nearest(name, list(known)),
                    file=path,
                )
        if len(set(names)) < len(names):
            raise InputError(key, found=names, expected="each name once", file=path)
    if tuple(card["kinds"]) != KINDS:
        raise InputError("kinds", found=card["kinds"], expected=", ".join(KINDS), file=path)
    return card


def _read_weights(path: Path, card: Mapping[str, Any]) -> Model:
    try:
        content = path.read_bytes()
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = {name: np.asarray(file[name]) for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        expected = f"weights in an .npz without pickled objects ({error})"
        raise InputError("", found=str(path), expected=expected, file=path) from None
    for name in ARRAYS:
        if name not in arrays:
            raise InputError(name, found="<nothing>", expected="an array", file=path)
    given = card["features"]
    units = arrays["top"].size
    shapes = {
        "linear": (len(KINDS), len(given)),
        "hidden": (units, len(given)),
        "bias": (len(KINDS), units),
        "top": (units,),
        "levels": (),
    }
    for name, shape in shapes.items():
        if arrays[name].shape != shape or arrays[name].dtype.kind != "f":
            found = f"{arrays[name].dtype} {arrays[name].shape}"
            raise InputError(name, found=found, expected=f"float64 {shape}", file=path)
        if not np.isfinite(arrays[name]).all():
            raise InputError(name, found="<NaN or infinity>", expected="finite numbers", file=path)
    digest = hashlib.sha256(content).hexdigest()
    if card.get("sha256") != digest:
        expected = f"{card.get('sha256')}, as the card says"
        raise InputError("sha256", found=digest, expected=expected, file=path)
    levels = float(arrays["levels"])
    if levels <= 0:
        raise InputError("levels", found=levels, expected="a number > 0", file=path)
    columns = [NAMES.index(name) for name in given]
    linear, hidden = np.zeros((len(KINDS), len(NAMES))), np.zeros((units, len(NAMES)))
    linear[:, columns], hidden[:, columns] = arrays["linear"], arrays["hidden"]
    bias = np.ascontiguousarray(arrays["bias"], np.float64)
    return Model(linear, hidden, bias, arrays["top"].astype(np.float64), levels, card)


def _index(name: str, names: tuple[str, ...], what: str) -> int:
    if name not in names:
        raise InputError(
            what,
            found=name,
            expected=f"one of {', '.join(names)}",
            hint=nearest(name, list(names)),
        )
    return names.index(name)
