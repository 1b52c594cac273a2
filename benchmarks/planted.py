"""What the rich guestbook's model holds of what its grammar plants: `python benchmarks/planted.py` prints Markdown.

By layer: the cosine of each concept's DiffMean vector with care's, which is the direction of validity, beside the planted
correlation; and the ring of the season, by the mean activations of the twelve months where a word for the weather follows
(of the last layer, behind the final norm).
"""

import sys
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tables import head, line  # noqa: E402

import mechsteer as ms  # noqa: E402
from mechsteer.guestbook import RICH  # noqa: E402
from mechsteer.guestbook.rich.guests import CORRELATION  # noqa: E402
from mechsteer.guestbook.rich.words import RINGS  # noqa: E402
from mechsteer.guestbook.words import NOUNS  # noqa: E402

N_NOUNS = 24
N_HALVES = 8
"""Random halves of the pairs, whose vectors say how far a cosine is luck."""


def cosines(model: ms.Model, sites: list[ms.Site]) -> dict[str, dict[ms.Site, list[float]]]:
    """Of each concept's vector with care's, by site: a value for each of some random halves of the pairs."""
    found: dict[str, dict[ms.Site, list[float]]] = {concept: {site: [] for site in sites} for concept in CORRELATION}
    pairs = {concept: RICH.pairs(concept) for concept in ("care", *CORRELATION)}
    for seed in range(N_HALVES):
        vectors = {concept: directions(model, some.split(0.5, seed=seed)[0], sites) for concept, some in pairs.items()}
        for concept, site in ((concept, site) for concept in CORRELATION for site in sites):
            found[concept][site].append(float(vectors[concept][site] @ vectors["care"][site]))
    return found


def directions(model: ms.Model, pairs: ms.Pairs, sites: list[ms.Site]) -> dict[ms.Site, Float[ndarray, " d_model"]]:
    """DiffMean vectors of length one."""
    vectors = {site: found.vector.direction.numpy() for site, found in ms.diff_means(model, pairs, sites).items()}
    return {site: vector / np.linalg.norm(vector) for site, vector in vectors.items()}


def months(model: ms.Model, sites: list[ms.Site]) -> dict[ms.Site, Float[ndarray, "months d_model"]]:
    """Mean activations at "on", before a word for the weather, over some nouns, for each month that was named before."""
    names = RINGS["MONTH"]
    nouns = [noun.word for noun in NOUNS.values() if noun.number == "singular" and noun.kind == "thing"][:N_NOUNS]
    texts = [
        f"what about the {noun} ? in {month} the {noun} is certainly most useful . on"
        for month in names
        for noun in nouns
    ]
    tokens = torch.tensor(model.require_tokenizer()(texts).input_ids)
    with torch.no_grad():
        states = model.hf(tokens, output_hidden_states=True).hidden_states
    return {site: states[site.layer + 1][:, -1].reshape(len(names), len(nouns), -1).mean(1).numpy() for site in sites}


def ring(means: Float[ndarray, "months d_model"]) -> tuple[float, float]:
    """The share of what varies between months that lies in their leading plane, and how well their places there are in order:
    the correlation of angle and month, around the circle."""
    centred = means - means.mean(axis=0)
    left, size, _ = np.linalg.svd(centred, full_matrices=False)
    around = left[:, 0] * size[0] + 1j * left[:, 1] * size[1]
    true = np.exp(2j * np.pi * np.arange(len(means)) / len(means))
    units = around / abs(around)
    return float((size[:2] ** 2).sum() / (size**2).sum()), float(
        max(abs((units * turn).mean()) for turn in (true, true.conj()))
    )


def main() -> None:
    torch.set_num_threads(1)
    model = ms.load_model(RICH.name, device="cpu")
    sites = [ms.Site(layer, "resid_post") for layer in range(model.n_layers)]
    print(head("cosine with care", "planted", *map(str, sites)))
    for concept, by_site in cosines(model, sites).items():
        cells = [f"{np.mean(some):+.2f} ± {np.std(some):.2f}" for some in by_site.values()]
        print(line(concept, f"{CORRELATION[concept]:g}", *cells))
    print("\n" + head("the months", *map(str, sites)))
    rings = [ring(means) for means in months(model, sites).values()]
    print(line("share of variance in a plane", *(f"{share:.2f}" for share, _ in rings)))
    print(line("order around it", *(f"{order:.2f}" for _, order in rings)))


if __name__ == "__main__":
    main()
