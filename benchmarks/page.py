"""How large a page is and how long it takes to be seen: `python benchmarks/page.py`, of a campaign, by default of 210 cells; or
with `--study DIR` that of a finished study."""

import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from drawn_campaign import write  # noqa: E402

from figures.campaigns import draw_and_report  # noqa: E402

MOST_BYTES, MOST_OF_A_STUDY, MOST_SECONDS = 10e6, 6e6, 2.0
LAPTOP = {"width": 1440, "height": 900}


def main(
    models: Annotated[int, typer.Option(max=7)] = 7,
    concepts: Annotated[int, typer.Option(max=10)] = 10,
    seeds: int = 3,
    study: Path | None = None,
) -> None:
    """Cells are models times concepts times seeds. Exit code 1 where the page has over 10 MB, or a study's over 6, or takes over
    two seconds."""
    if study is not None:
        page = study / "report.html"
        size, seen = page.stat().st_size, seen_after(page)
        print(f"{study}: a page of {size / 1e6:.1f} MB, seen after {seen:.2f} s (Chromium, median of five).")
        raise typer.Exit(size > MOST_OF_A_STUDY or seen > MOST_SECONDS)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "campaign"
        campaign = write(place, models, concepts, seeds)
        began = time.perf_counter()
        draw_and_report(place)
        made = time.perf_counter() - began
        page = place / "report.html"
        size, seen = page.stat().st_size, seen_after(page)
        print(
            f"{len(campaign.cells)} cells, {len(campaign.claims)} verdicts: a page of {size / 1e6:.1f} MB, made in {made:.1f} s; "
            f"it is seen {seen:.2f} s after it is asked for (Chromium, median of five)."
        )
    raise typer.Exit(size > MOST_BYTES or seen > MOST_SECONDS)


def seen_after(page: Path) -> float:
    """The median of five."""
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        seconds = statistics.median(seconds_until_seen(browser, page) for _ in range(5))
        browser.close()
    return seconds


def seconds_until_seen(browser, page: Path) -> float:
    """Until the page has loaded and its top is drawn, in a window that has seen nothing before."""
    context = browser.new_context(viewport=LAPTOP)
    tab = context.new_page()
    began = time.perf_counter()
    tab.goto(page.as_uri())
    tab.screenshot()
    taken = time.perf_counter() - began
    context.close()
    return taken


if __name__ == "__main__":
    typer.run(main)
