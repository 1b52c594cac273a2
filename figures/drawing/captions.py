"""Captions: what a figure says below itself, as text and as a figure of a LaTeX document."""

import re
from pathlib import Path

from matplotlib.figure import Figure

from mechsteer.store.atomic import write_atomically

TEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": "$<$", ">": "$>$", "−": "$-$", "≥": r"$\geq$",
    "≤": r"$\leq$", "‖": r"$\|$", "τ": r"$\tau$", "ω": r"$\omega$", "Δ": r"$\Delta$", "ε": r"$\varepsilon$",
    "δ": r"$\delta$", "ᵀ": r"$^\top$", "²": r"\textsuperscript{2}", "ₚ": r"\textsubscript{p}", "ᵤ": r"\textsubscript{u}",
}  # fmt: skip
"""What TeX takes for a command, and signs that its fonts for text lack."""


def caption_of(figure: Figure, idea: str, model: str = "") -> str:
    """The figure's idea, in a sentence, then what the figure says of itself, its label, and the model where that names none."""
    label = str(figure.get_label())
    # Of "garden", pairs that are called "garden-rest" or "garden/tense" say nothing.
    is_told = model in {word.rstrip(".,:;") for word in label.split()}
    named = f"Model: {model}." if model and not is_told else ""
    return " ".join(filter(None, (f"{idea.removesuffix('.')}.", label, named)))


def in_tex(words: str) -> str:
    """The same for TeX, which must not break a line between a number and its per cent."""
    return re.sub(r"(?<=\d) \\%", r"~\\%", words.translate(str.maketrans(TEX)))


def write_caption(caption: str, path: Path) -> list[Path]:
    """Beside the figure `path`, which has no suffix: as text, and as a figure that a LaTeX document can \\input."""
    figure = (
        "\\begin{figure}\n  \\centering\n"
        f"  \\includegraphics{{{path.name}.pdf}}\n"
        f"  \\caption{{{in_tex(caption)}}}\n  \\label{{fig:{path.name}}}\n"
        "\\end{figure}\n"
    )
    return [
        write_atomically(path.with_suffix(suffix), lambda temporary, text=text: temporary.write_text(text, "utf-8"))
        for suffix, text in ((".txt", f"{caption}\n"), (".tex", figure))
    ]
