"""The tree of files in CONTRIBUTING.md, a line a file, as their own first lines tell it: `python tests/tree.py` writes it."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
PACKAGES = ("mechsteer", "analyses", "figures")
BEGIN, END = "<!-- tree -->\n```\n", "```\n<!-- end of tree -->"


def tree() -> str:
    """Every room and file with what it says of itself."""
    paths = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"), key=_rooms_last)]
    names = [str(path.parent if path.name == "__init__.py" else path) for path in paths]
    shown = [
        name.removeprefix(f"{ROOT}/") + "/" * (path.name == "__init__.py")
        for name, path in zip(names, paths, strict=True)
    ]
    width = max(map(len, shown)) + 2
    return "".join(f"{name:{width}}{_first_line(path)}\n" for name, path in zip(shown, paths, strict=True))


def _rooms_last(path: Path) -> tuple:
    """A room's own line, then its files, then the rooms in it."""
    parts = path.relative_to(ROOT).parts
    return tuple((1, part) for part in parts[:-1]) + ((0, "" if parts[-1] == "__init__.py" else parts[-1]),)


def _first_line(path: Path) -> str:
    doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert doc, f"{path} does not say what it is"
    return doc.splitlines()[0].removesuffix(".")


if __name__ == "__main__":
    text = CONTRIBUTING.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    CONTRIBUTING.write_text(f"{before}{BEGIN}{tree()}{END}{rest.partition(END)[2]}", encoding="utf-8")
