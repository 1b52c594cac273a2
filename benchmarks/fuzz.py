"""Many made-up inputs, read as they were written or refused in one sentence: `python benchmarks/fuzz.py pairs`."""

import shutil
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
from hypothesis.strategies import SearchStrategy, integers

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

SECONDS_EACH = 20
"""What takes longer hangs; all looks at a folder together may take six times as long."""

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)
NOption = Annotated[int, typer.Option("--n", min=1, help="How many inputs.")]
SeedOption = Annotated[int, typer.Option(help="The same seed makes the same inputs.")]


def fuzz(
    what: str, inputs: SearchStrategy, check: Callable[..., str], n: int, first_seed: int, seconds: int = SECONDS_EACH
) -> None:
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
            signal.alarm(seconds)
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
    raise TimeoutError("One input has taken too long: it hangs.")


@app.callback()
def kinds() -> None:
    pass


@app.command()
def pairs(n: NOption = 10_000, first_seed: SeedOption = 0) -> None:
    """Files of pairs in every format, under odd names, with and without faults."""
    from pair_files import check, pair_files

    fuzz("pair files", pair_files(), check, n, first_seed)


@app.command()
def steers(n: NOption = 1_000, first_seed: SeedOption = 0) -> None:
    """Damaged files of steers."""
    import random

    import torch
    from damages import damage

    import mechsteer as ms

    site, other = ms.Site(2, "mlp.out"), ms.Site(3, "resid_post")
    vector, rng = ms.SteeringVector(site, torch.randn(16)), torch.randn
    forms = (vector, ms.LoRA(site, rng(2, 12), rng(16, 2)), ms.LocalWeight(site, rng(16, 12), rng(16)))
    whole = (*forms, ms.join([vector, ms.SteeringVector(other, torch.randn(16))], rule=ms.Rotate()))

    def check(number: int, folder: Path) -> str:
        rng = random.Random(number)
        steer = rng.choice(whole)
        path = steer.save(folder / str(number) / "steer.safetensors")
        whole[0].save(path.with_name("another.safetensors"))
        how = damage(path, rng)
        if how == "swapped":
            steer = whole[0]
        try:
            found = ms.load_intervention(path)
        except ms.InputError as error:
            assert path.name in str(error), error
            return "refused in a sentence"
        finally:
            shutil.rmtree(path.parent)
        assert (found.sites, found.rule, found.origin) == (steer.sites, steer.rule, steer.origin)
        assert found.parameters.keys() == steer.parameters.keys()
        assert all(torch.equal(value, steer.parameters[name]) for name, value in found.parameters.items())
        return "as they were"

    fuzz("damaged steers", integers(0, 2**60), check, n, first_seed)


@app.command()
def folders(
    n: NOption = 1_000,
    first_seed: SeedOption = 0,
    study: Annotated[
        Path | None, typer.Option(help="A study of one's own to damage; it is mended after each look.")
    ] = None,
) -> None:
    """Damaged folders of studies, by every look; every hundredth by the real command line, and studied again from the store."""
    import random
    import subprocess

    from damages import one_damaged
    from looks import LOOKS, READ_BY, make_study

    from mechsteer import InputError

    def look(at: str, number: int, name: str) -> str:
        try:
            found = LOOKS[at](study)
        except InputError as error:
            assert Path(name).name in str(error), f"{at} of a damaged {name}: {error}"
            return "refused in a sentence"
        assert found == whole[at], f"{at} shows something else: {name} was damaged, in folder {number}"
        return "as it was"

    def check(number: int, folder: Path) -> str:
        with one_damaged(study, random.Random(number)) as (name, how):
            found = {look(at, number, name) for at in READ_BY.get(Path(name).suffix, LOOKS)}
            if number % 100 == 0:
                command = [sys.executable, "-m", "mechsteer", "show", str(study)]
                done = subprocess.run(command, capture_output=True, text=True)
                assert done.returncode in (0, 2) and "Traceback" not in done.stderr, f"{name} {how}: {done.stderr}"
        return max(found)

    with tempfile.TemporaryDirectory() as place:
        study = study or make_study(Path(place))
        whole = {at: one(study) for at, one in LOOKS.items()}
        fuzz("damaged folders", integers(0, 2**60), check, n, first_seed, seconds=6 * SECONDS_EACH)


if __name__ == "__main__":
    app()
