"""The page on which a model is steered by hand, in a real browser: what it shows is what Python gives."""

import re
import shlex
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
import uvicorn

import mechsteer as ms
from analyses.studies.measured import Measured
from mechsteer import cli
from mechsteer.curves.reading import read_curve

PROMPT = "what about the soup ?"
ODD = "<img src=x onerror='window.attacked = true'>"
NUMBER = r"([+−-]?[\d.]+)"


@pytest.fixture
def play(mechsteer, monkeypatch):
    """Start the command; gives the address that it prints."""
    running: list[tuple[uvicorn.Server, threading.Thread]] = []

    def run(app, listening) -> None:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, args=([listening.dup()],), daemon=True)
        listening.listen()
        thread.start()
        running.append((server, thread))

    monkeypatch.setattr("mechsteer.cli.play.run", run)

    def start(*arguments: object) -> str:
        code, printed, error = mechsteer("play", *arguments, "--device=cpu")
        assert code == 0, error
        return printed.split()[0]

    yield start
    for server, thread in running:
        server.should_exit = True
        thread.join(timeout=10)


@pytest.fixture
def visit(browser) -> Iterator:
    """Open an address; nothing may go wrong there or be asked of another server."""
    complaints, contexts = [], []

    def complain(message) -> None:
        # A request that the server refuses is told in the page too.
        if message.type in ("error", "warning") and "status of 400" not in message.text:
            complaints.append(message.text)

    def open_page(address: str, width: int = 1440):
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}))
        tab, own = contexts[-1].new_page(), (address.partition("?")[0], "data:")
        tab.on("console", complain)
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.on("request", lambda request: None if request.url.startswith(own) else complaints.append(request.url))
        tab.goto(address)
        wait_for(tab, 1)
        return tab

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def wait_for(tab, n: int) -> None:
    """Until all columns are written for the n-th time."""
    tab.wait_for_selector(f"html[data-written='{n}']", state="attached", timeout=60_000)


def columns(tab) -> dict[str, str]:
    """By heading, what is written below it."""
    found = tab.locator(".column")
    return {
        found.nth(index).locator("h3").inner_text(): found.nth(index).locator(".written").text_content()
        for index in range(found.count())
    }


def multiplier(heading: str) -> float:
    return float(re.search(rf"m = {NUMBER}", heading)[1].replace("−", "-"))


def test_texts_side_by_side_are_what_python_writes_and_move_with_the_slider(small_study, guestbook, play, visit):
    path = small_study / "interventions/diffmean-vector.safetensors"
    steer, measured = ms.load_intervention(path), Measured.of(path)
    assert measured is not None
    tab = visit(play("guestbook", path))
    slider = tab.locator("input[type=range]")
    for n, steps in ((1, None), (2, "-60")):
        if steps is not None:
            slider.fill(steps)
            wait_for(tab, n)
        written = columns(tab)
        assert len(written) == 4
        furthest = 2 * max(map(abs, measured.useful))
        m = furthest * int(slider.input_value()) / 100
        for factor, (heading, text) in zip((-1, 0, 0.5, 1), written.items(), strict=True):
            assert multiplier(heading) == pytest.approx(m * factor, rel=0.01)
            with ms.steer(guestbook, steer, m * factor):
                assert text == ms.generate(guestbook, PROMPT, temperature=0, max_new_tokens=40)[0]
    # What the study's curve predicts of the slider's multiplier.
    said = tab.locator(".steer .note").last.inner_text()
    preference, utility = (
        float(re.search(rf"{name} {NUMBER}", said)[1].replace("−", "-")) for name in ("preference", "utility")
    )
    sweep, fits = measured.sweep, measured.fits

    def curve(quantity: str, at: float) -> float:
        fit = fits.get(quantity)
        if fit and fit["ok"]:
            return float(read_curve(fit)(np.array([at]))[0])
        return float(np.interp(at, sweep.multipliers, getattr(sweep, quantity).mean(axis=1)))

    for said, quantity in ((preference, "preference"), (utility, "utility")):
        assert said == pytest.approx(curve(quantity, m) - curve(quantity, 0.0), abs=0.05)
    (command,) = tab.locator(".command code").all_inner_texts()
    name, verb, *arguments = shlex.split(command)
    lines = {str(line.name): line for group in cli.CONTENTS.values() for line in group}
    lines[verb].make_context(verb, arguments)
    assert f"{abs(2 * m):.3g}"[:3] in command and name == "mechsteer"


def test_tokens_are_coloured_by_what_the_server_says_of_them(small_study, play, visit):
    """The more surprising a token is to the model as it is, the stronger its colour; a projection has two."""
    paths = [small_study / f"interventions/{name}-vector.safetensors" for name in ("diffmean", "random")]
    tab = visit(play(*paths))
    read = "[...document.querySelectorAll('.written span')].map((s) => [s.token, s.style.backgroundColor])"

    def shares() -> list[tuple[dict, str, int]]:
        found = []
        for token, colour in tab.evaluate(read):
            share = re.search(r"var\(--(\w+)\) (\d+)%", colour)
            found.append((token, share[1] if share else "", int(share[2]) if share else 0))
        return found

    by_base = shares()
    assert len(by_base) > 12 and {name for _, name, share in by_base if share} == {"vermilion"}
    for token, _, share in by_base:
        assert share == pytest.approx(60 * min(1, -token["base_logprob"] / 8), abs=0.6)
    tab.locator("[data-part=shade]").select_option(label="projection on random-vector")
    along = np.array([token["along"][1] for token, _, _ in by_base])
    for (token, name, share), away in zip(shares(), (along - along.mean()) / along.std(), strict=True):
        assert share == pytest.approx(60 * min(1, abs(away) / 2), abs=0.6)
        assert name == ("" if share == 0 else "blue" if away >= 0 else "vermilion"), token
    tab.locator("[data-part=shade]").select_option(label="nothing")
    assert not any(share for _, _, share in shares())


def test_it_fits_a_phone_and_what_is_odd_is_text(small_study, tmp_path, play, visit):
    odd = Path(shutil.copy(small_study / "interventions/diffmean-vector.safetensors", tmp_path / f"{ODD}.safetensors"))
    tab = visit(play("guestbook", odd), width=390)
    assert tab.evaluate("document.documentElement.scrollWidth") == 390
    assert ODD in tab.locator(".steer").inner_text() and "nothing is predicted" in tab.locator(".steer").inner_text()
    assert tab.evaluate("window.attacked") is None
    tab.locator("#prompt").fill(ODD)
    tab.locator("[data-part=write]").click()
    wait_for(tab, 2)
    assert "does not know" in tab.locator("[data-part=status]").inner_text()
    tab.locator("[name=factors]").fill("many")
    tab.locator("[data-part=write]").click()
    assert "times numbers" in tab.locator("[data-part=status]").inner_text()


def test_nothing_is_answered_without_the_token_of_the_address(play, mechsteer):
    address = play("guestbook")
    place, _, token = address.partition("?token=")
    body = {"model": "guestbook", "prompt": PROMPT, "max_tokens": 2}
    for headers in ({}, {"Authorization": "Bearer no"}):
        for answer in (
            httpx.get(place, headers=headers),
            httpx.post(f"{place}v1/completions", json=body, headers=headers),
        ):
            assert answer.status_code == 401 and "address that the command printed" in answer.json()["error"]["message"]
    known = {"Authorization": f"Bearer {token}"}
    assert httpx.get(address).status_code == httpx.get(place, headers=known).status_code == 200
    assert httpx.post(f"{place}v1/completions", json=body, headers=known).json()["choices"][0]["text"]
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', httpx.get(address).text)[1]
    assert "default-src &#39;none&#39;" in policy and "connect-src &#39;self&#39;" in policy
    code, _, error = mechsteer("play", "guestbook", "gpt2")
    assert code == 2 and "There is no intervention at 'gpt2'" in error
