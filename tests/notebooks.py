"""The notebooks with their outputs, as pages of the site that `make docs` has built: `python tests/notebooks.py site`."""

import os
import re
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbconvert import HTMLExporter

ROOT = Path(__file__).parents[1]
HERE = ROOT / "docs/notebooks"
NEEDS = {
    "reading_a_study": (ROOT / "results/guestbook/study.json").exists(),
    "real_model": "MECHSTEER_MODELS" in os.environ,
}
"""Whether what a notebook reads is there; those not named need nothing."""


def main(site: Path) -> None:
    # Pages open without a network, so nothing is loaded from one. No notebook has formulas or diagrams.
    exporter = HTMLExporter(mathjax_url="", require_js_url="", mermaid_js_url="")
    names = [path.stem for path in sorted(HERE.glob("*.ipynb"))]
    for name in names:
        notebook = nbformat.read(HERE / f"{name}.ipynb", as_version=4)
        about = f"[Notebooks](index.html) · [download]({name}.ipynb)"
        if NEEDS.get(name, True):
            NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(ROOT)}}).execute()
            for cell in notebook.cells:
                # Warnings of other packages, with local paths.
                if cell.cell_type == "code":
                    cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
        else:
            about += " · not run for this page, because what it reads was not there"
            print(f"{name}.ipynb needs what docs/notebooks/README.md says. Its page has no outputs.")
        notebook.cells.insert(0, nbformat.v4.new_markdown_cell(about))
        page, _ = exporter.from_notebook_node(notebook, {"metadata": {"name": name}})
        page = page.replace('<script src=""></script>', "")
        (site / f"notebooks/{name}.html").write_text(page, encoding="utf-8")
    for path in site.rglob("*.html"):
        if path.stem not in names:
            text = path.read_text(encoding="utf-8")
            linked = re.sub(rf'(href="[^"]*\b(?:{"|".join(names)}))\.ipynb"', r'\1.html"', text)
            if linked != text:
                path.write_text(linked, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
