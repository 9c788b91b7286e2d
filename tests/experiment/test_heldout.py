"""What models are tested on took no part in their training, by seed and by kind."""

from pathlib import Path

import pytest
import yaml

from schedlab.experiment.run import make_plan

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
HELD_OUT = sorted(EXPERIMENTS.glob("learned-heldout*.yaml"))
TRAINED = sorted(EXPERIMENTS.glob("train-*.yaml"))
MADE_UP = [path for path in HELD_OUT if path.stem != "learned-heldout"]
HAND_WRITTEN = {
    "gpu": {
        "fgd",
        "fgd-stranded",
        "gpu-best-fit",
        "gpu-clustering",
        "gpu-dot-product",
        "gpu-packing",
        "gpu-random",
    },
    "resources": {
        "best-fit",
        "dot-product",
        "first-fit",
        "kube-scheduler",
        "random",
        "worst-fit",
    },
}


def loaded(path):
    return yaml.safe_load(path.read_text())


def known():
    """Return the kinds of workload and the seeds of training and validation."""
    kinds, seeds = set(), set()
    for path in TRAINED:
        for entry in (*loaded(path)["training"], *loaded(path)["validation"]):
            seeds |= set(entry["seeds"])
            kinds |= kinds_of(entry)
    return kinds, seeds


def kinds_of(entry):
    """Return the files of made-up pods, or the pod lists of a trace."""
    if isinstance(entry["workload"], str):
        return {entry["workload"]}
    ((name, trace),) = entry["workload"]["trace"].items()
    lists = entry.get("matrix", {}).get("workload.trace.openb.pods", [trace.get("pods")])
    return {(name, pods) for pods in lists}


def held_out(document):
    """Return the clusters and workloads of an experiment."""
    ((paths, points),) = [(k, v) for k, v in document["matrix"].items() if "cluster" in k]
    return [dict(zip(paths.split(", "), point, strict=True)) for point in points]


@pytest.mark.parametrize("path", HELD_OUT, ids=lambda path: path.stem)
def test_no_seed_and_no_kind_was_trained_or_validated_on(path):
    kinds, seeds = known()
    document = loaded(path)
    assert len(set(document["seeds"]) - seeds) == 20
    for entry in held_out(document):
        if kinds_of(entry) == {("openb", "default")}:  # known pods on other nodes
            assert "spot2026" in entry["cluster"]["trace"]
            assert kinds_of(entry) <= kinds
        else:
            assert not kinds_of(entry) & kinds


@pytest.mark.parametrize("path", HELD_OUT, ids=lambda path: path.stem)
def test_every_hand_written_policy_is_compared_with(path):
    document = loaded(path)
    used = {entry["name"]: entry["use"] for entry in document["schedulers"]}
    assert document["baseline"] == "learned"
    (learned,) = [entry for entry in document["schedulers"] if entry["name"] == "learned"]
    assert HAND_WRITTEN[learned["options"]["model"]] <= set(used.values())
    if learned["options"]["model"] == "gpu":
        assert {"MostAllocated", "RequestedToCapacityRatio"} <= set(used)


@pytest.mark.parametrize("path", MADE_UP, ids=lambda path: path.stem)
def test_it_is_an_experiment_that_can_be_run(path):
    plan = make_plan(path)
    assert len(plan.runs) == 20 * len(plan.scenarios) * len(loaded(path)["schedulers"])
