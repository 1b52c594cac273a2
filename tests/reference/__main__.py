"""Run a reference study as it is now: `python -m reference CONCEPT FOLDER`, from the tests' folder."""

import sys
from pathlib import Path

import torch

import mechsteer as ms
from analyses.studies import study
from analyses.studies.settings import Settings

from . import CONCEPTS, JUDGED, N_PAIRS, STEPS


def main(concept: str, folder: str) -> None:
    """Leaves the study in the folder."""
    torch.set_num_threads(1)
    site, multipliers = CONCEPTS[concept]
    settings = Settings(
        pairs=f"guestbook/{concept}", other_pairs=("guestbook/certainty",), site=site, multipliers=multipliers,
        steps=STEPS, claims=JUDGED[concept], device="cpu",
    )  # fmt: skip
    study.load_pairs = lambda *asked, **more: ms.load_pairs(*asked, **more).sample(N_PAIRS)
    study.run(settings, Path(folder))


main(*sys.argv[1:])
