"""The checker of types and shapes under pytest: beartype, for which an int is a float as in PEP 484.

Each function's first calls in every test are checked, not all of them: a fit calls some a hundred thousand times alike, and
checking those took half the time of the tests. A dataclass is checked by its `__init__`, which is such a function. A function
that is never called is not made ready for checking either.
"""

import functools
from collections import Counter
from dataclasses import is_dataclass
from types import FunctionType
from typing import Any

import jaxtyping
from beartype import BeartypeConf, beartype

N_CHECKED = 20
"""Calls of each function in each test."""

typechecker = beartype(conf=BeartypeConf(is_pep484_tower=True))
calls: Counter[str] = Counter()
"""Of functions by name, in the test that is running."""
_checking = jaxtyping.jaxtyped


def first_calls(*context: str, typechecker: Any = None) -> Any:
    """In place of `jaxtyping.jaxtyped`, with which the import hook decorates everything, and which is a context too."""
    if context:
        return _checking(*context)

    def decorate(fn: Any) -> Any:
        if is_dataclass(fn) and "__init__" in vars(fn):
            fn.__init__ = decorate(fn.__init__)
            return fn
        if not isinstance(fn, FunctionType):
            return _checking(fn, typechecker=typechecker)
        name, checked = f"{fn.__module__}.{fn.__qualname__}", None

        @functools.wraps(fn)
        def called(*args: Any, **kwargs: Any) -> Any:
            nonlocal checked
            if calls[name] >= N_CHECKED:
                return fn(*args, **kwargs)
            calls[name] += 1
            checked = checked or _checking(fn, typechecker=typechecker)
            return checked(*args, **kwargs)

        return called

    return decorate


def check_shapes(*packages: str) -> None:
    """From now on, in whatever is imported of these packages."""
    jaxtyping.jaxtyped = first_calls  # pyright: ignore[reportAttributeAccessIssue]
    jaxtyping.install_import_hook(list(packages), f"{__name__}.typechecker")
