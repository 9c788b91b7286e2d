import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedlab.sim import Calendar, Priority


@pytest.fixture
def log():
    return []


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 7)), max_size=50))
def test_events_come_in_order_of_time_then_priority_then_posting(posts):
    calendar, seen = Calendar(), []
    note = calendar.register("test", "note", seen.append)
    for number, (time_us, priority) in enumerate(posts):
        calendar.post(time_us, priority, note, number)
    calendar.run()
    assert seen == sorted(range(len(posts)), key=lambda n: (*posts[n], n))


def test_the_clock_stands_at_the_event_while_it_is_handled(log):
    calendar = Calendar()
    note = calendar.register("test", "note", lambda _: log.append(calendar.now_us))
    for time_us in (7, 3, 5):
        calendar.post(time_us, Priority.ARRIVAL, note)
    calendar.run()
    assert log == [3, 5, 7]
    assert calendar.processed == 3


def test_a_handler_may_post_for_the_same_instant(log):
    calendar = Calendar()

    def first(_):
        log.append("first")
        calendar.post(calendar.now_us, Priority.REMOVAL, second)

    def then(_):
        log.append("second")

    one = calendar.register("test", "first", first)
    second = calendar.register("test", "second", then)
    calendar.post(1, Priority.SCHEDULE, one)
    calendar.run()
    assert log == ["first", "second"]
    assert calendar.now_us == 1


def test_the_past_is_closed():
    calendar = Calendar()
    note = calendar.register("kubelet", "started", lambda _: None)
    calendar.post(10, Priority.ARRIVAL, note)
    calendar.run()
    with pytest.raises(ValueError, match=r"kubelet\.started posted for 9 us, but now is 10 us"):
        calendar.post(9, Priority.ARRIVAL, note)


def test_run_until_handles_what_is_due_and_moves_the_clock(log):
    calendar = Calendar()
    note = calendar.register("test", "note", log.append)
    for time_us in (1, 5, 6):
        calendar.post(time_us, Priority.ARRIVAL, note, time_us)
    calendar.run(until_us=5)
    assert (log, calendar.now_us, len(calendar)) == ([1, 5], 5, 1)


def test_background_alone_does_not_keep_a_run_going(log):
    calendar = Calendar()

    def tick(_):
        calendar.background_done(ticker)
        log.append(calendar.now_us)
        if not calendar.idle:
            calendar.post_background(calendar.now_us + 10, Priority.SAMPLE, ticker)

    ticker = calendar.register("test", "tick", tick)
    note = calendar.register("test", "note", lambda _: None)
    calendar.post_background(0, Priority.SAMPLE, ticker)
    calendar.post(25, Priority.ARRIVAL, note)
    calendar.run()
    assert log == [0, 10, 20]  # the tick at 30 stays: nothing can change before it
    assert calendar.idle


def test_entries_are_data():
    calendar = Calendar()
    note = calendar.register("apiserver", "bind", lambda _: None)
    calendar.post(4, Priority.WRITE, note, (17, 3))
    calendar.post(2, Priority.REMOVAL, note, 5)
    assert calendar.entries() == [
        (2, Priority.REMOVAL, 2, "apiserver.bind", 5),
        (4, Priority.WRITE, 1, "apiserver.bind", (17, 3)),
    ]


def test_step_handles_one_event(log):
    calendar = Calendar()
    note = calendar.register("test", "note", log.append)
    calendar.post(1, Priority.ARRIVAL, note, "a")
    calendar.post(2, Priority.ARRIVAL, note, "b")
    assert calendar.step()
    assert (log, calendar.now_us, calendar.peek()) == (["a"], 1, 2)
    assert calendar.step()
    assert not calendar.step()
