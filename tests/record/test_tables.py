from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from schedlab.record.recorder import Coded, RunRecord
from schedlab.record.schema import NODES, TABLES
from schedlab.record.tables import read_tables, to_arrow, to_frames, write_tables


def with_column(record: RunRecord, table: str, column: str, values: object) -> RunRecord:
    tables = {name: dict(data) for name, data in record.tables.items()}
    tables[table][column] = values
    return dataclasses.replace(record, tables=tables)


def test_frames_are_those_read_back(record, tmp_path):
    write_tables(tmp_path, record)
    written, read = to_frames(record), read_tables(tmp_path)
    assert list(read) == list(TABLES)
    for name, frame in written.items():
        pd.testing.assert_frame_equal(read[name], frame)


def test_same_record_same_bytes(record, tmp_path):
    for folder in ("one", "two"):
        write_tables(tmp_path / folder, record)
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == sorted(f"{name}.parquet" for name in TABLES)  # nothing temporary left
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_coded_strings_give_the_bytes_of_plain_ones(record, tmp_path):
    nodes = [None, *record.tables["pods"]["node"]][1:]
    names = ["unused", "c", "b", "a"]
    codes = np.array([-1 if name is None else names.index(name) for name in nodes], np.int32)
    coded = with_column(record, "pods", "node", Coded(codes, names))
    write_tables(tmp_path / "plain", record)
    write_tables(tmp_path / "coded", coded)
    assert (tmp_path / "plain/pods.parquet").read_bytes() == (
        tmp_path / "coded/pods.parquet"
    ).read_bytes()


def test_times_that_did_not_happen_are_null(record):
    pods = to_frames(record)["pods"]
    assert pods["bound_us"].dtype == pd.Int64Dtype()
    pending = pods[pods["outcome"] == "pending"]
    assert pending["bound_us"].isna().all()
    assert pending["node"].isna().all()
    assert pods["bound_us"].notna().sum() == 10


def test_fields_carry_unit_and_description(record, tmp_path):
    write_tables(tmp_path, record)
    schema = pq.read_schema(tmp_path / "nodes.parquet")
    assert schema.names[: len(NODES)] == [column.name for column in NODES]
    field = schema.field("allocatable_memory_bytes")
    assert field.metadata[b"unit"] == b"bytes"
    assert field.metadata[b"description"] == b"what the node offers to pods"
    for name in TABLES:
        for field in pq.read_schema(tmp_path / f"{name}.parquet"):
            assert field.metadata[b"description"]


def test_file_in_a_partitioned_folder_gains_no_columns(record, tmp_path):
    folder = tmp_path / "scenario=x" / "seed=1"
    write_tables(folder, record)
    assert "seed" not in read_tables(folder, ["pods"])["pods"].columns


def test_empty_tables_keep_their_types():
    frames = to_frames(RunRecord({}, {}, "", 0, []))
    assert set(frames) == set(TABLES)
    assert frames["pods"]["created_us"].dtype == pd.Int64Dtype()
    assert all(frame.empty for frame in frames.values())


@pytest.mark.parametrize(
    ("table", "column", "values", "message"),
    [
        pytest.param("nodes", "colour", np.zeros(3, int), "'colour' that the schema lacks", id="x"),
        pytest.param("nodes", "zone", ["z"], "differ in length", id="length"),
        pytest.param("nodes", "added_us", np.zeros(3), "is float64, expected time", id="dtype"),
        pytest.param("pods", "request_", np.zeros(12, int), "that the schema lacks", id="no name"),
    ],
)
def test_what_the_schema_lacks_is_an_error(record, table, column, values, message):
    with pytest.raises(ValueError, match=message):
        to_arrow(with_column(record, table, column, values))


def test_number_that_does_not_fit_is_an_error(record):
    big = with_column(record, "pods", "priority", np.full(12, 2**40))
    with pytest.raises(ValueError, match="not in range"):
        to_arrow(big)


def test_missing_number_column_is_an_error(record):
    tables = {name: dict(data) for name, data in record.tables.items()}
    del tables["pods"]["replica"]
    with pytest.raises(ValueError, match="lacks its column 'replica'"):
        to_arrow(dataclasses.replace(record, tables=tables))


def test_unknown_table_is_an_error():
    with pytest.raises(ValueError, match="tables that the schema lacks: extra"):
        to_arrow(RunRecord({"extra": {}}, {}, "", 0, []))
