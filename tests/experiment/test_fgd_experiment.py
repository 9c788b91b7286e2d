"""The experiments on GPU sharing as they are shipped, on a trace small enough for a test."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from schedlab.cli.app import app
from schedlab.experiment.kinds import DEMAND
from schedlab.experiment.results import load
from schedlab.experiment.run import make_plan, run_plan
from schedlab.experiment.settings import Setting, parse_setting

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
NODES, PODS = 24, 110
LISTS = ("default", "cpu250")
"""Variants that are there; cpu250 is one that `schedlab fetch` doesn't know."""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Write node and pod lists as the public repository has them."""
    folder = tmp_path_factory.mktemp("openb")
    nodes = [f"openb-node-{i:04d},32000,131072,4,{'T4' if i % 2 else 'P100'}" for i in range(NODES)]
    header = "sn,cpu_milli,memory_mib,gpu,model"
    (folder / "openb_node_list_gpu_node.csv").write_text("\n".join([header, *nodes, ""]))
    draw = np.random.Generator(np.random.PCG64(7))
    for name in LISTS:
        lines = ["name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,"
                 "creation_time,deletion_time,scheduled_time"]  # fmt: skip
        for i in range(PODS):
            gpus, milli = [(1, 1000), (1, 500), (1, 300), (2, 1000), (0, 0)][int(draw.integers(5))]
            lines.append(
                f"openb-pod-{i:04d},{1000 * int(draw.integers(1, 9))},4096,{gpus},{milli},,LS,"
                f"Running,{i * 60},{i * 60 + 3600},{i * 60}"
            )
        (folder / f"openb_pod_list_{name}.csv").write_text("\n".join([*lines, ""]))
    return folder


def plan_of(data, name, *texts):
    settings = [Setting("data", str(data)), *map(parse_setting, texts)]
    return make_plan(EXPERIMENTS / name, settings)


@pytest.fixture(scope="module")
def results(data, tmp_path_factory):
    root = tmp_path_factory.mktemp("fgd")
    return run_plan(plan_of(data, "fgd-atc23.yaml", "seeds=3"), root), root


def test_variants_that_are_there_are_run_and_the_others_named(data):
    plan = plan_of(data, "fgd-atc23.yaml")
    assert len(plan.runs) == len(LISTS) * 6 * 10
    assert {scenario.name for scenario in plan.scenarios} == {f"pods={name}" for name in LISTS}
    assert len(plan.left_out) == 15
    assert "pods=gpuspec33" in plan.left_out


def test_each_run_has_the_paper_s_metrics(results):
    runs = results[0].runs
    assert len(runs) == len(LISTS) * 6 * 3
    assert runs["gpu_allocation_at_130"].between(0.3, 1.0).all()
    assert (runs["gpu_allocation_at_130"] >= runs["gpu_allocation_at_100"] - 1e-9).all()
    assert runs["gpu_fragmentation_at_130"].between(0.0, 0.7).all()
    assert (runs["pods_dropped"] > 0).all()


def test_differences_are_paired(results):
    frame = results[0].compare()
    row = frame[(frame["metric"] == "gpu_allocation_at_130") & (frame["scheduler"] == "Random")]
    assert (row["baseline"] == "FGD").all()
    assert row["difference_low"].notna().all()


@pytest.mark.parametrize("kind", [*DEMAND, "gpu-bars"])
def test_each_figure_is_one_command(results, kind, tmp_path):
    path = tmp_path / "figure.png"
    scenario = [] if kind == "gpu-bars" else ["--scenario", "pods=default"]
    command = ["plot", str(results[1]), "--kind", kind, "--out", str(path), *scenario]
    found = CliRunner().invoke(app, command)
    assert found.exit_code == 0, found.output
    assert path.stat().st_size > 10_000


def test_a_published_table_is_compared_by_one_command(results, tmp_path):
    means = results[0].runs.groupby(["scenario", "scheduler"])["gpu_allocation_at_130"].mean()
    lines = ["workload,sc_policy,tune,seed,100,130"]
    for seed, off in ((42, -0.1), (43, 0.1)):
        at = 100 * means["pods=default", "FGD"] + off
        lines.append(f"openb_pod_list_default,06-FGD,1.3,{seed},{at},{at}")
    path = tmp_path / "published.csv"
    path.write_text("\n".join([*lines, ""]))
    command = ["compare", str(results[1]), "--published", str(path), "--format", "csv"]
    found = CliRunner().invoke(app, command)
    assert found.exit_code == 0, found.output
    _, at_100, at_130 = found.stdout.splitlines()
    assert at_100.startswith("default,100,FGD,3,")
    assert float(at_130.split(",")[7]) == pytest.approx(0.0, abs=1e-9)


def test_a_table_of_other_lists_is_refused(results, tmp_path):
    path = tmp_path / "published.csv"
    path.write_text("workload,sc_policy,tune,seed,100,130\nother,06-FGD,1.3,42,1,1\n")
    found = CliRunner().invoke(app, ["compare", str(results[1]), "--published", str(path)])
    assert found.exit_code != 0
    assert "no list and policy" in str(found.exception) + found.output


def test_pods_may_end_and_wait_at_a_load_of_one_s_choice(data, tmp_path):
    """As the comments of the experiment say."""
    trace = (
        "workload.trace.openb={pods: default, time: load, copies: 2, target_load: "
        "{resource: alibabacloud.com/gpu-milli, value: 0.95, counts: peak}}"
    )
    texts = ("matrix={}", trace, "controlPlane.scheduler.dropUnschedulable=false", "seeds=1")
    runs = run_plan(plan_of(data, "fgd-atc23.yaml", *texts), tmp_path).runs
    assert len(runs) == 6
    assert (runs["pods_dropped"] == 0).all()
    assert (runs["pods_succeeded"] > PODS).all()
    assert runs["gpu_fragmentation_mean"].between(0.01, 1.0).all()


def test_the_policy_of_our_own_is_compared_with_fgd(data, tmp_path):
    results = run_plan(plan_of(data, "fgd-stranded.yaml", "seeds=2"), tmp_path)
    frame = load(tmp_path).compare()
    assert set(frame["scheduler"]) == {"FGD", "FGDStranded"}
    assert len(results.runs) == 4  # the lists that are there and in the file: default alone
