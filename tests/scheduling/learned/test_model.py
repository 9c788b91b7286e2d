"""Model files: what is written is read again, and what is no model is refused with a reason."""

import json
import pickle

import numpy as np
import pytest

from schedlab.errors import InputError
from schedlab.scheduling.learned.features import KINDS, NAMES
from schedlab.scheduling.learned.model import ARRAYS, Model, load_model


def some_model(units=2):
    draw = np.random.Generator(np.random.Philox(3))
    return Model(
        draw.normal(size=(4, len(NAMES))),
        draw.normal(size=(units, len(NAMES))),
        draw.normal(size=(4, units)),
        draw.normal(size=units),
        40.0,
        {"name": "some", "command": "schedlab train some.yaml"},
    )


@pytest.fixture
def saved(tmp_path):
    some_model().save(tmp_path / "some")
    return tmp_path / "some.npz"


def rewrite(path, *, card=None, **arrays):
    """Change arrays (None = leave out) and the card, and make the checksum right again."""
    with np.load(path) as file:
        content = {name: file[name] for name in file.files}
    content = {n: v for n, v in {**content, **arrays}.items() if v is not None}
    np.savez(path, **content)
    about = json.loads(path.with_suffix(".json").read_text())
    import hashlib

    about |= {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), **(card or {})}
    path.with_suffix(".json").write_text(json.dumps(about))


def test_what_is_saved_is_read_again(saved):
    found = load_model(saved)
    for name in ARRAYS[:4]:
        assert np.array_equal(getattr(found, name), getattr(some_model(), name))
    assert found.levels == 40.0
    assert found.card["command"] == "schedlab train some.yaml"
    assert np.array_equal(load_model(saved.with_suffix(".json")).linear, found.linear)


def test_features_that_a_file_does_not_name_weigh_nothing(saved):
    names = ["room", "usable"]
    rewrite(
        saved,
        card={"features": names},
        linear=np.array([[1.0, 2.0]] * 4),
        hidden=np.zeros((0, 2)),
        bias=np.zeros((4, 0)),
        top=np.zeros(0),
    )
    linear = load_model(saved).linear
    assert linear[:, NAMES.index("room")].tolist() == [1.0] * 4
    assert linear[:, NAMES.index("usable")].tolist() == [2.0] * 4
    assert linear.sum() == 12.0


NAN = np.full((4, len(NAMES)), np.nan)


@pytest.mark.parametrize(
    ("card", "arrays", "message"),
    [
        pytest.param({"version": 2}, {}, "version: expected 1, found 2", id="another version"),
        pytest.param({"features": ["rom"]}, {}, "did you mean 'room'", id="an unknown feature"),
        pytest.param({"features": "room"}, {}, "a list of names", id="no list"),
        pytest.param({"features": ["room"] * 2}, {}, "each name once", id="a feature twice"),
        pytest.param({"kinds": list(KINDS[:2])}, {}, "no_gpu, share, one_gpu", id="other kinds"),
        pytest.param({}, {"linear": np.zeros((4, 3))}, "linear: expected float64", id="shape"),
        pytest.param({}, {"top": np.zeros(3)}, "hidden: expected float64", id="hidden units"),
        pytest.param({}, {"linear": NAN}, "finite numbers", id="NaN"),
        pytest.param({}, {"levels": None}, "levels: expected an array", id="no levels"),
        pytest.param({}, {"levels": np.array(0.0)}, "levels: expected a number > 0", id="level 0"),
        pytest.param({}, {"linear": np.zeros((4, len(NAMES)), int)}, "int64", id="integers"),
        pytest.param({"sha256": "0"}, {}, "as the card says", id="a wrong checksum"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(saved, card, arrays, message):
    rewrite(saved, card=card, **arrays)
    with pytest.raises(InputError, match=message):
        load_model(saved)


def test_pickled_objects_are_never_read(saved):
    class Harm:
        def __reduce__(self):
            return (pytest.fail, ("it was run",))

    np.savez(saved, linear=np.array([Harm()], dtype=object))
    with pytest.raises(InputError, match="without pickled objects"):
        load_model(saved)
    saved.write_bytes(pickle.dumps({"linear": 1}))
    with pytest.raises(InputError, match="without pickled objects"):
        load_model(saved)


@pytest.mark.parametrize("content", ["", "[]", "{"])
def test_a_card_that_is_none_is_refused(saved, content):
    saved.with_suffix(".json").write_text(content)
    with pytest.raises(InputError, match=r"some\.json"):
        load_model(saved)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"nothing\.json"):
        load_model(tmp_path / "nothing.npz")


def test_an_unknown_name_is_refused():
    with pytest.raises(InputError, match=r"expected a file\.npz, or one of"):
        load_model("gpuu")


def test_a_linear_model_from_weights():
    model = Model.of({"room": 2.0}, 10.0, {"share": {"room": 1.0, "usable": -1.0}})
    room, usable = NAMES.index("room"), NAMES.index("usable")
    assert model.linear[:, room].tolist() == [2.0, 3.0, 2.0, 2.0]
    assert model.linear[:, usable].tolist() == [0.0, -1.0, 0.0, 0.0]
    with pytest.raises(InputError, match="did you mean 'room'"):
        Model.of({"rooom": 1.0})
    with pytest.raises(InputError, match="one of no_gpu"):
        Model.of({}, kinds={"half": {}})
