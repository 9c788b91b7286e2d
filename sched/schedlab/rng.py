"""Random draws that are keyed, not sequential.

A draw is a hash of (seed, stream, entity, attempt). It depends on nothing else: not on how many
draws came before, nor on the order of events. Two schedulers that are compared under one seed
therefore meet the same sizes, durations, delays and faults, although their events differ in order
(common random numbers), and a new consumer of randomness shifts no other.

The hash is the 64-bit finalizer of SplitMix64 (Steele, Lea and Flood, "Fast splittable
pseudorandom number generators", OOPSLA 2014), applied once per key part. The scalar and the vector
form give the same bits. numpy's ``Generator`` was rejected for draws inside a simulation because
its answers depend on the number of earlier calls; it is used by workload generators, one fresh
generator per stream (`Draws.generator`).
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import ArrayLike, NDArray

_MASK = (1 << 64) - 1
_GAMMA = 0x9E3779B97F4A7C15
_MIX1 = 0xBF58476D1CE4E5B9
_MIX2 = 0x94D049BB133111EB
_TO_UNIT = 2.0**-53


def _mix(z: int) -> int:
    """Return the SplitMix64 finalizer of *z*, an unsigned 64-bit integer."""
    z = ((z ^ (z >> 30)) * _MIX1) & _MASK
    z = ((z ^ (z >> 27)) * _MIX2) & _MASK
    return z ^ (z >> 31)


def _mix_array(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(_MIX1)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(_MIX2)
    return z ^ (z >> np.uint64(31))


def entity_key(*parts: str | int) -> int:
    """Return a stable 64-bit key of an entity, such as ``entity_key("web", 3)``.

    It is the same in every process and on every machine, unlike Python's ``hash``.
    """
    text = "\x1f".join(f"{type(part).__name__[0]}{part}" for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


class Draws:
    """The random draws of one seed and one named stream.

    Parameters
    ----------
    seed : int
        Seed of the run, any integer.
    stream : str, default ""
        Name of the stream; draws of different streams are independent.
    """

    __slots__ = ("_key", "seed", "stream_name")

    def __init__(self, seed: int, stream: str = "") -> None:
        self.seed = seed
        self.stream_name = stream
        self._key = entity_key(seed, stream)

    def stream(self, name: str) -> Draws:
        """Return the sub-stream *name* of this stream."""
        return Draws(self.seed, f"{self.stream_name}/{name}")

    def bits(self, entity: int, attempt: int = 0) -> int:
        """Return 64 random bits for one entity and attempt."""
        z = _mix((self._key + (entity & _MASK) * _GAMMA) & _MASK)
        return _mix((z + (attempt + 1) * _GAMMA) & _MASK)

    def uniform(self, entity: int, attempt: int = 0) -> float:
        """Return one draw from the uniform distribution on [0, 1)."""
        return (self.bits(entity, attempt) >> 11) * _TO_UNIT

    def integer(self, bound: int, entity: int, attempt: int = 0) -> int:
        """Return one draw from 0 .. *bound* - 1 (bias below 2**-32 for bounds below 2**32)."""
        return (self.bits(entity, attempt) * bound) >> 64

    def uniforms(self, entities: ArrayLike, attempt: ArrayLike = 0) -> NDArray[np.float64]:
        """Return the draws of many entities at once.

        Parameters
        ----------
        entities : integer array of shape [E]
            Entity keys.
        attempt : integer or integer array of shape [E], default 0
            Attempt numbers.

        Returns
        -------
        float64 array of shape [E]
            Equal, bit for bit, to `uniform` called for each entity.
        """
        keys = np.asarray(entities)
        keys = keys.astype(np.uint64) if keys.dtype != np.uint64 else keys
        attempts = np.asarray(attempt).astype(np.uint64)
        with np.errstate(over="ignore"):
            z = _mix_array(np.uint64(self._key) + keys * np.uint64(_GAMMA))
            z = _mix_array(z + (attempts + np.uint64(1)) * np.uint64(_GAMMA))
        return (z >> np.uint64(11)).astype(np.float64) * _TO_UNIT

    def generator(self, entity: int = 0) -> np.random.Generator:
        """Return a fresh numpy generator, for a sequence that belongs to one entity alone."""
        return np.random.Generator(np.random.Philox(key=self.bits(entity)))
