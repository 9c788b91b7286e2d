"""Download public traces, with checksums.

A recipe is a list of files with the SHA-256 that each must have and the addresses that serve it.
Files are written to a temporary name and renamed when their checksum is right, so a directory
never holds half a trace. The traces aren't part of schedlab: their publishers' terms apply.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from schedlab.errors import InputError

_CHUNK: Final = 1 << 16
_TIMEOUT_S: Final = 60
_OPENB: Final = (
    "https://raw.githubusercontent.com/hkust-adsl/kubernetes-scheduler-simulator/main/data/csv",
    "https://raw.githubusercontent.com/alibaba/clusterdata/master/cluster-trace-gpu-v2023/csv",
)
_CLUSTERDATA: Final = "https://raw.githubusercontent.com/alibaba/clusterdata/master"


# SHA-256 and file name, in the form of sha256sum
_OPENB_SUMS: Final = """\
5a85c2af79c66a1efff8bbcbda430400aae56d8431370d738480967e1a9c6b15  openb_node_list_all_node.csv
2beca64b4d3dfa342036a34b56a495c6cef9225db836c81f541282cb1df320b5  openb_node_list_gpu_node.csv
747f43247bffc2b0bb081d7f61f0705ca8d390dafc0b647e642c92f3baf3ba1e  openb_pod_list_cpu050.csv
bec1c33fbdde61fd463877534ec79b393aec73e1cbb22d55fab9f166ac480982  openb_pod_list_cpu100.csv
b7e9d8a1a601da84d6e0b4110b19ef5001be5e4796d33e7b82f166ba95161f87  openb_pod_list_cpu200.csv
1ee7ed79c27a3b0861cda8ddba86a004c6aba904caafa329a76ae93ca63834a8  openb_pod_list_default.csv
d83ce79a4eb6987524bedbb0c65e41aed3a36bf6c1b78b86234c3687a07e1d40  openb_pod_list_gpushare40.csv
d31809628128a1f24491086eda4af3e23882b9213d3ef57a56ee2d1af69492fe  openb_pod_list_gpushare60.csv
88b6649369ced40d0fde287d2498ea61ff4b05fccba8bdc95daf6042f2f8431e  openb_pod_list_gpushare80.csv
2dc7e4cb9480484f08539720b433a9ec9ab5d76b396f3f7557c53a2ff78a7611  openb_pod_list_gpuspec10.csv
6b9b89ab8913c1c074e994e98f548cf1a872fc5f76f2442ca8cd514a478b00a9  openb_pod_list_gpuspec20.csv
9d030679a2ccd7e27a7ec9ff15baff34480d22a0012515691fc187e3f35ee68c  openb_pod_list_gpuspec25.csv
d9ec6f6c74fb980cc0b81239470c6353fceea077ea9abd610003b604c7cc2b01  openb_pod_list_multigpu20.csv
a5e479c6444b1d83eef848159cf00c3cfa13441b2d1e2c113c391b91f1cc5b11  openb_pod_list_multigpu30.csv
32c9e8731ca07ef96108aa65f2a289bb9aacb47f642ed9e3789f99b242df60eb  openb_pod_list_multigpu40.csv
"""
_DLRM_SUMS: Final = """\
fb17bc4b3f412d5280f70f04a1bdf2adfc4429d1e61237a5b106e86206414295  disaggregated_DLRM_trace.csv
"""
_SPOT_SUMS: Final = """\
1aba161961a5a4a1a61aa581383c5e5abe3400b59f8597ba8c4eef7597bc9d18  node_info_df.csv
"""


@dataclass(frozen=True)
class Recipe:
    """How to get one trace.

    Attributes
    ----------
    name : str
        The name that users type.
    about : str
        What it is, in one line.
    terms : str
        Under which terms its publishers offer it.
    sources : tuple of str
        Addresses of directories, tried in order.
    sha256 : mapping of str to str
        File name -> checksum.
    """

    name: str
    about: str
    terms: str
    sources: tuple[str, ...]
    sha256: Mapping[str, str]


def _checksums(text: str) -> dict[str, str]:
    return {name: digest for digest, name in (line.split() for line in text.splitlines())}


RECIPES: Final[dict[str, Recipe]] = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            "openb",
            "Alibaba GPU cluster, 2023: 1,523 nodes, 8,152 pods and 12 derived pod lists",
            "offered for research by alibaba/clusterdata; in the FGD simulator under Apache-2.0",
            _OPENB,
            _checksums(_OPENB_SUMS),
        ),
        Recipe(
            "dlrm2025",
            "Alibaba GPU trace, 2025: 23,871 instances of 156 recommendation services",
            "offered for research by alibaba/clusterdata",
            (f"{_CLUSTERDATA}/cluster-trace-gpu-v2025",),
            _checksums(_DLRM_SUMS),
        ),
        Recipe(
            "spot2026",
            "Alibaba spot GPU trace, 2026: the list of 4,278 nodes",
            "offered for research by alibaba/clusterdata",
            (f"{_CLUSTERDATA}/cluster-trace-v2026-spot-gpu",),
            _checksums(_SPOT_SUMS),
        ),
    )
}


def cache_dir(name: str) -> Path:
    """Return where traces are kept: ``$XDG_CACHE_HOME/schedlab/<name>``, or below ``~/.cache``."""
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "schedlab" / name


def fetch(
    name: str,
    dest: str | Path | None = None,
    *,
    recipes: Mapping[str, Recipe] = RECIPES,
    progress: Callable[[str, str], None] | None = None,
) -> Path:
    """Download a trace; files that are there with the right checksum are kept.

    Parameters
    ----------
    name : str
        One of the recipes.
    dest : str or Path, optional
        Directory to write to; `cache_dir` where absent.
    recipes : mapping of str to Recipe
        The known traces.
    progress : callable, optional
        Called with (file name, "kept" or "downloaded") after each file.

    Returns
    -------
    Path
        The directory.

    Raises
    ------
    InputError
        The trace is unknown, no source can be reached, or what they serve has another checksum.
    """
    recipe = recipes.get(name)
    if recipe is None:
        raise InputError("trace", found=name, expected=f"one of {', '.join(recipes)}")
    folder = cache_dir(name) if dest is None else Path(dest)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError("dest", found=str(folder), expected="a directory to write to") from error
    for file, wanted in recipe.sha256.items():
        target = folder / file
        state = "kept"
        if not target.is_file() or _file_sha256(target) != wanted:
            _download(recipe, file, wanted, target)
            state = "downloaded"
        if progress is not None:
            progress(file, state)
    return folder


def _file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(recipe: Recipe, file: str, wanted: str, target: Path) -> None:
    """Write *target* from the first source that serves the right bytes."""
    failures: list[str] = []
    for source in recipe.sources:
        url = f"{source}/{file}"
        try:
            found = _save(url, target, wanted)
        except (OSError, ValueError) as error:  # URLError is an OSError; ValueError: a bad address
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            failures.append(f"{url}: {reason}")
            continue
        if found == wanted:
            return
        failures.append(f"{url}: checksum {found[:12]}... instead of {wanted[:12]}...")
    raise InputError(
        f"{recipe.name}: {file}",
        found=f"<{'; '.join(failures)}>",
        expected="a file that can be downloaded with the recorded checksum",
        hint=f"without a network, copy the file to {target.parent} by hand",
    )


def _save(url: str, target: Path, wanted: str) -> str:
    """Download to a temporary file beside *target*; rename it if its checksum is *wanted*."""
    digest = hashlib.sha256()
    request = urllib.request.Request(url, headers={"User-Agent": "schedlab"})
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with (
            os.fdopen(handle, "wb") as out,
            urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response,
        ):
            while chunk := response.read(_CHUNK):
                digest.update(chunk)
                out.write(chunk)
        if digest.hexdigest() == wanted:
            Path(temporary).replace(target)
    finally:
        Path(temporary).unlink(missing_ok=True)
    return digest.hexdigest()
