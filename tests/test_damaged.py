"""What is damaged is refused in a sentence that names the file, or is as it was: nothing is read for what it is not."""

import json
import os
import random
import resource
import shutil
import struct
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import jaxtyping
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import build_hf, random_intervention
from damages import one_damaged
from looks import LOOKS
from safetensors.torch import load_file, save_file
from test_prompts import tokenizer

import mechsteer as ms
from analyses.studies.settings import Settings
from analyses.studies.study import run
from mechsteer import InputError
from mechsteer.engine.losses import unsteered_losses
from mechsteer.manifolds import Gaussian, load_manifold
from mechsteer.measuring.sweeping import sweep_encoded
from mechsteer.measuring.sweeps import Sweep
from mechsteer.models.prompts import EncodedPair
from mechsteer.store.atomic import write_atomically, write_json
from mechsteer.store.keys import Key
from mechsteer.store.store import Store
from mechsteer.store.sums import LIST, Sums, read_sealed, write_sealed, write_sums
from mechsteer.store.tensors import read_tensors

SITE = ms.Site(1, "mlp.out")
FORMS = ("vector", "lora", "local_weight")


@pytest.fixture
def as_users_run_it():
    """Types and shapes are not checked at every call, as they are elsewhere under pytest."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(params=FORMS)
def steer(request, tiny):
    """A steer that says how it was learned: one that does not is called as its file is."""
    return replace(random_intervention(request.param, SITE, tiny("llama")), origin=ms.Origin(method="DiffMean"))


@pytest.fixture
def path(steer, tmp_path):
    return steer.save(tmp_path / "steer.safetensors")


def same(one: ms.Intervention, other: ms.Intervention) -> bool:
    tensors = one.parameters, other.parameters
    return (
        (one.sites, one.form, one.rule, one.origin) == (other.sites, other.form, other.rule, other.origin)
        and tensors[0].keys() == tensors[1].keys()
        and all(torch.equal(value, tensors[1][name]) for name, value in tensors[0].items())
    )


def without_checksum(path, change=lambda tensors, metadata: None):
    """The steer as an older version wrote it, after a change to its tensors and metadata."""
    tensors, metadata = load_file(path), read_tensors(path)[0]
    change(tensors, metadata)
    save_file(tensors, path, metadata)
    return path


def test_a_flipped_bit_anywhere_is_noticed_or_changes_nothing(steer, path):
    whole, rng = path.read_bytes(), random.Random(0)
    for _ in range(300):
        content = bytearray(whole)
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        path.write_bytes(content)
        try:
            assert same(ms.load_intervention(path), steer)
        except InputError as error:
            assert "steer.safetensors" in str(error)


def test_a_steer_that_is_cut_off_is_refused(path):
    whole = path.read_bytes()
    for length in (0, 1, 7, 8, 9, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"steer\.safetensors"):
            ms.load_intervention(path)


def test_a_header_that_claims_to_be_huge_is_refused_at_once(path):
    path.write_bytes(struct.pack("<Q", 2**62) + path.read_bytes()[8:])
    with pytest.raises(InputError, match="is not a safetensors file"):
        ms.load_intervention(path)


def test_a_steer_without_a_checksum_opens_as_before(steer, path):
    assert same(ms.load_intervention(without_checksum(path)), steer)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t, m: t.update({name: value[None] for name, value in t.items()}), "shape"),
        (lambda t, m: t.update({name: value[:-1].contiguous() for name, value in list(t.items())[:1]}), "rank"),
        (lambda t, m: t.update({name: value.to(torch.int32) for name, value in t.items()}), "torch.int32"),
        (lambda t, m: next(iter(t.values())).view(-1)[0].fill_(torch.nan), "1 of .* entries .* are NaN"),
        (lambda t, m: next(iter(t.values())).fill_(torch.inf), "are NaN or infinite"),
        (lambda t, m: t.clear(), "damaged"),
        (lambda t, m: t.update({"2:mlp.out.direction": torch.ones(3)}), "belongs to none of its sites"),
        (lambda t, m: m.update(shifts="[]"), "belongs to none of its sites"),
        (lambda t, m: m.update(shifts="{"), "no JSON"),
        (lambda t, m: m.update(shifts='[{"site": 3, "form": "vector"}]'), "is a number"),
        (lambda t, m: m.update(shifts='[{"site": "1:mlp.out", "form": ["vector"]}]'), "is a list"),
        (lambda t, m: m.update(shifts="[" * 100_000), "no JSON"),
        (lambda t, m: m.update(rule='{"name": "add", "settings": {"much": 1}}'), "damaged"),
        (lambda t, m: m.update(rule='{"name": "subtract", "settings": {}}'), "is unknown"),
        (lambda t, m: m.update(origin='{"method": NaN}'), "no JSON"),
        (lambda t, m: m.update(origin='{"method": 3}'), "origin's method is 3"),
        (lambda t, m: m.update(origin='{"seed": "zero"}'), "origin's seed is 'zero'"),
        (lambda t, m: m.update(origin='{"settings": []}'), "origin's settings"),
        (lambda t, m: m.update(origin='{"positions": "some"}'), "positions"),
        (lambda t, m: m.pop("origin"), "damaged"),
        (lambda t, m: m.pop("shifts"), "name no form and no shifts"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_steer_is_said(as_users_run_it, tiny, tmp_path, change, said):
    path = random_intervention("lora", SITE, tiny("llama")).save(tmp_path / "steer.safetensors")
    with pytest.raises(InputError, match=said) as error:
        ms.load_intervention(without_checksum(path, change))
    assert "steer.safetensors" in str(error.value)


def test_tensors_of_a_form_fit_each_other(as_users_run_it):
    with pytest.raises(InputError, match=r"The up of a lora is .*\(4, 3\).*d_out rank"):
        ms.LoRA(SITE, torch.zeros(2, 8), torch.zeros(4, 3))
    with pytest.raises(InputError, match=r"The direction of a vector is .*\(2, 2\)"):
        ms.SteeringVector(SITE, torch.zeros(2, 2))
    with pytest.raises(InputError, match=r"torch\.int64"):
        ms.SteeringVector(SITE, torch.arange(4))


def test_an_origin_holds_numbers_alone():
    with pytest.raises(InputError, match=r"settings\['rate'\] is nan"):
        ms.Origin(settings={"rate": float("nan")})


def test_a_steer_that_is_no_number_is_refused_in_every_format(tmp_path, monkeypatch):
    path = ms.SteeringVector(SITE, torch.ones(4)).save(tmp_path / "steer.safetensors")
    strange = ms.SteeringVector(SITE, torch.tensor([0.0, torch.nan]))
    monkeypatch.setattr("mechsteer.formats.mechsteer.read", lambda path: strange)
    with pytest.raises(InputError, match=r"steer\.safetensors' holds no steer .*1 of 2 entries of direction"):
        ms.load_intervention(path)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_steer_that_is_no_number_is_neither_saved_nor_used(tiny, tmp_path, value):
    model = tiny("llama")
    steer = ms.SteeringVector(SITE, torch.full((model.d_model,), value))
    for use in (
        lambda: steer.save(tmp_path / "steer.safetensors"),
        lambda: ms.steer(model, steer, 1.0).__enter__(),
        lambda: sweep_encoded(model, steer, [EncodedPair("a", 2, (1, 3, 4), (1, 3, 5))], [0.0, 1.0]),
    ):
        with pytest.raises(InputError, match="32 of 32 entries of direction in this vector at 1:mlp.out"):
            use()
    assert not list(tmp_path.iterdir())


def test_equal_steers_are_equal_files_whatever_the_order_of_their_settings(tmp_path):
    origins = [ms.Origin(settings=dict(order)) for order in ([("a", 1), ("b", 2)], [("b", 2), ("a", 1)])]
    steers = [ms.SteeringVector(SITE, torch.ones(4), origin=origin) for origin in origins]
    one, other = (steer.save(tmp_path / f"{at}.safetensors").read_bytes() for at, steer in enumerate(steers))
    assert one == other


WRITE = """
import sys, numpy as np, torch, mechsteer as ms
from mechsteer.manifolds import Gaussian
settings = {name: 1 for name in {"a", "b", "c", "d"}}
vector = ms.SteeringVector("1:mlp.out", torch.ones(4), origin=ms.Origin(settings=settings))
lora = ms.LoRA("2:mlp.out", torch.ones(1, 3), torch.ones(4, 1))
ms.join([vector, lora], rule=ms.Rotate()).save(sys.argv[1] + ".safetensors")
Gaussian.fit(np.random.default_rng(0).normal(size=(9, 4))).save(sys.argv[1] + "m.safetensors")
"""


@pytest.mark.slow
def test_equal_values_are_equal_files_in_every_process(tmp_path):
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        subprocess.run([sys.executable, "-c", WRITE, tmp_path / seed], env=environment, check=True)
    for end in (".safetensors", "m.safetensors"):
        assert (tmp_path / f"1{end}").read_bytes() == (tmp_path / f"2{end}").read_bytes()


def test_a_flipped_bit_of_a_manifold_is_noticed(tmp_path):
    points = np.random.default_rng(0).normal(size=(50, 4))
    path, rng = Gaussian.fit(points).save(tmp_path / "gaussian.safetensors"), random.Random(0)
    whole, expected = path.read_bytes(), load_manifold(path).distance(points)
    for _ in range(100):
        content = bytearray(whole)
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        path.write_bytes(content)
        try:
            assert np.array_equal(load_manifold(path).distance(points), expected)
        except InputError as error:
            assert "gaussian.safetensors" in str(error)


@pytest.fixture
def copy(small_study, tmp_path) -> Path:
    """A study of one's own, its store beside it."""
    shutil.copytree(small_study.parent, tmp_path / "copy")
    return tmp_path / "copy" / small_study.name


@pytest.mark.slow
@pytest.mark.parametrize("look", ["show", "figures", "steers"])
def test_a_look_at_a_damaged_study_is_as_it_was_or_one_sentence_that_names_the_file(copy, look):
    whole = LOOKS[look](copy)
    for seed in range(25):
        with one_damaged(copy, random.Random(seed)) as (name, how):
            try:
                assert LOOKS[look](copy) == whole, f"{name} was {how}"
            except InputError as error:
                assert Path(name).name in str(error), f"{name} was {how}"
    assert LOOKS[look](copy) == whole


def test_any_program_can_check_a_study(copy):
    lines = (copy / LIST).read_text().splitlines()
    assert {line[66:] for line in lines} == {
        path.relative_to(copy).as_posix() for path in copy.rglob("*") if path.is_file() and path.name != LIST
    }
    Sums.of(copy).check()


def test_a_file_that_is_not_listed_is_not_read(copy):
    (copy / LIST).write_text("".join((copy / LIST).read_text().splitlines(keepends=True)[1:]))
    with pytest.raises(InputError, match=f"claims.json.*{LIST}"):
        LOOKS["show"](copy)


def test_a_folder_without_a_list_is_read_as_it_is(copy):
    whole = LOOKS["figures"](copy)
    (copy / LIST).unlink()
    assert LOOKS["figures"](copy) == whole
    (copy / "sweeps.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"sweeps\.parquet"):
        LOOKS["figures"](copy)


def test_a_damaged_study_is_made_whole_again_from_its_store(copy, tmp_path):
    # Written by the fixture, and not by a study.
    shutil.rmtree(copy / "claims")
    (copy / "claims.json").unlink()
    write_sums(copy)
    said = json.loads((copy / "study.json").read_text())["settings"]
    settings = Settings(**{name: tuple(value) if isinstance(value, list) else value for name, value in said.items()})
    path = copy / "sweeps.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    damaged = next((tmp_path / "copy/.store").glob("??/*/sweep.npz"))
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    told = []
    run(settings, copy, report=told.append)
    assert path.read_bytes() == whole and any("1 computed, 1 found" in line for line in told)
    Sums.of(copy).check()
    run(settings, copy, report=told.append)
    assert "nothing was to do" in told[-1]


def test_what_unfinished_work_keeps_is_whole_or_done_again(tmp_path):
    path = write_sealed(b"state", tmp_path / "run.pt")
    assert read_sealed(path) == b"state"
    content = bytearray(path.read_bytes())
    for at in range(len(content)):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        assert read_sealed(path) is None
    assert read_sealed(tmp_path / "nowhere") is None


SWEEP = Sweep(
    np.array([-1.0, 0.0, 1.0]), ("a", "b"), np.ones((3, 2)), np.ones((3, 2)), np.array([2, 2]), np.array([2, 2]),
    np.array([[1.0, 1.0], [0.0, 0.0], [1.0, 1.0]]), Key("DiffMean", "vector", "add", "1:mlp.out"),
)  # fmt: skip


@pytest.mark.parametrize(("at", "said"), [(0, "m = -1.*narrower"), (1, "m = 0.*look at the model")])
def test_a_loss_that_is_no_number_is_not_written_and_it_is_said_where_it_arose(tmp_path, at, said):
    losses = np.ones((3, 2))
    losses[at, 1] = np.nan
    sweep = Sweep(**{**vars(SWEEP), "loss_negative": losses})
    with pytest.raises(InputError, match=f"loss negative of pair 'b' is nan at {said}"):
        sweep.save(tmp_path / "sweep.parquet")
    with pytest.raises(InputError, match=r"it\['fits'\]\[1\] is inf, so fits.json cannot be written"):
        write_json({"fits": [1.0, float("inf")]}, tmp_path / "fits.json")
    assert not list(tmp_path.iterdir())


TEXTS = ms.Pairs(tuple(ms.PolarityPair(f"Day {i} was", " good.", " bad!", id=str(i)) for i in range(4)), "days")
SAID = {
    "a sweep with zero": ("losses", lambda model, steer: ms.run_sweep(model, steer, TEXTS, [0.0, 1.0], progress=False)),
    "a sweep without": ("losses", lambda model, steer: ms.run_sweep(model, steer, TEXTS, [1.0], progress=False)),
    "a range": ("losses", lambda model, steer: ms.find_multipliers(model, steer, TEXTS)),
    "training": ("losses", lambda model, steer: ms.train(model, steer, TEXTS, "SPLIT", progress=False)),
    "a check": ("losses", lambda model, steer: unsteered_losses(model, ms.encode_pairs(model, TEXTS))),
    "a mean": ("activations at 2:resid_post", lambda model, steer: ms.diff_mean(model, TEXTS, "2:resid_post")),
}
"""What a use of a model says of it that gives no numbers."""


@pytest.fixture(scope="module")
def numberless():
    """A model whose MLPs in the last block give infinity."""
    tok = tokenizer()
    hf = build_hf("llama")
    hf.resize_token_embeddings(len(tok))
    with torch.no_grad():
        hf.model.layers[2].mlp.down_proj.weight[0] = torch.inf
    return ms.load_model(hf, tokenizer=tok, device="cpu")


@pytest.mark.parametrize("use", SAID)
def test_a_model_that_gives_no_number_is_said_to_and_no_steer_is_blamed(numberless, use):
    what, call = SAID[use]
    with pytest.raises(InputError, match=f"Without a steer, .* in float32 has {what} that are not finite"):
        call(numberless, random_intervention("vector", SITE, numberless))


@pytest.mark.parametrize("temperature", [0, 1])
def test_nothing_is_written_where_a_model_says_nothing(numberless, temperature):
    with pytest.raises(InputError, match="logits of .* in float32 are NaN or infinite"):
        ms.generate(numberless, ["It was", "They"], temperature=temperature)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.drop(columns="loss_positive"), "no column 'loss_positive'"),
        (lambda t: t.assign(loss_positive="1"), "'loss_positive' holds other things than finite"),
        (lambda t: t.assign(loss_positive=np.nan), "'loss_positive' holds other things than finite"),
        (lambda t: t.assign(multiplier=np.inf), "'multiplier' holds other things than finite"),
        (lambda t: t.assign(tokens_positive=-1), "'tokens_positive' holds other things than counts"),
        (lambda t: t.assign(pair=3), "'pair' holds other things than words"),
        (lambda t: t.iloc[:-1], "rows of pair"),
    ],
)
def test_a_table_of_sweeps_has_the_columns_that_it_must(tmp_path, change, said):
    path = SWEEP.save(tmp_path / "sweep.parquet")
    change(pd.read_parquet(path)).to_parquet(path)
    with pytest.raises(InputError, match=said):
        ms.load_sweeps(path)


@contextmanager
def full_disk(most: int = 10):
    """No file may grow beyond so many bytes, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def saves(folder: Path):
    """Ways of writing a file, each by another library."""
    steer = ms.SteeringVector(SITE, torch.ones(4))
    return [lambda: steer.save(folder / "a.safetensors"), lambda: SWEEP.save(folder / "a.parquet"),
            lambda: write_json([1.0] * 99, folder / "a.json"), lambda: write_sealed(b"x" * 99, folder / "a.part"),
            lambda: write_atomically(folder / "a.npz", lambda path: np.savez(path, a=np.ones(99)))]  # fmt: skip


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path):
    for save in saves(tmp_path):
        with pytest.raises(InputError, match=r"a\..* cannot be used .*what is finished is kept"), full_disk():
            save()
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_study_on_a_full_disk_is_one_sentence_and_goes_on_where_it_stopped(tmp_path, mechsteer, undrawn):
    command = ["study", "--limit", 48, "--site", "3:resid_mid", "--methods", "DiffMean,SFT", "--forms", "vector", "--steps", 2,
               "--tune=1",
               "--multipliers=-12:12:9", "--claims=", "--device", "cpu", "--out", tmp_path / "study", "--json"]  # fmt: skip
    kept = 0
    for most in (10, 1000, 10_000, 100_000):
        with full_disk(most):
            code, printed, error = mechsteer(*command)
        said = [line for line in error.splitlines() if line.startswith("mechsteer: ")]
        assert code == 2 and not printed and len(said) == 1 and "Traceback" not in error
        assert f"{str(tmp_path)}/" in said[0] and "(File too large). Mend that" in said[0]
        store = Store(tmp_path / ".store")
        assert not (tmp_path / "study").exists() and not list(tmp_path.rglob("*.partial*"))
        assert not list(store.failures()) and not list((store.folder / "tmp").glob("*"))
        kept, before = len(list(store.records())), kept
        assert kept >= before
    assert kept > 5 and mechsteer(*command)[0] == 0
    Sums.of(tmp_path / "study").check()


@pytest.mark.slow
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("words", [["--version"], ["show"], ["show", "--json"]])
def test_output_that_nobody_can_take_is_one_sentence(small_study, words, unbuffered):
    more = [str(small_study)] if "show" in words else []
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "mechsteer", *words, *more], stdout=full, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered, "PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "No space left on device" in done.stderr


@pytest.mark.parametrize("place", ["x" * 300, "file/inside"])
def test_a_place_that_cannot_be_is_one_sentence(tmp_path, place):
    (tmp_path / "file").touch()
    for save in saves(tmp_path / place):
        with pytest.raises(InputError, match="cannot be used"):
            save()


def test_every_file_has_the_mode_that_the_user_asks_for(tmp_path):
    before = os.umask(0o027)
    try:
        for save in saves(tmp_path):
            save()
        write_sums(tmp_path)
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o640}


def test_every_file_of_a_study_and_of_its_store_has_one_mode(small_study):
    umask = os.umask(0)
    os.umask(umask)
    paths = [path for path in small_study.parent.rglob("*") if path.is_file()]
    assert {path.suffix for path in paths} >= {".parquet", ".json", ".npz", ".safetensors"}
    assert {path.stat().st_mode & 0o777 for path in paths} == {0o666 & ~umask}


@pytest.mark.parametrize("verb", [("show",), ("report",), ("figures",), ("report", "STUDY", "--out")])
def test_a_name_that_is_too_long_is_one_sentence_of_the_command_line(small_study, tmp_path, mechsteer, verb):
    verb = [small_study if word == "STUDY" else word for word in verb]
    code, printed, said = mechsteer(*verb, tmp_path / ("x" * 300))
    assert code == 2 and not printed and said.count("\n") == 1 and "Traceback" not in said


@pytest.mark.parametrize("line", ["", "no sum", "0" * 64 + "  a\0b", "0" * 64 + " a", "G" * 64 + "  a", "\x85"])
def test_a_list_that_is_none_is_refused(tmp_path, line):
    (tmp_path / LIST).write_text(f"{'0' * 64}  whole\n{line}\n" if line else "")
    with pytest.raises(InputError, match=f"{LIST}.*no list of checksums"):
        Sums.of(tmp_path)
