"""The Python surface: what may be written in its place, and how values are shown."""

import subprocess
import sys
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np
import pytest
import torch
from conftest import random_batch, random_intervention

import mechsteer as ms
from mechsteer.brief import brief
from mechsteer.families import FORMS

SETTINGS = ms.TrainSettings(steps=2, batch_size=2)


@pytest.fixture(scope="module")
def pairs() -> ms.Pairs:
    return ms.load_pairs("guestbook/sentiment").sample(6)


def test_a_site_may_be_text_wherever_one_is_asked_for(guestbook, pairs):
    site = ms.Site(2, "mlp.out")
    assert ms.SteeringVector("2:mlp.out", torch.zeros(128)).site == site  # pyright: ignore
    by_text, by_site = (ms.diff_mean(guestbook, pairs, one) for one in ("2:mlp.out", site))
    assert torch.equal(by_text.direction, by_site.direction)
    assert list(ms.diff_means(guestbook, pairs, ["2:mlp.out"])) == [site]
    encoded = ms.encode_pairs(guestbook, pairs)
    assert next(ms.read_activations(guestbook, encoded, ["2:mlp.out"])).at.keys() == {site}
    for form in FORMS.members():
        started = FORMS.load(form).at(guestbook, "2:mlp.out", generator=torch.Generator().manual_seed(0))
        same = FORMS.load(form).init(site, *site.widths(guestbook), generator=torch.Generator().manual_seed(0))
        assert started.site == site
        assert all(torch.equal(value, same.parameters[name]) for name, value in started.parameters.items())
    with pytest.raises(ms.InputError, match="is not LAYER:PLACE"):
        ms.diff_mean(guestbook, pairs, "mlp.out")


@pytest.mark.parametrize("init", ["at", "init", "init_wide"])
@pytest.mark.parametrize("form", FORMS.members())
def test_a_start_is_the_same_whatever_was_drawn_before(guestbook, form, init):
    site, cls = ms.Site(2, "mlp.out"), FORMS.load(form)
    place = (guestbook, site) if init == "at" else (site, *site.widths(guestbook))
    torch.manual_seed(1)
    state = torch.get_rng_state()
    starts = [getattr(cls, init)(*place).parameters, getattr(cls, init)(*place).parameters]
    starts.append(getattr(cls, init)(*place, generator=torch.Generator().manual_seed(0)).parameters)
    other = getattr(cls, init)(*place, generator=torch.Generator().manual_seed(1)).parameters
    assert torch.equal(torch.get_rng_state(), state)
    for name, value in starts[0].items():
        assert all(torch.equal(value, start[name]) for start in starts)
        assert torch.equal(value, other[name]) == (not value.any())


def test_an_objective_is_itself_its_class_or_its_name(guestbook, pairs):
    start = ms.LoRA.at(guestbook, "1:mlp.out")
    learned = [
        ms.train(guestbook, start, pairs, objective, SETTINGS, progress=False).intervention.parameters
        for objective in (ms.SPLIT(), ms.SPLIT, "SPLIT", ms.SFT)
    ]
    same = [all(torch.equal(value, learned[0][name]) for name, value in other.items()) for other in learned]
    assert same == [True, True, True, False]
    with pytest.raises(ms.InputError, match="'DPO' is unknown. Choose SFT, RePS, SPLIT"):
        ms.train(guestbook, start, pairs, "DPO", SETTINGS, progress=False)


def test_a_prompt_alone_is_one_prompt(guestbook):
    prompt = "what about the soup ?"
    assert ms.generate(guestbook, prompt, temperature=0) == ms.generate(guestbook, [prompt], temperature=0)


def test_the_version_needs_no_torch():
    code = "import sys, mechsteer; print(mechsteer.__version__); sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.strip() == ms.__version__


def test_no_value_prints_its_numbers(guestbook, pairs):
    points = np.random.default_rng(0).normal(size=(300, 16))
    vector = ms.diff_mean(guestbook, pairs, "2:mlp.out")
    sweep = ms.run_sweep(guestbook, vector, pairs, np.linspace(-4, 4, 5), progress=False)
    values = [
        guestbook,
        vector,
        *(random_intervention(form, ms.Site(2, "mlp.out"), guestbook) for form in FORMS.members()),
        ms.join([vector, ms.diff_mean(guestbook, pairs, "1:mlp.out")]),
        ms.train(guestbook, ms.LoRA.at(guestbook, "1:mlp.out"), pairs, "SFT", SETTINGS, progress=False),
        random_batch(),
        sweep,
        sweep.key,
        ms.fit_preference(sweep),
        ms.frontier([sweep]),
        next(ms.read_activations(guestbook, ms.encode_pairs(guestbook, pairs), ["2:mlp.out"])),
        *(kind.fit(points) for kind in (ms.Gaussian, ms.Subspace, ms.Neighbours, ms.LocalTangent)),
        ms.shift_geometry(points, points + 1, {}, ms.LocalTangent.fit(points)),
    ]
    for value in values:
        assert len(repr(value)) < 1000 and "\n" not in repr(value), value
        assert not is_dataclass(value) or "array(" not in repr(value) and "tensor(" not in repr(value), value
    assert "float32[128]" in repr(vector) and "guestbook" in repr(guestbook) and "5" in repr(sweep)


def test_what_is_at_its_default_is_not_shown_and_what_is_equal_in_kind_alone_is():
    origin = ms.Origin(method="SPLIT", seed=0)
    assert brief(origin) == "Origin(method='SPLIT', seed=0)" == repr(origin)
    assert brief(ms.Origin()) == "Origin()" and {item.name for item in fields(origin)} > {"method", "seed"}


def test_what_equals_its_default_in_another_kind_is_shown():
    @dataclass
    class Value:
        flag: Any = True

    assert brief(Value(1)) == "Value(flag=1)" and brief(Value()) == "Value()"


PLOTTED = """
import sys
import numpy as np
import mechsteer as ms

if sys.argv[1:]:
    import figures
m = np.linspace(-4, 4, 21)
fit = ms.fit_curve(ms.UtilityCurve, m, -(m[:, None] ** 2) + np.arange(3), n_starts=2, n_resamples=0, with_rivals=False)
for _ in range(2):
    print(ms.plot(fit).get_ylabel())
import figures
print(figures.whose, figures.__file__)
"""


@pytest.mark.parametrize("before", [(), ("imported before",)])
def test_a_value_is_plotted_beside_a_file_that_is_called_as_our_figures_are(apart, tmp_path, before):
    (tmp_path / "figures.py").write_text("whose = 'mine'")
    (tmp_path / "analyses.py").write_text("raise RuntimeError('nobody asked for this one')")
    code, printed, error = apart("-c", PLOTTED, *before)
    assert code == 0, error
    assert printed.splitlines() == ["utility log-odds (nats)"] * 2 + [f"mine {tmp_path / 'figures.py'}"]
