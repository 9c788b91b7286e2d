"""The layout that keeps the package importable everywhere; each guard was seen to fail."""

import json
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_sched_is_a_source_root_and_no_package():
    # with it, `python -c "import sched"` at the repository root gives ours
    assert not (ROOT / "sched" / "__init__.py").exists()
    assert {p.name for p in (ROOT / "sched").iterdir() if p.name != "__pycache__"} == {"schedlab"}


def test_tests_are_no_packages():
    assert not list((ROOT / "tests").rglob("__init__.py"))
    assert not (ROOT / "tests" / "sched").exists()


def test_the_wheel_is_told_its_package():
    # without it hatchling makes a wheel that can't be imported, and says nothing
    assert PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == ["sched/schedlab"]


def test_the_linter_knows_the_source_root():
    assert PROJECT["tool"]["ruff"]["src"] == ["sched"]
    assert PROJECT["tool"]["ruff"]["lint"]["flake8-builtins"]["strict-checking"] is True


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """The content of the wheel, outside the repository."""
    from hatchling.builders.wheel import WheelBuilder

    folder = tmp_path_factory.mktemp("wheel")
    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def python(site, *arguments):
    """Run Python outside the repository with the wheel's content before everything else."""
    code = (
        f"import sys; sys.path.remove({str(ROOT / 'sched')!r}); sys.path.insert(0, {str(site)!r})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code + arguments[0], *arguments[1:]],
        cwd=site.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_holds_the_package_and_its_data(unpacked):
    top = {p.name for p in unpacked.iterdir()}
    assert {name for name in top if not name.endswith(".dist-info")} == {"schedlab"}
    for name in (
        "py.typed",
        "experiment/builtin/quickstart.yaml",
        "experiment/builtin/openb-replay.yaml",
        "cli/starter/my_scheduler.py",
        "cli/starter/notebook.ipynb",
        "report/report.html.j2",
        "scheduling/learned/models/gpu.npz",
        "scheduling/learned/models/resources.json",
        "scheduling/learned/models/README.md",
    ):
        assert (unpacked / "schedlab" / name).is_file(), name
    (info,) = unpacked.glob("*.dist-info")
    assert "Apache License" in (info / "licenses" / "LICENSE").read_text()
    assert "schedlab = schedlab.cli:main" in (info / "entry_points.txt").read_text()


def test_the_wheel_leaves_the_standard_library_alone(unpacked):
    found = python(
        unpacked,
        "import schedlab, sched; sched.scheduler; print(schedlab.__file__, sched.__file__)",
    ).split()
    assert found[0].startswith(str(unpacked))
    assert found[1].endswith("sched.py")


def test_the_wheel_runs_without_the_repository(unpacked):
    main = "from schedlab.cli import main; sys.argv[0] = 'schedlab'; main()"
    assert "Usage: schedlab" in python(unpacked, main, "--help")
    assert "kube-scheduler" in python(unpacked, main, "list", "schedulers")
    planned = python(unpacked, main, "run", "quickstart", "--dry-run")
    assert "= 30" in planned


@pytest.mark.parametrize("name", ["quickstart", "openb-replay"])
def test_built_in_experiments_are_those_of_the_repository(name):
    ours = ROOT / "experiments" / f"{name}.yaml"
    builtin = ROOT / "sched/schedlab/experiment/builtin" / f"{name}.yaml"
    assert ours.read_text() == builtin.read_text(), f"copy {ours} to {builtin}"


def test_versions_agree():
    version = PROJECT["project"]["version"]
    assert metadata.version("schedlab") == version
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == version
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text()


def test_constraints_pin_all_that_is_needed():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {normal(line.partition("==")[0]) for line in lines if line and line[0] != "#"}
    assert all("==" in line for line in lines if line and line[0] != "#")
    wanted = [
        *PROJECT["project"]["dependencies"],
        *PROJECT["dependency-groups"]["dev"],
        *PROJECT["build-system"]["requires"],
    ]
    assert {normal(re.split(r"[<>=!~\[; ]", name)[0]) for name in wanted} <= pinned


def normal(name):
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def test_no_file_of_the_package_is_long():
    long = {
        str(path.relative_to(ROOT)): count
        for path in (ROOT / "sched").rglob("*.py")
        if (count := len(path.read_text().splitlines())) > 500
    }
    assert not long


def test_notebooks_are_json_with_a_kernel():
    for path in ROOT.glob("notebooks/*.ipynb"):
        assert json.loads(path.read_text())["metadata"]["kernelspec"]["name"] == "python3"
