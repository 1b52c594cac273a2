"""Two small studies give the sweeps that version 0.1.0 gave, and of all else what was frozen."""

import pandas as pd
import pytest
import reference
from reference.__main__ import main

WORDS = {"table": str, "row": str, "column": str}
TOLERANCE = 1e-6 if reference.same_processor("sweeps") else 1e-2
"""On another processor, sums in another order are amplified by training."""


def sweeps(concept: str) -> pd.DataFrame:
    return pd.read_parquet(reference.HERE / f"{concept}.parquet").astype(WORDS)


def units(concept: str) -> pd.DataFrame:
    frozen = pd.read_parquet(reference.HERE / "units.parquet").astype(WORDS)
    return frozen.loc[frozen.concept == concept].drop(columns="concept")


@pytest.mark.slow
@pytest.mark.parametrize("concept", reference.CONCEPTS)
def test_sweeps_are_those_of_version_0_1_0_and_what_units_compute_moves_only_where_their_version_says_so(
    concept, tmp_path
):
    """A unit whose results change says so by its version, or stores would go on giving the old ones."""
    folder = tmp_path / "study"
    main(concept, str(folder))
    tables = reference.tables_of(folder)
    swept = reference.long({"sweeps": tables.pop("sweeps")})
    differing = reference.departures(swept, sweeps(concept), TOLERANCE)
    assert differing.empty, differing.sort_values("difference", ascending=False).head(30).to_string()
    # On another kind of processor, last digits decide which fits come to rest.
    if reference.same_processor("units"):
        found = reference.departures(reference.long(tables), units(concept), 1e-6)
        differing = reference.unannounced(found)
        assert differing.empty, differing.sort_values("difference", ascending=False).head(30).to_string()


def test_a_number_that_moves_and_a_row_that_goes_are_noticed():
    before = units("tense")
    moved = before.copy()
    moved.loc[moved.index[123], "value"] += 3e-6 * (1 + abs(moved.value.iloc[123]))
    assert len(reference.departures(moved, before, 1e-6)) == 1
    assert len(reference.departures(before.iloc[:-5], before, 1e-6)) == before.value[-5:].notna().sum()
    assert reference.departures(before, before, 0.0).empty


def test_every_kind_of_unit_has_a_frozen_version():
    assert set(reference.versions_now()) - {"pairs", "tokens", "imported"} == set(reference.VERSIONS)
    differing = pd.DataFrame({"table": ["sweeps", "off_manifold-pair"]})
    assert len(reference.unannounced(differing)) == 2
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("analyses.units.sweeps.Measure.version", 3)
        assert reference.unannounced(differing).table.tolist() == ["off_manifold-pair"]
