"""ClusterScheduling: placing pods one by one, as a Gymnasium environment.

An action is the node that the pod at hand goes to. Pods come in the order of a problem; those whose
time is over leave before the next one comes, and one that fits nowhere is dropped before it is
shown. The reward of a placement is what the pod asks for in percent of all that is asked for, so
that the return of an episode is the share that was placed: of GPUs where pods ask for any, else of
CPU. The same seed gives the same pods and, with the same actions, the same episode.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from schedlab.errors import InputError
from schedlab.scheduling.learned import kernels
from schedlab.scheduling.learned.features import KINDS, NAMES
from schedlab.scheduling.learned.model import Model
from schedlab.scheduling.learned.problem import Problem
from schedlab.scheduling.learned.replay import take_from

Observation = dict[str, NDArray[Any]] | NDArray[np.float32]
CELL = 12
"""Side of a node in pictures, in pixels."""
LARGEST = 100.0
"""Features are cut off there, so that the space has bounds."""
REFUSED = -1.0
"""Reward of a node that has no room: the pod is dropped."""


class ClusterScheduling(gymnasium.Env[Any, Any]):
    """Place pods on nodes.

    Parameters
    ----------
    problems : callable
        Returns the problem of a seed; all have as many nodes.
    flat : bool, default False
        Observations are one vector instead of a dictionary.
    render_mode : {"rgb_array"}, optional
        What `render` gives.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 10}

    def __init__(
        self,
        problems: Callable[[int], Problem],
        *,
        flat: bool = False,
        render_mode: str | None = None,
    ) -> None:
        if render_mode not in (None, "rgb_array"):
            raise InputError("render_mode", found=render_mode, expected="rgb_array, or none")
        self.render_mode = render_mode
        self.flat = flat
        self._problems = problems
        self._devices_by = Model.of({"device_left": -1.0})
        self._start(problems(0))
        nodes, features, kinds = self._nodes, len(NAMES), len(KINDS)
        self.action_space = spaces.Discrete(nodes)
        parts = {
            "features": spaces.Box(-LARGEST, LARGEST, (features, nodes), np.float32),
            "kind": spaces.Box(0.0, 1.0, (kinds,), np.float32),
            "mask": spaces.Box(0.0, 1.0, (nodes,), np.float32),
        }
        self.observation_space: Any = spaces.Dict(parts)
        if flat:
            size = sum(int(np.prod(space.shape)) for space in parts.values())
            self.observation_space = spaces.Box(-LARGEST, LARGEST, (size,), np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start the episode of a seed; without one, of a seed drawn from the last."""
        super().reset(seed=seed)
        number = int(self.np_random.integers(1 << 31)) if seed is None else seed
        self._start(self._problems(number))
        return self._observe(), self._info()

    def step(self, action: Any) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Put the pod at hand on a node and go on to the next that fits anywhere."""
        node = int(action)
        pod = self._problem.asks[self._problem.ask[self._at]]
        reward = REFUSED
        if self._fits[node]:
            mask = take_from(node, int(self._device[node]), pod, 1, self._columns, 0)
            duration = int(self._problem.duration_us[self._at])
            if duration >= 0:
                end = int(self._problem.arrival_us[self._at]) + duration
                heapq.heappush(self._held, (end, self._at, node, mask))
            amount = float(self._amounts[self._at])
            self._placed += amount
            reward = 100.0 * amount / self._total
        self._at += 1
        self._advance()
        over = self._at >= len(self._problem.ask)
        return self._observe(), reward, over, False, self._info()

    def action_masks(self) -> NDArray[np.bool_]:
        """Return which nodes have room for the pod at hand, bool [N]."""
        return self._fits.copy()

    def render(self) -> NDArray[np.uint8]:
        """Return a picture: a square per node, as red, green and blue as CPU, memory, GPU are used.

        uint8 [rows * 12, columns * 12, 3].
        """
        cpu_all, cpu, memory_all, memory, free, count, _ = self._columns
        gpu = 1 - free.sum(1) / np.maximum(1000 * count, 1)
        used = np.stack([1 - cpu / cpu_all, 1 - memory / memory_all, np.where(count, gpu, 0)], 1)
        across = int(np.ceil(self._nodes**0.5))
        down = -(-self._nodes // across)
        cells = np.zeros((down * across, 3), np.uint8)
        cells[: self._nodes] = (40 + 215 * used.clip(0, 1)).astype(np.uint8)
        grid = cells.reshape(down, across, 3).repeat(CELL, 0).repeat(CELL, 1)
        grid[::CELL] = grid[:, ::CELL] = 0
        return grid

    def _start(self, problem: Problem) -> None:
        self._problem = problem
        self._columns = problem.fresh_columns()
        self._nodes = len(self._columns[0])
        gpu = problem.gpu_milli
        self._amounts = gpu if gpu.any() else problem.cpu_milli
        self._total = max(1.0, float(self._amounts.sum()))
        self._held: list[tuple[int, int, int, int]] = []
        self._placed = 0.0
        self._at = self._dropped = 0
        self._fits = np.zeros(self._nodes, np.bool_)
        self._features = np.zeros((len(NAMES), self._nodes))
        self._device = np.full(self._nodes, -1, np.int64)
        self._advance()

    def _advance(self) -> None:
        """Go to the next pod that fits anywhere; drop those before it."""
        problem = self._problem
        while self._at < len(problem.ask):
            now = int(problem.arrival_us[self._at])
            while self._held and self._held[0][0] <= now:
                _, pod, node, mask = heapq.heappop(self._held)
                take_from(node, -1, problem.asks[problem.ask[pod]], -1, self._columns, mask)
            self._look()
            if self._fits.any():
                return
            self._at += 1
            self._dropped += 1
        self._fits = np.zeros(self._nodes, np.bool_)
        self._features = np.zeros((len(NAMES), self._nodes))

    def _look(self) -> None:
        """Ask for the features of the pod at hand."""
        problem, size = self._problem, self._nodes
        ask = int(problem.ask[self._at])
        rows = np.arange(size)
        before = np.zeros((size, kernels.POTENTIALS))
        kernels.refresh_potentials(rows, self._columns, *problem.known[:2], before)
        values = np.zeros(size, np.int64)
        self._device = np.zeros(size, np.int64)
        self._features = np.zeros((len(NAMES), size))
        kernels.feature_rows(
            rows,
            problem.asks[ask],
            problem.accepts[ask],
            self._columns,
            before,
            *problem.known,
            self._devices_by.weights,
            values,
            self._device,
            self._features,
        )
        self._fits = values > kernels.NOT_FEASIBLE

    def _observe(self) -> Observation:
        features = np.nan_to_num(self._features).clip(-LARGEST, LARGEST).astype(np.float32)
        kind = np.zeros(len(KINDS), np.float32)
        if self._at < len(self._problem.ask):
            asked = self._problem.asks[self._problem.ask[self._at]]
            kind[kernels.kind_of(int(asked[2]), int(asked[3]))] = 1.0
        mask = self._fits.astype(np.float32)
        if self.flat:
            return np.concatenate([features.ravel(), kind, mask])
        return {"features": features, "kind": kind, "mask": mask}

    def _info(self) -> dict[str, Any]:
        share = 100.0 * self._placed / self._total
        return {"pod": self._at, "placed_percent": share, "dropped": self._dropped}
