from __future__ import annotations

import pytest

from schedlab.record.wallclock import Stopwatch, elapsed_s, peak_memory_bytes


def test_phases_are_measured_in_order_and_nested():
    watch = Stopwatch()
    with watch.phase("outer"), watch.phase("inner"):
        before = elapsed_s()
        while elapsed_s() - before < 0.01:
            pass
    assert [lap.phase for lap in watch.laps] == ["inner", "outer"]
    inner, outer = watch.laps
    assert 0.01 <= inner.wall_s <= outer.wall_s
    assert inner.cpu_s > 0


def test_a_phase_that_raises_is_measured():
    watch = Stopwatch()
    with pytest.raises(RuntimeError, match="broken"), watch.phase("simulate"):
        raise RuntimeError("broken")
    assert [lap.phase for lap in watch.laps] == ["simulate"]


def test_peak_memory_is_that_of_a_python_process():
    peak = peak_memory_bytes()
    assert peak == -1 or 5e6 < peak < 1e12
