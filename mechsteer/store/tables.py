"""Tables and arrays that are read back, and what their columns must be like."""

import io
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from numpy import ndarray
from pandas.api import types

from .reading import damaged, parsing, read_bytes

Columns = Mapping[str, Callable[[pd.Series], bool]]
"""What each column of a table must be; others may come along."""


def words(column: pd.Series) -> bool:
    """Texts, or nothing."""
    return types.is_string_dtype(column) or bool(column.isna().all())


def numbers(column: pd.Series) -> bool:
    """Numbers; what is missing is NaN."""
    is_number = types.is_numeric_dtype(column) and not types.is_bool_dtype(column)
    return is_number or bool(column.isna().all())


def finite(column: pd.Series) -> bool:
    """Numbers, all of them."""
    return numbers(column) and bool(np.isfinite(column.to_numpy(np.float64, na_value=np.nan)).all())


def counts(column: pd.Series) -> bool:
    """Whole numbers from zero."""
    return types.is_integer_dtype(column) and bool((column >= 0).all())


def strange_column(table: pd.DataFrame, columns: Columns) -> str:
    """Which column a table lacks, or what is wrong with one, in a few words; "" where all is well."""
    for name, is_right in columns.items():
        if name not in table:
            return f"it has no column {name!r}"
        if not isinstance(column := table[name], pd.Series):
            return f"it has the column {name!r} twice"
        # A column of no rows is of any type.
        if len(column) and not is_right(column):
            return f"the column {name!r} holds other things than {is_right.__name__}"
    return ""


def read_table(path: str | Path, columns: Columns | None = None) -> pd.DataFrame:
    """A parquet table that has these columns."""
    content = io.BytesIO(read_bytes(path))
    with parsing(path, "parquet table"):
        table = pd.read_parquet(content)
    if wrong := strange_column(table, columns or {}):
        raise damaged(path, wrong)
    return table


def read_arrays(path: str | Path) -> dict[str, ndarray]:
    """The arrays of a .npz file by name; whatever would have to be run to be read is refused."""
    content = io.BytesIO(read_bytes(path))
    with parsing(path, "file of arrays"), np.load(content, allow_pickle=False) as file:
        return dict(file)
