"""What a user would write without mechsteer: Hugging Face and a forward hook. The judge of losses, and the opponent.

The plain user makes full logits of every text. The careful user sorts the texts by length and makes logits at completions
alone. Both run the whole model once for each multiplier.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, relu
from transformers import PreTrainedModel
from workloads import Steer, TokenPair

BATCH_SIZE = 16

Text = tuple[tuple[int, ...], int]
"""Token ids, and the index at which the completion begins."""

Draw = tuple[Sequence[int], Sequence[float]]
"""The pairs of a training step, and their signed multipliers."""


def texts_of(pairs: Sequence[TokenPair]) -> list[Text]:
    """The positive texts of all pairs, then the negative ones."""
    return [(pair.positive, pair.begin) for pair in pairs] + [(pair.negative, pair.begin) for pair in pairs]


@dataclass(frozen=True, eq=False)
class HuggingFace:
    """A model in memory, and pairs of tokens, steered at the down-projection of block `layer`."""

    hf: PreTrainedModel
    pairs: Sequence[TokenPair]
    layer: int
    careful: bool = False

    @torch.no_grad()
    def sweep(self, steer: Steer, multipliers: Sequence[float], positions: str = "all") -> Tensor:
        """Losses [m, texts] in nats, positive texts first."""
        texts = texts_of(self.pairs)
        order = list(range(len(texts)))
        if self.careful:
            order.sort(key=lambda row: -len(texts[row][0]))
        module, delta = down_projection(self.hf, self.layer), delta_of(steer, self.hf.device)
        losses = torch.zeros(len(multipliers), len(texts))
        for index, multiplier in enumerate(multipliers):
            for first in range(0, len(texts), BATCH_SIZE):
                rows = order[first : first + BATCH_SIZE]
                batch = Batch.pad([texts[row] for row in rows], self.hf.device)
                with steered(module, delta, multiplier, batch.steered(positions)):
                    losses[index, rows] = self._losses(batch).cpu()
        return losses

    def train(self, steer: Steer, draws: Sequence[Draw], learning_rate: float, n_steps: int) -> list[float]:
        """Learn a vector by SPLIT (arXiv 2602.02343, eqs. 18-20); the loss at each step."""
        vector = nn.Parameter(steer.tensors["direction"].clone().to(self.hf.device))
        optimizer = torch.optim.AdamW([vector], lr=learning_rate, weight_decay=0.0)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / n_steps)
        module = down_projection(self.hf, self.layer)
        history = []
        for rows, multipliers in draws:
            pairs = [self.pairs[row] for row in rows]
            sides = [
                (pair.positive, pair.negative) if m > 0 else (pair.negative, pair.positive)
                for pair, m in zip(pairs, multipliers, strict=True)
            ]
            winners = [(win, pair.begin) for (win, _), pair in zip(sides, pairs, strict=True)]
            losers = [(lose, pair.begin) for (_, lose), pair in zip(sides, pairs, strict=True)]
            batch = Batch.pad(winners + losers, self.hf.device)
            m = torch.tensor([*multipliers, *multipliers], dtype=torch.float32, device=self.hf.device)
            with steered(module, lambda h: vector, m[:, None, None], batch.steered("all")):
                win, lose = (self._losses(batch) / batch.completion.sum(1)).chunk(2)
            loss = (win + 0.5 * lose + 5.0 * relu(0.5 - (lose - win))).mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_([vector], 1.0)
            optimizer.step()
            schedule.step()
            history.append(loss.item())
        return history

    def _losses(self, batch: "Batch") -> Tensor:
        return self._losses_at_completions(batch) if self.careful else self._losses_of_full_logits(batch)

    def _losses_of_full_logits(self, batch: "Batch") -> Tensor:
        return batch.losses(self.hf(input_ids=batch.tokens, attention_mask=batch.present.long()).logits)

    def _losses_at_completions(self, batch: "Batch") -> Tensor:
        inputs = dict(input_ids=batch.tokens, attention_mask=batch.present.long(), use_cache=False)
        hidden = self.hf.base_model(**inputs).last_hidden_state
        logits = self.hf.get_submodule("lm_head")(hidden[:, :-1][batch.completion[:, 1:]])
        cap = getattr(self.hf.config, "final_logit_softcapping", None)
        if cap is not None:
            logits = cap * torch.tanh(logits / cap)
        losses = cross_entropy(logits.float(), batch.tokens[batch.completion], reduction="none")
        row = batch.completion.nonzero()[:, 0]
        return torch.zeros(len(batch.tokens), device=losses.device).index_add(0, row, losses)


@dataclass(frozen=True, eq=False)
class Batch:
    """Texts side by side, padded on the right."""

    tokens: Tensor
    present: Tensor
    completion: Tensor

    @classmethod
    def pad(cls, texts: Sequence[Text], device: torch.device) -> "Batch":
        length = max(len(ids) for ids, _ in texts)
        tokens = torch.tensor([[*ids, *[0] * (length - len(ids))] for ids, _ in texts])
        index = torch.arange(length)
        present = index < torch.tensor([[len(ids)] for ids, _ in texts])
        completion = present & (index >= torch.tensor([[begin] for _, begin in texts]))
        return cls(tokens.to(device), present.to(device), completion.to(device))

    def losses(self, logits: Tensor) -> Tensor:
        """The loss of each completion, in nats."""
        log_probabilities = logits[:, :-1].float().log_softmax(-1)
        chosen = log_probabilities.gather(-1, self.tokens[:, 1:, None])[..., 0]
        return -(chosen * self.completion[:, 1:]).sum(1)

    def steered(self, positions: str) -> Tensor:
        """All tokens but padding and the one that begins the text, or the completion's alone."""
        if positions == "completion":
            return self.completion
        steered = self.present.clone()
        steered[:, 0] = False
        return steered


@contextmanager
def steered(
    module: nn.Module, delta: Callable[[Tensor], Tensor], multiplier: float | Tensor, where: Tensor
) -> Iterator[None]:
    """Inside the block, the module's output gains multiplier times delta of its input, at the positions `where`."""

    def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return output + (multiplier * where[..., None] * delta(inputs[0])).to(output.dtype)

    handle = module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def delta_of(steer: Steer, device: torch.device) -> Callable[[Tensor], Tensor]:
    """The shift at multiplier one, as a function of the down-projection's input."""
    tensors = {name: value.to(device) for name, value in steer.tensors.items()}
    if steer.form == "vector":
        return lambda h: tensors["direction"]
    if steer.form == "lora":
        return lambda h: h.float() @ tensors["down"].T @ tensors["up"].T
    return lambda h: h.float() @ tensors["weight"].T + tensors["bias"]


def down_projection(hf: PreTrainedModel, layer: int) -> nn.Module:
    """Where the MLP of block `layer` writes: GPT-2 has names of its own."""
    gpt2 = hf.config.model_type == "gpt2"
    return hf.get_submodule(f"transformer.h.{layer}.mlp.c_proj" if gpt2 else f"model.layers.{layer}.mlp.down_proj")
