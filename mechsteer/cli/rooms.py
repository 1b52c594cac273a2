"""What the command line is made of: our own rooms, whatever else is called so where it runs, and members from outside."""

import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from ..registry import extend

ROOMS = ("analyses", "figures")


def our_rooms() -> None:
    """Let these names mean the rooms beside this package: a folder's own figures.py would be found before them."""
    for name in ROOMS:
        place = Path(__file__).parents[2] / name / "__init__.py"
        loaded = sys.modules.get(name)
        if loaded is not None and loaded.__file__ is not None and Path(loaded.__file__) == place:
            continue
        spec = importlib.util.spec_from_file_location(name, place, submodule_search_locations=[str(place.parent)])
        assert spec is not None and spec.loader is not None
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)


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
