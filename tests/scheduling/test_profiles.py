"""KubeSchedulerConfiguration, as kube-scheduler's --config takes it."""

import warnings

import pytest

from schedlab.api.base import ModelWarning
from schedlab.errors import InputError
from schedlab.scheduling.framework.interface import POINTS
from schedlab.scheduling.framework.profiles import Profile, read_configured, read_profiles
from schedlab.scheduling.kube_scheduler import KubeScheduler

HEAD = {"apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration"}
DUMPED = {
    "bind": ["DefaultBinder"],
    "filter": [
        "NodeUnschedulable", "NodeName", "TaintToleration", "NodeAffinity", "NodePorts",
        "NodeResourcesFit", "VolumeRestrictions", "NodeVolumeLimits", "VolumeBinding",
        "VolumeZone", "PodTopologySpread", "InterPodAffinity", "DynamicResources",
    ],
    "postFilter": ["DynamicResources", "DefaultPreemption"],
    "preBind": ["VolumeBinding", "DynamicResources"],
    "preEnqueue": ["SchedulingGates", "DynamicResources", "DefaultPreemption"],
    "preFilter": [
        "NodeAffinity", "NodePorts", "NodeResourcesFit", "VolumeRestrictions", "NodeVolumeLimits",
        "VolumeBinding", "VolumeZone", "PodTopologySpread", "InterPodAffinity", "DynamicResources",
    ],
    "preScore": [
        "TaintToleration", "NodeAffinity", "NodeResourcesFit", "VolumeBinding",
        "PodTopologySpread", "InterPodAffinity", "NodeResourcesBalancedAllocation",
    ],
    "queueSort": ["PrioritySort"],
    "reserve": ["VolumeBinding", "DynamicResources"],
    "permit": [],
    "postBind": [],
}  # fmt: skip
"""Which plugins run where, as Kubernetes 1.35.4 lists them itself."""
WEIGHTS = {
    "TaintToleration": 3, "NodeAffinity": 2, "NodeResourcesFit": 1, "VolumeBinding": 1,
    "PodTopologySpread": 2, "InterPodAffinity": 2, "DynamicResources": 2,
    "NodeResourcesBalancedAllocation": 1, "ImageLocality": 1,
}  # fmt: skip
FILTERS = DUMPED["filter"]


def profile(**content):
    return read_profiles({**HEAD, "profiles": [content]})[0]


def with_args(name, **args):
    return {**HEAD, "profiles": [{"pluginConfig": [{"name": name, "args": args}]}]}


def with_plugins(**points):
    return {**HEAD, "profiles": [{"plugins": points}]}


def enabled(*names):
    return {"enabled": [{"name": name} for name in names]}


def disabled(*names):
    return {"disabled": [{"name": name} for name in names]}


def weights(found):
    return {plugin.name: weight for plugin, weight in found.scores}


def names(found, point="filter"):
    return [plugin.name for plugin in found.plugins(point)]


def without(values, *dropped):
    return [value for value in values if value not in dropped]


@pytest.mark.parametrize(("point", "key"), POINTS.items())
def test_the_default_is_upstreams(point, key):
    for found in (Profile.default(), read_profiles(HEAD)[0]):
        expected = [*WEIGHTS] if key == "score" else DUMPED[key]
        assert without(names(found, point), "GpuShare") == expected
    assert ("GpuShare" in names(Profile.default(), point)) is (point == "filter")
    assert "GpuShare" not in names(read_profiles(HEAD)[0], point)  # a configuration names it


def test_the_default_weights_are_upstreams():
    assert weights(Profile.default()) == weights(read_profiles(HEAD)[0]) == WEIGHTS
    assert Profile.default().scheduler_name == "default-scheduler"


@pytest.mark.parametrize(
    ("plugins", "expected"),
    [
        pytest.param(
            {"score": {"enabled": [{"name": "NodeAffinity", "weight": 9}]}},
            {**WEIGHTS, "NodeAffinity": 9},
            id="another weight",
        ),
        pytest.param(
            {"score": {**disabled("*"), **enabled("NodeResourcesFit")}},
            {"NodeResourcesFit": 1},
            id="only one",
        ),
        pytest.param(
            {"score": enabled("TaintToleration")},
            {**WEIGHTS, "TaintToleration": 1},
            id="a weight left out is 1, not the default",
        ),
        pytest.param(
            {"multiPoint": {"enabled": [{"name": "NodeAffinity", "weight": 6}]}},
            {**WEIGHTS, "NodeAffinity": 6},
            id="a weight at every point",
        ),
        pytest.param(
            {
                "multiPoint": {"enabled": [{"name": "NodeAffinity", "weight": 6}]},
                "score": {"enabled": [{"name": "NodeAffinity", "weight": 8}]},
            },
            {**WEIGHTS, "NodeAffinity": 8},
            id="the point's own weight wins",
        ),
        pytest.param(
            {"multiPoint": disabled("TaintToleration")},
            {k: v for k, v in WEIGHTS.items() if k != "TaintToleration"},
            id="disabled at every point",
        ),
        pytest.param(
            {"score": disabled("InterPodAffinity")},
            {k: v for k, v in WEIGHTS.items() if k != "InterPodAffinity"},
            id="disabled at this point",
        ),
        pytest.param(
            {
                "score": {
                    **disabled("InterPodAffinity"),
                    "enabled": [{"name": "InterPodAffinity", "weight": 5}],
                }
            },
            {**WEIGHTS, "InterPodAffinity": 5},
            id="disabled and enabled: another weight, the old way",
        ),
    ],
)
def test_score_plugins(plugins, expected):
    assert weights(profile(plugins=plugins)) == expected


def test_a_plugin_disabled_at_one_point_runs_at_the_others():
    found = profile(plugins={"score": disabled("TaintToleration")})
    assert names(found) == FILTERS
    assert "TaintToleration" not in weights(found)
    assert "TaintToleration" in names(found, "pre_score")
    everywhere = profile(plugins={"multiPoint": disabled("DefaultPreemption")})
    assert names(everywhere, "post_filter") == ["DynamicResources"]
    assert names(everywhere, "pre_enqueue") == ["SchedulingGates", "DynamicResources"]
    assert everywhere.plugin("DefaultPreemption") is None
    here = profile(plugins={"postFilter": disabled("*")})
    assert names(here, "post_filter") == []
    assert here.plugin("DefaultPreemption") is not None


@pytest.mark.parametrize(
    ("plugins", "expected"),
    [
        pytest.param(
            {"filter": enabled("NodeResourcesFit", "NodeAffinity")},
            ["NodeResourcesFit", "NodeAffinity",
             *without(FILTERS, "NodeResourcesFit", "NodeAffinity")],
            id="what a point names comes first",
        ),
        pytest.param(
            {"multiPoint": disabled("NodeName"), "filter": enabled("NodeName")},
            [*without(FILTERS, "NodeName"), "NodeName"],
            id="what only the point names comes last",
        ),
        pytest.param(
            {"filter": {**disabled("NodeName"), **enabled("NodeName", "NodeAffinity")}},
            ["NodeAffinity", *without(FILTERS, "NodeName", "NodeAffinity"), "NodeName"],
            id="what a point disables and names comes last",
        ),
        pytest.param(
            {"filter": {**disabled("*"), **enabled("NodeAffinity", "NodeName")}},
            ["NodeAffinity", "NodeName"],
            id="all off at this point, some on in their own order",
        ),
        pytest.param(
            {
                "multiPoint": {
                    **disabled("*"),
                    **enabled("DefaultBinder", "PrioritySort", "SchedulingGates",
                              "NodeResourcesFit", "NodeName"),
                }
            },
            ["NodeResourcesFit", "NodeName"],
            id="all off, some on in their own order",
        ),
        pytest.param(
            {"multiPoint": enabled("NodeName", "TaintToleration")},
            FILTERS,
            id="default plugins named at multiPoint keep their places",
        ),
    ],
)  # fmt: skip
def test_the_order_of_filters_is_upstreams(plugins, expected):
    assert names(profile(plugins=plugins)) == expected


@pytest.mark.parametrize(
    ("name", "args", "attribute", "value"),
    [
        pytest.param(
            "InterPodAffinity", {"hardPodAffinityWeight": 50}, "hard_pod_affinity_weight", 50,
            id="hardPodAffinityWeight",
        ),
        pytest.param(
            "InterPodAffinity", {"ignorePreferredTermsOfExistingPods": True},
            "ignore_preferred_terms_of_existing_pods", True, id="ignorePreferredTerms",
        ),
        pytest.param(
            "DefaultPreemption", {"minCandidateNodesAbsolute": 7},
            "min_candidate_nodes_absolute", 7, id="minCandidateNodesAbsolute",
        ),
        pytest.param(
            "DefaultPreemption", {"minCandidateNodesPercentage": 0},
            "min_candidate_nodes_percentage", 0, id="minCandidateNodesPercentage",
        ),
        pytest.param(
            "DefaultPreemption", {}, "min_candidate_nodes_absolute", 100, id="upstream's default",
        ),
        pytest.param(
            "NodeResourcesBalancedAllocation",
            {"resources": [{"name": "cpu", "weight": 1}, {"name": "nvidia.com/gpu"}]},
            "resources", (("cpu", 1), ("nvidia.com/gpu", 1)), id="balanced resources",
        ),
    ],
)  # fmt: skip
def test_arguments_reach_the_plugin(name, args, attribute, value):
    kind = {"apiVersion": HEAD["apiVersion"], "kind": f"{name}Args"}
    found = read_profiles(with_args(name, **kind, **args))[0]
    assert getattr(found.plugin(name), attribute) == value


OWN = """
import numpy as np

from schedlab.scheduling.framework.interface import Depends


class Alphabetical:
    \"\"\"Prefer nodes whose name comes early.\"\"\"

    name = "Alphabetical"
    depends = Depends.STATIC

    def __init__(self, best: int = 100):
        self.best = best

    def score(self, cycle, rows):
        names = cycle.nodes.names
        order = sorted(names[row] for row in rows)
        return np.array([max(self.best - order.index(names[row]), 0) for row in rows])


class Nameless:
    def score(self, cycle, rows):
        return rows


class Idle:
    name = "Idle"
"""


@pytest.fixture
def own(tmp_path):
    (tmp_path / "mine.py").write_text(OWN)
    return tmp_path


def test_a_plugin_of_ones_own(own):
    path = own / "config.yaml"
    path.write_text(
        "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n"
        "profiles:\n- plugins:\n    multiPoint: {enabled: [{name: 'mine.py:Alphabetical', "
        "weight: 4}]}\n"
        "  pluginConfig: [{name: 'mine.py:Alphabetical', args: {best: 50}}]\n"
    )
    found = read_profiles(path)[0]
    assert weights(found) == {**WEIGHTS, "Alphabetical": 4}
    assert found.plugin("Alphabetical").best == 50
    assert names(found) == FILTERS


def test_a_plugin_of_a_package():
    name = "schedlab.scheduling.plugins.node_name:NodeName"
    with pytest.raises(InputError, match="attribute name of its own"):
        read_profiles(with_plugins(filter=enabled(name)))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        pytest.param(
            with_plugins(score=enabled("mine.py:Nameless")),
            "plugins.score.enabled[0].name: expected a class with an attribute name",
            id="without a name",
        ),
        pytest.param(
            with_plugins(multiPoint=enabled("mine.py:Idle")),
            "a class with one of the methods pre_enqueue",
            id="without a point",
        ),
        pytest.param(
            with_plugins(filter=enabled("mine.py:Alphabetical")),
            "plugins.filter.enabled: expected plugins that take part there (with a method filter)",
            id="at a point it has no method for",
        ),
        pytest.param(
            with_plugins(score=enabled("mine.py:Alphabetic")),
            "did you mean 'Alphabetical'?",
            id="no such class",
        ),
        pytest.param(
            with_plugins(score=enabled("yours.py:Alphabetical")),
            "expected a Python file",
            id="no such file",
        ),
        pytest.param(
            {
                **HEAD,
                "profiles": [
                    {
                        "plugins": {"score": enabled("mine.py:Alphabetical")},
                        "pluginConfig": [{"name": "mine.py:Alphabetical", "args": {"bets": 1}}],
                    }
                ],
            },
            "did you mean 'best'?",
            id="no such option",
        ),
    ],
)
def test_bad_plugins_of_ones_own(own, config, message):
    with pytest.raises(InputError) as caught:
        read_profiles(config, base=own)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("key", "content", "times"),
    [
        pytest.param("podInitialBackoffSeconds", 5, 0, id="backoff is read"),
        pytest.param("clientConnection", {"kubeconfig": "x", "qps": 9, "burst": 9}, 2, id="client"),
        pytest.param("leaderElection", {"leaderElect": True}, 0, id="without effect"),
        pytest.param("parallelism", 4, 0, id="without effect on decisions"),
    ],
)
def test_what_belongs_to_the_component_is_announced(recwarn, key, content, times):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert weights(read_profiles({**HEAD, key: content})[0]) == WEIGHTS
    assert [w.category for w in recwarn] == [ModelWarning] * times
    assert all("controlPlane.scheduler." in str(w.message) for w in recwarn)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param({}, (None, None), id="not said"),
        pytest.param({"podInitialBackoffSeconds": 3}, (3, None), id="one of them"),
        pytest.param(
            {"podInitialBackoffSeconds": 2, "podMaxBackoffSeconds": 30}, (2, 30), id="both"
        ),
    ],
)
def test_the_backoff_of_the_queue(content, expected):
    assert read_configured({**HEAD, **content}).backoff_seconds == expected


@pytest.mark.parametrize(
    ("content", "field"),
    [
        pytest.param({"podInitialBackoffSeconds": 0}, "podInitialBackoffSeconds", id="none at all"),
        pytest.param(
            {"podInitialBackoffSeconds": 11}, "podMaxBackoffSeconds", id="longer than the longest"
        ),
    ],
)
def test_a_backoff_that_is_none(content, field):
    with pytest.raises(InputError) as caught:
        read_configured({**HEAD, **content})
    assert caught.value.field == field


def test_several_profiles_and_their_share_of_nodes():
    found = read_profiles(
        {
            **HEAD,
            "percentageOfNodesToScore": 30,
            "profiles": [
                {"schedulerName": "a"},
                {"schedulerName": "b", "percentageOfNodesToScore": 70},
            ],
        }
    )
    assert [(p.scheduler_name, p.percentage_of_nodes_to_score) for p in found] == [
        ("a", 30),
        ("b", 70),
    ]


def test_a_file(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(
        "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n"
        "profiles:\n- schedulerName: mine\n  pluginConfig:\n  - name: NodeResourcesFit\n"
        "    args:\n      scoringStrategy: {type: MostAllocated}\n"
    )
    engine = KubeScheduler(str(path), scheduler_name="mine")
    fit = next(p for p, _ in engine.profile.scores if p.name == "NodeResourcesFit")
    assert fit.args.strategy == "MostAllocated"
    with pytest.raises(InputError, match="expected one of mine"):
        KubeScheduler(str(path), scheduler_name="yours")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        pytest.param(
            {**HEAD, "apiVersion": "kubescheduler.config.k8s.io/v1beta3"},
            "expected kubescheduler.config.k8s.io/v1, found",
            id="an old version",
        ),
        pytest.param({**HEAD, "kind": "Pod"}, "KubeSchedulerConfiguration", id="another kind"),
        pytest.param(
            {**HEAD, "profiles": [{"plugins": {"score": {"enabled": [{"name": "NodeAfinity"}]}}}]},
            "did you mean 'NodeAffinity'?",
            id="unknown plugin",
        ),
        pytest.param(
            {**HEAD, "profiles": [{"plugins": {"scores": {}}}]},
            "did you mean 'score'?",
            id="unknown extension point",
        ),
        pytest.param(
            with_plugins(queueSort=enabled("Gang")),
            "profiles[0].plugins.queueSort.enabled[0].name: expected a plugin of kube-scheduler",
            id="somebody else's plugin",
        ),
        pytest.param(
            with_plugins(score=disabled("NodeAfinity")),
            "score.disabled[0].name: expected a plugin of kube-scheduler, or *, found "
            "'NodeAfinity' (did you mean 'NodeAffinity'?)",
            id="unknown plugin to switch off",
        ),
        pytest.param(
            with_plugins(preFilter=disabled("*")),
            "profiles[0].plugins.preFilter: expected NodePorts",
            id="half of a plugin",
        ),
        pytest.param(
            with_plugins(preScore=disabled("PodTopologySpread")),
            "profiles[0].plugins.preScore: expected PodTopologySpread",
            id="half of a score",
        ),
        pytest.param(
            with_plugins(bind=disabled("*")),
            "profiles[0].plugins.bind: expected at least one",
            id="nobody binds",
        ),
        pytest.param(
            with_plugins(queueSort=disabled("*")),
            "profiles[0].plugins.queueSort: expected exactly one plugin",
            id="nobody sorts",
        ),
        pytest.param(
            with_plugins(score=enabled("NodeName")),
            "plugins.score.enabled: expected plugins that take part there",
            id="a filter as a score",
        ),
        pytest.param(
            with_plugins(filter=enabled("NodeName", "NodeName")),
            "plugins.filter.enabled[1].name: expected each plugin once",
            id="a plugin twice",
        ),
        pytest.param(
            {
                **HEAD,
                "profiles": [{"schedulerName": "a"}, {}],
            },
            "profiles[1].schedulerName: expected schedulerNames that are unique",
            id="a profile without a name",
        ),
        pytest.param(
            with_args("NodeName"),
            "pluginConfig[0].name: expected a plugin that takes arguments",
            id="arguments of a plugin without any",
        ),
        pytest.param(
            with_args("InterPodAffinity", kind="NodeAffinityArgs"),
            "pluginConfig[0].args.kind: expected InterPodAffinityArgs",
            id="arguments of another plugin",
        ),
        pytest.param(
            with_args("InterPodAffinity", hardPodAffinityWeight=101),
            "args.hardPodAffinityWeight: expected a number <= 100",
            id="a weight beyond 100",
        ),
        pytest.param(
            with_args("InterPodAffinity", hardPodAffinityWeigth=1),
            "did you mean 'hardPodAffinityWeight'?",
            id="a slip in an argument",
        ),
        pytest.param(
            with_args("NodeResourcesFit", scoringStrategy={"type": "Fullest"}),
            "pluginConfig[0].args.scoringStrategy.type: expected 'LeastAllocated'",
            id="unknown strategy",
        ),
        pytest.param(
            with_args(
                "NodeResourcesFit",
                scoringStrategy={
                    "type": "RequestedToCapacityRatio",
                    "requestedToCapacityRatio": {
                        "shape": [{"utilization": 50, "score": 1}, {"utilization": 50, "score": 2}]
                    },
                },
            ),
            "requestedToCapacityRatio.shape[1].utilization: expected points of growing utilization",
            id="a shape that does not grow",
        ),
        pytest.param(
            with_args("NodeResourcesFit", scoringStrategy={"type": "RequestedToCapacityRatio"}),
            "scoringStrategy.requestedToCapacityRatio: expected a shape",
            id="no shape",
        ),
        pytest.param(
            with_args(
                "NodeResourcesFit",
                scoringStrategy={
                    "requestedToCapacityRatio": {"shape": [{"utilization": 5, "score": 1}]}
                },
            ),
            "scoringStrategy.requestedToCapacityRatio: expected a shape with type",
            id="a shape that LeastAllocated has no use for",
        ),
        pytest.param(
            with_args("NodeResourcesFit", ignoredResourceGroups=["example.com/gpu"]),
            "ignoredResourceGroups[0]: expected a domain",
            id="a resource as a group",
        ),
        pytest.param(
            with_args(
                "NodeResourcesBalancedAllocation", resources=[{"name": "cpu"}, {"name": "cpu"}]
            ),
            "resources[1].name: expected each resource once",
            id="a resource twice",
        ),
        pytest.param(
            with_args("NodeResourcesBalancedAllocation", resources=[{"name": "cpu", "weight": 2}]),
            "resources[0].weight: expected 1",
            id="a weight where all count the same",
        ),
        pytest.param(
            with_args(
                "PodTopologySpread",
                defaultConstraints=[
                    {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}
                ],
            ),
            "args.defaultingType: expected List",
            id="constraints without List",
        ),
        pytest.param(
            with_args(
                "PodTopologySpread",
                defaultingType="List",
                defaultConstraints=[
                    {
                        "maxSkew": 1,
                        "topologyKey": "zone",
                        "whenUnsatisfiable": "ScheduleAnyway",
                        "labelSelector": {},
                    }
                ],
            ),
            "defaultConstraints[0].labelSelector: expected none",
            id="a default constraint with a selector",
        ),
        pytest.param(
            with_args(
                "PodTopologySpread",
                defaultingType="List",
                defaultConstraints=[
                    {"maxSkew": n, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}
                    for n in (1, 2)
                ],
            ),
            "defaultConstraints[1]: expected each key and action once",
            id="a default constraint twice",
        ),
        pytest.param(
            with_args("VolumeBinding", shape=[{"utilization": 0, "score": 0}]),
            "args.shape: expected none: StorageCapacityScoring is off",
            id="a shape of a feature that is off",
        ),
        pytest.param(
            with_args("VolumeBinding", bindTimeoutSeconds=-1),
            "args.bindTimeoutSeconds: expected a number >= 0",
            id="a negative timeout",
        ),
        pytest.param(
            with_args(
                "DefaultPreemption", minCandidateNodesAbsolute=0, minCandidateNodesPercentage=0
            ),
            "not both zero",
            id="no candidates at all",
        ),
        pytest.param(
            with_args("DynamicResources", bindingTimeout="10ms"),
            "args.bindingTimeout: expected at least 1 s",
            id="a timeout below a second",
        ),
        pytest.param({**HEAD, "profile": []}, "did you mean 'profiles'?", id="a key nobody knows"),
        pytest.param(
            {**HEAD, "extenders": [{}]}, "extenders: expected no extenders", id="extender"
        ),
        pytest.param({**HEAD, "profiles": ["a"]}, "profiles[0]: expected a mapping", id="text"),
        pytest.param(
            {**HEAD, "percentageOfNodesToScore": 500}, "a number <= 100", id="more than all nodes"
        ),
        pytest.param(
            {**HEAD, "profiles": [{"plugins": {"score": {"enable": []}}}]},
            "profiles[0].plugins.score.enable",
            id="a key of a point",
        ),
        pytest.param(
            {**HEAD, "profiles": [{"plugins": {"score": {"enabled": ["NodeAffinity"]}}}]},
            "profiles[0].plugins.score.enabled[0]: expected a mapping",
            id="a plugin that is no mapping",
        ),
        pytest.param(
            {
                **HEAD,
                "profiles": [
                    {"plugins": {"score": {"enabled": [{"name": "NodeAffinity", "weight": -1}]}}}
                ],
            },
            "enabled[0].weight: expected a number >= 0",
            id="a negative weight",
        ),
        pytest.param(
            {**HEAD, "profiles": [{"pluginConfig": [{"name": "NodeAffinity"}] * 2}]},
            "pluginConfig[1].name: expected each plugin once",
            id="arguments twice",
        ),
        pytest.param(
            {
                **HEAD,
                "profiles": [
                    {
                        "pluginConfig": [
                            {
                                "name": "NodeResourcesFit",
                                "args": {"scoringStrategy": {"resources": [{"weight": 1}]}},
                            }
                        ]
                    }
                ],
            },
            "pluginConfig[0].args.scoringStrategy.resources[0].name: expected a value",
            id="a resource without a name",
        ),
        pytest.param(
            {**HEAD, "profiles": [{}, {}]}, "schedulerNames that are unique", id="twice the same"
        ),
    ],
)
def test_bad_configurations(config, message):
    with pytest.raises(InputError) as caught:
        read_profiles(config)
    assert message in str(caught.value)
