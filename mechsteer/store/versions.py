"""Which software made a result."""

import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


MECHSTEER = __version__ = _version("mechsteer")

PACKAGES = ("mechsteer", "torch", "transformers", "transformer-lens", "numpy", "scipy", "scikit-learn")


@cache  # metadata take milliseconds to read, and every result has them
def installed() -> dict[str, str]:
    """The versions that can change a number."""
    return {"python": platform.python_version(), **{package: _version(package) for package in PACKAGES}}
