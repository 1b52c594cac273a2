"""Many made-up inputs, read as they were written or refused in one sentence: `python benchmarks/fuzz.py pairs`."""

import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

SECONDS_EACH = 20
"""What takes longer hangs."""

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)
NOption = Annotated[int, typer.Option("--n", min=1, help="How many inputs.")]
SeedOption = Annotated[int, typer.Option(help="The same seed makes the same inputs.")]


def fuzz(what: str, inputs: SearchStrategy, check: Callable[..., str], n: int, first_seed: int) -> None:
    """Make `n` inputs, check each in a folder of its own, and print how many came to what; the first fault is raised."""
    came_to, began, slowest = Counter[str](), time.perf_counter(), 0.0
    signal.signal(signal.SIGALRM, _hangs)

    with tempfile.TemporaryDirectory() as folder:

        @seed(first_seed)
        @settings(
            max_examples=n, database=None, deadline=None, phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(inputs)
        def every(one) -> None:
            nonlocal slowest
            since = time.perf_counter()
            signal.alarm(SECONDS_EACH)
            try:
                came_to[check(one, Path(folder))] += 1
            finally:
                signal.alarm(0)
                slowest = max(slowest, time.perf_counter() - since)

        every()
    counts = ", ".join(f"{count} {word}" for word, count in sorted(came_to.items()))
    print(
        f"{sum(came_to.values())} {what}: {counts}; no traceback, no silent change, no hang (slowest {slowest:.2f} s); "
        f"{time.perf_counter() - began:.0f} s"
    )


def _hangs(*_: object) -> None:
    raise TimeoutError(f"One input has taken more than {SECONDS_EACH} s.")


@app.callback()
def kinds() -> None:
    pass


@app.command()
def pairs(n: NOption = 10_000, first_seed: SeedOption = 0) -> None:
    """Files of pairs in every format, under odd names, with and without faults."""
    from pair_files import check, pair_files

    fuzz("pair files", pair_files(), check, n, first_seed)


if __name__ == "__main__":
    app()
