"""Memory that a forward gives back stays with the process, for the next forward to take."""

import ctypes
import os
import sys
from contextlib import suppress
from functools import cache

# Numbers of glibc's mallopt, and bytes.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
KEPT = 2**28
"""So much free memory at the end of the heap stays."""
LARGEST = 2**25
"""Blocks up to this size come from there; larger ones go back to the system at once, as ever."""


@cache
def keep_freed_memory() -> None:
    """Tell glibc not to hand tensors' memory back, unless the environment tells it something else.

    Otherwise every forward asks the system for its activations anew, a page of 4,096 bytes at a time, which can take
    longer than the arithmetic on them. Peaks of memory stay what they are. Elsewhere than in glibc this does nothing.
    """
    told = any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ)
    if sys.platform != "linux" or told:
        return
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(_TRIM_THRESHOLD, KEPT)
        libc.mallopt(_MMAP_THRESHOLD, LARGEST)
