"""Result tables as Arrow, Parquet and pandas: what the recorder counted, in typed columns.

The columns, their types and their units come from `schedlab.record.schema`; each Parquet field
carries unit and description as metadata. Identical input gives identical bytes: no clock, no
random name, one compression level, metadata in a fixed order. Times are nullable: a time that did
not happen is null in Parquet and ``pd.NA`` (dtype ``Int64``) in pandas.

Strings stay Arrow strings that Parquet stores through a dictionary. Arrow's dictionary *type* was
rejected: it reads as a pandas Categorical, and joining runs whose categories differ loses the type.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from schedlab.record.recorder import Coded, ColumnData, RunRecord, Table
from schedlab.record.schema import OPTIONAL_TABLES, TABLES, Column

_ARROW: dict[str, pa.DataType] = {
    "int64": pa.int64(),
    "int32": pa.int32(),
    "float64": pa.float64(),
    "string": pa.string(),
    "bool": pa.bool_(),
    "time": pa.int64(),
}

# Columns that exist once per resource: table -> prefix -> (dtype, description).
RESOURCE_COLUMNS: dict[str, dict[str, tuple[str, str]]] = {
    "pods": {"request": ("int64", "what the pod requests")},
    "nodes": {"allocatable": ("int64", "what the node offers to pods")},
    "samples": {
        "requested": ("int64", "sum over nodes of what their pods request"),
        "allocatable": ("int64", "sum over nodes of what they offer"),
        "imbalance": ("float64", "standard deviation over nodes of requested / allocatable"),
        "stranded": ("int64", "free amount on nodes that can't take the median pod"),
    },
}


def to_arrow(record: RunRecord) -> dict[str, pa.Table]:
    """Return the tables of a record as Arrow tables: those of `schema.TABLES`, then others it has.

    Parameters
    ----------
    record : RunRecord
        Columns as numpy arrays, lists or coded strings. A time of -1, a code of -1 and a string
        of None are null; a column of times or strings that is absent is null in every row.

    Returns
    -------
    dict of str to pyarrow.Table
        A table of `schema.TABLES` that the record lacks is there, with no rows.

    Raises
    ------
    ValueError
        When a table or column isn't in the schema, or the columns of a table differ in length.
    """
    unknown = sorted(set(record.tables) - set(TABLES) - set(OPTIONAL_TABLES))
    if unknown:
        raise ValueError(f"the record has tables that the schema lacks: {', '.join(unknown)}")
    return {
        name: _arrow_table(name, record.tables.get(name, {}))
        for name in (*TABLES, *OPTIONAL_TABLES)
        if name in TABLES or record.tables.get(name)
    }


def to_frames(record: RunRecord) -> dict[str, pd.DataFrame]:
    """Return the tables of a record as DataFrames, equal to those read back from Parquet."""
    return {name: frame_of(table) for name, table in to_arrow(record).items()}


def write_tables(directory: str | Path, record: RunRecord) -> list[Path]:
    """Write each table of a record as ``<table>.parquet`` below *directory*.

    Each file appears whole or not at all. The same record gives the same bytes.

    Returns
    -------
    list of Path
        The files, in the order of `schema.TABLES`.
    """
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, table in to_arrow(record).items():
        path = folder / f"{name}.parquet"
        write_parquet(path, table)
        paths.append(path)
    return paths


def read_tables(
    directory: str | Path, names: Sequence[str] = tuple(TABLES)
) -> dict[str, pd.DataFrame]:
    """Read the tables *names* of a run directory; raise FileNotFoundError when one is missing."""
    return {name: read_parquet(Path(directory) / f"{name}.parquet") for name in names}


def write_parquet(path: Path, table: pa.Table) -> None:
    """Write one table, atomically and with the same bytes for the same content."""
    partial = path.with_name(f".{path.name}.partial")
    pq.write_table(
        table.combine_chunks(),
        partial,
        version="2.6",
        compression="zstd",
        compression_level=3,
        use_dictionary=[field.name for field in table.schema if field.type == pa.string()],
        row_group_size=1 << 20,
    )
    os.replace(partial, path)


def read_parquet(path: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read one Parquet file written by `write_parquet`, and nothing of the folder it lies in.

    Only *columns* where they are given.
    """
    with pq.ParquetFile(path) as file:
        return frame_of(file.read(None if columns is None else list(columns)))


def arrow_field(column: Column) -> pa.Field:
    """Return the Arrow field of a column, with its unit and description as metadata."""
    metadata = {"description": column.description, "dtype": column.dtype, "unit": column.unit}
    nullable = column.dtype in ("time", "string")
    return pa.field(column.name, _ARROW[column.dtype], nullable=nullable, metadata=metadata)


def columns_of(table: str, present: Sequence[str]) -> list[Column]:
    """Return the schema of a table: its fixed columns, then those per resource in *present*.

    Raises
    ------
    ValueError
        When *present* names a column that the schema lacks.
    """
    fixed = TABLES[table] if table in TABLES else OPTIONAL_TABLES[table]
    names = {column.name for column in fixed}
    extra = [_resource_column(table, name) for name in present if name not in names]
    return [*fixed, *extra]


def frame_of(table: pa.Table) -> pd.DataFrame:
    """Return an Arrow table as a DataFrame whose time columns are nullable ``Int64``."""
    columns: dict[str, object] = {}
    for field in table.schema:
        values = table.column(field.name)
        is_time = (field.metadata or {}).get(b"dtype") == b"time"
        if is_time:
            missing = values.is_null().to_numpy()
            filled = values.fill_null(0).to_numpy()
            columns[field.name] = pd.arrays.IntegerArray(filled.copy(), np.array(missing))
        else:
            columns[field.name] = values.to_pandas()
    return pd.DataFrame(columns, columns=table.column_names)


def _resource_column(table: str, name: str) -> Column:
    prefix, _, resource = name.partition("_")
    found = RESOURCE_COLUMNS.get(table, {}).get(prefix)
    if found is None or not resource:
        raise ValueError(f"table {table!r} has a column {name!r} that the schema lacks")
    dtype, description = found
    unit = "1" if dtype == "float64" else _unit(resource)
    return Column(name, dtype, unit, description)


def _unit(resource: str) -> str:
    for suffix in ("milli", "bytes"):
        if resource.endswith("_" + suffix):
            return suffix
    return ""


def _arrow_table(name: str, data: Table) -> pa.Table:
    columns = columns_of(name, list(data))
    lengths = {column: len(values) for column, values in data.items()}
    rows = next(iter(lengths.values()), 0)
    if any(length != rows for length in lengths.values()):
        raise ValueError(f"columns of table {name!r} differ in length: {lengths}")
    fields = [arrow_field(column) for column in columns]
    arrays = [_arrow_array(name, column, data.get(column.name), rows) for column in columns]
    return pa.table(arrays, schema=pa.schema(fields))


def _arrow_array(table: str, column: Column, values: ColumnData | None, rows: int) -> pa.Array:
    kind = _ARROW[column.dtype]
    if values is None:
        if rows and column.dtype not in ("time", "string"):
            raise ValueError(f"table {table!r} lacks its column {column.name!r}")
        return pa.nulls(rows, kind)
    if isinstance(values, Coded):
        return _decoded(values).cast(kind)
    if column.dtype == "string":
        return pa.array(list(values), type=kind)
    array = np.asarray(values)
    if not rows:
        return pa.nulls(0, kind)
    if not np.can_cast(array.dtype, kind.to_pandas_dtype(), casting="same_kind"):
        raise ValueError(
            f"column {column.name!r} of table {table!r} is {array.dtype}, expected {column.dtype}"
        )
    mask = array < 0 if column.dtype == "time" else None
    return pa.array(array, mask=mask).cast(kind)  # safe: raises on overflow


def _decoded(column: Coded) -> pa.Array:
    codes = pa.array(column.codes, type=pa.int32(), mask=np.asarray(column.codes) < 0)
    values = pa.array(list(column.values), type=pa.string())
    return pa.DictionaryArray.from_arrays(codes, values).dictionary_decode()
