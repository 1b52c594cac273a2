"""Tables that long work leaves as it goes, so that an interruption loses one of them."""

import io
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from mechsteer.store.sums import read_sealed, write_sealed


def kept(parts: Path | None, name: str, compute: Callable[[], pd.DataFrame]) -> pd.DataFrame:
    """What interrupted work has left in the folder under this name, or what is computed now; without a folder nothing is left."""
    path = None if parts is None else parts / f"{name}.parquet"
    if path is not None and (content := read_sealed(path)) is not None:
        return pd.read_parquet(io.BytesIO(content))
    table = compute()
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_sealed(table.to_parquet(index=False), path)
    return table
