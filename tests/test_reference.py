"""Two small studies give the sweeps that version 0.1.0 gave, and of all else what was frozen."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import reference

ROOT = Path(__file__).parents[1]
WORDS = {"table": str, "row": str, "column": str}
TOLERANCE = 1e-6 if reference.same_processor("sweeps") else 1e-2
"""On another processor, sums in another order are amplified by training."""


def sweeps(concept: str) -> pd.DataFrame:
    return pd.read_parquet(reference.HERE / f"{concept}.parquet").astype(WORDS)


def units(concept: str) -> pd.DataFrame:
    frozen = pd.read_parquet(reference.HERE / "units.parquet").astype(WORDS)
    return frozen.loc[frozen.concept == concept].drop(columns="concept")


@pytest.fixture(scope="module", params=reference.CONCEPTS)
def found(request, tmp_path_factory) -> tuple[str, dict[str, pd.DataFrame]]:
    """The tables of a study as it is now, run in a process of its own: checking shapes there would double its time."""
    folder = tmp_path_factory.mktemp("reference") / "study"
    command = [sys.executable, "-m", "reference", request.param, str(folder)]
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return request.param, reference.tables_of(folder)


def test_sweeps_are_those_of_version_0_1_0(found):
    concept, tables = found
    now = reference.long({"sweeps": tables["sweeps"]})
    differing = reference.departures(now, sweeps(concept), TOLERANCE)
    assert differing.empty, differing.sort_values("difference", ascending=False).head(30).to_string()


def test_what_units_compute_moves_only_where_their_version_says_so(found):
    """A unit whose results change says so by its version, or stores would go on giving the old ones."""
    if not reference.same_processor("units"):
        pytest.skip(
            "the numbers were frozen on another kind of processor, whose last digits decide which fits come to rest"
        )
    concept, tables = found
    now = reference.long({name: table for name, table in tables.items() if name != "sweeps"})
    differing = reference.unannounced(reference.departures(now, units(concept), 1e-6))
    assert differing.empty, differing.sort_values("difference", ascending=False).head(30).to_string()


def test_a_number_that_moves_and_a_row_that_goes_are_noticed():
    before = units("tense")
    moved = before.copy()
    moved.loc[moved.index[123], "value"] += 3e-6 * (1 + abs(moved.value.iloc[123]))
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
