"""DefaultBinder: the caller binds, as upstream's asks the API server to."""

from schedlab.scheduling.framework.interface import Cycle
from schedlab.scheduling.plugins.default_binder import DefaultBinder
from schedlab.testing.hints import asks, zoned_cluster


def test_the_caller_binds():
    state = zoned_cluster("a")
    assert DefaultBinder().bind(Cycle(state, asks().of(state)), 0) is False
