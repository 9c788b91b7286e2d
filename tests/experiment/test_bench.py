"""Workloads of scheduler_perf as data: what they make, and what a plain evaluation places of it."""

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from schedlab.api.objects import PersistentVolume, PersistentVolumeClaim, Service
from schedlab.errors import InputError
from schedlab.experiment import bench
from schedlab.experiment.bench import Way, run_benchmark, run_separately
from schedlab.experiment.bench_cluster import Cluster
from schedlab.experiment.bench_loop import Loop, Timings
from schedlab.experiment.bench_specs import Workload, find, templates, workloads
from schedlab.rng import Draws
from schedlab.scheduling.base import Placement, Trigger, Verdict
from schedlab.scheduling.framework.evaluation import evaluate
from schedlab.scheduling.framework.interface import Code, Cycle, Refusal, Rejection
from schedlab.scheduling.framework.profiles import Profile
from schedlab.scheduling.kube_scheduler import KubeScheduler
from schedlab.workload.model import validated


class Plain:
    """Every filter and score of the default profile from nothing; the first best node wins."""

    def __init__(self):
        self.profile = Profile.default()

    def schedule(self, pods, view, rng):
        placement = Placement.of(pods)
        for i, pod in enumerate(pods):
            found = evaluate(self.profile, Cycle(view.state, pod.pod_class, pod))
            if len(found.feasible):
                placement.place(i, found.feasible[int(np.argmax(found.total))])
        return placement


class Placed:
    """A benchmark after its run."""

    def __init__(self, name, scheduler=None, *, batch=None, backoff=False, **size):
        self.benchmark = find(name, **size)
        self.loop = Loop(
            scheduler or Plain(), self.benchmark.workload.pace, Draws(0), batch, backoff
        )
        self.cluster = Cluster(self.benchmark, self.loop, 0)
        self.first, self.count = self.cluster.prepare()
        self.timings = self.loop.run(self.first, self.count)
        self.state = self.loop.state

    @property
    def scheduled(self):
        return int(self.timings.placed.sum())

    @property
    def attempts(self):
        return int(self.timings.attempts.sum())

    def nodes_of(self, *, label=None, measured=False):
        """Return how many pods each node has, those with a label or the measured ones only."""
        found = Counter()
        for pod, node in self.state.node_of.items():
            labels = self.state.pods_on[node][pod].labels
            if measured and not self.first <= pod < self.first + self.count:
                continue
            if label is None or label in labels.items():
                found[self.state.nodes.names[node]] += 1
        return found

    def zones_of(self, **which):
        found = Counter()
        for name, count in self.nodes_of(**which).items():
            labels = self.state.nodes.labels(self.state.nodes.row_of[name])
            found[labels["topology.kubernetes.io/zone"]] += count
        return found


def smallest(name):
    return f"{name}/{[*workloads()[name].sizes][-1]}"


# --- the data -------------------------------------------------------------------------------------


def test_what_is_there():
    assert {
        "SchedulingBasic", "SchedulingNodeAffinity", "TopologySpreading", "SchedulingDaemonset",
        "PreferredTopologySpreading", "DefaultTopologySpreading", "SchedulingPodAffinity",
        "SchedulingPodAntiAffinity", "SchedulingPreferredPodAffinity",
        "SchedulingPreferredPodAntiAffinity", "SchedulingPodMatchingAntiAffinity",
        "MixedSchedulingBasePod", "SchedulingRequiredPodAntiAffinityWithNSSelector",
        "SchedulingPreferredAntiAffinityWithNSSelector", "SchedulingWithMixedChurn",
        "SchedulingRequiredPodAffinityWithNSSelector", "SchedulingSecrets", "SchedulingInTreePVs",
        "SchedulingPreferredAffinityWithNSSelector", "PreemptionBasic", "Unschedulable",
        "SchedulingWhileGated", "SchedulingWithNodeInclusionPolicy", "SchedulingCSIPVs",
        "SchedulingWithExtendedResource", "DistinctRequests", "DistinctLabels", "Scale",
    } <= set(workloads())  # fmt: skip


@pytest.mark.parametrize(
    ("name", "nodes", "pods", "threshold"),
    [
        ("SchedulingBasic", 5_000, 10_000, 680),
        ("SchedulingBasic/5000Nodes_50000Pods", 5_000, 50_000, 810),
        ("SchedulingDaemonset", 15_000, 30_000, 1_100),
        ("SchedulingPodAntiAffinity", 5_000, 2_000, 180),
        ("SchedulingRequiredPodAntiAffinityWithNSSelector", 6_000, 2_000, 140),
        ("TopologySpreading", 5_000, 5_000, 460),
        ("PreemptionBasic", 1_000, 1_000, None),
        ("SchedulingCSIPVs", 5_000, 5_000, 100),
    ],
)
def test_usual_sizes_are_upstreams(name, nodes, pods, threshold):
    found = find(name)
    assert sum(found.params[key] for key in found.workload.node_params()) == nodes
    assert (found.params["pods"], found.threshold) == (pods, threshold)


@pytest.mark.parametrize(
    ("name", "size", "params"),
    [
        # 500 of 5,000 nodes: a tenth of everything
        ("SchedulingBasic", {"nodes": 500}, {"nodes": 500, "init": 100, "pods": 1_000}),
        ("SchedulingBasic", {"pods": 7}, {"nodes": 5_000, "init": 1_000, "pods": 7}),
        ("SchedulingBasic", {"nodes": 1}, {"nodes": 1, "init": 1, "pods": 2}),
        # 4,000 + 1,000 nodes -> 40 + 10; 51 nodes -> 40.8 and 10.2, the first takes what is left
        (
            "SchedulingWithNodeInclusionPolicy",
            {"nodes": 50},
            {"normal": 40, "tainted": 10, "pods": 40},
        ),
        (
            "SchedulingWithNodeInclusionPolicy",
            {"nodes": 51},
            {"normal": 41, "tainted": 10, "pods": 41},
        ),
        # 40 pods in each of 100 namespaces: a tenth of the namespaces, not of the pods as well
        (
            "SchedulingPreferredAntiAffinityWithNSSelector",
            {"nodes": 500},
            {"nodes": 500, "namespaces": 10, "init": 40, "pods": 200},
        ),
        # one node: it is the pods that everything follows
        ("SchedulingWhileGated", {"pods": 200}, {"gated": 100, "deleting": 200, "pods": 200}),
    ],
)
def test_sizes_of_ones_own(name, size, params):
    found = find(name, **size)
    assert dict(found.params) == params
    assert (found.size, found.threshold) == ("own", None)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        pytest.param({"name": "SchedulingBasik"}, "'SchedulingBasic'", id="name"),
        pytest.param({"name": "SchedulingBasic/6Nodes"}, "one of 5000Nodes_10000Pods", id="size"),
        pytest.param({"name": "SchedulingWhileGated", "nodes": 3}, "are fixed", id="nodes"),
    ],
)
def test_sizes_that_are_not_there(arguments, text):
    with pytest.raises(InputError, match=text):
        find(**arguments)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        pytest.param({"sizes": {"s": {"params": {"nodes": 1}}}}, "nodes, pods", id="parameter"),
        pytest.param(
            {"operations": [{"op": "createNodes", "count": "$nodes"}]}, "$pods", id="none"
        ),
        pytest.param({"pase": 3}, "pace", id="key"),
    ],
)
def test_workloads_are_checked(change, text):
    good = {
        "about": "x",
        "sizes": {"s": {"params": {"nodes": 1, "pods": 2}}},
        "operations": [
            {"op": "createNodes", "count": "$nodes"},
            {"op": "createPods", "count": "$pods", "measure": True},
        ],
    }
    validated(Workload, good)
    with pytest.raises(InputError) as error:
        validated(Workload, {**good, **change})
    assert text in str(error.value)


def test_a_template_is_laid_over_its_base():
    found = templates()["pod-with-label"]
    assert found["metadata"] == {"generateName": "pod-", "labels": {"app": "scheduler-perf"}}
    assert found["spec"] == templates()["light-pod"]["spec"]


# --- the workloads --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*workloads()])
def test_all_pods_of_the_smallest_size_are_placed(name):
    scheduler = KubeScheduler(cached=False) if name.startswith("Preemption") else Plain()
    placed = Placed(smallest(name), scheduler)
    assert placed.scheduled == placed.benchmark.params["pods"]
    requested, allocatable = placed.state.nodes.requested, placed.state.nodes.allocatable
    assert (requested <= allocatable).all()


@pytest.mark.parametrize("name", [*workloads()])
def test_the_engine_places_the_same_pods_whatever_the_batch(name):
    one, many = (
        Placed(smallest(name), KubeScheduler(percentage_of_nodes_to_score=100), batch=batch)
        for batch in (1, 3)
    )
    if not name.startswith("Preemption"):  # in a batch the victims of one are there for the next
        assert one.state.node_of == many.state.node_of
    assert one.scheduled == many.scheduled == one.benchmark.params["pods"]


def test_daemonset_pods_go_to_the_node_they_name():
    placed = Placed("SchedulingDaemonset/5Nodes")
    assert placed.cluster.nodes == 6
    assert placed.nodes_of() == {"scheduler-perf-node": 10}


@pytest.mark.parametrize(
    "name", ["SchedulingPodAntiAffinity", "SchedulingRequiredPodAntiAffinityWithNSSelector"]
)
def test_pods_that_keep_each_other_away(name):
    placed = Placed(smallest(name))
    assert set(placed.nodes_of(label=("color", "green")).values()) == {1}
    one_too_many = Placed(smallest(name), pods=placed.count + 1)
    assert one_too_many.scheduled == placed.count  # a node each, and none is left
    assert one_too_many.attempts == placed.count + 1


def test_pods_that_others_keep_away():
    # 1 node of 5 has a pod with anti-affinity to the measured ones
    placed = Placed("SchedulingPodMatchingAntiAffinity/5Nodes", pods=12)
    assert placed.scheduled == 12
    assert len(placed.nodes_of(measured=True)) == 4


def test_preferred_anti_affinity_evens_out():
    # 5 + 10 pods over 5 nodes
    placed = Placed("SchedulingPreferredPodAntiAffinity/5Nodes")
    assert set(placed.nodes_of().values()) == {3}


def test_namespaces_with_a_label_are_seen_through_the_selector():
    placed = Placed("SchedulingRequiredPodAffinityWithNSSelector/10Nodes")
    assert placed.state.objects.namespace_labels("init-ns-1")["team"] == "devops"
    assert placed.cluster.init_pods == 4


@pytest.mark.parametrize("pods", [10, 21])
def test_hard_spreading_keeps_the_skew(pods):
    # zones moon-1, moon-2 of 2 nodes and moon-3 of 1; maxSkew 5
    counts = Placed("TopologySpreading/5Nodes", pods=pods).zones_of(label=("color", "blue"))
    assert sum(counts.values()) == pods
    assert max(counts.values()) - min(counts[f"moon-{i}"] for i in (1, 2, 3)) <= 5


def test_default_spreading_follows_the_service():
    placed = Placed("DefaultTopologySpreading/5Nodes")
    (service,) = placed.state.objects.of(Service, "service-ns").values()
    assert service.spec.selector == {"app": "scheduler-perf"}
    # soft constraints: 10 pods over 5 nodes, two each
    assert set(placed.nodes_of(measured=True).values()) == {2}


def test_spreading_counts_only_nodes_whose_taints_are_tolerated():
    # maxSkew 1 over 4 nodes; the tainted one, always empty, would else hold the minimum at 0
    placed = Placed("SchedulingWithNodeInclusionPolicy/5Nodes", pods=9)
    counts = placed.nodes_of()
    assert placed.scheduled == 9
    assert sorted(counts.values()) == [2, 2, 2, 3]
    assert not any(name.startswith("taint") for name in counts)


def test_each_extended_resource_is_on_one_node():
    placed = Placed("SchedulingWithExtendedResource/fast")
    assert len(placed.cluster.classes) == 10
    assert set(placed.nodes_of().values()) == {1}
    for pod, node in placed.state.node_of.items():
        assert placed.state.names[pod][-1] == placed.state.nodes.names[node][-1]


def test_a_node_takes_as_many_csi_volumes_as_its_driver_says():
    # 1 node, 1 pod beforehand; 39 volumes fit, 40 pods of 100m would
    placed = Placed("SchedulingCSIPVs/5Nodes", nodes=1, pods=41)
    assert placed.scheduled == 38


def test_each_claim_is_bound_to_a_volume_of_its_own():
    placed = Placed("SchedulingInTreePVs/5Nodes")
    objects = placed.state.objects
    claims = {claim.metadata.name: claim for claim in objects.all(PersistentVolumeClaim)}
    volumes = {volume.metadata.name: volume for volume in objects.all(PersistentVolume)}
    assert len(claims) == len(volumes) == 15
    for name, claim in claims.items():
        volume = volumes[claim.spec.volume_name]
        assert volume.spec.claim_ref.name == name
        assert volume.spec.aws_elastic_block_store.volume_id == volume.metadata.name


@pytest.mark.parametrize("backoff", [False, True])
def test_preemption_evicts_three_for_one(backoff):
    scheduler = KubeScheduler(percentage_of_nodes_to_score=100)
    placed = Placed("PreemptionBasic/5Nodes", scheduler, backoff=backoff)
    # 4 x 900m of 4 cores are taken; 3 cores fit once three have gone
    assert (placed.scheduled, placed.loop.preempted, placed.attempts) == (5, 15, 10)
    assert set(placed.nodes_of().values()) == {2}
    assert not placed.state.nominated


# --- what goes on meanwhile -----------------------------------------------------------------------


def test_pods_that_fit_nowhere_come_every_200_ms():
    # 600 attempts a second: one comes at each 120th attempt; its own is an attempt too
    placed = Placed("Unschedulable/5Nodes-1Init-10Pods", pods=190)
    assert (placed.scheduled, placed.attempts) == (190, 191)
    assert placed.loop.queue.counts["unschedulable"] == 1


def test_churned_objects_come_and_go_in_turn():
    # 710 attempts a second: at 710 they come, at 1,420 they go
    once = Placed("SchedulingWithMixedChurn/10Nodes", First(), nodes=40, pods=800)
    names = [name for name in once.state.nodes.row_of if name.startswith("node-churn")]
    assert len(names) == 1
    assert len(list(once.state.objects.all(Service))) == 1
    assert once.attempts == 801
    twice = Placed("SchedulingWithMixedChurn/10Nodes", First(), nodes=40, pods=1_500)
    assert not any(name.startswith("node-churn") for name in twice.state.nodes.row_of)
    assert not list(twice.state.objects.all(Service))
    assert twice.loop.queue.counts["unschedulable"] == 0  # the pod went with them


class First:
    """The first node with room for the requests."""

    def schedule(self, pods, view, rng):
        placement = Placement.of(pods)
        for i, pod in enumerate(pods):
            wanted = pod.pod_class.request_vector(view.allocatable.shape[0])[:, None]
            fits = (view.requested + wanted <= view.allocatable).all(axis=0) & view.present
            if fits.any():
                placement.place(i, int(fits.argmax()))
        return placement


def test_gated_pods_stay_out_and_deleted_ones_go():
    # 910 attempts a second and 50 deletions: one after each 18.2 attempts, 3 within 60
    placed = Placed("SchedulingWhileGated/1Node_10GatedPods", First(), pods=60)
    assert placed.loop.queue.counts["gated"] == 60
    assert placed.cluster.init_pods == 120
    assert placed.nodes_of() == {"scheduler-perf-node": 60 + 60 - 3}


def test_distinct_pods_are_distinct_classes():
    for name in ("DistinctRequests", "DistinctLabels"):
        placed = Placed(smallest(name), First(), pods=25)
        assert len(placed.cluster.classes) == 25
    # 20 x 10 kinds of requests
    assert len(Placed("Scale/5Nodes", First(), nodes=20, pods=210).cluster.classes) == 200


# --- the loop -------------------------------------------------------------------------------------


class Never:
    """Puts every pod off, for ever."""

    trigger = Trigger(max_pods=4)

    def __init__(self):
        self.sizes = []

    def schedule(self, pods, view, rng):
        self.sizes.append(len(pods))
        placement = Placement.of(pods)
        for i in range(len(pods)):
            placement.defer(i, view.now_us + 1)
        return placement


def test_a_policy_that_puts_pods_off_for_ever_comes_to_an_end():
    policy = Never()
    placed = Placed("SchedulingBasic/5Nodes", policy)
    assert placed.scheduled == 0
    assert max(policy.sizes) == 4


class Rejecting(First):
    """Its Reserve refuses the first node for each pod, once."""

    def __init__(self):
        self.asked = Counter()

    def reserve(self, pod, row, view):
        self.asked[pod.row] += 1
        first = self.asked[pod.row] == 1
        return Refusal("Own", Rejection(Code.UNSCHEDULABLE, ("no",))) if first else None


def test_what_reserve_refuses_is_tried_again():
    policy = Rejecting()
    placed = Placed("SchedulingBasic/5Nodes", policy)
    assert placed.scheduled == 10
    assert set(policy.asked.values()) == {2}
    assert len(placed.state.node_of) == 15


class Dropping(First):
    def schedule(self, pods, view, rng):
        placement = super().schedule(pods, view, rng)
        placement.verdict[0] = Verdict.DROP
        return placement


def test_dropped_pods_are_never_asked_about_again():
    placed = Placed("SchedulingBasic/5Nodes", Dropping())
    assert (placed.scheduled, placed.attempts) == (0, 10)
    assert placed.loop.queue.empty


# --- figures --------------------------------------------------------------------------------------


def timings(stamps_s, attempts, placed):
    stamps = np.array([round(s * 1e9) for s in stamps_s], np.int64)
    return Timings(stamps, np.array(attempts), np.array(placed), 1.0)


@pytest.mark.parametrize(
    ("q", "value"),
    [
        # of 4 values: rank ceil(4 q / 100)
        pytest.param(50, 2.0, id="the 2nd"),
        pytest.param(51, 3.0, id="the 3rd"),
        pytest.param(90, 4.0, id="the 4th, 3.6 rounded up"),
        pytest.param(99, 4.0, id="the last"),
        pytest.param(0, 1.0, id="the first"),
    ],
)
def test_percentiles_are_scheduler_perfs(q, value):
    assert bench.percentile(np.array([4.0, 1.0, 3.0, 2.0]), q) == value


def test_throughput_per_window():
    # 3 pods in the first second, 1 in the next two; the last half second is no whole window
    found = timings([0, 0.5, 1, 3, 3.5], [1, 2, 1, 4], [1, 2, 1, 4])
    # second 2 and 3 share the pod that took both
    assert bench.windows(found, 1.0).tolist() == pytest.approx([3.0, 0.5, 0.5])


def test_a_batch_shares_its_time():
    found = timings([0, 1e-6, 9e-6], [1, 4], [1, 4])
    assert bench.attempt_us(found).tolist() == pytest.approx([1.0, 2.0, 2.0, 2.0, 2.0])


def test_a_result_and_its_file(tmp_path):
    result = run_benchmark(find("SchedulingBasic/500Nodes"), Way(batch=8))
    assert (result.scheduled, result.unschedulable, result.preempted) == (1_000, 0, 0)
    assert (result.nodes, result.init_pods, result.batch) == (500, 500, 8)
    assert result.real == 795
    assert result.over_real == pytest.approx(1_000 / result.cpu_s / 795)
    rate = result.pods_per_s
    assert 0 < rate.p50 <= rate.p90 <= rate.p99
    assert rate.mean == pytest.approx(1_000 / result.wall_s)
    assert result.window_s == pytest.approx(result.wall_s / 20)
    assert result.attempt_p50_us <= result.attempt_p99_us
    assert result.peak_memory_bytes > 10 << 20
    bench.write_results(tmp_path / "b.json", [result], {"Scale": "no room"})
    written = json.loads((tmp_path / "b.json").read_text())
    assert written["benchmarks"][0]["pods_per_s"]["mean"] == rate.mean
    assert written["failed"] == {"Scale": "no room"}
    assert {"python", "numpy"} <= set(written["versions"])
    assert written["machine"]["cores"] >= 1
    assert [path.name for path in tmp_path.iterdir()] == ["b.json"]


def test_the_adaptive_share_has_figures_of_its_own():
    assert run_benchmark(find("SchedulingBasic/500Nodes"), Way(sampled=True)).real == 1_498


def test_other_schedulers_have_no_figure_to_stand_beside():
    found = run_benchmark(find("SchedulingBasic/500Nodes"), Way("best-fit"))
    assert (found.real, found.percentage_of_nodes_to_score) == (None, None)
    with pytest.raises(InputError, match="only it has a share"):
        run_benchmark(find("SchedulingBasic/5Nodes"), Way("best-fit", sampled=True))


OVERFULL = """
class Overfull:
    def schedule(self, pods, view, rng):
        from schedlab.scheduling.base import Placement

        placement = Placement.of(pods)
        for i in range(len(pods)):
            placement.place(i, 0)
        return placement


class Dying:
    def schedule(self, pods, view, rng):
        import os

        os._exit(7)
"""


def test_a_node_that_is_overfilled_is_told(tmp_path):
    (tmp_path / "own.py").write_text(OVERFULL)
    way = Way(f"{tmp_path}/own.py:Overfull")
    with pytest.raises(InputError, match="at most 4000"):
        # 42 pods of 100m on a node of 4 cores; the smallest size is run beforehand and fits
        run_benchmark(find("SchedulingBasic/5Nodes", pods=42), way)


def test_a_process_of_its_own(tmp_path):
    (tmp_path / "own.py").write_text(OVERFULL)
    found = find("SchedulingBasic/5Nodes")
    assert run_separately(found, Way("first-fit")).scheduled == 10
    with pytest.raises(InputError, match="at most 4000"):
        run_separately(
            replace(found, params={**found.params, "pods": 42}), Way(f"{tmp_path}/own.py:Overfull")
        )
    with pytest.raises(InputError, match="exit code 7"):
        run_separately(found, Way(f"{tmp_path}/own.py:Dying"))
