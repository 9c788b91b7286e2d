"""The README does what it says: its commands, its scheduler, its notebook lines."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from schedlab.cli import app
from schedlab.rng import Draws
from schedlab.scheduling.base import PodBatch
from schedlab.scheduling.kube_scheduler import KubeScheduler
from schedlab.scheduling.view import ClusterView
from schedlab.testing.conformance import pending, random_class, random_cluster
from schedlab.testing.experiments import small_experiment

TEXT = (Path(__file__).parents[1] / "README.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
SHELL = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)


def test_two_commands_come_first():
    commands = [line.partition("#")[0].split() for line in SHELL[0].strip().splitlines()]
    assert commands == [["make", "run"], ["make", "test"]]


def test_the_scheduler_of_ten_lines(tmp_path, monkeypatch):
    (code,) = [block for block in PYTHON if block.startswith("# my_sched.py")]
    body = [line for line in code.splitlines() if line.strip() and not line.startswith("#")]
    assert len(body) <= 10
    (tmp_path / "my_sched.py").write_text(code)
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(small_experiment(seeds=1)))
    (command,) = [block for block in SHELL if "my_sched.py:WorstFit" in block]
    setting = re.search(r'--set "(.*)"', command)[1]
    monkeypatch.chdir(tmp_path)
    arguments = ["run", "small.yaml", "--no-report", "--set", setting]
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "150"})
    assert result.exit_code == 0, result.output
    assert "WorstFit" in result.output


def test_the_plugin_of_four_lines(tmp_path):
    (code,) = [block for block in PYTHON if block.startswith("# prefer_old.py")]
    (tmp_path / "prefer_old.py").write_text(code)
    config = {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "profiles": [
            {
                "plugins": {
                    "score": {
                        "disabled": [{"name": "*"}],
                        "enabled": [{"name": "prefer_old.py:PreferOld"}],
                    }
                }
            }
        ],
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    scheduler = KubeScheduler(tmp_path / "config.yaml")
    state = random_cluster(1)
    pod = pending(random_class(state, 1, 0), 0)
    placement = scheduler.schedule(PodBatch([pod]), ClusterView(state), Draws(0))
    assert placement.node[0] == ClusterView(state).feasible(pod)[0]


def test_the_notebook_lines():
    (code,) = [block for block in PYTHON if "schedlab.simulate" in block]
    done = subprocess.run(
        [sys.executable, "-c", code + "\nassert len(results) == 6"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "command",
    sorted(set(re.findall(r"`schedlab ([a-z-]+)[^`]*`", TEXT))),
)
def test_commands_exist(command):
    assert CliRunner().invoke(app, [command, "--help"]).exit_code == 0


def test_layers_are_those_of_the_linter():
    import tomllib

    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
    layers = project["tool"]["importlinter"]["contracts"][0]["layers"]
    names = [
        part.strip().removeprefix("schedlab.") for x in reversed(layers) for part in x.split("|")
    ]
    line = re.search(r"Modules import downwards only:\n(.*?)\n\n", TEXT, re.DOTALL)[1]
    stated = re.findall(r"`([a-z]+)`", line)
    assert stated == [name for name in names if name in stated]
    assert len(stated) == 11
