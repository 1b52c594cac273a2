"""A study's activations by layer: the tables that say where they lie and where a shift goes, from what its folder holds."""

from functools import lru_cache
from pathlib import Path

import pandas as pd

from ..evidence.evidence import Evidence
from ..evidence.layers import by_layer
from .finished import Study

NAMES = ("layers-spectrum", "layers-shift")


def layers_of(study: Study) -> dict[str, pd.DataFrame]:
    """Of the first steer with evidence: as they were kept, or computed from it; nothing where there is neither."""
    if all(study.sums.has(f"{name}.parquet") for name in NAMES):
        return {name: study.table(name) for name in NAMES}
    paths = study.sums.names("evidence/*.npz")
    if not paths:
        return {}
    path = study.sums.path(paths[0])
    return _computed(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=64)
def _computed(path: Path, changed: int) -> dict[str, pd.DataFrame]:
    """Once for each state of a file: a page and the numbers behind it are of the same."""
    return by_layer(Evidence.load(path))
