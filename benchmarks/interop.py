"""Steers in other programs: every format, form and family, judged by the real program; writes docs/formats.md.

`make interop` runs it. Models are tiny and random. We and the judge steer every token of one text, and the largest difference
of logits is told, or the tokens of an answer alone, and the difference of its loss. It ends with 1 where a program fails for no
reason that is known, or differs by more than rounding does.
"""

import importlib.util
import sys
import tempfile
import textwrap
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import transformers
import typer
from torch import Tensor
from torch.nn.functional import cross_entropy

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "benchmarks")]

import llama_cpp  # noqa: E402
from conftest import CONFIGS, build_hf, random_intervention  # noqa: E402
from foreign import WRITERS  # noqa: E402
from peers import ANSWER, JUDGES, TOKENS, Row  # noqa: E402

import mechsteer as ms  # noqa: E402
from mechsteer.families import FORMATS  # noqa: E402
from mechsteer.formats.named import read_formats, sayings, written_formats  # noqa: E402

BOUND = 1e-5
"""Of logits and of nats, which float32 rounds by a tenth of that here."""
NUDGE = 3e-7
"""By which orders of arithmetic differ in what enters the table that llama.cpp takes GELU from: a few steps of float32."""
MAPS = ("1:mlp.out", "2:attn.o")
FORMS = ("vector", "lora", "local_weight")
STREAM = ("1:resid_post", "2:resid_post")


def _out(
    format: str, judge: str, forms: Sequence[str], sites: tuple[str, ...], file: str, is_answer: bool = False
) -> list[Row]:
    return [Row(format, judge, "out", form, sites, file, is_answer) for form in forms]


ROWS = (
    Row("none", "llama.cpp", "out", "no steer", ()),
    *_out("mechsteer", "a hook", ("vector",), STREAM, "steer.safetensors"),
    *_out("peft", "peft", FORMS, MAPS, "adapter"),
    *_out("merged", "transformers", ("lora", "local_weight"), MAPS, "merged"),
    *_out("gguf-lora", "llama.cpp", ("lora", "local_weight"), MAPS, "lora.gguf"),
    *_out("gguf-lora", "llama.cpp", ("lora",), MAPS, "lora.gguf", True),
    *_out("gguf-vector", "llama.cpp", ("vector",), STREAM, "steer.gguf"),
    *_out("gguf-vector", "llama.cpp", ("vector",), STREAM, "steer.gguf", True),
    *_out("gguf-vector", "repeng", ("vector",), STREAM, "steer.gguf"),
    *_out("steering-vectors", "steering-vectors", ("vector",), STREAM, "steer.pt"),
    *_out("steering-vectors", "steering-vectors", ("vector",), STREAM, "steer.pt", True),
    *_out("steering-vectors", "steering-vectors", ("vector",), ("1:mlp.out", "2:mlp.out"), "steer.pt"),
    *_out("easyedit", "a hook", ("vector",), ("1:resid_post",), "layer_1.pt"),
    *_out("easyedit", "a hook", ("lora", "local_weight"), ("1:mlp.bypass",), "layer_1.pt"),
    *_out("persona-vectors", "a hook", ("vector",), STREAM, "steer.pt"),
    *_out("refusal-direction", "a hook", ("vector",), ("1:resid_pre",), "direction.pt"),
    *_out("easysteer", "a hook", ("vector",), STREAM, "steering.json"),
    *_out("easysteer", "a hook", ("vector",), STREAM, "steering.json", True),
    *WRITERS,
)
LACKS = {
    ("llama.cpp", "opt", None): "llama.cpp has no OPT",
    ("repeng", "neox", None): "repeng finds no blocks in GPT-NeoX and OPT",
    ("repeng", "opt", None): "repeng finds no blocks in GPT-NeoX and OPT",
    ("steering-vectors", "opt", "mlp.out"): "steering-vectors finds no MLPs in OPT",
}
"""By judge, family and, if only there, place: why a program cannot open what it should."""


@dataclass(frozen=True)
class Cell:
    """What became of one row in one family."""

    row: Row
    family: str
    difference: float | None = None
    bound: float = BOUND
    effect: float = 0.0
    """What the steer changes."""
    moved: float = 0.0
    """What a nudge of the table's arguments changes of our own numbers."""
    missing: str = ""
    """Why there is no difference: "absent", "-" where the program lacks the family, or the name of an error."""

    @property
    def is_wrong(self) -> bool:
        """Whether nobody expects it."""
        # What is no number is not within a bound either.
        return self.missing not in ("-", "absent") if self.difference is None else not self.difference <= self.bound

    def __str__(self) -> str:
        if self.difference is None:
            return f"**{self.missing}**" if self.is_wrong else self.missing
        return f"**{self.difference:.0e}**" if self.is_wrong else f"{self.difference:.0e}"


@dataclass(frozen=True)
class Family:
    """A family's models, opened once for all rows."""

    name: str
    plain: ms.Model
    with_table: ms.Model
    """With GELU as llama.cpp takes it."""

    @classmethod
    def opened(cls, name: str, folder: Path) -> "Family":
        build_hf(name).save_pretrained(folder)
        with_table = ms.load_model(llama_cpp.with_its_gelu(build_hf(name)), device="cpu")
        return cls(name, ms.load_model(folder, device="cpu"), with_table)


def judged(row: Row, family: Family, folder: Path) -> Cell:
    """Steer by both, and compare."""
    module, judge = JUDGES[row.judge]
    if importlib.util.find_spec(module) is None:
        return Cell(row, family.name, missing="absent")
    model = family.with_table if row.judge == "llama.cpp" else family.plain
    try:
        path, steer = _written(row, family.name, model, folder)
        theirs = judge(row, path, family.name)
        ours, unsteered = _logits(row, model, steer), _logits(row, model, None)
        if steer is not None and _difference(row, ours, unsteered) < 100 * BOUND:
            raise ValueError("The steer changes nothing, so that nothing was compared.")
    except Exception as error:
        if _lack(row, family.name):
            return Cell(row, family.name, missing="-")
        print(f"{row} in {family.name}: {type(error).__name__}: {error}", file=sys.stderr)
        return Cell(row, family.name, missing=type(error).__name__)
    moved = 0.0
    if row.judge == "llama.cpp":
        for by in (NUDGE, -NUDGE):
            with llama_cpp.nudged(by):
                moved = max(moved, _difference(row, ours, _logits(row, model, steer)))
    # Either of the two programs may round to the side to which the other does not.
    difference, effect = _difference(row, ours, theirs), _difference(row, ours, unsteered)
    return Cell(row, family.name, difference, BOUND + 2 * moved, effect, moved)


def _written(row: Row, family: str, model: ms.Model, folder: Path) -> tuple[Path, ms.Intervention | None]:
    """The file that the judge reads, and the steer: one of ours that is written, or what is read of another's."""
    if row.format == "none":
        return folder / "none", None
    if row.direction == "in":
        path, answers = WRITERS[row](family, folder)
        steer = ms.load_intervention(path, **answers)
        if (found := tuple(map(str, steer.sites))) != row.sites:
            raise ValueError(f"It is read at {found}, not at {row.sites}.")
        return path, steer
    parts = [random_intervention(row.form, site, model, site.layer) for site in map(ms.Site.parse, row.sites)]
    if row.format in ("gguf-lora", "merged"):
        # A bias has no place in a LoRA of llama.cpp, nor in the checkpoints of most families.
        none = [ms.LocalWeight(p.site, p.weight, 0 * p.bias) for p in parts if isinstance(p, ms.LocalWeight)]
        parts = none or parts
    steer = ms.join(parts)
    if row.format == "easysteer" and row.is_answer:
        steer = replace(steer, origin=ms.Origin(positions="completion"))
    return ms.export(steer, folder / row.file, row.format, model=model).path, steer


def _lack(row: Row, family: str) -> str:
    """Why the judge cannot open the family, or finds no such place in it; "" where it should."""
    places = (None, *(ms.Site.parse(site).place for site in row.sites))
    return next((LACKS[row.judge, family, place] for place in places if (row.judge, family, place) in LACKS), "")


def _logits(row: Row, model: ms.Model, steer: ms.Intervention | None) -> Tensor:
    answer = torch.arange(len(TOKENS))[None] >= ANSWER
    batch = ms.TokenBatch(torch.tensor([TOKENS]), torch.ones_like(answer), answer)
    acts = nullcontext() if steer is None else ms.steer(model, steer, 1.0, "completion" if row.is_answer else "every")
    with torch.no_grad(), acts:
        return model.logits(batch)[0]


def _difference(row: Row, one: Tensor, other: Tensor) -> float:
    """The largest of logits, or that of the answer's losses."""
    if not row.is_answer:
        return float((one - other).abs().max())
    return float((_loss(one) - _loss(other)).abs())


def _loss(logits: Tensor) -> Tensor:
    """Of the answer, in nats."""
    return cross_entropy(logits[ANSWER - 1 : -1].double(), torch.tensor(TOKENS[ANSWER:]), reduction="sum")


def page(cells: Sequence[Cell], families: Sequence[str]) -> str:
    """docs/formats.md."""
    compared = [cell for cell in cells if cell.difference is not None]
    effects = [cell.effect for cell in compared if cell.row.format != "none"] or [0.0]
    moved = [cell.moved for cell in compared if cell.moved] or [0.0]
    lines = [
        "# Formats of steers",
        "",
        _wrapped(
            """`make interop` writes this page. Layers count from 0. The output of block *b*, `b:resid_post`, is the
            input of block *b* + 1. It is index *b* + 1 of Hugging Face's `hidden_states`, row *b* + 1 of
            persona_vectors and `direction.b` of llama.cpp. The first and the last block are exceptions: llama.cpp adds
            nothing to the output of block 0, and the output of the last block has no index in `hidden_states`, whose
            last entry comes after the final norm."""
        ),
        "",
        "| format | what it is | needed after the file's name (`FILE#NAME=VALUE`) | written: forms at places |",
        "|---|---|---|---|",
        *map(_described, FORMATS.members()),
        "",
        "## How far programs differ",
        "",
        _wrapped(
            f"""Each cell is the largest difference between our logits and another program's, on tiny random models in
            float32, with every token steered. Where only the tokens of an *answer* are steered, the cell is the
            difference in the answer's loss, in nats. The steers themselves change logits or loss by {min(effects):.1g}
            to {max(effects):.2g}. *out* means that the program reads a file of ours, *in* that we read a file of the
            program's. Differences above {BOUND:.0e} are bold, except those explained by GELU below. An error is bold
            too, and is given by its name."""
        ),
        "",
        _wrapped(
            """Some programs cannot be installed beside ours. For these, the judge is a hook on plain Hugging Face that
            adds what the file holds where the program's code adds it. PEFT steers every token, so a steer of the answer
            alone is refused."""
        ),
        "",
        _wrapped(
            f"""llama.cpp takes GELU from a table in half precision, which alone changes logits by 7e-4 without any
            steer. When llama.cpp is the judge, we therefore use the same table. Even then, a nudge of {NUDGE:.0e}
            before the table, as large as rounding in float32, sometimes selects another entry and changes our own
            logits by up to {max(moved):.0e}. In each cell llama.cpp is allowed twice the change that this nudge makes
            there."""
        ),
        "",
        f"A dash marks what a program cannot open: {'; '.join(dict.fromkeys(LACKS.values()))}.",
        "",
        "| format | judge | | form | at | tokens | " + " | ".join(families) + " |",
        "|---|---|---|---|---|---|" + "---|" * len(families),
        *(
            _line([cell for cell in cells if cell.row == row], families)
            for row in dict.fromkeys(cell.row for cell in cells)
        ),
        "",
        _wrapped(
            """An adapter that changes q, k, v, gate or up projections is refused, with the names of its modules. A
            steer is a Δh = ΔW h + Δb that is added to the residual stream, or to what attention or an MLP writes into
            it. A change to those modules first passes through the softmax or the nonlinearity, so it is not such a Δh
            of one token at any site. Merge the adapter into its model instead, and open the merged model."""
        ),
    ]
    return "\n".join(lines) + "\n"


def _wrapped(text: str) -> str:
    return textwrap.fill(" ".join(text.split()), 125, break_long_words=False, break_on_hyphens=False)


def _described(name: str) -> str:
    """A format's line: what it asks, and what it can say."""
    member = FORMATS[name]
    asks = [f"`{ask}`" for ask in member.get("ASKS") or {}] + [f"`{may}` if need be" for may in member.get("MAY") or {}]
    written = "; ".join(
        f"{', '.join(says.get('forms') or ['any']).replace('_', ' ')} at {', '.join(says.get('places') or ['any'])}"
        for says in sayings(member)
    )
    read = ", ".join(asks) or "nothing" if name in read_formats() else "only written"
    return f"| `{name}` | {member.title} | {read} | {written if name in written_formats() else 'only read'} |"


def _line(cells: Sequence[Cell], families: Sequence[str]) -> str:
    """A row of the table."""
    row, of = cells[0].row, {cell.family: str(cell) for cell in cells}
    places = ", ".join(dict.fromkeys(ms.Site.parse(site).place for site in row.sites))
    tokens = "answer" if row.is_answer else "every"
    what = ("", row.judge, "") if row.format == "none" else (f"`{row.format}`", row.judge, row.direction)
    told = (*what, row.form.replace("_", " "), places, tokens)
    return "| " + " | ".join([*told, *(of[family] for family in families)]) + " |"


def main(out: Path = ROOT / "docs/formats.md", families: str = ",".join(CONFIGS)) -> None:
    """Let every judge judge, write the page, and end with 1 if something is wrong."""
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    warnings.filterwarnings("ignore")
    cells: list[Cell] = []
    for name in families.split(","):
        with tempfile.TemporaryDirectory() as temporary:
            family = Family.opened(name, Path(temporary) / "base")
            for number, row in enumerate(ROWS):
                folder = Path(temporary) / str(number)
                folder.mkdir()
                cells.append(judged(row, family, folder))
        print(name, file=sys.stderr)
    out.write_text(page(cells, families.split(",")), encoding="utf-8")
    for judge in sorted({cell.row.judge for cell in cells if cell.missing == "absent"}):
        print(f"{judge} is not installed, so nothing was compared with it.", file=sys.stderr)
    if wrong := [cell for cell in cells if cell.is_wrong]:
        for cell in wrong:
            print(f"{cell.row} in {cell.family}: {cell}, where {cell.bound:.0e} is allowed", file=sys.stderr)
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
