"""Members from outside, for the command line."""

import os
from collections.abc import Sequence

from ..registry import extend


def extend_early(arguments: Sequence[str]) -> None:
    """Let foreign members join before help and options are made, which list them."""
    asked = [os.environ.get("MECHSTEER_EXTEND", "")]
    for index, argument in enumerate(arguments):
        if argument == "--extend" and index + 1 < len(arguments):
            asked.append(arguments[index + 1])
        elif argument.startswith("--extend="):
            asked.append(argument.removeprefix("--extend="))
    for path in ",".join(asked).split(","):
        if path.strip():
            extend(path.strip())
