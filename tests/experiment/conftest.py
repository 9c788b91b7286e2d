import pytest

from schedlab.experiment.run import make_plan, run_plan
from schedlab.experiment.settings import parse_setting
from schedlab.testing.experiments import small_experiment


@pytest.fixture(scope="session")
def small_results(tmp_path_factory):
    """Results of the small experiment; not to be changed."""
    return run_plan(make_plan(small_experiment()), tmp_path_factory.mktemp("small"))


@pytest.fixture
def plan_of():
    """Return a function that plans the small experiment, with settings and changes."""

    def plan(*settings, **changes):
        return make_plan(small_experiment(**changes), [parse_setting(text) for text in settings])

    return plan
