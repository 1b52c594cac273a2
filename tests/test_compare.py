"""Studies compared: nothing with itself, what was planted with another, paired where both measured the same pairs."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from analyses.studies import compared
from analyses.studies.compared import compare
from analyses.studies.finished import Study
from mechsteer import InputError


@pytest.fixture
def study(small_study) -> Study:
    return Study.load(small_study)


def more(study: Study, factor: float, noise: float = 0.0) -> Study:
    """The same steers, that raise preference so many times as much, and leave utility as it is."""
    sweeps, rng = [], np.random.default_rng(0)
    for sweep in study.sweeps:
        gain = sweep.preference - sweep.preference[sweep.zero]
        by_pair = 1 + noise * rng.normal(size=len(sweep.pairs))
        half = ((factor - 1) * gain * by_pair) / 2
        sweeps.append(
            replace(sweep, loss_positive=sweep.loss_positive - half, loss_negative=sweep.loss_negative + half)
        )
    return replace(study, sweeps=tuple(sweeps))


def test_a_study_differs_in_nothing_from_itself(study):
    table = compare([study, study], ["a", "b"])
    assert set(table.method) == {"DiffMean", "Random"} and (table[["difference", "low", "high"]] == 0).all(axis=None)
    assert (table.n_paired == len(study.sweeps[0].pairs)).all() and table.p_value.isna().all()


def test_pairing_by_pair_sees_what_two_independent_studies_cannot(study, monkeypatch):
    other = more(study, 1.2)
    paired = compare([study, other], ["a", "b"]).set_index("method").loc["DiffMean"]
    monkeypatch.setattr(compared, "_shared", lambda *_: ([], []))
    apart = compare([study, other], ["a", "b"]).set_index("method").loc["DiffMean"]
    for row, alone in zip(
        paired[paired.budget.isna()].itertuples(), apart[apart.budget.isna()].itertuples(), strict=True
    ):
        assert row.n_paired == len(study.sweeps[0].pairs) and alone.n_paired == 0
        assert row.difference == pytest.approx(row.gained - row.gained_against) == pytest.approx(alone.difference)
        assert row.high - row.low < alone.high - alone.low


def test_only_pairs_that_both_have_measured_are_compared(study):
    half = list(range(0, len(study.sweeps[0].pairs), 2))
    fewer = replace(study, sweeps=tuple(compared._only(sweep, half) for sweep in study.sweeps))
    assert set(compare([study, fewer], ["a", "b"]).n_paired) == {len(half)}


def test_claims_of_one_study_alone_are_no_difference(small_study, mechsteer, tmp_path):
    bare = shutil.copytree(small_study, tmp_path / "bare")
    (bare / "claims.json").write_text("[]")
    (bare / "SHA256SUMS").unlink()
    code, printed, error = mechsteer("compare", small_study, bare)
    assert code == 0, error
    assert (
        "came out differently" not in printed and f"Not judged in {bare}, but elsewhere: linear_region: line" in printed
    )


def test_one_study_is_refused(study):
    with pytest.raises(InputError, match="Pass two or more"):
        compare([study], ["a"])


def test_the_command_prints_words_and_json_and_writes_a_table(small_study, tmp_path, mechsteer):
    code, said, _ = mechsteer("compare", small_study, small_study)
    assert code == 0 and "DiffMean vector" in said and "24 pairs in both" in said
    code, said, _ = mechsteer("compare", small_study, small_study, "--json", "--out", tmp_path / "table.parquet")
    content = json.loads(said)
    assert code == 0 and {row["method"] for row in content["differences"]} == {"DiffMean", "Random"}
    assert {claim["outcome"] for claim in content["claims"]} == {"supported", "refuted"} and (
        tmp_path / "table.parquet"
    ).is_file()
