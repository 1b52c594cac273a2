"""mechsteer, called as its README shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from plain import Draw
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast
from workloads import Steer, TokenPair

import mechsteer as ms
from mechsteer.families import FORMS
from mechsteer.methods import run

TRAINING_MULTIPLIERS = (0.5, 1.0, 1.5)


@dataclass(frozen=True, eq=False)
class Mechsteer:
    """An open model and pairs of texts, steered at `site`, and at `more` sites at the same time."""

    model: ms.Model
    pairs: ms.Pairs
    site: ms.Site
    more: tuple[ms.Site, ...] = ()

    @classmethod
    def open(cls, hf: PreTrainedModel, pairs: Sequence[TokenPair], layer: int) -> "Mechsteer":
        """Wraps the model in place."""
        tokenizer = words_for_tokens(hf.config.vocab_size, hf.config.bos_token_id)
        return cls(ms.load_model(hf, tokenizer=tokenizer), as_text(pairs), ms.Site(layer, "mlp.out"))

    def sweep(self, steer: Steer, multipliers: Sequence[float], positions: str = "all", **settings: Any) -> Tensor:
        """Losses [m, texts] in nats, positive texts first; `settings` go to `run_sweep`."""
        sweep = ms.run_sweep(
            self.model, self._intervention(steer), self.pairs, multipliers, positions=positions, progress=False, **settings
        )  # fmt: skip
        return torch.cat([torch.from_numpy(sweep.loss_positive), torch.from_numpy(sweep.loss_negative)], dim=1)

    def train(self, steer: Steer, learning_rate: float, n_steps: int) -> list[float]:
        """Learn the steer by SPLIT, all pairs in each step; the loss at each step."""
        trained = ms.train(
            self.model, self._intervention(steer), self.pairs, ms.SPLIT(),
            ms.TrainSettings(
                multipliers=TRAINING_MULTIPLIERS, steps=n_steps, batch_size=len(self.pairs), learning_rate=learning_rate,
                relative=False,
            ),
            progress=False,
        )  # fmt: skip
        return trained.history["loss"].tolist()

    def draws(self, n_steps: int) -> list[Draw]:
        """The pairs and signed multipliers that `train` draws for its steps."""
        n_pairs = len(self.pairs)
        recipe = ms.Recipe(batch_size=n_pairs, multipliers=TRAINING_MULTIPLIERS)
        drawn = [run.Draw.at(0, step, n_pairs, recipe) for step in range(n_steps)]
        return [(draw.pairs.tolist(), draw.multipliers[0].tolist()) for draw in drawn]

    def _intervention(self, steer: Steer) -> ms.Intervention:
        form, sites = FORMS.load(steer.form), (self.site, *self.more)
        return ms.join(form.init(site, *site.widths(self.model)).with_parameters(steer.tensors) for site in sites)


def words_for_tokens(d_vocab: int, bos_token: int) -> PreTrainedTokenizerFast:
    """A tokenizer with a word for each token: "<17>" is token 17."""
    words = WordLevel({f"<{token}>": token for token in range(d_vocab)}, unk_token="<0>")
    tokenizer = Tokenizer(words)
    tokenizer.pre_tokenizer = WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=f"<{bos_token}>")


def as_text(pairs: Sequence[TokenPair]) -> ms.Pairs:
    """The pairs in those words."""

    def text(tokens: Sequence[int]) -> str:
        return "".join(f" <{token}>" for token in tokens)

    return ms.Pairs(
        tuple(
            ms.PolarityPair(
                text(pair.positive[: pair.begin]), text(pair.positive[pair.begin :]), text(pair.negative[pair.begin :])
            )
            for pair in pairs
        ),
        "random tokens",
    )
