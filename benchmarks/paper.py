"""A paper with a study's figures: two columns in Times, as ACL sets them, each figure by one \\input.

`python benchmarks/paper.py STUDY --out FOLDER` draws six figures at that width, compiles the paper with pdflatex (Debian:
texlive-latex-recommended, texlive-fonts-recommended), and prints for each how wide it is beside a column; it fails where LaTeX
complains of a box that is too wide, of a sign or of a file. With pdftoppm, the pages are there as pictures to look at.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tables import head, line  # noqa: E402

from analyses.studies.finished import Study  # noqa: E402
from analyses.studies.widths import inches  # noqa: E402
from figures import draw_one  # noqa: E402

VENUE = "acl"
SHOWN = ("preference_utility", "frontier", "linear_region", "sites", "validity", "second_utility")
PAPER = r"""\documentclass[11pt,twocolumn]{article}
\usepackage[a4paper,margin=2.5cm,columnsep=0.6cm]{geometry}
\usepackage[T1]{fontenc}
\usepackage{times,graphicx}
\graphicspath{{figures/}}
\title{Six figures}
\author{}
\date{}
\begin{document}
\maketitle
%s
\end{document}
"""
WORDS = "What is told here is seen in Figure~\\ref{fig:NAME}, and these are words around it. " * 12
COMPLAINTS = re.compile(r"^(?:!.*|Overfull \\hbox.*|.*Warning: (?:File|Reference|Float too large).*)$", re.MULTILINE)


def main(
    study: Annotated[Path, typer.Argument(help="The folder of a finished study.")],
    out: Annotated[Path, typer.Option(help="Where the paper is put.")] = Path("results/paper"),
) -> None:
    finished = Study.load(study)
    for name in SHOWN:
        if not draw_one(finished, name, out / "figures", VENUE):
            raise SystemExit(f"The study in {study} does not have the figure {name}.")
    body = "\n\n".join(f"{WORDS.replace('NAME', name)}\n\\input{{figures/{name}.tex}}" for name in SHOWN)
    (out / "paper.tex").write_text(PAPER % body, encoding="utf-8")
    for _ in range(2):  # the second time, references are known
        command = ["pdflatex", "-interaction=nonstopmode", "paper.tex"]
        done = subprocess.run(command, cwd=out, capture_output=True, text=True, errors="replace")
    log = (out / "paper.log").read_text(encoding="latin-1")
    print(head("figure", "inches", "column"))
    for name in SHOWN:
        box = re.search(rb"/MediaBox \[ 0 0 ([\d.]+)", (out / f"figures/{name}.pdf").read_bytes())
        print(line(name, f"{float(box.group(1)) / 72:.2f}" if box else "", f"{inches(VENUE):.2f}"))
    complaints = COMPLAINTS.findall(log)
    print(f"pdflatex ended with {done.returncode} and complains {len(complaints)} times", *complaints, sep="\n")
    if shutil.which("pdftoppm"):
        subprocess.run(["pdftoppm", "-r", "80", "-png", "paper.pdf", "page"], cwd=out, check=True)
    raise SystemExit(done.returncode or len(complaints))


if __name__ == "__main__":
    typer.run(main)
