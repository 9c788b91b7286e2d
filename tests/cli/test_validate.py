"""``schedlab validate`` on broken input: file, field, found and expected, never a traceback."""

import subprocess
import sys

import pytest
import yaml
from typer.testing import CliRunner

from schedlab.cli import app
from schedlab.testing.experiments import small_experiment

POD = """\
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  PRIORITY
  containers:
    - name: main
      image: nginx
      resources: {requests: {cpu: CPU, memory: 1Gi}}
"""
TRACE = (
    "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,"
    "creation_time,deletion_time,scheduled_time\n"
)


def pod(cpu="1", priority=""):
    return POD.replace("CPU", cpu).replace("  PRIORITY\n", f"  {priority}\n" if priority else "")


def experiment(**changes):
    return yaml.safe_dump(small_experiment(**changes))


BROKEN = [
    pytest.param(
        "x.yaml",
        experiment(sceduler=["a"]),
        "sceduler",
        "'sceduler'",
        "schedulers",
        id="unknown key",
    ),
    pytest.param("m.yaml", pod(cpu='"-1"'), "requests", "'-1'", ">= 0", id="negative cpu"),
    pytest.param("m.yaml", pod(cpu='"1 core"'), "requests", "'1 core'", "quantity", id="quantity"),
    pytest.param(
        "x.yaml",
        experiment(workload="nowhere.yaml"),
        "workload",
        "'nowhere.yaml'",
        "a file",
        id="missing file",
    ),
    pytest.param("x.yaml", "a: &a [*a]\n", "line 1", "*a", "", id="cyclic alias"),
    pytest.param(
        "m.yaml",
        pod(priority="priorityClassName: gold"),
        "spec.priorityClassName",
        "'gold'",
        "system-cluster-critical",
        id="unknown PriorityClass",
    ),
    pytest.param(
        "m.yaml", f"{pod()}---\n{pod()}", "metadata.name", "'web'", "once", id="duplicate names"
    ),
    pytest.param(
        "t.csv",
        "name,memory_mib,num_gpu,gpu_milli\na,1,0,0\n",
        "row 1",
        "'memory_mib'",
        "cpu_milli",
        id="trace without a column",
    ),
    pytest.param(
        "t.csv",
        f"{TRACE}a,NaN,1,0,0,,LS,Running,0,5,1\n",
        "row 2: cpu_milli",
        "'NaN'",
        "integer",
        id="NaN size",
    ),
    pytest.param(
        "t.csv", f"{TRACE}a,1,1,0,0,,LS,Running,9,5,1\n", "row 2", "", "", id="end before start"
    ),
]


@pytest.mark.parametrize(("name", "text", "field", "found", "expected"), BROKEN)
def test_broken_input(name, text, field, found, expected, tmp_path):
    path = tmp_path / name
    path.write_text(text)
    result = CliRunner().invoke(app, ["validate", str(path)])
    assert result.exit_code == 2
    said = result.output
    assert said.startswith(f"error: {path}")
    assert field in said
    assert "expected " in said
    assert "found " in said
    assert found in said
    assert expected in said
    assert "Traceback" not in said
    assert len(said.splitlines()) == 1


def test_valid_files_are_named_with_what_they_are(tmp_path):
    one, two = tmp_path / "x.yaml", tmp_path / "m.yaml"
    one.write_text(experiment())
    two.write_text(pod())
    result = CliRunner().invoke(app, ["validate", str(one), str(two)])
    assert result.exit_code == 0
    assert f"{one}: a valid experiment of 4 runs" in result.output
    assert f"{two}: valid manifests: 1 Pod" in result.output


def test_in_a_process_of_its_own(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text(experiment(seeds="many"))
    done = subprocess.run(
        [sys.executable, "-m", "schedlab", "validate", str(path)], capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"error: {path}: seeds: expected a number of seeds")
