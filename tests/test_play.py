"""The page on which a model is steered by hand, in a real browser: what it shows is what Python gives."""

import json
import os
import re
import shlex
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch
import transformers
import uvicorn
from scipy.spatial.distance import cdist
from test_real_models import PAIRS as REAL_PAIRS
from test_report import fit

import mechsteer as ms
from analyses.studies.measured import Measured
from mechsteer import cli
from mechsteer.curves.reading import read_curve
from mechsteer.engine.losses import pair_texts
from mechsteer.measuring.drafts import Acting, Draft, write_drafts
from mechsteer.measuring.ordinary import OrdinaryText
from mechsteer.models.opening import BUILT_IN
from mechsteer.store.atomic import write_json
from mechsteer.store.sums import write_sums

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
    tab.wait_for_selector(f"html[data-written='{n}']", state="attached", timeout=300_000)


def columns(tab) -> dict[str, str]:
    """By heading, what is written below it."""
    found = tab.locator(".column")
    return {
        found.nth(index).locator("h3").inner_text(): found.nth(index).locator(".written").text_content()
        for index in range(found.count())
    }


def multiplier(heading: str) -> float:
    return float(re.search(rf"m = {NUMBER}", heading)[1].replace("−", "-"))


@pytest.mark.slow
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
    (command,) = tab.locator(".command code").all_inner_texts()
    settings(command)
    assert f"{abs(2 * m):.3g}"[:3] in command
    tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    tab.locator(".command button").click()
    tab.locator(".command button", has_text="Copied").wait_for()
    assert tab.evaluate("navigator.clipboard.readText()") == command


def settings(command: str) -> dict[str, object]:
    """What a command of the page asks of a study."""
    name, verb, *arguments = shlex.split(command)
    assert (name, verb) == ("mechsteer", "study")
    lines = {str(line.name): line for group in cli.CONTENTS.values() for line in group}
    return lines[verb].make_context(verb, arguments).params


def test_what_was_measured_stands_beside_what_the_curve_predicts_and_a_curve_that_is_refuted_is_called_so(
    small_study, tmp_path, play, visit
):
    folder = Path(shutil.copytree(small_study, tmp_path / "study"))
    path = folder / "interventions/diffmean-vector.safetensors"
    sweep = Measured.of(path).sweep
    fits = {name: fit(name) for name in ("preference", "utility")}
    fits["utility"]["ok"] = False
    write_json([{"key": sweep.key.columns()} | fits], folder / "fits.json")
    refuted = ms.Claim(
        "preference_curve", "adequate", sweep.key, 0.3, "share of the span", ms.ConfidenceInterval(0.2, 0.4), "a spline",
        ms.Outcome.REFUTED, "Eq. 15 misses.",
    )  # fmt: skip
    write_json([refuted.to_dict()], folder / "claims.json")
    write_sums(folder)
    tab = visit(play("guestbook", path))
    about, said = tab.locator(".steer .note").all_inner_texts()
    assert "The study refutes the paper's curve of preference there" in about
    m = 2 * max(map(abs, Measured.of(path).useful)) * int(tab.locator("input[type=range]").input_value()) / 100
    measured, _, predicted = said.partition("The curve predicts")
    curve, zero = read_curve(fits["preference"]), np.zeros(1)
    assert "utility" not in predicted
    assert told(predicted, "preference") == pytest.approx(curve(zero + m)[0] - curve(zero)[0], abs=0.05)
    for quantity in ("preference", "utility"):
        means = getattr(sweep, quantity).mean(axis=1)
        change = np.interp(m, sweep.multipliers, means) - np.interp(0, sweep.multipliers, means)
        assert told(measured, quantity) == pytest.approx(change, abs=0.05)
    furthest = float(tab.evaluate("data.steers[0].furthest"))
    n_inside = (np.abs(sweep.multipliers) <= furthest).sum()
    points = [drawn.get_attribute("d").count("M") for drawn in tab.locator(".curve .measured").all()]
    assert points == [n_inside, n_inside] and n_inside > 2


def told(sentence: str, quantity: str) -> float:
    return float(re.search(rf"{quantity} ([+−]\d+\.\d+)", sentence)[1].replace("−", "-"))


def test_a_study_of_it_is_asked_for_as_the_page_was(small_study, play):
    path = small_study / "interventions/diffmean-vector.safetensors"
    how = ("--dtype=float32", "--rule=rotate", "--format=cued", "--template-option=cue= so")
    for steers, name in (((path,), "diffmean-vector"), ((), "guestbook")):
        page = httpx.get(play("guestbook", *steers, *how)).text
        data = json.loads(re.search(r'id="data">(.*?)</script>', page, flags=re.DOTALL)[1])
        asked = settings((data["steers"] or [data])[0]["command"])
        found = {name: str(asked[name]) for name in ("model", "dtype", "rule", "device", "out")}
        assert found == {
            "model": "guestbook", "dtype": "float32", "rule": "rotate", "device": "cpu", "out": f"results/{name}",
        }  # fmt: skip
        assert "so" in asked["prompt_format"] and asked["prompt_format"].startswith("cued")


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
    assert len(by_base) > 12 and {name for _, name, share in by_base if share} == {"utility"}
    for token, _, share in by_base:
        assert share == pytest.approx(60 * min(1, -token["base_logprob"] / 8), abs=0.6)
    tab.locator("[data-part=shade]").select_option(label="projection on random-vector")
    along = np.array([token["along"][1] for token, _, _ in by_base])
    for (token, name, share), away in zip(shares(), (along - along.mean()) / along.std(), strict=True):
        assert share == pytest.approx(60 * min(1, abs(away) / 2), abs=0.6)
        assert name == ("" if share == 0 else "preference" if away >= 0 else "utility"), token
    tab.locator("[data-part=shade]").select_option(label="distance to the manifold where diffmean-vector acts")
    wait_for(tab, 2)
    by_distance = shares()
    assert len(by_distance) == len(by_base) and {name for _, name, share in by_distance if share} == {"utility"}
    for token, _, share in by_distance:
        assert share == pytest.approx(60 * min(1, max(0, (token["distances"][0] - 1) / 2)), abs=0.6)
    assert "3 times the usual distance" in tab.locator("[data-part=legend]").inner_text()
    tab.locator("[data-part=shade]").select_option(label="nothing")
    assert not any(share for _, _, share in shares())


def test_the_distance_of_a_token_is_that_of_plain_hugging_face_from_the_texts_of_the_study(
    small_study, guestbook, play
):
    """By hooks of its own, and the ten nearest by hand; unsteered tokens are at about 1, and those steered far are not."""
    path, site = small_study / "interventions/diffmean-vector.safetensors", ms.Site.of("3:resid_mid")
    steer, m = ms.load_intervention(path), 24.0
    hf = transformers.AutoModelForCausalLM.from_pretrained(BUILT_IN["guestbook"])
    layer, seen = hf.model.layers[3], []
    layer.post_attention_layernorm.register_forward_pre_hook(lambda module, args: seen.append(args[0][0]))

    def read(ids, begin: int, shift: torch.Tensor | None = None) -> np.ndarray:
        """From the token before the completion to the last but one."""

        def add(module, args, output):
            output[0][:, 1:] += 0 if shift is None else shift

        handle = layer.self_attn.register_forward_hook(add)
        with torch.no_grad():
            hf(torch.tensor([ids]))
        handle.remove()
        return seen.pop()[begin - 1 : -1].numpy()

    halves = ms.load_pairs(small_study / "pairs.jsonl").split()
    texts = [pair_texts(ms.encode_pairs(guestbook, half)) for half in halves]
    learned, judged = (np.concatenate([read(*text) for text in half]) for half in texts)
    known = OrdinaryText(guestbook, lambda: tuple(texts)).at(site)
    points = known.manifold.points + known.manifold.centre
    apart = cdist(points, learned)
    # The same points, each once.
    assert apart.min(axis=0).max() < 1e-3 and apart.min(axis=1).max() < 1e-3 and len(points) < len(learned)

    def distance(h: np.ndarray) -> np.ndarray:
        return np.sort(cdist(h, points), axis=1)[:, :10].mean(axis=1)

    usual = np.median(distance(judged))
    address, _, token = play(path).partition("?token=")
    begins = guestbook.tokenizer(PROMPT)["input_ids"]
    told = {}
    for multiplier in (0.0, m):
        body = {
            "model": "guestbook", "prompt": PROMPT, "max_tokens": 12, "temperature": 0, "token_details": True,
            "distances": True, "steer": {"name": "diffmean-vector", "multiplier": multiplier},
        }  # fmt: skip
        answer = httpx.post(f"{address}v1/completions", json=body, headers={"Authorization": f"Bearer {token}"})
        tokens = answer.json()["choices"][0]["tokens"]
        ids = [*begins, *(one["id"] for one in tokens)]
        expected = distance(read(ids, len(begins), multiplier * steer.direction)) / usual
        told[multiplier] = np.array([one["distances"] for one in tokens])[:, 0]
        assert told[multiplier] == pytest.approx(expected, rel=1e-3)
    assert 0.4 < np.median(told[0.0]) < 1.6 and told[m].min() > 2 * np.median(told[0.0])


@pytest.mark.parametrize("place", ["mlp.out", "attn.o", "mlp.bypass"])
def test_distances_are_measured_where_what_is_added_arrives_in_the_residual_stream(place, guestbook):
    texts = [
        pair_texts(ms.encode_pairs(guestbook, half)) for half in ms.load_pairs("guestbook/tense").sample(40).split()
    ]
    ordinary, at, ends = OrdinaryText(guestbook, lambda: tuple(texts)), ms.Site(1, place), []
    steer = Acting((0,), ms.SteeringVector(at, torch.ones(at.widths(guestbook)[1])), 40.0)
    for some in (None, ordinary, OrdinaryText(guestbook, lambda: ([], []))):
        prompt = guestbook.tokenizer(PROMPT)["input_ids"]
        write_drafts(guestbook, [Draft(prompt, lambda token: True, ends.append, (steer,), 3, 0, ordinary=some)])
    without, known, unread = ([token.distances for token in end.tokens] for end in ends)
    assert {*without} == {()} and {*unread} == {(None,)}
    assert min(distance for (distance,) in known) > 3
    # What follows the site in its block is seen too: it is the stream that is looked at, and not the branch.
    assert list(ordinary._known) == [ms.Site(1, "resid_mid" if place == "attn.o" else "resid_post")]


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
    assert "must be numbers" in tab.locator("[data-part=status]").inner_text()


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


NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"


@pytest.mark.skipif("MECHSTEER_MODELS" not in os.environ, reason="MECHSTEER_MODELS names no folder with real models")
def test_a_real_model_is_steered_by_hand(tmp_path, play, visit):
    """In its chat template: texts are what Python writes, and the farther a steer goes, the farther from neutral sentences."""
    file = Path(os.environ["MECHSTEER_MODELS"], NAME)
    if not file.is_file():
        pytest.skip(f"MECHSTEER_MODELS holds no {NAME}")
    model = ms.load_model(file, device="cpu")
    vector = ms.diff_mean(model, REAL_PAIRS, "15:resid_post", prompt_format="chat")
    path, prompt = vector.save(tmp_path / "moods.safetensors"), "How was your day?"
    tab = visit(play(file, path, "--prompt", prompt))
    written = columns(tab)
    for heading, text in written.items():
        with ms.steer(model, vector, multiplier(heading)):
            (expected,) = ms.generate(model, [prompt], prompt_format="chat", temperature=0, max_new_tokens=40)
        assert text.strip() == expected.strip()
    tab.locator("[data-part=shade]").select_option(label="distance to the manifold where moods acts")
    wait_for(tab, 2)
    read = """[...document.querySelectorAll(".column")].map((column) =>
        [...column.querySelectorAll(".written span")].map((span) => span.token.distances[0]))"""
    medians = dict(zip(map(multiplier, written), map(np.median, tab.evaluate(read)), strict=True))
    assert 0.5 < medians[0.0] < 2 and medians[max(medians)] > medians[0.0] and columns(tab) == written
