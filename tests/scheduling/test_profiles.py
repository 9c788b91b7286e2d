"""KubeSchedulerConfiguration, as kube-scheduler's --config takes it."""

import warnings

import pytest

from schedlab.api.base import ModelWarning
from schedlab.errors import InputError
from schedlab.scheduling.framework.profiles import WEIGHTS, Profile, read_profiles
from schedlab.scheduling.kube_scheduler import KubeScheduler

HEAD = {"apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration"}


def profile(**content):
    return read_profiles({**HEAD, "profiles": [content]})[0]


def weights(found):
    return {plugin.name: weight for plugin, weight in found.scores}


def filters(found):
    return [plugin.name for plugin in found.filters]


def test_the_default_is_upstreams():
    found = read_profiles(HEAD)[0]
    assert weights(found) == WEIGHTS == weights(Profile())
    assert filters(found) == [
        "NodeUnschedulable", "NodeName", "TaintToleration", "NodeAffinity", "NodeResourcesFit",
    ]  # fmt: skip
    assert found.scheduler_name == "default-scheduler"


@pytest.mark.parametrize(
    ("plugins", "expected"),
    [
        pytest.param(
            {"score": {"enabled": [{"name": "NodeAffinity", "weight": 9}]}},
            {**WEIGHTS, "NodeAffinity": 9},
            id="another weight",
        ),
        pytest.param(
            {"score": {"disabled": [{"name": "*"}], "enabled": [{"name": "NodeResourcesFit"}]}},
            {"NodeResourcesFit": 1},
            id="only one",
        ),
        pytest.param(
            {"score": {"enabled": [{"name": "TaintToleration"}]}},
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
            {"multiPoint": {"disabled": [{"name": "TaintToleration"}]}},
            {k: v for k, v in WEIGHTS.items() if k != "TaintToleration"},
            id="disabled at every point",
        ),
        pytest.param(
            {"score": {"disabled": [{"name": "InterPodAffinity"}]}},
            WEIGHTS,
            id="what is not modelled may be disabled",
        ),
    ],
)
def test_score_plugins(plugins, expected):
    assert weights(profile(plugins=plugins)) == expected


def test_filter_plugins():
    off = {"multiPoint": {"disabled": [{"name": "TaintToleration"}]}}
    assert "TaintToleration" not in filters(profile(plugins=off))
    only_score = {"score": {"disabled": [{"name": "TaintToleration"}]}}
    assert "TaintToleration" in filters(profile(plugins=only_score))


@pytest.mark.parametrize(
    ("plugins", "expected"),
    [
        pytest.param(
            {"filter": {"enabled": [{"name": "NodeResourcesFit"}, {"name": "NodeAffinity"}]}},
            ["NodeResourcesFit", "NodeAffinity", "NodeUnschedulable", "NodeName",
             "TaintToleration"],
            id="what a point names comes first",
        ),
        pytest.param(
            {
                "multiPoint": {"disabled": [{"name": "NodeName"}]},
                "filter": {"enabled": [{"name": "NodeName"}]},
            },
            ["NodeUnschedulable", "TaintToleration", "NodeAffinity", "NodeResourcesFit",
             "NodeName"],
            id="what only the point names comes last",
        ),
        pytest.param(
            {
                "multiPoint": {
                    "disabled": [{"name": "*"}],
                    "enabled": [
                        {"name": n}
                        for n in ("DefaultBinder", "PrioritySort", "SchedulingGates",
                                  "NodeResourcesFit", "NodeName")
                    ],
                }
            },
            ["NodeResourcesFit", "NodeName"],
            id="all off, some on in their own order",
        ),
    ],
)  # fmt: skip
def test_the_order_of_filters_is_upstreams(plugins, expected):
    assert filters(profile(plugins=plugins)) == expected


@pytest.mark.parametrize(
    ("key", "content", "times"),
    [
        pytest.param("podInitialBackoffSeconds", 5, 1, id="another backoff"),
        pytest.param("podMaxBackoffSeconds", 10, 0, id="upstream's own backoff"),
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
            {
                **HEAD,
                "profiles": [
                    {"plugins": {"score": {"enabled": [{"name": "ImageLocality", "weight": 5}]}}}
                ],
            },
            "plugins that schedlab models so far",
            id="a plugin that is not modelled",
        ),
        pytest.param(
            {
                **HEAD,
                "profiles": [
                    {
                        "pluginConfig": [
                            {"name": "InterPodAffinity", "args": {"hardPodAffinityWeight": 5}}
                        ]
                    }
                ],
            },
            "plugins that schedlab models so far",
            id="arguments of a plugin that is not modelled",
        ),
        pytest.param(
            {
                **HEAD,
                "profiles": [
                    {
                        "pluginConfig": [
                            {
                                "name": "NodeResourcesFit",
                                "args": {"scoringStrategy": {"type": "Fullest"}},
                            }
                        ]
                    }
                ],
            },
            "pluginConfig[0].args.scoringStrategy.type: expected one of LeastAllocated",
            id="unknown strategy",
        ),
        pytest.param(
            {
                **HEAD,
                "profiles": [
                    {
                        "pluginConfig": [
                            {
                                "name": "NodeResourcesFit",
                                "args": {
                                    "scoringStrategy": {
                                        "type": "RequestedToCapacityRatio",
                                        "requestedToCapacityRatio": {
                                            "shape": [
                                                {"utilization": 50, "score": 1},
                                                {"utilization": 50, "score": 2},
                                            ]
                                        },
                                    }
                                },
                            }
                        ]
                    }
                ],
            },
            "points of growing utilization",
            id="a shape that does not grow",
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
            {**HEAD, "profiles": [{"plugins": {"queueSort": {"enabled": [{"name": "Gang"}]}}}]},
            "profiles[0].plugins.queueSort.enabled[0].name: expected a plugin of kube-scheduler",
            id="somebody else's plugin",
        ),
        pytest.param(
            {**HEAD, "profiles": [{"plugins": {"preFilter": {"disabled": [{"name": "*"}]}}}]},
            "profiles[0].plugins.preFilter: expected NodeAffinity",
            id="half of a plugin",
        ),
        pytest.param(
            {**HEAD, "profiles": [{"plugins": {"bind": {"disabled": [{"name": "*"}]}}}]},
            "profiles[0].plugins.bind: expected DefaultBinder",
            id="nobody binds",
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
