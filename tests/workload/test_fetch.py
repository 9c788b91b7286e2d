"""Downloading, from a folder instead of the network."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from schedlab.errors import InputError
from schedlab.workload.fetch import RECIPES, Recipe, cache_dir, fetch

FILES = {"a.csv": b"x\n1\n", "b.csv": b"y\n" * 100_000}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "public"
    folder.mkdir()
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    return folder


def recipes(*sources: Path) -> dict[str, Recipe]:
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
    urls = tuple(folder.as_uri() for folder in sources)
    return {"toy": Recipe("toy", "a toy", "none", urls, sums)}


def test_files_arrive_and_are_kept(source: Path, tmp_path: Path) -> None:
    seen: list[tuple[str, str]] = []
    dest = tmp_path / "deep" / "er"
    for _ in range(2):
        assert (
            fetch("toy", dest, recipes=recipes(source), progress=lambda *e: seen.append(e)) == dest
        )
    assert {p.name: p.read_bytes() for p in dest.iterdir()} == FILES
    assert [state for _, state in seen] == ["downloaded"] * 2 + ["kept"] * 2


def test_a_damaged_file_is_fetched_again(source: Path, tmp_path: Path) -> None:
    dest = tmp_path / "dest"
    fetch("toy", dest, recipes=recipes(source))
    (dest / "a.csv").write_bytes(b"damaged")
    fetch("toy", dest, recipes=recipes(source))
    assert (dest / "a.csv").read_bytes() == FILES["a.csv"]


def test_the_next_source_is_tried(source: Path, tmp_path: Path) -> None:
    dest = fetch("toy", tmp_path / "dest", recipes=recipes(tmp_path / "gone", source))
    assert (dest / "b.csv").read_bytes() == FILES["b.csv"]


def test_a_wrong_checksum_leaves_nothing_behind(source: Path, tmp_path: Path) -> None:
    (source / "a.csv").write_bytes(b"changed upstream")
    with pytest.raises(InputError, match="checksum") as caught:
        fetch("toy", tmp_path / "dest", recipes=recipes(source))
    assert caught.value.field == "toy: a.csv"
    assert list((tmp_path / "dest").iterdir()) == []


def test_offline_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="without a network, copy the file") as caught:
        fetch("toy", tmp_path / "dest", recipes=recipes(tmp_path / "gone"))
    assert "gone/a.csv" in str(caught.value)
    assert list((tmp_path / "dest").iterdir()) == []


def test_unknown_traces_and_bad_folders(source: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="openb"):
        fetch("opnb", tmp_path)
    with pytest.raises(InputError, match="a directory to write to"):
        fetch("toy", source / "a.csv" / "x", recipes=recipes(source))


def test_the_cache_follows_xdg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_dir("openb") == tmp_path / "schedlab" / "openb"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_dir("openb") == Path.home() / ".cache" / "schedlab" / "openb"


def test_recipes_are_well_formed() -> None:
    assert set(RECIPES) == {"openb", "dlrm2025", "spot2026"}
    assert len(RECIPES["openb"].sha256) == 15
    for recipe in RECIPES.values():
        assert all(url.startswith("https://raw.githubusercontent.com/") for url in recipe.sources)
        assert all(len(digest) == 64 for digest in recipe.sha256.values())


@pytest.mark.parametrize(
    ("name", "folder"), [("openb", "openb"), ("dlrm2025", "dlrm2025"), ("spot2026", "spot2026")]
)
def test_checksums_are_those_of_the_real_files(openb: Path, name: str, folder: str) -> None:
    for file, digest in RECIPES[name].sha256.items():
        content = (openb.parent / folder / file).read_bytes()
        assert hashlib.sha256(content).hexdigest() == digest, file
