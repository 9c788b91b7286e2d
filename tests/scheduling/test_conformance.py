import pytest

from schedlab.scheduling.base import Placement
from schedlab.scheduling.registry import SCHEDULERS, load_scheduler
from schedlab.testing.conformance import check_scheduler
from schedlab.testing.runs import PlainFirstFit


@pytest.mark.parametrize("name", SCHEDULERS)
def test_built_in_schedulers_conform(name):
    check_scheduler(lambda: load_scheduler(name))


class FirstNode:
    """Puts every pod on the first node."""

    def schedule(self, pods, view, rng):
        placement = Placement.of(pods)
        for i in range(len(pods)):
            if view.size:
                placement.place(i, 0)
        return placement


class Forgetful(PlainFirstFit):
    """Does not assume the pods of a batch: the second goes where the first has taken the room."""

    def schedule(self, pods, view, rng):
        placement = Placement.of(pods)
        for i, pod in enumerate(pods):
            rows = view.feasible(pod)
            if len(rows):
                placement.place(i, rows[0])
        return placement


class Meddler(PlainFirstFit):
    """Assumes on the state itself."""

    def schedule(self, pods, view, rng):
        placement = Forgetful.schedule(self, pods, view, rng)
        for pod, node in zip(pods, placement.node, strict=True):
            if node >= 0:
                view.state.add_pod(pod.row, pod.pod_class, node)
        return placement


class Moody(Forgetful):
    """Each instance has a mind of its own."""

    count = 0

    def __init__(self):
        super().__init__()
        Moody.count += 1
        self._skip = Moody.count % 2

    def schedule(self, pods, view, rng):
        placement = super().schedule(pods, view, rng)
        for i, pod in enumerate(pods):
            rows = view.feasible(pod)
            if len(rows) > 1:
                placement.place(i, rows[self._skip])
        return placement


class Orderly(Forgetful):
    """Says that the order of the nodes does not matter to it, but takes the first."""

    tags = frozenset()

    def schedule(self, pods, view, rng):
        placement = Placement.of(pods)
        with view.fork() as trial:
            for i, pod in enumerate(pods):
                rows = trial.feasible(pod)
                if len(rows):
                    placement.place(i, rows[0])
                    trial.assume(pod, rows[0])
        return placement


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        pytest.param(FirstNode, "larger than every node was placed", id="no filter at all"),
        pytest.param(Forgetful, "which can't take it", id="forgets its own batch"),
        pytest.param(Meddler, "the view was changed", id="changes the view"),
        pytest.param(Moody, "two instances disagree", id="hidden state"),
        pytest.param(Orderly, "the order of the nodes decides", id="wrong tags"),
    ],
)
def test_bad_schedulers_are_found_out(bad, sentence):
    with pytest.raises(AssertionError, match=sentence):
        check_scheduler(bad)
