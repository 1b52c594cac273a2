"""The page of a study: one file that is safe, small and complete, and that works in a real browser."""

import base64
import csv
import gzip
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex, to_rgb
from PIL import Image

import figures.page
from analyses.studies.finished import Study
from analyses.studies.folder import FORMAT
from figures.drawing.style import OUTCOMES, QUANTITIES, SHADES, method_looks, shades
from figures.page import write_report
from figures.page.contents import not_followed
from figures.page.looks import on_dark_ground
from figures.page.numbers import estimated
from figures.page.tables import unit_of
from mechsteer import InputError
from mechsteer.measuring.sweeps import Sweep, save_sweeps
from mechsteer.methods.learning import methods
from mechsteer.statistics.intervals import ConfidenceInterval
from mechsteer.statistics.judging import Claim, Outcome
from mechsteer.store.keys import Key, labelled

LAPTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
ATTACK = "</script><script>window.attacked = true</script><img src=x onerror='window.attacked = true'> & \u2028 say"
QUERIES = ("=HYPERLINK(1)", "-1.5", "@SUM(1)", "-is this a list ?")
N_PAIRS, MULTIPLIERS = 15, np.linspace(-4, 4, 9)
BAD, LOCAL = ("error", "warning"), ("file:", "data:", "blob:")
PANELS = ("preference", "utility", "distance", "map", "effects", "pair")


def key(method: str, site: str, seed: int | None = None) -> Key:
    return Key(method, "vector", "add", site, seed, pairs=ATTACK, pairs_content="c", model="m", weights="w")


def sweep(of: Key, gain: float, seed: int) -> Sweep:
    """Preference that grows with m, and pairs that go their own ways, one of them backwards."""
    rng = np.random.default_rng(seed)
    own = np.where(np.arange(N_PAIRS) == 3, -0.5, rng.uniform(0.5, 1.5, N_PAIRS))
    preference = gain * MULTIPLIERS[:, None] * own
    either = 8 + 0.5 * MULTIPLIERS[:, None] ** 2 + rng.uniform(0, 1, N_PAIRS)
    return Sweep(
        multipliers=MULTIPLIERS, pairs=tuple(f"pair-{index}" for index in range(N_PAIRS)),
        loss_positive=either - preference / 2, loss_negative=either + preference / 2,
        tokens_positive=np.full(N_PAIRS, 5), tokens_negative=np.full(N_PAIRS, 6),
        relative_shift=np.abs(MULTIPLIERS)[:, None] * np.full(N_PAIRS, 0.2), key=of,
    )  # fmt: skip


SCORE = {
    "name": "rational quadratic, plateau", "n_parameters": 8, "held_out_r_squared": 0.99, "held_out_error": 0.1, "end_error": 1.0,
}  # fmt: skip


def fit(quantity: str) -> dict:
    decay = {"variant": "plateau"} | dict.fromkeys(("centre_negative", "centre_positive"), 0.0)
    decay |= dict.fromkeys(("scale_negative", "scale_positive", "power_negative", "power_positive"), 2.0)
    curve = {"offset": 1.0, "baseline": -1.0, "validity": decay} | ({"gain": 1.0} if quantity == "preference" else {})
    return {
        "quantity": quantity, "ok": True, "status": "CONVERGED", "curve": curve, "rivals": [],
        "score": SCORE, "variant": "plateau", "spline": SCORE, "fitted": {}, "agreeing": [],
        "properties": {"peak": {"estimate": 0.1, "interval": {"low": 0.0, "high": None}}},
        "held_out_predictions": [None, *np.linspace(-1, 1, 7).tolist(), None],
    }  # fmt: skip


def make_study(folder: Path, *, site: str = "1:resid_post", whole: bool = True) -> Path:
    """A folder as a study leaves it, without a model; not whole, it has neither claims nor what stands behind them."""
    folder.mkdir(parents=True)
    steer = key("DiffMean", site)
    sweeps = [sweep(steer, 1.0, seed=0), sweep(key("SPLIT", site, 0), 1.5, seed=1)]
    save_sweeps(sweeps, folder / "sweeps.parquet")
    fits = [{"key": item.key.columns()} | {name: fit(name) for name in ("preference", "utility")} for item in sweeps]
    (folder / "fits.json").write_text(json.dumps(fits if whole else []))
    best = {
        "largest_useful_preference": 1.2,
        "multiplier_of_it": 1.0,
        "accuracy_at_zero": 0.5,
        "accuracy_of_it": 0.9,
        "relative_shift_of_it": 0.2,
    }
    scores = {"preference_held_out_r_squared": 0.99, "utility_held_out_r_squared": None}
    counted = {"n": N_PAIRS, "fingerprint": "f" * 16}
    summary = {
        "format": FORMAT, "files": [], "concept": "sentiment", "judged": [steer.columns()] if whole else [],
        "settings": {"pairs": "guestbook/sentiment", "site": site, "methods": ["DiffMean", "SPLIT"], "seed": 0},
        "model": {
            "name": f"models/{ATTACK}", "revision": None, "fingerprint": "e" * 16, "dtype": "float32", "n_layers": 4,
            "d_model": 8,
        },
        "pairs": {"learning": {"name": "learning"} | counted, "testing": {"name": ATTACK} | counted, "others": []},
        "pairs_with_moved_boundary": 0, "command": f"mechsteer study --pairs='{ATTACK}'", "versions": {"python": "3.11"},
        "site": {"site": site, "hook": "a.hook", "because": ATTACK}, "seconds": {"model": 1.0},
        "summary": {"key": steer.columns(), "preference_at_zero": 0.0, "useful": 0.5, "comparison": [ATTACK],
                    "single_pairs": [ATTACK], "second": [ATTACK], "coverage": [ATTACK], "judged": [ATTACK]} | best | scores,
    }  # fmt: skip
    (folder / "study.json").write_text(json.dumps(summary))
    if not whole:
        return folder

    pairs = [
        {"id": f"pair-{i}", "query": query, "positive": " yes", "negative": " no"}
        for i, query in enumerate([f"{ATTACK} 0", *QUERIES, *(f"query {i}" for i in range(5, N_PAIRS))])
    ]
    (folder / "pairs.jsonl").write_text("".join(json.dumps(pair, ensure_ascii=False) + "\n" for pair in pairs))
    claims = [
        Claim(
            name, part, steer, estimate, "share", ConfidenceInterval(0.1, np.nan), f"control of {name}", Outcome(outcome),
            f"because {ATTACK}", is_check=name == "one_operation",
        ).to_dict()
        for name, part, estimate, outcome in (
            ("off_manifold", "growth", 0.5, "supported"), ("validity", "level", np.nan, "inconclusive"),
            ("one_operation", "", 0.2, "refuted"), ("one_operation", "", 0.9, "supported"),
        )
    ]  # fmt: skip
    (folder / "claims.json").write_text(json.dumps(claims))
    texts = pd.DataFrame(
        {
            "multiplier": m, "pair": f"pair-{i}", "query": pairs[i]["query"],
            "text": f"{ATTACK} wrote {m:g} </s>", "marks": "sentiment+ off_topic .",
            "sentiment": float(np.sign(m)) if i == 5 else 1.0,
        }
        | dict.fromkeys(("valid", "grammatical", "on_topic", "fitting", "agreeing", "ended"), m == 0)
        for m in MULTIPLIERS
        for i in (0, 5)
    )  # fmt: skip
    distance = pd.DataFrame(
        {"distance": kind, "multiplier": m, "growth": m * m, "low": m * m - 0.1, "high": m * m + 0.1, "layer": 1}
        for kind in ("neighbours", "gaussian") for m in MULTIPLIERS[MULTIPLIERS != 0]
    )  # fmt: skip
    place = pd.DataFrame(
        {"x": token + m, "y": float(token), "token": token, "multiplier": m, "utility_loss": abs(m)}
        for token in (-1, 1, 2)
        for m in (MULTIPLIERS if token > 0 else [0.0])
    )
    # Of the other steer no claims were asked; some of its tokens were followed.
    labelled(distance.assign(n_tokens=300, n_pairs=40), sweeps[1].key).to_parquet(folder / "distance.parquet")
    labelled(place, sweeps[1].key).to_parquet(folder / "places.parquet")
    frontier = pd.DataFrame(
        {
            "of": method,
            "budget": budget,
            "gained": gained,
            "low": gained - 1,
            "high": gained + 1,
            "gained_negative": gained,
            "gained_positive": gained,
            "multiplier_negative": -1.0,
            "multiplier_positive": 1.0,
        }
        for method, gained in (("DiffMean", 2.0), ("SPLIT", 3.0))
        for budget in (0.5, 1.0, 2.0, 4.0, np.nan)
    )
    judged = pd.DataFrame(
        {
            "judge": "rules", "about": "", "aspect": aspect, "multiplier": m, "mean": 0.25 * (m > 0), "low": 0.0, "high": 0.5,
            "worst": 0.0, "best": 1.0, "n_texts": 8, "n_failed": int(m > 0), "role": aspect,
            "preference": 0.0, "utility_lost": 0.0, "named": 0.4 * (m > 0),
        }
        for aspect in ("concept", "fluency") for m in MULTIPLIERS
    )  # fmt: skip
    labelled(judged, steer).to_parquet(folder / "judged.parquet")
    (folder / "claims").mkdir()
    labelled(texts, steer).to_parquet(folder / "texts.parquet")
    labelled(distance, steer).to_parquet(folder / "claims/off_manifold-distance.parquet")
    labelled(place, steer).to_parquet(folder / "claims/activation_map-place.parquet")
    parts = [
        labelled(rows.drop(columns="of"), key(method, site)) for method, rows in frontier.groupby("of", sort=False)
    ]
    pd.concat(parts).to_parquet(folder / "frontier.parquet")
    (folder / "figures").mkdir()
    Image.new("RGB", (40, 30), "white").save(folder / "figures/utility_distance.png")
    return folder


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    return make_study(tmp_path_factory.mktemp("studies") / "one")


@pytest.fixture(scope="module")
def page(study) -> Path:
    return write_report([study])


@pytest.fixture(scope="module")
def several(study, tmp_path_factory) -> Path:
    """Three studies: two that model, pairs and site do not tell apart, and one that is not whole."""
    folder = tmp_path_factory.mktemp("more")
    others = [make_study(folder / "again"), make_study(folder / "bare", site="3:resid_mid", whole=False)]
    return write_report([study, *others], folder / "several.html")


class Elements(HTMLParser):
    """Every start tag with its attributes, and the text of every script."""

    def __init__(self, page: Path):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.in_script = False
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.in_script = tag == "script"
        if self.in_script:
            self.scripts.append("")

    def handle_endtag(self, tag):
        self.in_script = False

    def handle_data(self, data):
        if self.in_script:
            self.scripts[-1] += data


def data_of(page: Path) -> dict:
    """What the scripts of a page draw from."""
    return json.loads(gzip.decompress(base64.b64decode(json.loads(Elements(page).scripts[0])["gzip"])))


def test_what_data_say_never_becomes_markup(page):
    elements = Elements(page)
    assert [attributes.get("type") for tag, attributes in elements.tags if tag == "script"] == [
        "application/json",
        None,
        None,
    ]
    assert not [tag for tag, _ in elements.tags if tag == "img"]
    assert not [name for _, attributes in elements.tags for name in attributes if name.startswith("on")]
    assert data_of(page)["studies"][0]["pairs"]["query"][0] == f"{ATTACK} 0"
    assert not {"<", ">", "&", "\u2028"} & set(elements.scripts[0])


def test_the_page_is_one_small_file_that_may_reach_nothing(page):
    elements = Elements(page)
    loaded = [attributes[name] for _, attributes in elements.tags for name in ("src", "href") if attributes.get(name)]
    assert loaded and all(address.startswith(("#", "data:")) for address in loaded)
    policy = next(a["content"] for _, a in elements.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'") and "connect-src 'none'" in policy and "http" not in policy
    for script in elements.scripts[1:]:
        assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() in policy
    assert page.stat().st_size < 2.5e6


def test_the_same_study_gives_the_same_page(study, page, tmp_path):
    assert write_report([study], tmp_path / "again.html").read_bytes() == page.read_bytes()


def test_the_page_says_what_was_found_of_the_pairs(tmp_path):
    folder = make_study(tmp_path / "study", whole=False)
    path = folder / "study.json"
    assert "check of the pairs" not in write_report([folder]).read_text()
    found = {"kind": "few", "found": "9 pairs are measured.", "advice": "Give 30 or more.", "refused": False}
    more = found | {"kind": "copies", "found": "2 of 9 pairs are copies."}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"findings": [found, more]}))
    said = "The check of the pairs says: 9 pairs are measured. 2 of 9 pairs are copies."
    assert said in write_report([folder]).read_text()
    path.write_text(json.dumps(json.loads(path.read_text()) | {"findings": [{"found": 3}]}))
    with pytest.raises(InputError, match=r"study\.json.*'findings'\[0\] has no 'kind'"):
        write_report([folder])


def test_the_page_stands_in_the_folder_unless_told_otherwise(study, page):
    assert page == study / "report.html"
    with pytest.raises(InputError, match="No study came"):
        write_report([])


def test_numbers_are_those_of_the_sweep(study, page):
    steer = data_of(page)["studies"][0]["steers"][0]
    table = pd.read_parquet(study / "sweeps.parquet")
    table = table[table.method == steer["method"]]
    assert np.allclose(np.ravel(steer["values"]["preference"]), table.preference, rtol=1e-3)
    assert np.allclose(steer["preference"]["mean"], table.groupby("multiplier").preference.mean(), atol=1e-4)
    assert steer["multipliers"][steer["zero"]] == 0
    wrong = dict(zip(table.pair.unique(), steer["values"]["wrong"], strict=True))
    assert {pair for pair, share in wrong.items() if share > 0} == {"pair-3"} and wrong["pair-3"] == 1


def test_single_pairs_beyond_the_bound_are_left_to_the_tables(study, monkeypatch, tmp_path):
    monkeypatch.setattr("figures.page.page.MAX_VALUES", N_PAIRS * len(MULTIPLIERS))
    path = write_report([study], tmp_path / "page.html")
    values = [steer["values"] for steer in data_of(path)["studies"][0]["steers"]]
    # The steer that claims were asked of comes first.
    assert values[0] is not None and values[1] is None


def test_a_study_of_curves_alone_has_a_page(tmp_path):
    page = write_report([make_study(tmp_path / "bare", whole=False)])
    assert "No claims were judged" in page.read_text(encoding="utf-8")


def test_several_studies_are_told_apart_and_compared(several):
    data = data_of(several)
    assert len(data["studies"]) == 3 and len(set(data["labels"])) == 3
    assert data["labels"][1].endswith("again")
    assert "3 studies side by side" in several.read_text(encoding="utf-8")


# In a real browser


@pytest.fixture
def visit(browser):
    """Open a page at a width; at the end, nothing may have gone wrong on it or been asked of the network."""
    complaints, contexts = [], []

    def open_page(path: Path, size=LAPTOP, **settings):
        contexts.append(browser.new_context(viewport=size, **settings))
        tab = contexts[-1].new_page()
        tab.on("console", lambda message: complaints.append(message.text) if message.type in BAD else None)
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.on("request", lambda request: complaints.append(request.url) if not request.url.startswith(LOCAL) else None)
        tab.goto(path.as_uri())
        tab.wait_for_selector("html[data-drawn]", state="attached")
        return tab

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def words(tab, part: str) -> str:
    """What a panel says of itself: the description of its chart, and its text."""
    panel = tab.locator(f'[data-part="{part}"]').first
    return (panel.locator(".plot").first.get_attribute("aria-label") or "") + panel.inner_text()


def test_the_slider_moves_every_panel(visit, page):
    tab = visit(page)
    slider = tab.get_by_label("Multiplier", exact=True)
    slider.focus()
    slider.press("Home")
    plots = {name: tab.locator(f'[data-part="{name}"] .plot').first for name in PANELS}

    def look() -> dict[str, tuple[str, bytes]]:
        seen = {name: (words(tab, name), plot.screenshot()) for name, plot in plots.items()}
        return seen | {"texts": (tab.locator('[data-part="texts"]').inner_text(), b"")}

    before = look()
    assert "m = −4" in tab.locator('[data-part="readout"]').inner_text() and "wrote -4" in before["texts"][0]
    for _ in range(6):
        slider.press("ArrowRight")
    after = look()
    assert "m = 2" in tab.locator('[data-part="readout"]').inner_text() and "wrote 2" in after["texts"][0]
    assert (
        "Judged by rules, from 0 to 1: concept 0.25 [0.00, 0.50] (1 missing: 0 to 1), fluency 0.25 [0.00, 0.50] "
        "(1 missing: 0 to 1). 40 % of these texts name the concept." in after["texts"][0]
    )
    assert slider.get_attribute("aria-valuetext") == "m = 2, relative shift 0.4"
    for name in PANELS:
        assert before[name][1] != after[name][1], f"the chart {name} has not moved"
    assert all(before[name][0] != after[name][0] for name in before if name != "pair")
    assert "1 of 15 pairs move the wrong way" in after["effects"][0]


def test_a_query_that_holds_markup_shows_as_text(visit, page):
    tab = visit(page)
    assert tab.evaluate("window.attacked") is None
    assert "<script>window.attacked = true</script>" in tab.locator('[data-part="texts"]').inner_text()
    tab.locator('[data-part="pair-table"] button', has_text="Show all").click()
    tab.locator('[data-part="pair-table"] button', has_text="pair-0").first.click()
    assert "onerror=" in tab.locator(".card").inner_text()
    assert tab.evaluate("window.attacked") is None


def test_methods_that_nobody_knows_have_signs_of_their_own(visit, tmp_path):
    folder = make_study(tmp_path / "one")
    table = pd.read_parquet(folder / "frontier.parquet")
    foreign = [table.assign(method=table["method"] + end) for end in (" of ours", " of theirs")]
    pd.concat([table, *foreign]).to_parquet(folder / "frontier.parquet")
    tab = visit(write_report([folder]))
    told = tab.locator('[data-part="frontier"] .note').last.inner_text()
    signs = [sign for sign in told if sign in "■×▲◆●▼★⬢✚✳+"]
    assert len(signs) == len(set(signs)) == 6, told


def test_the_page_draws_a_method_as_the_figures_do_and_lighter_on_dark_ground(visit, page):
    sign = visit(page).locator('[data-part="frontier"] .note span', has_text="●").first
    declared = method_looks(["SPLIT"])["SPLIT"].colour
    assert sign.evaluate("element => getComputedStyle(element).color") == f"rgb{tuple(bytes.fromhex(declared[1:]))}"
    dark = visit(page, color_scheme="dark").locator('[data-part="frontier"] .note span', has_text="●").first
    assert dark.evaluate("element => getComputedStyle(element).color") == (
        f"rgb{tuple(bytes.fromhex(on_dark_ground(declared)[1:]))}"
    )


def test_a_colour_means_the_same_on_the_page_as_in_figures(visit, page):
    tab = visit(page, color_scheme="light")
    for name, look in (QUANTITIES | OUTCOMES).items():
        assert tab.evaluate("colour", name) == f"rgb{tuple(bytes.fromhex(look.colour[1:]))}"


def test_numbers_are_shaded_as_in_figures_and_stand_out_from_either_ground(page):
    scale = [re.findall(r"#[0-9a-f]{6}", step) for step in data_of(page)["studies"][0]["looks"]["scale"]]
    assert scale[0][0] == to_hex(SHADES(0.0)) and scale[-1][0] == to_hex(SHADES(1.0))
    light, dark = ([sum(to_rgb(step[ground])) for step in scale] for ground in (0, 1))
    assert light == sorted(light, reverse=True) and dark == sorted(dark)
    assert all(on_ground(step[1]) > 3 for step in scale)


def test_what_the_style_sheet_colours_itself_is_grey():
    style = (Path(figures.page.__file__).parent / "style.css").read_text(encoding="utf-8")
    found = re.findall(r"#[0-9a-f]{6}\b", style)
    assert found and all(np.ptp(to_rgb(colour)) < 0.1 for colour in found)


LOOKS = QUANTITIES | OUTCOMES | shades("abcd") | method_looks([*methods(), *"efghi"])


@pytest.mark.parametrize("look", LOOKS.items(), ids=lambda item: item[0])
def test_what_has_a_colour_stands_out_from_dark_ground(look):
    assert on_ground(on_dark_ground(look[1].colour)) > 3  # WCAG 1.4.11


def on_ground(colour: str) -> float:
    """The contrast of a colour to the page's dark ground, #15171a."""
    light = [(c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4) for c in to_rgb(colour)]
    return float((np.dot(light, (0.2126, 0.7152, 0.0722)) + 0.05) / (0.0085 + 0.05))


def test_tables_sort_by_their_headers(visit, page):
    tab = visit(page)
    table = tab.locator('[data-part="pair-table"] table')
    column = table.locator("thead th", has_text="Change")
    numbers = lambda: [  # noqa: E731
        float(text.replace("−", "-")) for text in table.locator("tbody tr td:nth-child(7)").all_inner_texts()
    ]
    assert column.get_attribute("aria-sort") == "descending" and numbers() == sorted(numbers(), reverse=True)
    column.get_by_role("button").focus()
    tab.keyboard.press("Enter")
    assert column.get_attribute("aria-sort") == "ascending" and numbers() == sorted(numbers())


def test_a_claim_opens_its_figure_its_control_and_its_numbers(visit, page):
    tab = visit(page)
    row = tab.locator("details.claim", has_text="off_manifold: growth")
    row.locator("summary").first.press("Enter")
    row.locator("img").wait_for()
    assert row.locator("img").evaluate("image => image.naturalWidth") > 0
    assert "control of off_manifold" in row.inner_text()
    assert row.locator('[data-part="numbers"] tbody tr').count() == 8
    both = tab.locator("details.claim", has_text="one_operation").locator("summary").first.inner_text()
    assert "✓ 1 supported ✗ 1 refuted" in " ".join(both.split())


def test_claims_are_filtered_by_outcome_and_by_words(visit, page):
    tab = visit(page)
    titles = lambda: tab.locator("details.claim:visible code").all_inner_texts()  # noqa: E731
    assert len(titles()) == 3
    shown = tab.locator('[data-part="claims-shown"]')
    assert shown.inner_text() == "2 of 2 claims, 2 of 2 checks of the software"
    tab.get_by_label("Outcome").select_option("refuted")
    assert shown.inner_text() == "0 of 2 claims, 1 of 2 checks of the software"
    tab.get_by_label("Outcome").select_option("inconclusive")
    assert titles() == ["validity: level"] and tab.locator(".theme:visible").count() == 1
    tab.get_by_label("Outcome").select_option("all")
    tab.locator('[data-part="find-claim"]').fill("OFF_MANIFOLD")
    assert titles() == ["off_manifold: growth"]


def test_an_address_carries_the_steer_the_multiplier_and_the_claim(visit, page):
    tab = visit(page)
    tab.locator('[data-part="beside"]').select_option(label="SPLIT vector 1:resid_post seed 0")
    slider = tab.get_by_label("Multiplier", exact=True)
    slider.focus()
    slider.press("Home")
    tab.locator("details.claim", has_text="off_manifold: growth").locator("summary").first.press("Enter")
    # Not by a function of the page's, which its policy evaluates only where it need not wait.
    tab.wait_for_url(lambda url: "claim" in url)
    again = visit(page)
    again.goto("about:blank")
    again.goto(tab.url)
    again.wait_for_selector("html[data-drawn]", state="attached")
    readout = again.locator('[data-part="readout"]').inner_text()
    assert readout.startswith("m = −4 ·") and "SPLIT vector 1:resid_post seed 0: m = −4" in readout
    opened = again.locator("details.claim[open]")
    assert opened.count() == 1 and "off_manifold: growth" in opened.inner_text()


def test_two_steers_stand_side_by_side_in_charts_and_texts(visit, page):
    tab = visit(page)
    chart = tab.locator('[data-part="preference"] .plot')
    alone = chart.screenshot()
    tab.locator('[data-part="beside"]').select_option(label="SPLIT vector 1:resid_post seed 0")
    tab.locator('[data-part="preference"] .note', has_text="SPLIT vector").wait_for()
    assert chart.screenshot() != alone
    axis = tab.get_by_label("Axis")
    assert axis.input_value() == "shift", "multipliers of two steers are not comparable"
    axis.select_option("even")
    tab.locator('[data-part="beside"]').select_option("")
    assert axis.input_value() == "even", "the reader's own choice stands"
    tab.locator('[data-part="beside"]').select_option(label="SPLIT vector 1:resid_post seed 0")
    tab.locator('[data-part="texts"]', has_text="SPLIT vector 1:resid_post seed 0").wait_for()


def test_values_show_where_a_chart_is_pointed_at_and_terms_explain_themselves(visit, page):
    tab = visit(page)
    plot = tab.locator('[data-part="preference"] .plot')
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    value = tab.get_by_text(re.compile(r"nats at m = .*relative shift")).first
    for share in np.linspace(0.3, 0.7, 80):
        tab.mouse.move(box["x"] + share * box["width"], box["y"] + box["height"] / 2)
        if value.is_visible():
            break
    assert "relative shift" in value.inner_text()
    term = tab.get_by_role("button", name="Preference", exact=True)
    term.focus()
    term.press("Enter")
    assert tab.get_by_text("Log-odds (nats) of the completion for the concept").first.is_visible()


@pytest.mark.parametrize("size", [{"width": 1440, "height": 900}, {"width": 1024, "height": 900}, PHONE], ids=str)
def test_the_first_screen_holds_the_verdict(visit, page, size):
    tab = visit(page, size)
    verdict, slider = tab.locator('[data-part="verdict"]'), tab.get_by_label("Multiplier", exact=True)
    assert "CANNOT TELL: too few pairs" in verdict.inner_text() and "15 distinct pairs" in verdict.inner_text()
    assert verdict.bounding_box()["y"] < size["height"] / 2
    if size is not PHONE:
        chart = tab.locator('[data-part="preference"] .plot').bounding_box()
        assert chart["y"] + chart["height"] < size["height"] and slider.bounding_box()["y"] < chart["y"]
    tab.locator('[data-part="steer"]').select_option(label="SPLIT vector 1:resid_post seed 0")
    verdict.get_by_text("SPLIT vector 1:resid_post seed 0").wait_for()


def test_the_first_screen_shows_the_verdicts_texts_within_the_useful_range(visit, page):
    tab = visit(page, {"width": 1440, "height": 900})
    first = tab.locator(".text-row").first
    told = first.inner_text()
    assert told.startswith("query 5"), "its texts take both sides of the concept, those of the other query do not"
    assert told.index("wrote 1 ") < told.index("unsteered: ") < told.index("wrote 0 ") < told.index("m = −1: ")
    assert told.index("m = −1: ") < told.index("wrote -1 ")
    box = first.locator(".steered").bounding_box()
    assert box["y"] + box["height"] < 900
    # Beyond the useful range, too, what stands opposite is useful.
    tab.get_by_label("Multiplier", exact=True).press("Home")
    told = first.inner_text()
    assert "wrote -4 " in told and "m = 1: " in told and "m = −1: " not in told


@pytest.mark.parametrize("size", [LAPTOP, PHONE], ids=str)
def test_no_panel_is_an_empty_box_whatever_the_steer(visit, page, size):
    tab = visit(page, size)
    tab.locator('[data-part="steer"]').select_option(label="SPLIT vector 1:resid_post seed 0")
    tab.locator('[data-part="distance"] .note', has_text="From where 300 tokens of 40 pairs are unsteered").wait_for()
    tab.locator('[data-part="map"] .note', has_text="2 tokens at m = ").wait_for()
    tab.wait_for_timeout(500)
    for part in ("distance", "map"):
        assert tab.locator(f'[data-part="{part}"] canvas').count()
    for panel in tab.locator(".panel").all():
        is_drawn = panel.locator("canvas").count() > 0
        assert is_drawn or panel.inner_text().strip().count(" ") > 5 and panel.bounding_box()["height"] < 400


def test_a_steer_of_which_no_token_was_followed_says_why(tmp_path):
    folder = make_study(tmp_path / "study")
    study = Study.load(folder)
    steer = study.sweeps[1]
    of = lambda **changed: not_followed(study, replace(steer, key=replace(steer.key, **changed)))  # noqa: E731
    assert of().startswith("Not measured: too few tokens")
    assert of(seed=1) == "Not measured of this training seed. Choose the same steer of the first seed."
    assert "acts at 1:resid_post by the rule rotate" in of(rule="rotate")
    assert "acts at 1:resid_post,2:resid_post by the rule add" in of(sites="1:resid_post,2:resid_post")


def test_an_interval_says_how_many_digits_mean_something(visit, page):
    tab = visit(page)
    for given, said in {
        (141.15, -4149.0, 2164.0): "100 [−4100, 2200]", (0.00418, -0.0438, 0.0507): "0.004 [−0.044, 0.051]",
        (9.9765, 9.3046, 10.6484): "10.0 [9.3, 10.6]", (3.0, 3.0, 3.0): "3", (0.0, 0.0, 0.0): "0",
    }.items():  # fmt: skip
        assert estimated(*given) == said
        assert tab.evaluate("given => estimated(...given)", list(given)) == said
    assert tab.evaluate("estimated(3e-5, 2e-5, 4e-5)") == "0.00003 [0.00002, 0.00004]"
    assert estimated(float("nan"), 0.0, 1.0) == "–" and estimated(2e-6, 6.6e-7, 2.1e-6) == "2e−06 [6.6e−07, 2.1e−06]"


def test_pairs_are_found_and_filtered(visit, page):
    tab = visit(page)
    rows = tab.locator('[data-part="pair-table"] tbody tr')
    tab.get_by_label("only pairs that move the wrong way").check()
    assert rows.count() == 1 and "pair-3" in rows.first.inner_text()
    tab.get_by_label("only pairs that move the wrong way").uncheck()
    tab.get_by_label("Find").fill("QUERY 7")
    assert rows.count() == 1 and "pair-7" in rows.first.inner_text()
    plot = tab.locator('[data-part="effects"] .plot')
    plot.scroll_into_view_if_needed()
    box, card = plot.bounding_box(), tab.locator(".card")
    read = set()
    for share in np.linspace(0.15, 0.9, 80):
        tab.mouse.move(box["x"] + share * box["width"], box["y"] + box["height"] / 2)
        read.add(card.locator("dd").first.inner_text())
    assert len(read) > 3, "hovering shows the pair at each place"


def test_every_table_is_handed_over_whole(visit, study, page):
    tab = visit(page)
    names = tab.locator('[data-part="tables"] [data-save]').evaluate_all(
        "found => found.map(item => item.dataset.save)"
    )
    on_disk = {str(path.relative_to(study).with_suffix("")) for path in study.rglob("*.parquet")}
    assert set(names) == on_disk | {"pairs", "claims", "fits"}
    for name, column in (("sweeps", "loss_positive"), ("claims/off_manifold-distance", "growth")):
        with tab.expect_download() as download:
            tab.locator(f'[data-part="tables"] [data-save="{name}"]').click()
        with open(download.value.path(), encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        table = pd.read_parquet(study / f"{name}.parquet")
        assert len(rows) == len(table)
        assert np.allclose([float(row[column]) for row in rows], table[column], rtol=2e-3)
    with tab.expect_download() as download:
        tab.locator('[data-part="tables"] [data-save="pairs"]').click()
    with open(download.value.path(), encoding="utf-8", newline="") as file:
        queries = [row["query"] for row in csv.DictReader(file)]
    assert queries[0] == f"{ATTACK} 0"
    assert queries[1:5] == ["'=HYPERLINK(1)", "-1.5", "'@SUM(1)", "'-is this a list ?"], "no cell is a formula"


def test_numbers_say_their_units(visit, page):
    tab = visit(page)
    headers = lambda part: tab.locator(f'[data-part="{part}"] thead th').all_inner_texts()  # noqa: E731
    frontier = headers("frontier-table")
    assert {"budget (nats)", "gained (nats)", "low (nats)", "gained negative (nats)", "multiplier negative"} < set(
        frontier
    )
    assert "key" not in frontier, "a hash says nothing to a reader"
    distance = tab.locator('[data-part="distance"] .note')
    assert "growth to neighbours (raw units): layer 1" in distance.inner_text()
    tab.get_by_label("Which distance").select_option("gaussian")
    distance.get_by_text("growth from Gaussian's centre (s.d.): layer 1").wait_for()
    assert re.search(
        r"Preference\s+[+−][\d.]+ nats at zero, [+−][\d.]+ nats at m = ", tab.locator(".card").inner_text()
    )
    told = tab.locator('[data-part="preference"] .plot').first.get_attribute("aria-label")
    assert re.search(r"\] nats\.$", told), told
    assert [unit_of(name) for name in ("loss_positive", "lost_error", "accuracy", "multiplier", "low")] == [
        "nats", "nats", "share", "", "",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("size", "scheme"),
    [({"width": 1440, "height": 900}, "light"), ({"width": 1024, "height": 900}, "dark"), (PHONE, "dark")],
    ids=["laptop", "tablet", "phone"],
)
def test_the_page_fits_its_window_and_its_links_lead_somewhere(visit, page, several, size, scheme):
    many = visit(several, size, color_scheme=scheme)
    for choice in many.get_by_role("tab").all():
        choice.click()
        assert many.evaluate("document.documentElement.scrollWidth") <= size["width"]
    tab = visit(page, size, color_scheme=scheme)
    assert tab.evaluate("document.documentElement.scrollWidth") <= size["width"]
    for link in tab.locator('main a[href^="#"]').all():
        assert tab.locator(link.get_attribute("href")).count() == 1
    tab.get_by_role("link", name="Verdict", exact=True).click()
    tab.wait_for_timeout(600)
    assert tab.locator(".ended:visible").count() == 1
    top = tab.locator(".bar").bounding_box()["y"]
    tab.mouse.wheel(0, 500)
    tab.wait_for_timeout(300)
    assert 0 <= tab.locator(".bar").bounding_box()["y"] <= max(top, 1), "the slider stays in sight"


def test_light_and_dark_can_be_exchanged_and_paper_is_light(visit, page):
    tab = visit(page, color_scheme="light")
    ground = lambda: tab.evaluate("getComputedStyle(document.body).backgroundColor")  # noqa: E731
    light = ground()
    tab.get_by_role("button", name="Dark").click()
    assert ground() != light
    tab.emulate_media(media="print")
    assert ground() == light
    assert not tab.get_by_label("Multiplier", exact=True).is_visible()
    assert len(tab.pdf(format="A4")) > 10_000


def test_studies_are_chosen_by_keyboard_and_open_when_shown(visit, several):
    tab = visit(several)
    assert tab.locator('[data-part="compare-preference"] .plot').get_attribute("aria-label")
    first = tab.get_by_role("tab").first
    first.focus()
    first.press("ArrowRight")
    article = tab.locator("article:visible")
    assert article.count() == 1 and article.get_attribute("id") == "study-0"
    article.locator('[data-part="readout"]', has_text="m = ").wait_for()
    tab.get_by_role("tab").last.click()
    bare = tab.locator("article:visible")
    bare.locator('[data-part="texts"]', has_text="has kept no texts").wait_for()
    assert "No claims were judged" in bare.inner_text()


@pytest.mark.slow
def test_another_steer_and_another_axis_draw_every_panel_again(visit, page):
    tab = visit(page)
    chart = tab.locator('[data-part="preference"] .plot')
    before = chart.screenshot()
    tab.get_by_label("Axis").select_option("even")
    tab.wait_for_timeout(300)
    assert chart.screenshot() != before
    tab.locator('[data-part="steer"]').select_option(label="SPLIT vector 1:resid_post seed 0")
    tab.locator('[data-part="distance"] .note', has_text="300 tokens of 40 pairs").wait_for()
    assert "Nothing was written under this steer" in tab.locator('[data-part="texts"]').inner_text()
