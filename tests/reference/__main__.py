"""Run a reference study: `python -m reference CONCEPT FOLDER`, from the tests' folder; `freeze FOLDER` writes units.parquet."""

import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

import mechsteer as ms
import reference
from analyses.evidence.side_effects import by_layer
from analyses.studies import study, subjects
from analyses.studies.settings import Settings


def main(concept: str, folder: str) -> None:
    """Leaves the study in the folder, and beside it what the choice of a site finds."""
    torch.set_num_threads(1)
    settings = Settings(
        pairs=f"guestbook/{concept}", other_pairs=("guestbook/certainty",), steps=reference.STEPS, tune=1, device="cpu",
        **reference.CONCEPTS[concept],
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            subjects, "load_pairs", lambda *asked, **more: ms.load_pairs(*asked, **more).sample(reference.N_PAIRS)
        )
        for name, n in reference.FEWER.items():
            patch.setattr(f"analyses.{name}", n)
        study.run(settings, Path(folder))
    learning, _ = ms.load_pairs(settings.pairs).sample(reference.N_PAIRS).split(0.5, seed=0)
    model = ms.load_model("guestbook", device="cpu")
    chosen = ms.choose_site(model, learning, progress=False)
    others = [ms.load_pairs("guestbook/certainty").sample(reference.N_PAIRS)]
    effects = by_layer(model, learning, chosen.table, "resid_post", others)
    for name, table in zip(reference.BY_SITE, (chosen.table, effects), strict=True):
        table.to_parquet(Path(folder) / f"{name}.parquet", index=False)


def freeze(folder: str) -> None:
    """Keep what units compute now, but for sweeps, which are older."""
    parts = []
    for concept in reference.CONCEPTS:
        main(concept, f"{folder}/{concept}")
        tables = reference.tables_of(Path(folder) / concept)
        del tables["sweeps"]
        parts.append(reference.long(tables).assign(concept=concept))
    frozen = pd.concat(parts, ignore_index=True)
    words = ["concept", "table", "row", "column"]
    frozen.astype(dict.fromkeys(words, "category")).to_parquet(reference.HERE / "units.parquet", index=False)
    (reference.HERE / "units_processor.txt").write_text(reference.processor() + "\n", encoding="utf-8")


if __name__ == "__main__":
    freeze(sys.argv[2]) if sys.argv[1] == "freeze" else main(*sys.argv[1:])
