"""GPUs one by one: what annotations ask for, which GPU a pod gets, and that nothing is lost."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schedlab.cluster import ClassTable, ClusterState, ResourceNames
from schedlab.cluster.devices import (
    GPU_COUNT,
    GPU_INDEX,
    GPU_MILLI,
    GPU_MODEL,
    GPU_PRODUCT,
    DeviceRequest,
    device_index,
    device_request,
    device_text,
    shape_of,
)
from schedlab.cluster.invariants import devices_are_sums, no_overcommit, violations
from schedlab.errors import InputError
from schedlab.testing.gpus import gpu_class, gpu_node
from schedlab.testing.runs import small_node


def state_of(*nodes):
    state = ClusterState(ClassTable(ResourceNames()))
    for node in nodes:
        state.nodes.add(node)
    return state


@pytest.mark.parametrize(
    ("annotations", "asked"),
    [
        pytest.param({}, None, id="nothing"),
        pytest.param({"team": "a"}, None, id="another annotation"),
        pytest.param({GPU_COUNT: "0"}, None, id="no GPU"),
        pytest.param({GPU_COUNT: "0", GPU_MILLI: "0"}, None, id="none, as the trace's CPU pods"),
        pytest.param({GPU_COUNT: "1", GPU_MILLI: "0"}, None, id="nothing of one GPU"),
        pytest.param({GPU_COUNT: "1", GPU_MILLI: "460"}, (1, 460, ()), id="a share"),
        pytest.param({GPU_MILLI: "460"}, (1, 460, ()), id="a share, the count left out"),
        pytest.param({GPU_COUNT: "1", GPU_MILLI: "1000"}, (1, 1000, ()), id="a whole GPU"),
        pytest.param({GPU_COUNT: "2"}, (2, 1000, ()), id="two GPUs, the share left out"),
        pytest.param({GPU_COUNT: "8", GPU_MILLI: "1000"}, (8, 1000, ()), id="eight GPUs"),
        pytest.param(
            {GPU_COUNT: "1", GPU_MODEL: "V100M16|V100M32"},
            (1, 1000, ("V100M16", "V100M32")),
            id="two models will do",
        ),
        pytest.param(
            {GPU_COUNT: "1", GPU_MODEL: "T4|T4|"}, (1, 1000, ("T4", "T4")), id="as it was written"
        ),
        pytest.param({GPU_MODEL: "T4"}, None, id="a model without a GPU"),
    ],
)
def test_what_annotations_ask_for(annotations, asked):
    assert device_request(annotations) == (None if asked is None else DeviceRequest(*asked))


@pytest.mark.parametrize(
    ("annotations", "field"),
    [
        pytest.param({GPU_COUNT: "two"}, GPU_COUNT, id="no number"),
        pytest.param({GPU_COUNT: "-1"}, GPU_COUNT, id="less than none"),
        pytest.param({GPU_COUNT: "1", GPU_MILLI: "1001"}, GPU_MILLI, id="more than a GPU"),
        pytest.param({GPU_COUNT: "2", GPU_MILLI: "500"}, GPU_MILLI, id="shares of two GPUs"),
        pytest.param({GPU_COUNT: "1", GPU_MILLI: "0.5"}, GPU_MILLI, id="no whole number"),
    ],
)
def test_what_can_not_be_asked_for(annotations, field):
    with pytest.raises(InputError) as caught:
        device_request(annotations)
    assert field in caught.value.field


def test_texts_of_devices():
    assert device_index({GPU_INDEX: "3-0"}) == (0, 3)
    assert device_index({}) is None
    assert device_text((0, 3)) == "0-3"
    with pytest.raises(InputError):
        device_index({GPU_INDEX: "0,3"})


def test_shapes():
    assert shape_of(4_000, None) == (4_000, 0, 0, "")
    assert shape_of(4_000, DeviceRequest(1, 500, ("T4", "P100"))) == (4_000, 500, 1, "T4|P100")


def test_nodes_say_their_gpus_by_amount_count_or_not_at_all():
    counted = gpu_node("counted", 0)
    status = counted.status.model_copy(
        update={"allocatable": type(counted.status.allocatable)({GPU_COUNT: 4, GPU_MILLI: 1000})}
    )
    labels = counted.metadata.model_copy(update={"labels": {GPU_PRODUCT: "A10"}})
    counted = counted.model_copy(update={"status": status, "metadata": labels})
    state = state_of(small_node("plain"), gpu_node("eight", 8, model="G2"), counted)
    devices = state.nodes.devices
    assert devices.count[:3].tolist() == [0, 8, 4]
    assert devices.free[:3].sum(axis=1).tolist() == [0, 8_000, 4_000]
    assert [devices.models[m] if m >= 0 else None for m in devices.model[:3]] == [None, "G2", "A10"]
    pool = state.nodes.resources.get(GPU_MILLI)
    assert state.nodes.allocatable[pool, :3].tolist() == [0, 8_000, 4_000]


def test_a_cluster_without_gpus_has_no_columns():
    state = state_of(small_node("a"), small_node("b"))
    assert state.nodes.devices.width == 0
    assert state.nodes.devices.choose(0, DeviceRequest(1, 500, ())) is None
    assert not violations(state)


@pytest.mark.parametrize(
    ("free", "asked", "chosen"),
    [
        pytest.param((1000, 1000), (1, 500), (0,), id="equal: the first"),
        pytest.param((1000, 600), (1, 500), (1,), id="the one left with the least: 100 < 500"),
        pytest.param((500, 600), (1, 500), (0,), id="filled to the brim: 0 < 100"),
        pytest.param((499, 499), (1, 500), None, id="two halves are no whole"),
        pytest.param((700, 700, 700), (1, 700), (0,), id="equal and used"),
        pytest.param((999, 1000), (1, 1000), (1,), id="a whole GPU has to be idle"),
        pytest.param((1000, 900, 1000, 1000), (2, 1000), (0, 2), id="the first idle ones"),
        pytest.param((1000, 900, 900, 1000), (3, 1000), None, id="too few are idle"),
    ],
)
def test_which_gpus_a_pod_best_fits(free, asked, chosen):
    state = state_of(gpu_node("n", len(free)))
    state.nodes.devices.free[0] = free
    assert state.nodes.devices.choose(0, DeviceRequest(*asked, ())) == chosen


def test_models_have_to_match():
    state = state_of(gpu_node("n", 2, model="T4"))
    devices = state.nodes.devices
    assert devices.choose(0, DeviceRequest(1, 500, ("P100", "T4"))) == (0,)
    assert devices.choose(0, DeviceRequest(1, 500, ("P100",))) is None


@pytest.mark.parametrize(
    ("devices", "fits"),
    [
        pytest.param((0,), True, id="room"),
        pytest.param((1,), False, id="100 left of it"),
        pytest.param((2,), False, id="no such GPU"),
        pytest.param((-1,), False, id="no number of a GPU"),
        pytest.param((), False, id="none"),
        pytest.param((0, 1), False, id="too many"),
    ],
)
def test_named_devices(devices, fits):
    state = state_of(gpu_node("n", 2))
    state.nodes.devices.free[0] = (1000, 100)
    assert state.nodes.devices.fits_on(0, DeviceRequest(1, 500, ()), devices) is fits
    twice = DeviceRequest(2, 1000, ())
    assert not state.nodes.devices.fits_on(0, twice, (0, 0))


def test_the_state_holds_what_it_was_told_or_what_fits_best():
    state = state_of(gpu_node("n", 4))
    share, pair = gpu_class(state, 1, 400), gpu_class(state, 2)
    state.add_pod(0, share, 0, (2,))
    state.add_pod(1, share, 0)
    state.add_pod(2, pair, 0)
    assert state.devices_of == {0: (2,), 1: (2,), 2: (0, 1)}
    assert state.nodes.devices.free[0].tolist() == [0, 0, 200, 1000]
    assert state.nodes.devices.holders[0].tolist() == [2, 0, 1, 0, 0]
    assert share.requests != pair.requests  # the pooled amount counts as a resource too
    assert not violations(state)
    state.remove_pod(2)
    assert state.nodes.devices.free[0].tolist() == [1000, 1000, 200, 1000]
    assert not violations(state)


def test_a_pod_that_fits_no_single_gpu_holds_none():
    state = state_of(gpu_node("n", 2))
    most = gpu_class(state, 1, 600)
    for pod in range(3):  # 1,800 of 2,000 thousandths, but 400 + 400 are no 600
        state.add_pod(pod, most, 0)
    assert state.devices_of == {0: (0,), 1: (1,), 2: ()}
    assert not violations(state)


def test_an_overcommitted_gpu_is_told():
    state = state_of(gpu_node("n", 2))
    for pod in range(2):
        state.add_pod(pod, gpu_class(state, 1, 600), 0, (1,))
    assert not devices_are_sums(state)
    assert no_overcommit(state) == ["n: GPU 1 is given out beyond its 1000 by 200"]


def test_columns_that_are_off_are_told():
    state = state_of(gpu_node("n", 2))
    state.add_pod(0, gpu_class(state, 1, 600), 0)
    state.nodes.devices.free[0, 1] -= 1
    state.nodes.devices.holders[0, 1] += 1
    assert len(devices_are_sums(state)) == 2


def test_a_trial_is_rolled_back_to_the_same_gpus():
    state = state_of(gpu_node("n", 4))
    share = gpu_class(state, 1, 300)
    state.add_pod(0, share, 0, (3,))
    before = state.nodes.devices.free.copy()
    mark = state.mark()
    state.remove_pod(0)
    state.add_pod(1, share, 0)
    state.add_pod(0, share, 0)
    state.undo(mark)
    assert state.devices_of == {0: (3,)}
    assert (state.nodes.devices.free == before).all()
    assert not violations(state)


def test_a_node_that_changes_keeps_what_its_pods_hold():
    state = state_of(gpu_node("n", 2))
    state.add_pod(0, gpu_class(state, 1, 300), 0, (1,))
    state.nodes.add(gpu_node("n", 3, model="P100"))
    assert state.nodes.devices.free[0].tolist() == [1000, 700, 1000]
    assert state.nodes.devices.models[state.nodes.devices.model[0]] == "P100"
    state.nodes.remove("n")
    assert state.nodes.devices.count[0] == 0
    state.remove_pod(0)
    assert state.nodes.devices.free[0].tolist() == [0, 0, 0]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_columns_follow_any_sequence_of_pods(data):
    sizes = data.draw(st.lists(st.integers(0, 8), min_size=1, max_size=4))
    state = state_of(*(gpu_node(f"n{i}", size) for i, size in enumerate(sizes)))
    asked = [(1, 200), (1, 500), (1, 999), (1, 1000), (2, 1000), (8, 1000)]
    marks = []
    for step in range(data.draw(st.integers(1, 30))):
        action = data.draw(st.sampled_from(["add", "add", "remove", "mark", "undo"]))
        if action == "add":
            pod_class = gpu_class(state, *data.draw(st.sampled_from(asked)))
            row = data.draw(st.integers(0, len(sizes) - 1))
            if state.nodes.devices.width == 0 or state.nodes.devices.count[row] == 0:
                continue
            state.add_pod(step, pod_class, row)
        elif action == "remove" and state.node_of:
            state.remove_pod(data.draw(st.sampled_from(sorted(state.node_of))))
        elif action == "mark":
            marks.append((state.mark(), state.nodes.devices.free.copy(), dict(state.devices_of)))
        elif action == "undo" and marks:
            mark, free, held = marks.pop()
            state.undo(mark)
            assert np.array_equal(state.nodes.devices.free, free)
            assert state.devices_of == held
        assert not devices_are_sums(state)
        assert (state.nodes.devices.free >= 0).all()
