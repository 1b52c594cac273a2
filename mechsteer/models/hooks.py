"""Every name by which TransformerLens's hooks and a bridge's parts are called; no other file knows one.

Layers count from 0. An intervention adds m·(ΔW h + Δb) to what leaves its place:

| place      | h, what ΔW reads                    | what the shift is added to                  | W               |
|------------|-------------------------------------|---------------------------------------------|-----------------|
| resid_pre  | residual entering the block         | the same                                    | identity        |
| attn.o     | heads' outputs, side by side        | output of attention's output projection     | that projection |
| resid_mid  | residual between attention and MLP  | the same                                    | identity        |
| mlp.out    | input of the down-projection        | output of the down-projection               | down-projection |
| mlp.bypass | input of the down-projection        | residual leaving the block                  | none            |
| resid_post | residual leaving the block          | the same                                    | identity        |

`mlp.bypass` is where the public code of arXiv 2602.02343 adds the shift of a LoRA or a local weight. Gemma 2 and 3 norm what the
MLP gives, and a shift there passes that norm by; elsewhere it is a shift of the down-projection's output.
"""

import re
from dataclasses import dataclass

BEFORE_UNEMBEDDING = "unembed.hook_in"
"""What every logit is made from: the normed residual."""
FINAL_NORM, FIRST_NORM, SECOND_NORM = "ln_final", "ln1", "ln2"
"""The bridge's own names of the norm after the last block, and of a block's norms before attention and before the MLP."""
RESIDUAL = {"attn.o": "resid_mid", "mlp.out": "resid_post", "mlp.bypass": "resid_post"}
"""The place of the residual stream at which what is added to a branch arrives."""


@dataclass(frozen=True)
class Ending:
    """What need not run again for a steer at a place: the block's module that ends with it, "" for the block itself, which
    then only fires these hooks, modules that a steer there leaves alone, and those in which such hooks stand."""

    module: str
    hooks: tuple[str, ...]
    finished: tuple[str, ...]
    within: tuple[str, ...] = ()


@dataclass(frozen=True)
class Place:
    """The hooks of a place within its block: where the shift is added, and what shows h earlier in the same forward."""

    output: str
    input: str | None
    ending: Ending | None
    """None where only the whole block can be run again."""


PLACES = {
    "resid_pre": Place("hook_in", None, None),
    "attn.o": Place(
        "attn.o.hook_out", "attn.o.hook_in", Ending("attn", ("attn.o.hook_in", "attn.o.hook_out"), ()),
    ),
    # Not hook_resid_mid: it is the input of the second norm, beside the residual stream, so a shift added there reaches the
    # MLP only. What attention adds to the residual is where both can be shifted. And the ending is not hook_attn_out:
    # Gemma 2 normalises between the two, and its hook fires after the module.
    "resid_mid": Place("hook_attn_out", "hook_in", Ending("attn", ("attn.hook_out",), ())),
    "mlp.out": Place(
        # Not hook_mlp_out: Gemma 2 normalises between the down-projection and it.
        "mlp.out.hook_out", "mlp.out.hook_in", Ending("mlp", ("mlp.out.hook_in", "mlp.out.hook_out"), ("attn",)),
    ),
    "mlp.bypass": Place("hook_out", "mlp.out.hook_in", Ending("", ("mlp.out.hook_in", "hook_out"), (), ("mlp",))),
    "resid_post": Place("hook_out", None, Ending("", ("hook_out",), ())),
}  # fmt: skip
"""In the order in which a forward passes them."""


SAE_HOOK = "hook_name"
"""Under which the settings of an SAE of SAELens name its hook."""
_STREAM = {f"hook_{place}": place for place in ("resid_pre", "resid_mid", "resid_post")}


def place_called(hook: str) -> tuple[int, str] | None:
    """Layer and place of the residual stream that TransformerLens's older names speak of, by which SAEs are called."""
    found = re.match(r"blocks\.(\d{1,5})\.(\w+)(?:\.|$)", hook)
    return (int(found[1]), _STREAM[found[2]]) if found is not None and found[2] in _STREAM else None


def in_block(layer: int, name: str) -> str:
    """The whole name of a block's hook."""
    return f"blocks.{layer}.{name}"


def reads_middle(layer: int) -> str:
    """The hook that shows what the second norm reads."""
    return in_block(layer, f"{SECOND_NORM}.hook_in")
