"""KubeSchedulerConfiguration, as kube-scheduler's --config takes it."""

import pytest

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
        pytest.param(
            {**HEAD, "profiles": [{}, {}]}, "schedulerNames that are unique", id="twice the same"
        ),
    ],
)
def test_bad_configurations(config, message):
    with pytest.raises(InputError) as caught:
        read_profiles(config)
    assert message in str(caught.value)
