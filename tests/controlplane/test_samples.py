"""At every sample the requested columns are the sums over the pods that are bound."""

from pathlib import Path

import numpy as np
import pytest

from schedlab.api.objects import Deployment, DeploymentSpec, LabelSelector, ObjectMeta
from schedlab.record.schema import resource_column
from schedlab.scheduling.registry import load_scheduler
from schedlab.testing import created, deleted, pod_template, pods_at, small_node, small_run
from schedlab.units import HOUR
from schedlab.workload import read_openb_nodes, read_openb_pods

OPENB = Path(__file__).resolve().parents[3] / "shared" / "data" / "openb"


def assert_sums(record):
    """Compare each sample with the pods that hold resources then, by the pods' own times."""
    pods, samples = record.tables["pods"], record.tables["samples"]
    bound, released = pods["bound_us"], pods["released_us"]
    resources = [c.removeprefix("request_") for c in pods if c.startswith("request_")]
    assert len(resources) >= 4
    for i, now in enumerate(samples["time_us"].tolist()):
        held = (bound >= 0) & (bound <= now) & ((released < 0) | (released > now))
        assert samples["bound"][i] == held.sum()
        for resource in resources:
            total = pods[f"request_{resource}"][held].sum()
            assert samples[f"requested_{resource}"][i] == total, (now, resource)


@pytest.mark.parametrize("profile", ["ideal", "default"])
def test_small_cluster(profile):
    web = Deployment(
        metadata=ObjectMeta(name="web"),
        spec=DeploymentSpec(
            replicas=6,
            selector=LabelSelector(match_labels={"app": "test"}),
            template=pod_template(700, restart_policy="Always"),
        ),
    )
    work = pods_at(
        *((3.0 * i, 40.0 + i) for i in range(60)), objects=(created(web, 10), deleted(web, 150))
    )
    nodes = [small_node(f"n{i}") for i in range(4)]
    run = small_run(work, nodes=nodes, config=profile, sample_period_us=1_700_000)
    record = run.run()
    assert len(record.tables["samples"]["time_us"]) > 100
    assert record.tables["samples"][resource_column("requested", "cpu")].max() > 0
    assert_sums(record)


def test_stranded_is_what_is_free_where_the_median_pod_does_not_fit():
    templates = (pod_template(500), pod_template(2_000), pod_template(3_500))
    work = pods_at(*[(0.0, None)] * 5, templates=templates, template=(0, 1, 1, 1, 2))
    # first fit: n0 holds 500 + 2000 (1500 free), n1 2000 + 2000, n2 3500 (500 free), n3 is empty;
    # the median pod asks for 2000: what is free on n0 and n2 is stranded, n3 could take it
    nodes = [small_node(f"n{i}") for i in range(4)]
    samples = small_run(work, nodes=nodes).run().tables["samples"]
    assert samples["stranded_cpu_milli"][-1] == 1_500 + 500


@pytest.mark.skipif(not OPENB.is_dir(), reason="the openb trace is not beside this repository")
@pytest.mark.parametrize(("time", "load"), [("trace", None), ("load", 0.95)])
def test_openb(time, load):
    cluster = read_openb_nodes(OPENB / "openb_node_list_all_node.csv")
    work = read_openb_pods(
        OPENB / "openb_pod_list_default.csv", time=time, target_load=load, cluster=cluster
    )
    run = small_run(
        work,
        nodes=cluster.nodes,
        scheduler=load_scheduler("best-fit"),
        config="kubemark",
        sample_period_us=12 * HOUR,
    )
    record = run.run()
    assert run.violations() == []
    assert record.counts["pods_in"] == 8_152
    assert record.counts["dropped"] == record.counts["dropped_never_scheduled"] == 897
    assert record.counts["succeeded"] == 7_255
    assert isinstance(record.tables["samples"]["time_us"], np.ndarray)
    assert_sums(record)
