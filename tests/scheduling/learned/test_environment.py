"""The Gymnasium environment; it comes with the extra [rl]."""

import numpy as np
import pytest

gymnasium = pytest.importorskip("gymnasium", reason="comes with the extra [rl]")

NAME = "schedlab.experiment.rl:schedlab/ClusterScheduling-v0"


def play(env, seed, steps=400):
    """Return what happens when the first node with room is taken."""
    draw = np.random.Generator(np.random.Philox(seed))
    observation, info = env.reset(seed=seed)
    log = [(observation, 0.0, False, False, info)]
    for _ in range(steps):
        fits = np.flatnonzero(env.unwrapped.action_masks())
        log.append(env.step(int(fits[draw.integers(len(fits))])))
        if log[-1][2]:
            break
    return log


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.filterwarnings("default")
def test_it_passes_gymnasiums_own_check(flat):
    from gymnasium.utils.env_checker import check_env

    check_env(gymnasium.make(NAME, flat=flat, render_mode="rgb_array").unwrapped)


def test_two_copies_stay_in_lock_step():
    for one, two in zip(play(gymnasium.make(NAME), 5), play(gymnasium.make(NAME), 5), strict=True):
        for key, value in one[0].items():
            assert np.array_equal(value, two[0][key])
        assert one[1:] == two[1:]


def test_the_return_is_the_share_that_was_placed():
    log = play(gymnasium.make(NAME), 1)
    assert log[-1][2]
    assert sum(step[1] for step in log) == pytest.approx(log[-1][4]["placed_percent"])
    assert 0 < log[-1][4]["placed_percent"] < 100  # more is asked for than there is


def test_a_node_without_room_drops_the_pod():
    env = gymnasium.make(NAME).unwrapped
    env.reset(seed=2)
    while env.action_masks().all():
        env.step(0)
    before = env._at
    _, reward, _, _, info = env.step(int(np.flatnonzero(~env.action_masks())[0]))
    assert reward == -1.0
    assert info["pod"] > before


def test_a_picture_has_a_square_per_node():
    env = gymnasium.make(NAME, render_mode="rgb_array")
    env.reset(seed=0)
    assert env.render().shape == (3 * 12, 4 * 12, 3)


@pytest.mark.filterwarnings("default")
def test_several_at_a_time():
    envs = gymnasium.make_vec(NAME, num_envs=2)
    observation, _ = envs.reset(seed=3)
    assert observation["mask"].shape == (2, 12)
    envs.close()
