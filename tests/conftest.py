"""What all tests share: checked shapes, one thread, and tiny models of many families, built and not downloaded."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

# Before shapes are checked: what is imported while one of our files is would be compiled anew in every process.
import matplotlib.pyplot  # noqa: F401
import pandas as pd
import pytest
import torch
import transformer_lens.model_bridge  # noqa: F401
import transformers.modeling_utils

sys.path.insert(0, str(Path(__file__).parent))

import typechecker  # noqa: E402

typechecker.check_shapes("mechsteer", "analyses", "figures")

# Workers would take the cores that tests beside this one run on.
os.environ["MECHSTEER_JOBS"] = "1"

import mechsteer as ms  # noqa: E402
from mechsteer.registry import forget_extensions  # noqa: E402

# Tiny models on several threads can be twenty times slower than on one.
torch.set_num_threads(1)

SHARED = Path(__file__).resolve().parents[1].parent / "shared"
D_VOCAB = 61

_SIZE = dict(
    vocab_size=D_VOCAB,
    hidden_size=32,
    num_hidden_layers=3,
    num_attention_heads=4,
    intermediate_size=48,
    max_position_embeddings=64,
    bos_token_id=1,
    eos_token_id=2,
    pad_token_id=0,
)
_GROUPED = dict(num_key_value_heads=2)
_OPT = {key: value for key, value in _SIZE.items() if key != "intermediate_size"} | {"ffn_dim": 48}
CONFIGS = {
    "llama": lambda: transformers.LlamaConfig(**_SIZE, **_GROUPED),
    "gpt2": lambda: transformers.GPT2Config(
        vocab_size=D_VOCAB, n_embd=32, n_layer=3, n_head=4, n_positions=64, bos_token_id=1, eos_token_id=2
    ),
    "gemma2": lambda: transformers.Gemma2Config(**_SIZE, **_GROUPED, head_dim=8, sliding_window=8),
    "gemma3": lambda: transformers.Gemma3TextConfig(**_SIZE, **_GROUPED, head_dim=8, sliding_window=8),
    "qwen2": lambda: transformers.Qwen2Config(**_SIZE, **_GROUPED),
    "qwen3": lambda: transformers.Qwen3Config(**_SIZE, **_GROUPED, head_dim=8),
    "neox": lambda: transformers.GPTNeoXConfig(**_SIZE),
    "opt": lambda: transformers.OPTConfig(**_OPT, word_embed_proj_dim=32),
    "mistral": lambda: transformers.MistralConfig(**_SIZE, **_GROUPED, head_dim=8),
    "phi3": lambda: transformers.Phi3Config(**_SIZE, **_GROUPED),
}
FAMILIES = tuple(CONFIGS)
MORE = {
    "gemma": lambda: transformers.GemmaConfig(**_SIZE, **_GROUPED, head_dim=8),
    "olmo2": lambda: transformers.Olmo2Config(**_SIZE, **_GROUPED),
}
MORE_FAMILIES = tuple(MORE)
"""For tests of what every family must do alike."""
EVERY_DAY = ("llama", "gpt2", "gemma2")
"""Rotary and grouped; absolute and with biases; with windows, norms after its branches and soft caps. The others are slow's."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`make test` runs what is laid down of every family on three of them, `make slow` on the rest."""
    rest = {*FAMILIES, *MORE_FAMILIES} - {*EVERY_DAY}
    for item in items:
        case = getattr(item, "callspec", None)
        if case and any(isinstance(value, str) and value in rest for value in case.params.values()):
            item.add_marker(pytest.mark.slow)


def build_hf(family: str, *, dtype: torch.dtype = torch.float32) -> transformers.PreTrainedModel:
    """A random model of the family, the same at every call, with norms and biases that are not trivial."""
    torch.manual_seed(0)
    hf = transformers.AutoModelForCausalLM.from_config((CONFIGS | MORE)[family]()).eval()
    with torch.no_grad():
        for parameter in hf.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return hf.to(dtype)


@pytest.fixture(autouse=True)
def _anew():
    """Shapes are checked anew, and members from outside are those of one test."""
    typechecker.calls.clear()
    yield
    forget_extensions()


@pytest.fixture(scope="session")
def tiny():
    """Open a tiny model of a family; each is built once, and no test may change it."""
    opened = {}

    def open_model(family: str) -> ms.Model:
        if family not in opened:
            opened[family] = ms.load_model(build_hf(family), device="cpu")
        return opened[family]

    return open_model


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real models and data beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip(f"the folder {SHARED.name} with real models and data is not beside this checkout")
    return SHARED


@pytest.fixture(scope="session")
def stories(shared) -> ms.Model:
    return ms.load_model(shared / "models" / "stories260K", device="cpu")


@pytest.fixture(scope="session")
def guestbook() -> ms.Model:
    return ms.load_model("guestbook", device="cpu")


@pytest.fixture(scope="module")
def browser():
    """The system's Chromium."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        pytest.skip("there is no Chromium on this machine: install the package chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install .[dev]")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def mechsteer(monkeypatch, capsys):
    """Run the command line, piped; gives its exit code, output and errors."""

    from mechsteer import cli

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["mechsteer", *map(str, arguments)])
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        output = capsys.readouterr()
        return code, output.out, output.err

    return call


@pytest.fixture
def undrawn(monkeypatch):
    """Studies by the command line draw no figures: they take longer than all else in a small one."""
    monkeypatch.setattr("figures.draw_all", lambda *study: [])


@pytest.fixture
def little_chance(monkeypatch):
    """The gate has a sixth of its directions by chance: too few to pass, where passing is not the subject."""
    monkeypatch.setattr("analyses.evidence.chance.N_DIRECTIONS", 4)


def judge_only(patch: pytest.MonkeyPatch, *claims: str) -> None:
    """A study judges these claims alone: all take longer than the rest of it."""
    from analyses.studies import plan

    of_all = plan.verdicts
    patch.setattr(plan, "verdicts", lambda *given: (unit for unit in of_all(*given) if unit.claim in claims))


@pytest.fixture
def few_claims(monkeypatch):
    """A study judges whether it worked and which method gains more, and little else."""
    judge_only(monkeypatch, "control", "one_operation", "split_wins", "linear_region")


@pytest.fixture
def apart(tmp_path):
    """Run Python in a process of its own."""

    def run(*arguments: object) -> tuple[int, str, str]:
        root = Path(__file__).parents[1]
        environment = os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, *map(str, arguments)]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        return done.returncode, done.stdout, done.stderr

    return run


def random_batch(n_rows: int = 3, side: str = "right", seed: int = 0) -> ms.TokenBatch:
    """Rows of different length that begin with BOS; the last third of each is its completion."""
    from mechsteer.models.model import pad_batch

    generator = torch.Generator().manual_seed(seed)
    rows = []
    for row in range(n_rows):
        length = 9 + 3 * row
        ids = [1, *torch.randint(3, D_VOCAB, (length - 1,), generator=generator).tolist()]
        rows.append((ids, length - length // 3))
    return pad_batch(rows, 0, side)


def random_intervention(form: str, site: ms.Site, model: ms.Model, seed: int = 0) -> ms.Intervention:
    """An intervention of the given form with a delta that is large enough to see."""
    g = torch.Generator().manual_seed(seed)
    d_in, d_out = site.widths(model)
    if form == "vector":
        return ms.SteeringVector(site, torch.randn(d_out, generator=g))
    if form == "lora":
        return ms.LoRA(site, torch.randn(2, d_in, generator=g) / 4, torch.randn(d_out, 2, generator=g) / 4)
    return ms.LocalWeight(site, torch.randn(d_out, d_in, generator=g) / 8, torch.randn(d_out, generator=g) / 8)


@pytest.fixture(scope="session")
def small_study(tmp_path_factory) -> Path:
    """The folder of a finished study of two vectors; its claims are written by hand, since judging takes its time."""
    from analyses.studies.settings import Settings
    from analyses.studies.study import run
    from mechsteer.statistics.judging import Claim, Outcome
    from mechsteer.store.atomic import write_json
    from mechsteer.store.keys import labelled
    from mechsteer.store.sums import write_sums

    folder = tmp_path_factory.mktemp("study")
    pairs = ms.save_pairs(ms.load_pairs("guestbook/sentiment").sample(48), folder / "pairs.jsonl")
    settings = Settings(
        pairs=str(pairs), site="3:resid_mid", multipliers="-12:12:9", methods=("DiffMean", "Random"), forms=("vector",),
        claims=(), device="cpu",
    )  # fmt: skip
    study = run(settings, folder / "small", report=lambda line: None)
    out, key = study.folder, study.sweeps[0].key
    claims = [
        Claim(
            "linear_region", "line", key, 0.89, "share of the span of preference", ms.ConfidenceInterval(0.85, 0.91),
            "a straight line through the whole sweep", Outcome.SUPPORTED, "Preference keeps to a straight line.",
        ),
        Claim(
            "preference_curve", "rivals", key, -0.436, "nats", ms.ConfidenceInterval(-0.5, -0.38),
            "the closest rival, two logistics", Outcome.REFUTED, "Eq. 15 predicts worse than two logistics.", 0.0125,
        ),
        Claim(
            "split_wins", "", key.without("seed", "settings"), 0.0247, "share", ms.ConfidenceInterval(0.018, 0.032),
            "Random, on the same pairs and budgets", Outcome.SUPPORTED, "Random gains less.", against="Random",
        ),
    ]  # fmt: skip
    write_json([claim.to_dict() for claim in claims], out / "claims.json")
    lines = {"line": ["a straight line"] * 2 + ["the tangent"], "resample": [-1, 0, -1], "share": [0.89, 0.9, 0.01]}
    ends = {"low": [-9.5, -9.0, -0.553], "high": [9.5, 9.25, 0.212], "slope": [1.18, 1.2, 0.4]}
    (out / "claims").mkdir(exist_ok=True)
    labelled(pd.DataFrame(ends | lines), key).to_parquet(out / "claims" / "linear_region-regions.parquet", index=False)
    about = json.loads((out / "study.json").read_text())
    about["files"] = sorted({*about["files"], "claims.json", "claims/linear_region-regions.parquet"})
    write_json(about, out / "study.json")
    write_sums(out)
    return out
