"""The engine: losses and activations of polarity pairs under a steer, doing only the arithmetic that depends on the multiplier.

A sweep asks the same texts again and again, and between two multipliers most of what a model computes is the same:

- What lies before the site does not depend on m. It is computed once, the steer's own Δh included, and forwards go on
  from there (prefix.py): a local weight then costs no more for each multiplier than a vector.
- Both texts of a pair begin alike. They share one row: what they have in common, then the rest of each, which sees what
  its own text holds before it, at the positions of its own text (rows.py).
- Steering completions only leaves the query alone, so its keys and values are computed once, and rows hold completions.
- The last token of a text predicts nothing and is left out.
- Losses need logits only where a completion's token is predicted, and of those only a sum over the vocabulary, which is
  taken in pieces, for several forwards at once (vocabulary.py). The last block's MLP and norm work at these positions only
  (forward.py).
- A small batch leaves room in a forward, which further multipliers fill. The memory that it gives back stays (memory.py).

Nothing is approximated: losses are those of whole texts to rounding. plain.py computes whole texts and is the judge;
`engine_for` also falls back to it, and says so, where the fast engine (fast.py) does not fit the model.
"""

from .base import Engine, batches_of_pairs, batches_to_sweep, default_batch_tokens
from .choice import engine_for
from .fast import Fast
from .plain import Plain
from .prefix import Prefix

__all__ = [
    "Engine", "Fast", "Plain", "Prefix", "batches_of_pairs", "batches_to_sweep", "default_batch_tokens", "engine_for",
]  # fmt: skip
