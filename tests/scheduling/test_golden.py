"""Our plugins against decisions recorded from kube-scheduler 1.35.4, node by node.

The sample leaves out scenarios in which running containers are being resized: what a node holds
then depends on their status, which a simulated pod does not have.
"""

import gzip
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from schedlab.api.manifests import parse_object
from schedlab.api.objects import PodTemplate
from schedlab.cluster import ClassTable, ClusterState
from schedlab.cluster.vocabulary import ResourceNames
from schedlab.controlplane.admission import Admission
from schedlab.scheduling.framework.evaluation import PREFILTER, evaluate
from schedlab.scheduling.framework.interface import Cycle
from schedlab.scheduling.framework.profiles import Profile, engine_subset, read_profiles

GOLDEN = Path(__file__).parents[1] / "golden" / "kube-scheduler"
SAMPLE = sorted(
    path
    for family in (
        "balancedallocation",
        "imagelocality",
        "nodeaffinity",
        "noderesources",
        "nodeunschedulable",
        "queuesort",
        "schedulinggates",
        "tainttoleration",
    )
    for path in (GOLDEN / family).glob("*.json.gz")
)


def read(path):
    """Return a scenario and its recorded decisions."""
    with gzip.open(path, "rt") as file:
        scenario = json.load(file)
    with gzip.open(str(path).replace(".json.gz", ".jsonl.gz"), "rt") as file:
        return scenario, [json.loads(line) for line in file]


class Replay:
    """The cluster of a scenario, moved on by the recorded choices."""

    def __init__(self, scenario):
        config = scenario.get("config")
        profiles = read_profiles(config) if config else [Profile()]
        profiles = [engine_subset(profile) for profile in profiles]
        self.profiles = {profile.scheduler_name: profile for profile in profiles}
        self.state = ClusterState(ClassTable(ResourceNames()))
        admission = Admission(
            self.state.classes,
            [parse_object(c, kind="PriorityClass") for c in scenario.get("priorityclasses") or ()],
            [space["metadata"]["name"] for space in scenario.get("namespaces") or ()],
        )
        for node in scenario["nodes"]:
            self.state.nodes.add(parse_object(node, kind="Node"))
        self.classes = []
        self.names = []
        for index, document in enumerate(scenario["pods"]):
            pod = parse_object(document, kind="Pod")
            template = PodTemplate(metadata=pod.metadata, spec=pod.spec)
            admitted = admission.admit(template, pod.metadata.namespace or "default", pod.key)
            self.classes.append(admitted.pod_class)
            self.names.append(pod.key)
            row = self.state.nodes.row_of.get(pod.spec.node_name, -1)
            if row >= 0 and pod.status.phase not in ("Succeeded", "Failed"):
                self.state.add_pod(index, admitted.pod_class, row)

    def follow(self, decision):
        """Evict whom the real scheduler evicted, and bind the pod where it bound it."""
        for victim in (decision.get("preemption") or {}).get("victims") or ():
            self.state.remove_pod(self.names.index(victim["pod"]))
        if decision.get("chosen"):
            row = self.state.nodes.row_of[decision["chosen"]]
            self.state.add_pod(decision["index"], self.classes[decision["index"]], row)


@pytest.mark.parametrize("path", SAMPLE, ids=lambda p: f"{p.parent.name}-{p.name.split('.')[0]}")
def test_every_verdict_and_score_is_the_recorded_one(path):
    scenario, decisions = read(path)
    replay, compared = Replay(scenario), Counter()
    nodes = replay.state.nodes
    for decision in decisions:
        if decision.get("gated") or decision.get("skipped"):
            continue
        profile = replay.profiles[decision.get("profile", "default-scheduler")]
        pod = replay.classes[decision["index"]]
        cycle = Cycle(replay.state, pod)
        found = evaluate(profile, cycle)
        if decision["prefilter_reject"]:
            assert found.rejection[0] == decision["prefilter_reject"]["plugin"]
            continue
        names = [nodes.names[row] for row in found.rows]
        for k, name in enumerate(names):
            recorded = decision["filtered"].get(name)
            if found.rejected_by[k] == PREFILTER:
                assert recorded["prefilter"], (decision["pod"], name)
                continue
            if found.rejected_by[k] < 0:
                assert recorded is None, (decision["pod"], name, recorded)
                continue
            plugin, code = profile.filters[found.rejected_by[k]], int(found.codes[k])
            assert recorded is not None, (decision["pod"], name, plugin.name)
            if recorded.get("prefilter"):
                continue  # PreFilter has ruled the node out before any filter was asked
            status = plugin.status(cycle, int(found.rows[k]), code).name.replace("_", "")
            assert (
                plugin.name,
                list(plugin.reasons(cycle, int(found.rows[k]), code)),
                status.lower(),
            ) == (
                recorded["plugin"],
                sorted(recorded["reasons"]),
                recorded["code"].lower(),
            ), (decision["pod"], name)
            compared[plugin.name] += 1
        feasible = decision.get("feasible") or []
        assert [nodes.names[row] for row in found.feasible] == feasible
        for scorer, _ in profile.scores:
            recorded_raw = (decision.get("raw_scores") or {}).get(scorer.name)
            if recorded_raw is None:
                assert not feasible or scorer.name not in found.raw, scorer.name
                continue
            assert found.raw[scorer.name].tolist() == recorded_raw, (decision["pod"], scorer.name)
            assert found.weighted[scorer.name].tolist() == decision["scores"][scorer.name]
            compared[f"{scorer.name} score"] += 1
        replay.follow(decision)
    assert compared["TaintToleration score"] > 0
    assert compared["NodeResourcesFit score"] > 0


def test_the_sample_is_there():
    assert len(SAMPLE) == 25
    rejecting = Counter()
    for path in SAMPLE:
        _, decisions = read(path)
        for decision in decisions:
            rejecting.update(entry["plugin"] for entry in (decision.get("filtered") or {}).values())
    assert {"NodeResourcesFit", "NodeAffinity", "TaintToleration", "NodeUnschedulable"} <= set(
        rejecting
    )
    assert np.array(list(rejecting.values())).min() > 0
