"""ImageLocality by tables: read them to learn what images are worth.

The cases follow the spirit of upstream's (pkg/scheduler/framework/plugins/imagelocality). With c
containers the score is 100 (sum - 23 MiB) / (1000 c MiB - 23 MiB), truncated, between 0 and 100,
where each container adds its image's size x (nodes that have it / all nodes), truncated.
"""

import numpy as np
import pytest

from schedlab.api.objects import Container, ContainerImage, PodSpec
from schedlab.cluster import ClassTable, ClusterState, ResourceNames
from schedlab.scheduling.framework.interface import Cycle, Depends, normalized
from schedlab.scheduling.plugins.image_locality import ImageLocality, normalized_image_name
from schedlab.testing import small_node

MIB = 1 << 20
PLUGIN = ImageLocality()


def node(name, **images):
    """Return a node with images, given as name=size in MiB."""
    return with_images(
        name, *(((f"{image}:latest",), round(size * MIB)) for image, size in images.items())
    )


def with_images(name, *images):
    found = tuple(ContainerImage(names=names, size_bytes=size) for names, size in images)
    plain = small_node(name)
    return plain.model_copy(update={"status": plain.status.model_copy(update={"images": found})})


def cluster(*nodes):
    state = ClusterState(ClassTable(ResourceNames()))
    for found in nodes:
        state.nodes.add(found)
    return state


def scores(state, images, init=()):
    def made(kind, names):
        return tuple(Container(name=f"{kind}{i}", image=n) for i, n in enumerate(names))

    spec = PodSpec(containers=made("c", images), init_containers=made("i", init))
    cycle = Cycle(state, state.classes.intern("default", spec, 0))
    return PLUGIN.score(cycle, cycle.rows()).tolist()


# --- the score of the first node of two (TestImageLocalityPriority)


@pytest.mark.parametrize(
    ("there", "other", "asked", "score"),
    [
        pytest.param({}, {}, ["a"], 0, id="no images anywhere"),
        pytest.param({"b": 500}, {}, ["a"], 0, id="another image"),
        pytest.param({}, {"a": 500}, ["a"], 0, id="on the other node only"),
        # 250 x 1/2 = 125 MiB: 100 (125 - 23) / 977 = 10.44
        pytest.param({"a": 250}, {}, ["a"], 10, id="on one node of two"),
        # 250 x 2/2 = 250 MiB: 100 (250 - 23) / 977 = 23.2
        pytest.param({"a": 250}, {"a": 250}, ["a"], 23, id="on both"),
        # 40 x 1/2 = 20 MiB < 23 MiB
        pytest.param({"a": 40}, {}, ["a"], 0, id="too small to count"),
        # 46 x 1/2 = 23 MiB: exactly the threshold
        pytest.param({"a": 46}, {}, ["a"], 0, id="as large as the threshold"),
        # 66 x 1/2 = 33 MiB: 100 x 10 / 977 = 1.02
        pytest.param({"a": 66}, {}, ["a"], 1, id="just above it"),
        # 2000 x 1/2 = 1000 MiB
        pytest.param({"a": 2000}, {}, ["a"], 100, id="as large as the most"),
        pytest.param({"a": 4000}, {}, ["a"], 100, id="larger still"),
        # 1999 x 1/2 = 999.5 MiB: 100 x 976.5 / 977 = 99.9
        pytest.param({"a": 1999}, {}, ["a"], 99, id="just below the most, truncated"),
        # two containers: up to 2000 MiB; 250 x 1/2 = 125: 100 x 102 / 1977 = 5.2
        pytest.param({"a": 250}, {}, ["a", "b"], 5, id="one of two containers' images"),
        # (250 + 500) x 1/2 = 375: 100 x 352 / 1977 = 17.8
        pytest.param({"a": 250, "b": 500}, {}, ["a", "b"], 17, id="both containers' images"),
        # 2 x 250 x 1/2 = 250: 100 x 227 / 1977 = 11.5
        pytest.param({"a": 250}, {}, ["a", "a"], 11, id="one image of two containers counts twice"),
        # 250 x 1/2 + 500 x 2/2 = 625: 100 x 602 / 1977 = 30.5
        pytest.param({"a": 250, "b": 500}, {"b": 500}, ["a", "b"], 30, id="each by its own spread"),
        # 4000 x 1/2 = 2000 MiB: one container may make up for the other
        pytest.param({"a": 4000}, {}, ["a", "b"], 100, id="the sum is capped, not each"),
    ],
)
def test_sizes_and_spread(there, other, asked, score):
    state = cluster(node("n0", **there), node("n1", **other))
    assert scores(state, asked)[0] == score


@pytest.mark.parametrize(
    ("containers", "init", "score"),
    [
        # (300 x 1/1): 100 x 277 / 977 = 28.4
        pytest.param(["a"], [], 28, id="without init containers"),
        # 300 + 40 = 340 of at most 2000: 100 x 317 / 1977 = 16.03
        pytest.param(["a"], ["b"], 16, id="an init container's image counts"),
        # 300 of 2000: 100 x 277 / 1977 = 14.01
        pytest.param(["a"], ["c"], 14, id="one that isn't there raises the bar"),
        # 40 of 2000: 100 x 17 / 1977 = 0.9
        pytest.param(["c"], ["b"], 0, id="only the init container's is there"),
    ],
)
def test_init_containers(containers, init, score):
    state = cluster(node("n0", a=300, b=40))
    assert scores(state, containers, init) == [score]


@pytest.mark.parametrize(
    ("nodes", "score"),
    [
        # 977 MiB x 1/n + 23 MiB - 23 MiB: 1000 / n
        pytest.param(1, 100, id="the only node"),
        pytest.param(2, 48, id="1000 / 2 = 500: 100 x 477 / 977 = 48.8"),
        pytest.param(4, 23, id="1000 / 4 = 250: 100 x 227 / 977 = 23.2"),
        pytest.param(10, 7, id="1000 / 10 = 100: 100 x 77 / 977 = 7.9"),
        pytest.param(43, 0, id="1000 / 43 = 23.3: 100 x 0.26 / 977 = 0.03"),
        pytest.param(44, 0, id="1000 / 44 = 22.7: below the threshold"),
    ],
)
def test_the_rarer_an_image_the_less_it_is_worth(nodes, score):
    state = cluster(node("n0", a=1000), *(node(f"n{i}") for i in range(1, nodes)))
    assert scores(state, ["a"]) == [score] + [0] * (nodes - 1)


# --- names (TestNormalizedImageName)


@pytest.mark.parametrize(
    ("name", "normalized"),
    [
        pytest.param("root", "root:latest", id="a bare name"),
        pytest.param("root:tag", "root:tag", id="a tag"),
        pytest.param("gcr.io:5000/root", "gcr.io:5000/root:latest", id="a port is no tag"),
        pytest.param("gcr.io:5000/root:tag", "gcr.io:5000/root:tag", id="a port and a tag"),
        pytest.param("a/b/c", "a/b/c:latest", id="a path"),
        pytest.param("root@sha256:0f", "root@sha256:0f", id="a digest has a colon, too"),
        pytest.param("", ":latest", id="nothing"),
    ],
)
def test_normalized_names(name, normalized):
    assert normalized_image_name(name) == normalized


@pytest.mark.parametrize(
    ("asked", "score"),
    [
        pytest.param("reg.io/a", 49, id="the tag latest is implied"),
        pytest.param("reg.io/a:latest", 49, id="the tag is given"),
        pytest.param("reg.io/a:1.2", 0, id="another tag"),
        pytest.param("reg.io/a@sha256:12", 49, id="any of its names will do"),
        pytest.param("a", 0, id="another registry"),
    ],
)
def test_an_image_goes_by_all_of_its_names(asked, score):
    # 502 MiB: 100 x 479 / 977 = 49.03
    image = (("reg.io/a:latest", "reg.io/a@sha256:12"), 502 * MIB)
    assert scores(cluster(with_images("n0", image)), [asked]) == [score]


# --- what nodes report


def test_the_first_node_that_reports_an_image_says_how_large_it_is():
    # both nodes: 500 x 2/2: 100 x 477 / 977 = 48.8
    state = cluster(node("n0", a=500), node("n1", a=900))
    assert scores(state, ["a"]) == [48, 48]


def test_scores_follow_images_that_come_and_go():
    state = cluster(node("n0", a=500), node("n1"))
    assert scores(state, ["a"]) == [23, 0]  # 250: 100 x 227 / 977 = 23.2
    state.nodes.add(node("n1", a=500))
    assert scores(state, ["a"]) == [48, 48]
    state.nodes.add(node("n0"))
    assert scores(state, ["a"]) == [0, 23]
    state.nodes.add(node("n2", a=800))  # 500 x 2/3 = 333.3: 100 x 310.3 / 977 = 31.7
    assert scores(state, ["a"]) == [0, 31, 31]
    state.nodes.remove("n1")  # 500 x 1/2, still as large as n1 said
    assert scores(state, ["a"]) == [0, 23]
    state.nodes.remove("n2")
    assert scores(state, ["a"]) == [0]
    assert state.nodes.images.get("a:latest") is None


def test_sizes_are_truncated_to_bytes_before_they_are_added():
    # 3 nodes have 100 MiB + 1 byte: int(104857601 x 3/4) = 78643200 each, x 2 = 150 MiB, not more:
    # 100 x (150 - 23) / 1977 = 6.4
    image = (("a:latest",), 100 * MIB + 1)
    state = cluster(*(with_images(f"n{i}", image) for i in range(3)), node("n3"))
    assert scores(state, ["a", "a"]) == [6, 6, 6, 0]


def test_the_rows_asked_for_are_answered_in_their_order():
    state = cluster(node("n0"), node("n1", a=1000), node("n2"))
    spec = PodSpec(containers=(Container(name="c", image="a"),))
    cycle = Cycle(state, state.classes.intern("default", spec, 0))
    # 1000 / 3 = 333.3: 100 x 310.3 / 977 = 31.7
    rows = np.array([2, 1])
    raw = PLUGIN.score(cycle, rows)
    assert raw.tolist() == [0, 31]
    assert normalized(PLUGIN, cycle, rows, raw).tolist() == [0, 31]  # it is a score already
    assert PLUGIN.depends is Depends.STATIC
