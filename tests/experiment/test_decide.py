"""Decisions on scenarios: their semantics, and the table of one of them."""

import json

import pytest

from schedlab.errors import InputError
from schedlab.experiment.decide import choices, decision_on, decisions, profiles_of
from schedlab.experiment.explain import table_of
from schedlab.experiment.scenario import make_scenario
from schedlab.scheduling.base import Placement, Trigger
from schedlab.scheduling.framework.interface import Code, Rejection
from schedlab.scheduling.framework.profiles import Profile, read_profiles
from schedlab.scheduling.registry import load_scheduler

HEAD = {"apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration"}
CLASSES = [
    {"metadata": {"name": "high"}, "value": 100},
    {"metadata": {"name": "low"}, "value": -100},
]


def node(name, cpu="4", **spec):
    return {
        "metadata": {"name": name},
        "spec": spec,
        "status": {"allocatable": {"cpu": cpu, "memory": "8Gi", "pods": "10"}},
    }


def pod(name, cpu="1", *, on=None, status=None, metadata=None, **spec):
    container = {"name": "c", "resources": {"requests": {"cpu": cpu, "memory": "1Gi"}}}
    return {
        "metadata": {**(metadata or {}), "name": name},
        "spec": {"containers": [container], **({"nodeName": on} if on else {}), **spec},
        **({"status": status} if status else {}),
    }


def scenario(*pods, nodes=(), **more):
    nodes = nodes or (node("n0"), node("n1"), node("n2"))
    return make_scenario(
        {"nodes": list(nodes), "pods": list(pods), "priorityclasses": CLASSES, **more}
    )


def decided(found, profiles=None, **options):
    """Return the decision lines, which have to survive JSON."""
    lines = [d.line for d in decisions(found, profiles or profiles_of(found), **options)]
    assert json.loads(json.dumps(lines)) == lines
    return lines


def profile(**content):
    return read_profiles({**HEAD, "profiles": [content]})


def test_pods_are_decided_one_after_the_other():
    lines = decided(scenario(*(pod(f"p{i}", "2") for i in range(3))))
    # least allocated: each takes the first node that is still empty
    assert [line["chosen"] for line in lines] == ["n0", "n1", "n2"]
    assert [line["start_time"][-3:] for line in lines] == ["01Z", "02Z", "03Z"]
    first = lines[0]
    assert first["feasible"] == ["n0", "n1", "n2"]
    assert first["total"] == [sum(each) for each in zip(*first["scores"].values(), strict=True)]
    # LeastAllocated: cpu (4000 - 2000) 100 / 4000 = 50, memory 7 / 8 = 87; (50 + 87) / 2 = 68
    assert first["raw_scores"]["NodeResourcesFit"] == [68, 68, 68]


def test_ties_are_drawn_by_name():
    def chosen(seed):
        return [
            decided(scenario(pod(f"p{i}")), tie_break="random", seed=seed)[0]["chosen"]
            for i in range(20)
        ]

    assert chosen(1) == chosen(1) != chosen(2)
    assert set(chosen(1)) == {"n0", "n1", "n2"}
    with pytest.raises(InputError, match="first or random"):
        decided(scenario(), tie_break="last")


def test_the_one_node_that_is_left_is_scored_too():
    (line,) = decided(scenario(pod("a"), nodes=[node("n0"), node("n1", unschedulable=True)]))
    assert line["feasible"] == ["n0"]
    assert line["raw_scores"]["NodeResourcesFit"]
    assert line["filtered"] == {
        "n1": {
            "plugin": "NodeUnschedulable",
            "reasons": ["node(s) were unschedulable"],
            "code": "UnschedulableAndUnresolvable",
        }
    }
    assert "also_failed" not in line


def test_all_that_fail_on_their_own():
    (line,) = decided(scenario(pod("a", "9"), nodes=[node("n0", unschedulable=True)]))
    unresolvable = "UnschedulableAndUnresolvable"
    assert line["filtered"]["n0"]["plugin"] == "NodeUnschedulable"
    assert line["also_failed"] == {
        "n0": {"NodeUnschedulable": unresolvable, "NodeResourcesFit": unresolvable}
    }


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(
            {"schedulingGates": [{"name": "a.io/x"}, {"name": "b"}]},
            {
                "gated": {
                    "plugin": "SchedulingGates",
                    "reasons": ["waiting for scheduling gates: [a.io/x b]"],
                    "code": "UnschedulableAndUnresolvable",
                }
            },
            id="gated",
        ),
        pytest.param(
            {"schedulerName": "other"},
            {"skipped": "no profile for schedulerName other"},
            id="somebody else's",
        ),
        pytest.param(
            {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}},
            {"skipped": "being deleted"},
            id="being deleted",
        ),
    ],
)
def test_pods_that_are_not_decided_on(content, expected):
    first, second = decided(scenario(pod("a", **content), pod("b")))
    nothing = {"prefilter_reject": None, "filtered": {}, "feasible": [], "chosen": None}
    assert first == {"pod": "default/a", "index": 0, **expected, **nothing}
    assert second["start_time"] == "2026-01-01T00:00:02Z"


def test_several_profiles():
    profiles = read_profiles(
        {
            **HEAD,
            "profiles": [
                {"schedulerName": "default-scheduler"},
                {
                    "schedulerName": "packer",
                    "pluginConfig": [
                        {
                            "name": "NodeResourcesFit",
                            "args": {"scoringStrategy": {"type": "MostAllocated"}},
                        }
                    ],
                },
            ],
        }
    )
    found = scenario(pod("a", on="n1"), pod("b"), pod("c", schedulerName="packer"))
    spreads, packs = decided(found, profiles)
    assert (spreads["chosen"], packs["chosen"]) == ("n0", "n0")
    assert ("profile" in spreads, packs["profile"]) == (False, "packer")
    # packer: n0 and n1 hold one pod each, and n0 comes first
    assert packs["raw_scores"]["NodeResourcesFit"][0] > packs["raw_scores"]["NodeResourcesFit"][2]


def test_the_queue_takes_the_important_first():
    pods = [pod("a"), pod("b", priorityClassName="high"), pod("c", priorityClassName="low")]
    in_order = decided(scenario(*pods))
    by_queue = decided(scenario(*pods, meta={"order": "queue"}))
    assert [line["pod"][-1] for line in in_order] == ["a", "b", "c"]
    assert [line["pod"][-1] for line in by_queue] == ["b", "a", "c"]
    assert [line["index"] for line in by_queue] == [1, 0, 2]


def test_the_nominated_node_comes_first():
    nominated = pod("a", status={"nominatedNodeName": "n2"})
    (line,) = decided(scenario(nominated))
    assert (line["nominated"], line["chosen"]) == ("n2", "n2")
    assert line["feasible"] == ["n0", "n1", "n2"]
    full = decided(scenario(pod("x", "4", on="n2"), nominated))[0]
    assert ("nominated" in full, full["chosen"]) == (False, "n0")


def test_nominations_of_other_pods_do_not_count():
    waiting = pod("b", "4", status={"nominatedNodeName": "n0"}, priorityClassName="high")
    first, second = decided(scenario(pod("a"), waiting))
    assert first["chosen"] == "n0"
    assert second["chosen"] == "n1"


def crowded(**more):
    """Three full nodes; only on n1 the running pod is less important."""
    running = [
        pod("x0", "4", on="n0", priorityClassName="high"),
        pod("x1", "4", on="n1", priorityClassName="low", metadata={"labels": {"app": "x"}}),
        pod("x2", "4", on="n2", priorityClassName="high"),
    ]
    return scenario(*running, pod("a", "2"), pod("b", "2"), **more)


def test_preemption_makes_room_and_the_pod_takes_it():
    found = crowded()
    first, second = decided(found)
    victims = {"victims": [{"pod": "default/x1", "priority": -100}], "pdb_violations": 0}
    assert first["preemption"] == {
        "node": "n1",
        "status": "Success",
        **victims,
        "eligible": True,
        "candidates": {"n1": victims},
    }
    assert (first["feasible"], first["chosen"]) == ([], "n1")
    assert "total" not in first
    assert (second["chosen"], "preemption" in second) == ("n1", False)
    assert found.state.node_of == {0: 0, 2: 2, 3: 1, 4: 1}


def test_budgets_that_preemption_violates_are_counted():
    budget = {
        "metadata": {"name": "all"},
        "spec": {"selector": {"matchLabels": {"app": "x"}}},
        "status": {"disruptionsAllowed": 0},
    }
    first, _ = decided(crowded(pdbs=[budget]))
    assert first["preemption"]["pdb_violations"] == 1


@pytest.mark.parametrize(
    ("plugins", "status", "eligible", "candidates"),
    [
        pytest.param(
            {"multiPoint": {"disabled": [{"name": "DefaultPreemption"}]}},
            "Unschedulable",
            False,
            [],
            id="not there at all",
        ),
        pytest.param(
            {"postFilter": {"disabled": [{"name": "*"}]}}, "", True, ["n1"], id="not at postFilter"
        ),
    ],
)
def test_profiles_without_preemption(plugins, status, eligible, candidates):
    line = decided(crowded(), profile(plugins=plugins))[0]
    said = line["preemption"]
    assert (said["status"], said["node"], line["chosen"]) == (status, "", None)
    assert (said["eligible"], list(said.get("candidates", {}))) == (eligible, candidates)


def test_a_pod_that_is_not_placed_is_not_tried_again():
    lines = decided(scenario(pod("a", "9"), pod("b")))
    assert [line["chosen"] for line in lines] == [None, "n0"]
    assert lines[0]["preemption"]["reasons"] == [
        "no new claims to deallocate",
        "preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.",
    ]


class Reserving:
    """Reserves nothing, and objects on one node."""

    def __init__(self, name, objects_to=-1):
        self.name = name
        self.objects_to = objects_to
        self.log = []

    def reserve(self, cycle, row):
        self.log.append(("reserve", row))
        if row == self.objects_to:
            return Rejection(Code.UNSCHEDULABLE, ("no",))
        return None

    def unreserve(self, cycle, row):
        self.log.append(("unreserve", row))


def test_a_reserve_plugin_that_objects():
    good, bad = Reserving("Good"), Reserving("Bad", objects_to=0)
    whole = Profile.default()
    others = {**whole.others, "reserve": (good, bad)}
    found = scenario(pod("a"), nodes=[node("n0")])
    used = Profile(whole.scheduler_name, whole.filters, whole.scores, others=others)
    (line,) = decided(found, [used])
    assert line["chosen"] is None
    assert good.log == bad.log == [("reserve", 0), ("unreserve", 0)]
    assert found.state.node_of == {}


def test_which_configuration_counts(tmp_path):
    own = {**HEAD, "profiles": [{"schedulerName": "own"}]}
    path = tmp_path / "c.yaml"
    path.write_text(json.dumps({**HEAD, "profiles": [{"schedulerName": "file"}]}))
    assert [p.scheduler_name for p in profiles_of(scenario())] == ["default-scheduler"]
    assert [p.scheduler_name for p in profiles_of(scenario(config=own))] == ["own"]
    assert [p.scheduler_name for p in profiles_of(scenario(config=own), path)] == ["file"]
    with pytest.raises(InputError, match=r"config\.profile: expected"):
        profiles_of(scenario(config={**HEAD, "profile": []}))


# --- other schedulers -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "chosen"),
    [
        # 4 cores each; n0 runs a pod of 1 core
        pytest.param("first-fit", ["n0", "n0", None, None, "n1"], id="first-fit"),
        pytest.param("worst-fit", ["n1", "n2", None, None, "n0"], id="worst-fit"),
    ],
)
def test_any_scheduler(name, chosen):
    found = scenario(
        pod("x", "1", on="n0"),
        pod("a", "1"),
        pod("b", "1"),
        pod("c", "9"),
        pod("d", schedulingGates=[{"name": "x"}]),
        pod("e", "3"),
    )
    lines = [decision.line for decision in choices(found, load_scheduler(name))]
    assert [line["chosen"] for line in lines] == chosen
    assert lines[0] == {"pod": "default/a", "index": 1, "chosen": chosen[0]}


class Window:
    """Puts all pods of a batch on the node with the number of pods in it."""

    trigger = Trigger(max_pods=2)

    def schedule(self, pods, view, rng):
        placement = Placement.of(pods)
        for i in range(len(pods)):
            placement.place(i, len(pods))
        return placement


def test_a_scheduler_gets_its_pods_in_batches():
    found = choices(scenario(pod("a"), pod("b"), pod("c")), Window())
    assert [decision.line["chosen"] for decision in found] == ["n2", "n2", "n1"]
    with pytest.raises(InputError, match="placement of default/a"):
        list(choices(scenario(pod("a"), nodes=[node("n0")]), Window()))


# --- one pod ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["default/web-1", "web-1", "web-"])
def test_which_pod_is_meant(name):
    found = scenario(pod("web-0", on="n0"), pod("web-1"), pod("db"))
    assert decision_on(found, [Profile.default()], name).pod == "default/web-1"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param("web", "one pod of the 2 that match: default/web-1, default/web-2", id="two"),
        pytest.param("api", "a pending pod, such as default/web-1", id="none"),
        pytest.param("web-0", "a pending pod", id="it runs"),
    ],
)
def test_which_pod_is_not_meant(name, message):
    found = scenario(pod("web-0", on="n0"), pod("web-1"), pod("web-2"))
    with pytest.raises(InputError) as caught:
        decision_on(found, [Profile.default()], name)
    assert message in str(caught.value)


def test_a_decision_as_a_table():
    nodes = [node("n0"), node("n1", unschedulable=True), node("n2", cpu="1")]
    decision = decision_on(scenario(pod("a", "2"), nodes=nodes), [Profile.default()], "a")
    table = table_of(decision)
    assert list(table["node"].unique()) == ["n0", "n1", "n2"]
    of = table.set_index(["node", "plugin"])
    assert of.loc[("n0", "NodeResourcesFit"), "verdict"] == "passed"
    assert of.loc[("n0", "NodePorts"), "verdict"] == "skipped"
    assert of.loc[("n0", "ImageLocality"), "verdict"] == ""
    rejected = of.loc[("n1", "NodeUnschedulable")]
    assert (rejected["verdict"], rejected["reason"]) == ("rejected", "node(s) were unschedulable")
    assert of.loc[("n2", "NodeResourcesFit"), "code"] == "UnschedulableAndUnresolvable"
    best = table[table["chosen"]]
    assert set(best["node"]) == {"n0"}
    assert best["score"].sum() == best["total"].iloc[0] == decision.line["total"][0]
    taints = of.loc[("n0", "TaintToleration")]
    assert (taints["raw_score"], taints["weight"], taints["score"]) == (0, 3, 300)
    assert table[table["node"] != "n0"]["score"].isna().all()


def test_the_table_of_a_rejection_before_any_filter():
    terms = [
        {
            "matchFields": [
                {"key": "metadata.name", "operator": "In", "values": [name]}
                for name in ("n0", "n1")
            ]
        }
    ]
    affinity = {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}
        }
    }
    decision = decision_on(scenario(pod("a", affinity=affinity)), [Profile.default()], "a")
    assert decision.line["prefilter_reject"]["reasons"] == ["pod affinity terms conflict"]
    table = table_of(decision)
    verdicts = table[table["plugin"] == "NodeAffinity"]["verdict"]
    assert verdicts.tolist() == ["rejected"] * 3
    assert set(table[table["plugin"] == "NodeName"]["verdict"]) == {"not asked"}


def test_nodes_that_a_pre_filter_leaves_out():
    term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}
    affinity = {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}
        }
    }
    decision = decision_on(scenario(pod("a", affinity=affinity)), [Profile.default()], "a")
    assert decision.line["prefilter_nodes"] == decision.line["feasible"] == ["n1"]
    assert decision.line["filtered"]["n0"] == {
        "plugin": "NodeAffinity",
        "reasons": ["node(s) didn't satisfy plugin(s) [NodeAffinity]"],
        "code": "UnschedulableAndUnresolvable",
        "prefilter": True,
    }
    of = table_of(decision).set_index(["node", "plugin"])["verdict"]
    assert of[("n0", "NodeAffinity")] == "rejected"
    assert of[("n0", "NodeName")] == "not asked"


def test_the_table_of_a_pod_that_was_not_decided_on():
    decision = decision_on(scenario(pod("a", schedulerName="x")), [Profile.default()], "a")
    assert table_of(decision).empty
