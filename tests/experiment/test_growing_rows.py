"""Rows of results that are kept, whatever comes after them."""

from schedlab.experiment.growing_rows import growing, read_rows


def test_rows_are_there_as_soon_as_they_are_known(tmp_path):
    file = tmp_path / "results.jsonl"
    with growing(file, [{"a": 1}]) as add:
        assert read_rows(file) == [{"a": 1}]
        add({"a": 2})
        assert read_rows(file) == [{"a": 1}, {"a": 2}]


def test_half_a_line_is_left_out(tmp_path):
    file = tmp_path / "results.jsonl"
    assert read_rows(file) == []
    file.write_text('{"a": 1}\n{"a": ')
    assert read_rows(file) == [{"a": 1}]
