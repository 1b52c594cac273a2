"""Layers that are said in words, such as "10-25+27"."""

import re
from collections.abc import Sequence
from pathlib import Path

from ..errors import InputError, shown


def layers_of(text: str, known: Sequence[int], path: Path) -> list[int]:
    """Those of a file's layers that a text names; all for an empty one."""
    if not text:
        return sorted(known)
    found: set[int] = set()
    for part in text.split("+"):
        ends = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", part.strip())
        if ends is None:
            raise InputError(f"The layers {shown(text)!r} are no layers. Write for example 10-25 or 14+16.")
        found |= set(range(int(ends[1]), int(ends[2] or ends[1]) + 1))
    if missing := sorted(found - set(known)):
        raise InputError(
            f"{str(path)!r} has nothing for layer {missing[0]}; its layers are {', '.join(map(str, sorted(known)))}."
        )
    return sorted(found)
