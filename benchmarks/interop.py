"""Steers in other programs: every format, form and family, judged by the real program; writes docs/formats.md.

`make interop` runs it. A model is tiny and random, and every token of one text is steered by us and by the judge; what is told is
the largest difference of logits, and what the steer itself changes of them.
"""

import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
import typer
from torch import Tensor

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from conftest import CONFIGS, build_hf, random_intervention  # noqa: E402

import mechsteer as ms  # noqa: E402
from mechsteer.families import FORMATS  # noqa: E402
from mechsteer.formats.named import read_formats, written_formats  # noqa: E402

transformers.utils.logging.disable_progress_bar()
warnings.filterwarnings("ignore")
# repeng 0.4.0 names a type that numpy 2 has no longer.
np.float_ = np.float64  # type: ignore

TOKENS = [1, 7, 33, 12, 54, 21, 9, 40, 3, 18]
FORMS = ("vector", "lora", "local_weight")


@dataclass(frozen=True)
class Cell:
    """One format in one direction, judged by one program."""

    format: str
    judge: str
    direction: str
    form: str
    family: str
    difference: float | None
    """None where the judge cannot open the family."""
    effect: float = 0.0


def said(hf: Any) -> Tensor:
    with torch.no_grad():
        return hf(torch.tensor([TOKENS])).logits[0]


def ours(model: ms.Model, steer: ms.Intervention) -> Tensor:
    batch = ms.TokenBatch(torch.tensor([TOKENS]), *[torch.ones(1, len(TOKENS), dtype=torch.bool)] * 2)
    with torch.no_grad(), ms.steer(model, steer, 1.0, "every"):
        return model.logits(batch)[0]


def steer_of(form: str, place: str, model: ms.Model, *, bias: bool = True) -> ms.Intervention:
    parts = [random_intervention(form, ms.Site(layer, place), model, seed=layer) for layer in (1, 2)]
    if form == "local_weight" and not bias:
        parts = [ms.LocalWeight(part.site, part.weight, torch.zeros_like(part.bias)) for part in parts]
    return ms.join(parts)


def by_peft(path: Path, family: str, folder: Path) -> Tensor:
    import peft

    return said(peft.PeftModel.from_pretrained(build_hf(family), path).eval())


def by_transformers(path: Path, family: str, folder: Path) -> Tensor:
    return said(transformers.AutoModelForCausalLM.from_pretrained(path).eval())


def by_llama_cpp(path: Path, family: str, folder: Path) -> Tensor:
    import llama_cpp

    hf = build_hf(family)
    file, kind = llama_cpp.write_model(hf, folder / "model.gguf"), "lora" if "lora" in path.name else "vector"
    return llama_cpp.logits(file, TOKENS, hf.config.vocab_size, **{kind: path})


def by_repeng(path: Path, family: str, folder: Path) -> Tensor:
    from repeng import ControlModel, ControlVector

    vector = ControlVector.import_gguf(path)
    model = ControlModel(build_hf(family), list(vector.directions))
    model.set_control(vector)
    return said(model)


def by_steering_vectors(path: Path, family: str, folder: Path) -> Tensor:
    from steering_vectors import SteeringVector

    hf = build_hf(family)
    with SteeringVector(**torch.load(path, weights_only=True)).apply(hf):
        return said(hf)


OUT: list[tuple[str, str, Callable[[Path, str, Path], Tensor], tuple[str, ...], str, str]] = [
    ("peft", "peft", by_peft, FORMS, "mlp.out", "adapter"),
    ("peft", "peft", by_peft, FORMS, "attn.o", "adapter"),
    ("merged", "transformers", by_transformers, ("lora", "local_weight"), "mlp.out", "merged"),
    ("gguf-vector", "llama.cpp", by_llama_cpp, ("vector",), "resid_post", "steer.gguf"),
    ("gguf-vector", "repeng", by_repeng, ("vector",), "resid_post", "steer.gguf"),
    ("gguf-lora", "llama.cpp", by_llama_cpp, ("lora", "local_weight"), "mlp.out", "lora.gguf"),
    ("steering-vectors", "steering-vectors", by_steering_vectors, ("vector",), "resid_post", "steer.pt"),
    ("steering-vectors", "steering-vectors", by_steering_vectors, ("vector",), "mlp.out", "steer.pt"),
]
"""Format, judge, what the judge says under a file, forms, place and the file's name."""


def written(family: str, folder: Path) -> Iterator[Cell]:
    """What we write, as its program reads it."""
    import llama_cpp

    build_hf(family).save_pretrained(folder / "base")
    opened = ms.load_model(folder / "base", device="cpu")
    # With its table for GELU it differs by 7e-4 without any steer.
    with_table = ms.load_model(llama_cpp.with_its_gelu(build_hf(family)), device="cpu")
    for format, judge, judged, forms, place, name in OUT:
        model = with_table if judge == "llama.cpp" else opened
        for form in forms:
            steer = steer_of(form, place, model, bias="gguf" not in format and format != "merged")
            to = folder / f"{format}-{form}-{place}-{judge}"
            to.mkdir()
            try:
                path = ms.export(steer, to / name, format, model=model).path
                theirs = judged(path, family, to)
            except Exception as error:
                print(f"{format} {form} {family} by {judge}: {type(error).__name__}: {error}"[:200], file=sys.stderr)
                yield Cell(format, judge, "out", form, family, None)
                continue
            mine = ours(model, steer)
            effect = float((mine - said(build_hf(family))).abs().max())
            yield Cell(format, judge, "out", form, family, float((mine - theirs).abs().max()), effect)


def read(family: str, folder: Path) -> Iterator[Cell]:
    """What the programs write themselves, as we read it."""
    import peft
    from repeng import ControlModel, ControlVector
    from steering_vectors import SteeringVector

    model = ms.load_model(build_hf(family), device="cpu")
    unsteered = said(build_hf(family))

    def cell(format: str, judge: str, form: str, path: Path, theirs: Tensor) -> Cell:
        mine = ours(model, ms.load_intervention(path))
        effect = float((theirs - unsteered).abs().max())
        return Cell(format, judge, "in", form, family, float((mine - theirs).abs().max()), effect)

    torch.manual_seed(0)
    vectors = {layer: torch.randn(model.d_model) for layer in (1, 2)}
    names = ["down_proj", "c_proj", "dense_4h_to_h", "fc2"]
    adapted = peft.get_peft_model(
        build_hf(family),
        peft.LoraConfig(r=3, lora_alpha=5, use_rslora=True, target_modules=names, init_lora_weights=False),
    ).eval()
    adapted.save_pretrained(folder / "theirs")
    yield cell("peft", "peft", "lora", folder / "theirs", said(adapted))
    with SteeringVector(vectors).apply(hf := build_hf(family)):
        theirs = said(hf)
    torch.save(SteeringVector(vectors), folder / "theirs.pt")
    yield cell("steering-vectors", "steering-vectors", "vector", folder / "theirs.pt", theirs)
    try:
        vector = ControlVector("x", {layer: value.numpy() for layer, value in vectors.items()})
        control = ControlModel(build_hf(family), list(vectors))
        control.set_control(vector)
        theirs = said(control)
    except Exception as error:
        print(f"repeng {family}: {type(error).__name__}: {error}"[:200], file=sys.stderr)
        yield Cell("gguf-vector", "repeng", "in", "vector", family, None)
        return
    vector.export_gguf(folder / "theirs.gguf")
    yield cell("gguf-vector", "repeng", "vector", folder / "theirs.gguf", theirs)


def page(cells: list[Cell], families: list[str]) -> str:
    """docs/formats.md."""
    kinds = list(dict.fromkeys((one.format, one.judge, one.direction, one.form) for one in cells))
    lines = [
        "# Formats of steers",
        "",
        "`make interop` writes this page. Layers count from 0: the output of block *b*, `b:resid_post`, is index *b* + 1 of",
        "Hugging Face's `hidden_states` and `direction.b` of llama.cpp.",
        "",
        "| format | what it is | needed after the file's name (`FILE#NAME=VALUE`) | written: forms at places |",
        "|---|---|---|---|",
    ]
    for name, member in FORMATS.members().items():
        asks = [f"`{ask}`" for ask in member.get("ASKS") or {}] + [
            f"`{may}` if need be" for may in member.get("MAY") or {}
        ]
        says = member.get("SAYS")
        forms, places = (", ".join((says or {}).get(what) or ["any"]).replace("_", " ") for what in ("forms", "places"))
        places = places.replace("resid ", "resid_")
        told = ", ".join(asks) or "nothing" if name in read_formats() else "only written"
        lines.append(
            f"| `{name}` | {member.title} | {told} | {f'{forms} at {places}' if name in written_formats() else 'only read'} |"
        )
    lines += [
        "",
        "Largest difference of logits between us and the program itself, on tiny random models in float32, where a steer at two",
        f"sites changes logits by {min(one.effect for one in cells if one.difference is not None):.2g} to "
        f"{max(one.effect for one in cells):.2g}; a dash where the program does not open the",
        "family, or finds no such place in it; llama.cpp has no OPT.",
        "llama.cpp takes GELU from a table in half precision. So do we where it is the judge: otherwise its logits are 7e-4 from",
        "ours whatever the steer. Even so the two part where rounding falls to two sides of an entry.",
        "",
        "| format | judge | | form | " + " | ".join(families) + " |",
        "|---|---|---|---|" + "---|" * len(families),
    ]
    for kind in kinds:
        row = []
        for family in families:
            found = [
                one for one in cells if (one.format, one.judge, one.direction, one.form, one.family) == (*kind, family)
            ]
            values = [one.difference for one in found]
            row.append("-" if None in values or not values else f"{max(values):.0e}")
        format, judge, direction, form = kind
        lines.append(f"| `{format}` | {judge} | {direction} | {form.replace('_', ' ')} | " + " | ".join(row) + " |")
    lines += [
        "",
        "An adapter that changes q, k, v, gate or up projections is refused, by the names of its modules. A steer is a",
        "Δh = ΔW h + Δb that is added to the residual stream, or to what attention or an MLP writes into it. What those modules",
        "change passes the softmax or the nonlinearity first, and so is no such Δh of one token at any site. Merge the adapter",
        "into its model, and open that.",
    ]
    return "\n".join(lines) + "\n"


def main(out: Path = ROOT / "docs/formats.md", families: str = ",".join(CONFIGS)) -> None:
    """Let every judge judge, and write the page."""
    torch.set_num_threads(1)
    cells: list[Cell] = []
    for family in families.split(","):
        with tempfile.TemporaryDirectory() as folder:
            cells += [*written(family, Path(folder)), *read(family, Path(folder))]
        print(family, file=sys.stderr)
    out.write_text(page(cells, families.split(",")), encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
