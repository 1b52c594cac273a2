"""Two small studies of all forms and methods give the numbers that version 0.1.0 gave."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import reference

ROOT = Path(__file__).parents[1]
TOLERANCE = 1e-6 if reference.same_processor() else 1e-2
"""On another processor, sums in another order are amplified by training, and by ratios of small slopes."""


def expected(concept: str) -> pd.DataFrame:
    return pd.read_parquet(reference.HERE / f"{concept}.parquet").astype({"table": str, "row": str, "column": str})


@pytest.mark.parametrize("concept", reference.CONCEPTS)
def test_the_numbers_are_those_of_the_reference(concept, tmp_path):
    # In a process of its own: checking shapes there would double its time.
    command = [sys.executable, "-m", "reference", concept, str(tmp_path / "study")]
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    ran = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    found = reference.long(reference.tables_of(tmp_path / "study"))
    # A unit whose results change says so by its version, or stores would go on giving the old ones.
    differing = reference.unannounced(reference.departures(found, expected(concept), TOLERANCE))
    if not reference.same_processor():
        # Whether enough of a rival's fits come to rest to be told hangs on the last digits.
        differing = differing.loc[~(differing.table.str.endswith("-rivals") & differing.difference.isna())]
    assert differing.empty, differing.sort_values("difference", ascending=False).head(30).to_string()


def test_a_number_that_moves_and_a_row_that_goes_are_noticed():
    before = expected("tense")
    moved = before.copy()
    moved.loc[moved.index[123], "value"] += 3e-6 * (1 + abs(moved.value[123]))
    assert len(reference.departures(moved, before, 1e-6)) == 1
    assert len(reference.departures(before.iloc[:-5], before, 1e-6)) == before.value[-5:].notna().sum()
    assert reference.departures(before, before, 0.0).empty


def test_every_kind_of_unit_has_a_frozen_version():
    assert set(reference.versions_now()) - {"pairs", "tokens"} == set(reference.VERSIONS)
    differing = pd.DataFrame({"table": ["sweeps", "off_manifold-pair"]})
    assert len(reference.unannounced(differing)) == 2
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("analyses.units.sweeps.Measure.version", 3)
        assert reference.unannounced(differing).table.tolist() == ["off_manifold-pair"]
