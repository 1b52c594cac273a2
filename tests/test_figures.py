"""Figures of a small study that is made here: what they show, where it comes from, and how it is written."""

import json
import re
import shutil
from dataclasses import replace
from functools import cache
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from drawn_study import CURVES, JUDGED, LINES, PAIRS, SHIFT_PER_UNIT, M, write
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.transforms import Bbox

import mechsteer as ms
from analyses.claims import CLAIMS
from analyses.evidence.comparison import ONE_SEED
from analyses.studies.finished import Study
from analyses.studies.widths import VENUES
from figures import all_figures, draw_all, draw_one, frontier, gallery, preference_curve, transfer
from figures.__main__ import app
from figures.drawing import style
from figures.drawing.captions import TEX, caption_of, write_caption
from figures.drawing.panels import TALLEST, growing_axis, panels, sheets, wide_axis
from mechsteer import InputError
from mechsteer.families import FORMS
from mechsteer.methods.learning import methods

FIGURES = tuple(all_figures())
MODULES = {name: member.module() for name, member in all_figures().items()}
OF_A_STEER = [name for name, member in all_figures().items() if member.get("SCOPE") == "steer"]
WITHOUT_A_CLAIM = {"activation_map"}
"""Analyses for looking at."""
AS_FILES = ("claims", "utility_distance")
"""Between them they have every font, and marks that are pixels in a PDF."""
PURE = ("share", "ratio", "correlation", "R²", "multiplier", "relative shift", "layer", "dimensions")
"""What an axis says whose numbers have no unit."""


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Study:
    return Study.load(write(tmp_path_factory.mktemp("study") / "garden"))


@pytest.fixture(scope="module")
def drawn(study):
    """A figure by its name, drawn once, and its pixels."""

    @cache
    def draw(name: str) -> tuple[Figure, np.ndarray]:
        figure = MODULES[name].draw(study)
        return figure, pixels(figure)

    return draw


@pytest.fixture(scope="module")
def written(study, tmp_path_factory) -> Path:
    """A few figures as files."""
    folder = tmp_path_factory.mktemp("figures")
    for name in AS_FILES:
        draw_one(study, name, folder)
    return folder


def pixels(figure: Figure) -> np.ndarray:
    with style.style():
        figure.canvas.draw()
    return np.array(figure.canvas.buffer_rgba())


@pytest.mark.slow
@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_shows_nothing_but_the_numbers_beside_it(name, study, drawn, tmp_path, monkeypatch):
    MODULES[name].numbers(study).to_csv(tmp_path / "numbers.csv", index=False)
    numbers = pd.read_csv(tmp_path / "numbers.csv", float_precision="round_trip")
    monkeypatch.setattr(MODULES[name], "numbers", lambda *_: numbers)
    assert (drawn(name)[1] == pixels(MODULES[name].draw(study))).all()


@pytest.mark.slow
@pytest.mark.parametrize("width", ["acl", "neurips"])
@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_as_wide_as_a_venue_sets_its_lines_and_no_words_are_cut_or_lie_on_others(name, width, study):
    with sheets(width):
        figure = MODULES[name].draw(study)
    assert figure.get_figwidth() == VENUES[width] and figure.get_figheight() <= TALLEST
    with style.style():
        figure.canvas.draw()
        # A second time: the first has found out how wide words are, as it does when a file is written.
        figure.canvas.draw()
        boxes, sheet = list(words_of(figure, figure.canvas.get_renderer())), figure.bbox.padded(1)
        places = [ax.get_position().extents for ax in figure.axes]
        figure.canvas.draw()
    assert all(
        ax.get_position().extents == pytest.approx(was, abs=0.01) for ax, was in zip(figure.axes, places, strict=True)
    )
    assert all(sheet.x0 <= box.x0 and sheet.y0 <= box.y0 and box.x1 <= sheet.x1 and box.y1 <= sheet.y1 for box in boxes)
    for box, other in combinations(boxes, 2):
        common = Bbox.intersection(box, other)
        assert common is None or min(common.width, common.height) < 1


@pytest.mark.parametrize("name", FIGURES)
def test_an_axis_with_numbers_says_their_unit_or_that_they_have_none(name, drawn):
    figure = drawn(name)[0]
    for ax in figure.axes:
        for axis, shared in ((ax.xaxis, ""), (ax.yaxis, figure.get_supylabel())):
            if ax.axison and has_numbers(axis):
                # Units that differ from panel to panel stand at their heads, after a letter.
                head = ax._left_title.get_text()[4:] if axis is ax.yaxis else ""
                said = " ".join((axis.label.get_text() or shared, head))
                assert re.search(r"\(.+\)|nats", said) or any(word in said for word in PURE), (name, said)


def has_numbers(axis: Axis) -> bool:
    words = [
        re.sub(r"\$|\\mathdefault|[{}^]", "", label.get_text())
        for label in axis.get_ticklabels()
        if label.get_visible()
    ]
    return any(re.fullmatch(r"[−\d.-]+", word) for word in words)


@pytest.mark.parametrize("name", FIGURES)
def test_no_marker_is_cut_by_the_edge_of_its_panel(name, drawn):
    for ax in drawn(name)[0].axes:
        for line in ax.lines:
            if line.get_clip_on() and line.get_marker() not in ("", "None", "_", "|") and len(line.get_xdata()):
                assert not cut(line, ax), (name, line.get_marker())


def cut(line: Line2D, ax: Axes) -> bool:
    """Whether part of a marker whose middle is seen lies outside."""
    at = line.get_transform().transform(line.get_xydata())
    first, step = line.get_markevery() or (0, 1)
    at = at[first::step]
    half, box = line.get_markersize() / 2 * ax.figure.dpi / 72, ax.bbox
    is_seen = ((at >= box.min - 0.5) & (at <= box.max + 0.5)).all(axis=1)
    return bool(((at < box.min + half - 0.5) | (at > box.max - half + 0.5)).any(axis=1)[is_seen].any())


def words_of(figure: Figure, renderer):
    """Where the legend's words, titles, labels of axes, notes and numbers at ticks stand."""
    if figure._supylabel is not None:
        yield figure._supylabel.get_window_extent(renderer)
    for legend in figure.legends:
        yield from (text.get_window_extent(renderer) for text in legend.get_texts())
    for ax in figure.axes:
        yield from (text.get_window_extent(renderer) for text in (ax._left_title, *ax.texts) if text.get_text())
        for axis in (ax.xaxis, ax.yaxis):
            for ticks in axis._get_ticklabel_bboxes(axis._update_ticks(), renderer):
                yield from ticks
            if axis.label.get_text():
                yield axis.label.get_window_extent(renderer)


@pytest.mark.slow
def test_all_that_can_be_drawn_is_written_as_pdf_and_png_and_its_numbers_as_csv(study, tmp_path, monkeypatch):
    def save(figure: Figure, path: Path) -> list[Path]:
        return [path.with_suffix(suffix) for suffix in (".pdf", ".png")]

    monkeypatch.setattr("figures.drawing.style.save", save)
    names = {*FIGURES, *(f"{name}-sft-lora-seed0" for name in OF_A_STEER)}
    paths = draw_all(study, tmp_path)
    assert {path.name for path in paths} == {
        f"{name}.{kind}" for name in names for kind in ("pdf", "png", "txt", "tex", "csv")
    }
    assert {path.stem for path in tmp_path.iterdir()} == names


@pytest.mark.slow
def test_drawing_again_gives_the_same_files(study, written, tmp_path):
    for name in AS_FILES:
        for path in draw_one(study, name, tmp_path):
            assert path.read_bytes() == (written / path.name).read_bytes(), path.name


def test_words_stay_words_in_a_pdf(written):
    for path in written.glob("*.pdf"):
        data = path.read_bytes()
        assert b"/FontFile2" in data and b"/Type3" not in data, path.name


def test_every_table_names_its_units_or_its_columns_do(study):
    for name, module in MODULES.items():
        table = module.numbers(study)
        assert not {"value"} & set(table) or {"unit", "kind", "distance"} & set(table), name


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_without_results_is_none(name, tmp_path):
    assert MODULES[name].draw(Study(tmp_path, {}, (), {})) is None


def test_a_study_that_lacks_a_table_has_all_other_figures(study, tmp_path):
    folder = shutil.copytree(study.folder, tmp_path / "garden")
    for gone in ("sites.parquet", "claims/validity-checked.parquet"):
        (folder / gone).unlink()
    lacking = Study.load(folder)
    assert {name for name in MODULES if MODULES[name].numbers(lacking) is None} == {"sites", "validity"}


def test_a_steer_of_which_nothing_could_be_decided_still_has_its_curves(study, tmp_path):
    folder = shutil.copytree(study.folder, tmp_path / "garden")
    for path in (folder / "claims").iterdir():
        path.unlink()
    (folder / "fits.json").write_text("[]")
    bare = Study.load(folder)
    for name in ("preference_curve", "utility_curve", "linear_region"):
        kinds = set(MODULES[name].numbers(bare).kind)
        assert "measured" in kinds and not kinds & {"fit", "rival", "property"}
        assert MODULES[name].draw(bare) is not None


def test_every_claim_has_a_figure():
    shown = {name: member.get("FIGURE") for name, member in CLAIMS.members().items()}
    assert {name for name, figure in shown.items() if figure is None} == WITHOUT_A_CLAIM
    assert set(shown.values()) - {None} <= set(FIGURES)


@pytest.mark.parametrize(
    "looks",
    [
        style.form_looks(FORMS.members()).values(), style.method_looks(methods()).values(),
        style.QUANTITIES.values(), style.OUTCOMES.values(),
    ],
    ids=["forms", "methods", "quantities", "outcomes"],
)  # fmt: skip
def test_no_two_of_a_family_are_told_apart_by_colour_alone(looks):
    assert len({look.marker for look in looks}) == len({look.colour for look in looks}) == len(looks)


def test_a_colour_has_one_meaning_over_all_figures():
    families = (style.QUANTITIES, style.OUTCOMES, style.form_looks(FORMS.members()), style.method_looks(methods()))
    colours = [lab(look.colour) for looks in families for look in looks.values()]
    assert all(np.linalg.norm(colour - other) > 20 for colour, other in combinations(colours, 2))
    shades = [lab(look.colour) for look in style.shades(range(9)).values()]
    assert all(np.linalg.norm(shade - colour) > 20 for shade in shades for colour in colours)


def lab(colour: str) -> np.ndarray:
    """CIE L*a*b* under D65, in which a distance of about two is just seen."""
    given = np.array(to_rgb(colour))
    linear = np.where(given <= 0.04045, given / 12.92, ((given + 0.055) / 1.055) ** 2.4)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ linear
    x, y, z = (np.cbrt(part) if part > 0.008856 else 7.787 * part + 16 / 116 for part in xyz / (0.9505, 1.0, 1.089))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_shades_grow_lighter_in_grey():
    lightness = [sum(bytes.fromhex(look.colour[1:])) for look in style.shades(range(6)).values()]
    assert lightness == sorted(lightness) and len(set(lightness)) == 6


# What single figures show.


def test_the_overlay_holds_every_form_of_one_method_and_the_curves_that_were_fitted(study):
    table = MODULES["preference_utility"].numbers(study)
    assert set(table.method) == {"SFT"} and set(table.form) == {"vector", "lora"}
    for (quantity, form), rows in table.groupby(["quantity", "form"]):
        sweep = next(sweep for sweep in study.sweeps if (sweep.method, sweep.form) == ("SFT", form))
        kinds = {kind: part.reset_index() for kind, part in rows.groupby("kind")}
        assert kinds["measured"].value.tolist() == pytest.approx(getattr(sweep, str(quantity)).mean(axis=1))
        assert (kinds["measured"].low < kinds["measured"].value).all()
        assert kinds["fit"].value.to_numpy() == pytest.approx(CURVES[str(quantity)](kinds["fit"].multiplier.to_numpy()))
        assert kinds["held out"].multiplier.tolist() == M[1:-1].tolist()
        assert (rows.relative_shift == rows.multiplier * SHIFT_PER_UNIT).all()


def test_regions_meet_where_the_fit_says_and_what_lies_beyond_the_sweep_has_no_place(study):
    table = preference_curve.numbers(study).set_index("name")
    assert table.value["near_linear_negative"] == -3.0 * SHIFT_PER_UNIT
    assert np.isnan(table.value["converges_positive"])
    rivals = table[table.kind == "rival"]
    assert list(rivals.index) == ["two logistics", "logistic", "linear"]


def test_the_tangent_touches_the_mean_at_zero_and_lines_end_with_their_regions(study):
    table = MODULES["linear_region"].numbers(study)
    at_zero = table.loc[(table.kind == "measured") & (table.multiplier == 0), "value"].iloc[0]
    for name, (low, high, slope) in LINES.items():
        ends = table[table["name"] == name]
        assert ends.multiplier.tolist() == [low, high]
        assert np.diff(ends.value)[0] == pytest.approx(slope * (high - low))
    assert ends.value.iloc[0] - slope * low == pytest.approx(at_zero)


def test_a_squared_correlation_has_an_interval_that_begins_at_zero_where_the_sign_is_open(study):
    table = MODULES["measurement"].numbers(study).query("log_odds == 'preference'").set_index("nuisance")
    # Fisher: arctanh r has the standard error 1 / sqrt(n - 3).
    half = 1.96 / np.sqrt(len(PAIRS) - 3)
    assert table.value["length"] == 0.25
    assert table.high["length"] == pytest.approx(np.tanh(np.arctanh(0.5) + half) ** 2)
    assert table.low["loss per token"] == 0 and table.low["position in file"] > 0.5


def test_a_share_of_no_answer_is_not_certain(study):
    table = MODULES["validity"].numbers(study)
    none = table[table.positive == 0].iloc[0]
    # Wilson's interval for none of n ends at z² / (n + z²).
    assert none.positive_low == pytest.approx(0, abs=1e-12) and none.positive_high == pytest.approx(
        1.96**2 / (64 + 1.96**2)
    )


def test_what_steering_adds_is_zero_where_nothing_is_steered(study):
    for name in ("distance", "shift_split"):
        table = MODULES[name].numbers(study)
        zero = table[table.multiplier == 0].select_dtypes("float")
        assert len(zero) and (zero == 0).all(axis=None)


def test_the_claims_of_a_steer_stand_on_a_page_without_checks_and_comparisons_and_say_how_many_are_left_out(
    study, tmp_path
):
    folder = shutil.copytree(study.folder, tmp_path / "garden")
    claims = json.loads((folder / "claims.json").read_text())
    control = next(claim for claim in claims if claim["claim"] == "control")
    further = [control | {"claim": "linear_region", "part": f"part {index}"} for index in range(80)]
    checks = [control | {"claim": "transfer", "part": "growth", "is_check": True}]
    (folder / "claims.json").write_text(json.dumps([*claims, *checks, *further]))
    many = Study.load(folder)
    table, figure = MODULES["claims"].numbers(many), MODULES["claims"].draw(many)
    of_first = [claim for claim in many.claims if claim.key != JUDGED[1] and not claim.is_check]
    shown = [claim for claim in of_first if claim.claim not in ("split_wins", "judged_wins")]
    assert len(shown) == len(table) + table.left_out.iloc[0] and set(table.claim) & {"measurement", "control"}
    assert not set(table.part) & {"growth", "m = 1"} and table.left_out.iloc[0] > 0
    assert f"Not shown for want of room: {table.left_out.iloc[0]} more of claims.json." in figure.get_label()
    pixels(figure)
    pixels(figure)
    labels = [label.get_window_extent() for ax in figure.axes for label in ax.get_yticklabels()]
    assert figure.get_figheight() <= TALLEST and all(label.x0 >= 0 for label in labels)
    assert all(above.y0 > below.y0 for above, below in pairwise(labels))


def test_one_seed_is_told_where_it_decides_nothing(study, tmp_path):
    folder = shutil.copytree(study.folder, tmp_path / "garden")
    table = pd.read_parquet(folder / "frontier.parquet")
    table.assign(n_seeds=1).to_parquet(folder / "frontier.parquet")
    for name in ("split_wins", "judged_wins"):
        one, two = (MODULES[name].draw(some).get_label() for some in (Study.load(folder), study))
        assert ONE_SEED.strip() in one and ONE_SEED.strip() not in two


def test_a_split_claim_brings_its_own_outcome(study):
    row = MODULES["split_wins"].numbers(study).iloc[0]
    assert (row.form, row.against, row.outcome, row.value) == ("lora", "SFT", "refuted", -0.8)


def test_a_figure_of_one_steer_is_of_the_steer_that_was_asked_for(study):
    for name in OF_A_STEER:
        for key in JUDGED:
            assert set(MODULES[name].numbers(study, key).subject.dropna()) == {str(key)}
        assert MODULES[name].numbers(study, replace(JUDGED[0], method="nobody")) is None


def test_a_method_that_nobody_knows_has_a_look_of_its_own_and_does_not_vanish(study, tmp_path):
    folder = shutil.copytree(study.folder, tmp_path / "garden")
    table = pd.read_parquet(folder / "frontier.parquet")
    table.assign(method=table.method.replace("SFT", "Foreign")).to_parquet(folder / "frontier.parquet")
    foreign = Study.load(folder)
    figure = frontier.draw(foreign)
    assert "Foreign" in [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def test_those_that_nobody_knows_are_told_apart_from_each_other_too():
    for looks, known in ((style.method_looks, methods()), (style.form_looks, FORMS.members())):
        found = looks([*(f"Foreign {number}" for number in range(5)), *known])
        for part in ("colour", "marker"):
            assert len({getattr(look, part) for look in list(found.values())[len(known) :]}) == 5
        assert len({(look.colour, look.marker) for look in found.values()}) == len(found)
    many = style.method_looks(str(number) for number in range(25))
    assert len(set(many.values())) == 25


# Captions and widths.


@pytest.mark.slow
def test_a_caption_says_the_figures_idea_and_what_it_is_of(study, tmp_path):
    draw_one(study, "linear_region", tmp_path)
    words = (tmp_path / "linear_region.txt").read_text()
    assert words.startswith(all_figures()["linear_region"].doc.splitlines()[0]) and str(JUDGED[0]) in words
    second = tmp_path / f"linear_region-{JUDGED[1].slug}.txt"
    assert str(JUDGED[1]) in second.read_text()


def test_a_caption_in_tex_holds_no_sign_that_tex_would_obey_and_breaks_no_line_before_a_per_cent(tmp_path):
    write_caption("5 % of a_b & #1 {x} ~ 2^3 \\ $", tmp_path / "figure")
    shown = re.search(r"\\caption\{(.*)\}\n", (tmp_path / "figure.tex").read_text())
    assert shown is not None
    assert shown.group(1) == (r"5~\% of a\_b \& \#1 \{x\} \textasciitilde{} 2\textasciicircum{}3 \textbackslash{} \$")


@pytest.mark.parametrize("name", FIGURES)
def test_a_caption_names_the_model_and_the_pairs(name, study, drawn):
    of = study.summary
    words = caption_of(drawn(name)[0], "An idea", Path(of["model"]["name"]).name)
    assert len(re.findall(r"(?<![\w/-])garden(?![\w/-])", words)) == 1
    pairs = of["pairs"]["learning" if name in ("sites", "side_effects") else "testing"]["name"]
    # Reliability is a judge's, and causes are of directions, whatever the pairs.
    assert pairs in words or name in ("causes", "reliability")


def test_the_words_beside_panels_in_one_column_are_in_one_line(drawn):
    figure = drawn("preference_utility")[0]
    figure.canvas.draw()
    assert len({round(panel.yaxis.label.get_window_extent().x1) for panel in figure.axes}) == 1


@pytest.mark.parametrize("name", FIGURES)
def test_words_beside_a_panel_are_no_longer_than_it_or_they_run_into_those_of_the_next(name, drawn):
    figure = drawn(name)[0]
    figure.canvas.draw()
    for ax in figure.axes:
        if ax.get_ylabel():
            assert ax.yaxis.label.get_window_extent().height < 1.2 * ax.bbox.height, (name, ax.get_ylabel())


@pytest.mark.parametrize("name", ["second_utility", "two_options"])
def test_marks_are_open_where_a_steer_is_subtracted(name, study, drawn):
    lines = [line for ax in drawn(name)[0].axes for line in ax.lines if line.get_marker() not in ("", "None")]
    one = next(rows for _, rows in MODULES[name].numbers(study).groupby("steer", sort=False))
    for fill, rows in (("none", one[one.multiplier <= 0]), ("full", one[one.multiplier >= 0])):
        ys = rows.sort_values("multiplier").value.tolist()
        assert [line.get_ydata().tolist() for line in lines if line.get_fillstyle() == fill].count(ys) == 1


def test_what_is_measured_given_itself_is_not_drawn_as_nothing(study):
    table = MODULES["causes"].numbers(study).dropna(subset="predictor").set_index("predictor")
    assert table.given_fisher_estimate.isna().to_dict() == {name: name == "fisher" for name in table.index}


@pytest.mark.parametrize("name", FIGURES)
def test_every_caption_is_sentences_of_signs_that_tex_can_set(name, drawn):
    caption = caption_of(drawn(name)[0], all_figures()[name].doc.splitlines()[0])
    assert caption.endswith(".") and not {sign for sign in caption if ord(sign) > 255} - set(TEX)


@pytest.mark.parametrize("width", ["nips", "75", "-90", "nan", "inf"])
def test_a_width_that_no_figure_can_have_is_one_sentence(width, study, tmp_path):
    with pytest.raises(InputError, match="Choose neurips, iclr, icml, acl, or millimetres"):
        draw_one(study, "sites", tmp_path, width)
    assert not list(tmp_path.iterdir())


def test_a_width_in_millimetres_is_that_of_the_file(study, tmp_path):
    draw_one(study, "sites", tmp_path, "127")
    box = re.search(rb"/MediaBox \[ 0 0 ([\d.]+)", (tmp_path / "sites.pdf").read_bytes())
    assert box is not None and float(box.group(1)) == pytest.approx(127 / 25.4 * 72)


def test_a_gallery_shows_each_figure_of_the_first_study_that_has_it_and_says_what_none_has(
    study, tmp_path, monkeypatch
):
    shown = {name: all_figures()[name] for name in ("sites", "validity", "two_options")}
    monkeypatch.setattr(gallery, "all_figures", lambda: shown)
    folder = shutil.copytree(study.folder, tmp_path / "garden")
    for gone in ("sites.parquet", "two_options.parquet"):
        (folder / gone).unlink()
    lacking = Study.load(folder)
    page = gallery.write_gallery([lacking, study], tmp_path / "both").read_text()
    assert all(f"![{name}]({name}.png)" in page and (tmp_path / f"both/{name}.png").is_file() for name in shown)
    page = gallery.write_gallery([lacking], tmp_path / "one").read_text()
    assert "no results for sites, two_options." in page and "![validity](validity.png)" in page
    before = (tmp_path / "both/README.md").read_text()
    assert gallery.write_gallery([lacking], tmp_path / "both").read_text() == before, "what it lacks stays"


def test_the_gallery_shows_every_figure_and_no_other():
    folder = Path(__file__).parents[1] / "docs/gallery"
    page = (folder / "README.md").read_text()
    assert all(f"![{name}]({name}.png)" in page for name in FIGURES)
    assert {path.stem for path in folder.glob("*.png")} == set(FIGURES)


# Axes of the caller's.


def test_a_figure_draws_into_as_many_axes_as_it_has_panels_and_says_how_many(study):
    given = Figure()
    axes = given.subplots(2)
    assert preference_curve.draw(study, axes) is given and axes[0].lines
    alone = Figure().subplots()
    assert MODULES["measurement"].draw(study, alone) is alone.figure and alone.lines
    with pytest.raises(InputError, match="has 4 panels and 1 axes came"):
        frontier.draw(study, alone)


def test_on_the_callers_axes_a_panel_keeps_its_own_legend(study):
    axes = Figure().subplots(2)
    MODULES["preference_utility"].draw(study, axes)
    words = {text.get_text() for legend in axes[0].findobj(Legend) for text in legend.get_texts()}
    assert "predicted unseen" in words and any("LoRA" in text for text in words)


def test_values_of_the_toolkit_are_shown_in_a_notebook_as_they_are(study):
    sweep = study.sweeps[0]
    fit, found = ms.fit_preference(sweep, n_starts=2, n_resamples=0), ms.frontier([sweep], n_resamples=50)
    preference, utility = sweep.plot(Figure().subplots()).lines[:2]
    assert preference.get_ydata() == pytest.approx((sweep.preference - sweep.preference[sweep.zero]).mean(axis=1))
    assert utility.get_xdata() == pytest.approx(sweep.multipliers)
    assert fit.plot(Figure().subplots()).lines[0].get_ydata() == pytest.approx(fit.mean)
    assert found.plot(Figure().subplots()).lines[0].get_ydata() == pytest.approx(found.gained)
    with pytest.raises(InputError, match="A int has no plot"):
        ms.plot(3)


@pytest.mark.parametrize("values", [[-0.2, 0.1], [-2000, 3000], [0, 40], [5e-4], [np.nan, -7]])
def test_a_wide_axis_has_ticks_within_what_it_shows(values):
    with panels(None, height=2) as shown:
        ax = shown.axes[0]
        ax.plot(values, values)
        wide_axis(ax.xaxis, 1.0, values)
        low, high = ax.get_xlim()
        assert sum(low <= tick <= high for tick in ax.get_xticks()) >= 2


@pytest.mark.parametrize("values", [[-2.6, 4.0], [-1.9, 5.5], [0, 6], [-300, 2]])
def test_a_wide_axis_that_stands_can_be_read(values):
    with panels(None, height=2) as shown:
        ax = shown.axes[0]
        wide_axis(ax.yaxis, 1.0, values)
        assert sum(min(values) <= tick <= max(values) for tick in ax.get_yticks()) >= 4


@pytest.mark.parametrize(
    ("multipliers", "values", "linear_width"),
    [
        ([-32, -1, 0, 1, 32], [90, 2, 0, 3, 100], 3.0),  # even as far as it goes within ±1
        ([-8, -2, 0, 2, 8], [-40, 1, 0, 4, 50], 4.0),  # nothing within ±1 but zero
        ([-32, 0, 32], [0, 0, 0], None),
        ([0, 1, 32], [0, 0, 5], None),  # nothing to be even up to
        ([0, 1, 2], [0, 1, np.nan], None),
    ],
)
def test_what_grows_with_the_multiplier_is_shown_evenly_where_the_paper_steers(multipliers, values, linear_width):
    with panels(None, height=2) as shown:
        growing_axis(shown.axes[0].yaxis, multipliers, values)
        scale = shown.axes[0].yaxis.get_transform()
        assert getattr(scale, "linear_width", None) == linear_width


def test_a_curve_that_is_no_fit_leaves_a_word_in_its_panel_and_no_score_in_the_caption():
    qwen = Study.load(Path(__file__).parents[1] / "docs/findings/numbers/qwen2.5-coder-0.5b-instruct-q4_k_m.gguf-train")
    figure = transfer.draw(qwen)
    assert figure is not None
    preference, utility = figure.axes
    assert [text.get_text() for text in preference.texts] == ["nothing to predict by"] and not utility.texts
    assert "nan" not in str(figure.get_label()) and "utility as fitted 0.981" in str(figure.get_label())


# The command line.


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as end:
        app([str(argument) for argument in arguments])
    return int(end.value.code or 0)


def test_one_figure_is_drawn_by_its_name_and_the_files_are_told(study, tmp_path, capsys):
    assert run("sites", "--study", study.folder, "--out", tmp_path / "out") == 0
    paths = [tmp_path / f"out/sites.{kind}" for kind in ("pdf", "png", "txt", "tex", "csv")]
    assert capsys.readouterr().out.split() == [str(path) for path in paths] and all(path.is_file() for path in paths)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing", r"There is no figure 'nothing'\. Choose claims, .*linear_region.*, or all\.\n"),
        ("validity", r"The study in .* has no results that 'validity' shows\."),
    ],
)
def test_what_cannot_be_drawn_is_one_sentence_and_exit_code_2(name, message, study, tmp_path, capsys):
    folder = shutil.copytree(study.folder, tmp_path / "garden")
    (folder / "claims/validity-checked.parquet").unlink()
    assert run(name, "--study", folder) == 2
    assert re.match(f"figures: {message}", capsys.readouterr().err) and not (folder / "figures").exists()
