"""The endpoint, asked by OpenAI's own client over a real connection: what it answers is what Python gives."""

import json
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import httpx
import openai
import pytest
import torch
import transformers
import uvicorn

import mechsteer as ms
from mechsteer.cli.serve import bound
from mechsteer.measuring import drafts
from mechsteer.measuring.generation import generate_tokens
from mechsteer.measuring.ways import Way
from mechsteer.models.opening import BUILT_IN
from mechsteer.serving import job
from mechsteer.serving.app import Endpoint, application
from mechsteer.serving.requests import Chat, Completion, read
from mechsteer.serving.steers import Steers
from mechsteer.serving.waiting import Waiting
from mechsteer.serving.words import Words

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
CURLED = [
    found
    for page in PAGES
    for found in re.findall(
        r"^curl localhost:8000(\S+) -H 'Content-Type: application/json' -d '([^']+)'$",
        page.read_text(encoding="utf-8"),
        flags=re.MULTILINE,
    )
]
"""Paths and bodies of requests that README and docs show."""
PROMPT, OTHER = "what about the soup ?", "how was the park ?"
TEMPLATE = "{{ bos_token }}{% for m in messages %}{{ ' ' + m.content }}{% endfor %}"
AT = "1:resid_post"


@pytest.fixture(scope="module")
def model() -> ms.Model:
    """What is compared with; the endpoint's own belongs to its thread."""
    return ms.load_model("guestbook", device="cpu")


@pytest.fixture(scope="module")
def served() -> ms.Model:
    opened = ms.load_model("guestbook", device="cpu")
    opened.require_tokenizer().chat_template = TEMPLATE
    return opened


@pytest.fixture(scope="module")
def steers(model) -> dict[str, ms.Intervention]:
    pairs = {concept: ms.load_pairs(f"guestbook/{concept}").sample(24) for concept in ("sentiment", "tense")}
    vectors = {concept: ms.diff_mean(model, some, AT) for concept, some in pairs.items()}
    generator = torch.Generator().manual_seed(0)
    d_in, d_out = ms.Site.of("2:mlp.out").widths(model)
    lora = ms.LoRA(
        ms.Site.of("2:mlp.out"),
        torch.randn(2, d_in, generator=generator) / 20,
        torch.randn(d_out, 2, generator=generator) / 4,
    )
    return vectors | {"lora": lora}


@pytest.fixture
def serve(served, steers):
    """Start an endpoint; gives the address at which it listens."""
    running: list[tuple[uvicorn.Server, threading.Thread]] = []

    def start(most_waiting: int = 64, most_at_once: int = 16, **more: ms.Intervention) -> str:
        endpoint = Endpoint(served, Steers(steers | more), Waiting(served, most_waiting, most_at_once))
        listening = bound(0)
        server = uvicorn.Server(uvicorn.Config(application(endpoint), log_level="warning", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        running.append((server, thread))
        return f"http://127.0.0.1:{listening.getsockname()[1]}/v1"

    yield start
    for server, thread in running:
        server.should_exit = True
        thread.join(timeout=10)
        assert not thread.is_alive()


@pytest.fixture
def client(serve) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=serve(), api_key="none", max_retries=0, timeout=60) as asking:
        yield asking


def steered(model: ms.Model, acting: list[tuple[ms.Intervention, float]], prompt: str = PROMPT, **how) -> str:
    """By Python's own blocks."""
    if not acting:
        return ms.generate(model, [prompt], **how)[0]
    (steer, multiplier), *others = acting
    with ms.steer(model, steer, multiplier):
        return steered(model, others, prompt, **how)


def asked(*steer: dict, **more) -> dict:
    return {"model": "guestbook", "max_tokens": 20, "extra_body": {"steer": list(steer)}} | more


@pytest.mark.slow
@pytest.mark.parametrize("how", [{"temperature": 0}, {"temperature": 1.3, "seed": 5}])
def test_what_is_answered_is_what_python_writes(model, steers, client, how):
    for acting in ([], [("sentiment", -6.0)], [("lora", 1.0)], [("sentiment", 4.0), ("tense", -4.0)]):
        told = [{"name": name, "multiplier": multiplier} for name, multiplier in acting]
        expected = steered(model, [(steers[name], m) for name, m in acting], max_new_tokens=20, **how)
        answer = client.completions.create(prompt=PROMPT, **asked(*told), **how)
        assert answer.choices[0].text == expected
        chat = client.chat.completions.create(messages=[{"role": "user", "content": PROMPT}], **asked(*told), **how)
        assert chat.choices[0].message.content == expected


def test_every_request_that_a_page_shows_is_read():
    pages = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert len(CURLED) == len(re.findall(r"^curl ", pages, flags=re.MULTILINE)) > 0


@pytest.mark.parametrize(("path", "body"), CURLED)
def test_what_the_pages_send_is_answered_by_the_steer_that_they_name(path, body, steers, serve):
    sent = json.loads(body)
    name, multiplier = (sent["steer"][field] for field in ("name", "multiplier"))
    address = serve(**{name: steers["tense"]}).removesuffix("/v1")
    answer = httpx.post(address + path, content=body, headers={"Content-Type": "application/json"}, timeout=60)
    assert answer.status_code == 200, answer.text
    (choice,) = answer.json()["choices"]
    (said,) = choice["steer"]
    assert choice["text"] and (said["name"], said["multiplier"]) == (name, multiplier)
    assert said["sites"][0]["n_positions"] > 0
    assert ("tokens" in choice) == sent.get("token_details", False)


def test_a_rule_and_positions_are_those_that_were_asked_for(model, steers, client):
    for rule, positions, multiplier in (
        ("rotate", "all", 0.7),
        ("add", "completion", -6.0),
        ("project_out", "query", 1.0),
    ):
        turned = replace(
            steers["sentiment"], rule={"rotate": ms.Rotate, "add": ms.Add, "project_out": ms.ProjectOut}[rule]()
        )
        with ms.steer(model, turned, multiplier, positions) as audit:
            (expected,) = ms.generate(model, [PROMPT], temperature=0, max_new_tokens=20)
        told = {"name": "sentiment", "multiplier": multiplier, "positions": positions, "rule": rule}
        (choice,) = client.completions.create(prompt=PROMPT, temperature=0, **asked(told)).choices
        assert choice.text == expected
        (said,) = choice.model_extra["steer"]
        (site,) = said["sites"]
        assert (said["rule"], said["positions"], site["hook"]) == (rule, positions, "blocks.1.hook_out")
        assert site["n_positions"] == audit.n_positions
        assert site["relative_shift"]["median"] == pytest.approx(audit.median_relative_shift, rel=1e-5)
        assert site["relative_shift"]["largest"] == pytest.approx(audit.max_relative_shift, rel=1e-5)


def test_requests_that_wait_are_written_in_one_batch_and_each_is_as_it_would_be_alone(
    model, steers, serve, monkeypatch
):
    sizes, held = [], threading.Event()
    real = drafts.write_drafts

    def counted(model: ms.Model, batch: list) -> None:
        sizes.append(len(batch))
        held.wait(10)
        real(model, batch)

    monkeypatch.setattr("mechsteer.serving.waiting.write_drafts", counted)
    wanted = [
        ([], PROMPT, {"temperature": 0}), ([("sentiment", -6.0)], PROMPT, {"temperature": 0}),
        ([("lora", 1.5)], OTHER, {"temperature": 1.0, "seed": 3}), ([("tense", 5.0)], OTHER, {"temperature": 0}),
        ([("tense", -5.0), ("sentiment", 3.0)], f"{PROMPT} {OTHER}", {"temperature": 0.8, "seed": 4}),
    ]  # fmt: skip
    with openai.OpenAI(base_url=serve(), api_key="none", max_retries=0) as client, ThreadPoolExecutor(8) as threads:

        def ask(acting: list, prompt: str, how: dict):
            told = [{"name": name, "multiplier": multiplier} for name, multiplier in acting]
            return client.completions.create(prompt=prompt, **asked(*told), **how).choices[0]

        first = threads.submit(ask, *wanted[0])
        while not sizes:
            time.sleep(0.01)
        others = [threads.submit(ask, *one) for one in wanted]
        time.sleep(0.3)
        held.set()
        choices = [answer.result() for answer in (first, *others)]
    assert sizes == [1, len(wanted)]
    for choice, (acting, prompt, how) in zip(choices, [wanted[0], *wanted], strict=True):
        alone = steered(model, [(steers[name], m) for name, m in acting], prompt, max_new_tokens=20, **how)
        assert choice.text == alone
        assert [one["name"] for one in choice.model_extra["steer"]] == [name for name, _ in acting]


def test_log_probabilities_are_those_of_hugging_face_with_a_hook(steers, client):
    hf = transformers.AutoModelForCausalLM.from_pretrained(BUILT_IN["guestbook"])
    tokenizer = transformers.AutoTokenizer.from_pretrained(BUILT_IN["guestbook"])
    shift = -3.0 * steers["sentiment"].parameters["direction"]

    def add(module, args, output):
        hidden = output[0] if isinstance(output, tuple) else output
        hidden[:, 1:] += shift

    told = {"name": "sentiment", "multiplier": -3.0}
    answer = client.completions.create(prompt=PROMPT, temperature=0, logprobs=3, **asked(told))
    chat = client.chat.completions.create(
        messages=[{"role": "user", "content": PROMPT}], temperature=0, logprobs=True, top_logprobs=3, **asked(told)
    )
    found = answer.choices[0].logprobs
    ids = tokenizer(PROMPT)["input_ids"]
    n_prompt = len(ids)
    ids = ids + tokenizer("".join(found.tokens), add_special_tokens=False)["input_ids"]
    assert answer.usage.prompt_tokens == n_prompt
    hf.model.layers[1].register_forward_hook(add)
    with torch.no_grad():
        expected = hf(torch.tensor([ids])).logits[0, n_prompt - 1 : -1].log_softmax(-1)
    written = torch.tensor(ids[n_prompt:])
    values = expected[torch.arange(len(written)), written]
    assert torch.allclose(torch.tensor(found.token_logprobs), values, atol=1e-4)
    for likeliest, row in zip(found.top_logprobs, expected, strict=True):
        assert list(likeliest.values()) == pytest.approx(row.topk(3).values.tolist(), abs=1e-4)
    content = chat.choices[0].logprobs.content
    assert [item.token for item in content] == found.tokens
    assert [item.logprob for item in content] == pytest.approx(found.token_logprobs, abs=1e-5)
    assert [[other.logprob for other in item.top_logprobs] for item in content] == [
        pytest.approx(list(likeliest.values()), abs=1e-5) for likeliest in found.top_logprobs
    ]


def test_a_stream_comes_as_it_is_written_and_is_the_whole_answer_in_pieces(served, client):
    told = {"name": "sentiment", "multiplier": -5.0}
    whole = client.completions.create(prompt=PROMPT, temperature=0, **asked(told))
    how = {"temperature": 0, "stream": True, "stream_options": {"include_usage": True}}
    handle = served.hf.register_forward_pre_hook(lambda *_: time.sleep(0.02))
    try:
        came = [(time.monotonic(), part) for part in client.completions.create(prompt=PROMPT, **asked(told), **how)]
    finally:
        handle.remove()
    *parts, last = [part for _, part in came]
    assert "".join(part.choices[0].text for part in parts) == whole.choices[0].text
    assert parts[-1].choices[0].finish_reason == whole.choices[0].finish_reason == "stop"
    assert parts[-1].choices[0].model_extra["steer"] == whole.choices[0].model_extra["steer"]
    assert last.usage == whole.usage and not last.choices
    # A token to a forward, each shown before the next is made.
    assert len(parts) > 4 and came[-1][0] - came[0][0] > 0.015 * (len(parts) - 2)
    # The client's own way to put a stream together.
    with client.chat.completions.stream(
        messages=[{"role": "user", "content": PROMPT}], temperature=0, logprobs=True, **asked(told)
    ) as chat:
        (joined,) = chat.get_final_completion().choices
    assert (joined.message.role, joined.message.content) == ("assistant", whole.choices[0].text)
    assert "".join(item.token for item in joined.logprobs.content).strip() == whole.choices[0].text


def test_a_stop_ends_a_text_before_it_and_a_length_after_so_many_tokens(client):
    whole = client.completions.create(prompt=PROMPT, temperature=0, **asked()).choices[0].text
    words = whole.split()
    for stream in (False, True):
        answer = client.completions.create(
            prompt=PROMPT, temperature=0, stop=[words[2], "never"], stream=stream, **asked()
        )
        choices = [part.choices[0] for part in answer] if stream else answer.choices
        assert "".join(choice.text for choice in choices) == whole[: whole.index(words[2])]
        assert choices[-1].finish_reason == "stop"
    short = client.completions.create(prompt=PROMPT, temperature=0, **asked(max_tokens=2))
    assert (short.choices[0].text.split(), short.choices[0].finish_reason) == (words[:2], "length")
    assert (short.usage.completion_tokens, short.usage.total_tokens) == (2, short.usage.prompt_tokens + 2)


def test_several_texts_have_seeds_of_their_own_and_a_small_top_p_is_greedy(model, client):
    answer = client.completions.create(prompt=[PROMPT, OTHER], n=2, seed=7, **asked())
    expected = [
        ms.generate(model, [prompt], seed=seed, max_new_tokens=20)[0] for prompt in (PROMPT, OTHER) for seed in (7, 8)
    ]
    assert [choice.text for choice in answer.choices] == expected
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    greedy = client.completions.create(prompt=PROMPT, top_p=1e-6, seed=1, **asked()).choices[0].text
    assert greedy == ms.generate(model, [PROMPT], temperature=0, max_new_tokens=20)[0]


def test_tokens_are_told_beside_the_base_model_which_reads_the_same_text(model, steers, client):
    vector = steers["sentiment"]
    seen: list[torch.Tensor] = []

    def keep(value: torch.Tensor, hook: object) -> None:
        seen.append(value[0])

    for multiplier in (-4.0, 0.0):
        body = {"steer": [{"name": "sentiment", "multiplier": multiplier}], "token_details": True}
        (choice,) = client.completions.create(
            model="guestbook", prompt=PROMPT, temperature=0, max_tokens=20, extra_body=body
        ).choices
        tokens = choice.model_extra["tokens"]
        ids = [*model.tokenizer(PROMPT)["input_ids"], *(token["id"] for token in tokens)]
        begin = len(ids) - len(tokens)
        whole = torch.ones(1, len(ids), dtype=torch.bool)
        batch = ms.TokenBatch(torch.tensor([ids]), whole, ~whole)
        # Nothing below the site is steered, so that h there is the base model's.
        with torch.no_grad(), model.hooks([(vector.site.hook, keep)]):
            base = model.logits(batch)[0, begin - 1 : -1].log_softmax(-1)
        expected = base[torch.arange(len(tokens)), torch.tensor(ids[begin:])]
        assert [token["base_logprob"] for token in tokens] == pytest.approx(expected.tolist(), abs=1e-4)
        unit = vector.direction / vector.direction.norm()
        along = (seen[-1] @ unit)[begin - 1 : -1]
        assert [token["along"] for token in tokens] == [[pytest.approx(float(one), abs=1e-3)] for one in along]
        differ = [abs(token["logprob"] - token["base_logprob"]) for token in tokens]
        assert max(differ) > 0.1 if multiplier else max(differ) < 1e-4


def test_models_say_which_steers_there_are(client):
    (served,) = client.models.list()
    assert served.id == "guestbook" and served.model_extra["context_length"] == 128
    assert [(one["name"], one["site"]) for one in served.model_extra["steers"]] == [
        ("sentiment", AT), ("tense", AT), ("lora", "2:mlp.out"),
    ]  # fmt: skip


WRONG = {
    "unknown steer": (asked({"name": "joy"}), "The steer 'joy' is unknown. This server has sentiment, tense, lora"),
    "unknown rule": (asked({"name": "tense", "rule": "bend"}), "rule 'bend' is unknown"),
    "unknown positions": (asked({"name": "tense", "positions": "first"}), "positions 'first' are unknown. Choose all,"),
    "twice": (asked({"name": "tense"}, {"name": "tense", "multiplier": 2}), "names a steer twice"),
    "unknown word": (asked({"name": "tense", "strength": 2}), "strength: Extra inputs are not permitted"),
    "no number": (asked({"name": "tense", "multiplier": "much"}), "steer.0.multiplier: Input should be a valid number"),
    "too long": (asked(max_tokens=1000), "tokens, and guestbook reads 128 at most"),
    "hot": (asked(temperature=9), "temperature: Input should be less than or equal to 2"),
    "not done here": (asked(frequency_penalty=0.5), "frequency_penalty"),
    "too many": (asked(n=65), "asks for 65 texts, and 64 may wait"),
    "words": (asked(prompt="What about the Soup?"), "hold words that guestbook does not know"),
    "token ids": (asked(prompt=[5, 9999]), "token ids, which must be of 0 to 413"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_done_is_said_in_one_sentence(client, case):
    request, sentence = WRONG[case]
    with pytest.raises(openai.BadRequestError) as caught:
        client.completions.create(**({"prompt": PROMPT, "temperature": 0} | request))
    assert sentence in caught.value.body["message"] and "\n" not in caught.value.body["message"]
    assert caught.value.body["type"] == "invalid_request_error"


def test_what_is_no_request_is_refused_in_the_same_shape(client):
    address = str(client.base_url)

    def refused(answer: httpx.Response) -> tuple[int, str]:
        return answer.status_code, answer.json()["error"]["message"]

    no_json = httpx.post(f"{address}completions", content=b"{no json", headers={"Content-Type": "application/json"})
    assert refused(no_json)[0] == 400 and "Invalid JSON" in refused(no_json)[1]
    # As a page of another server may send without asking.
    plain = httpx.post(
        f"{address}completions", content=b'{"model": "guestbook"}', headers={"Content-Type": "text/plain"}
    )
    assert refused(plain)[0] == 415
    assert refused(httpx.post(f"{address}completions", json={"model": "guestbook"})) == (
        400, "prompt: Field required. Correct it.",
    )  # fmt: skip
    assert refused(httpx.post(f"{address}completions", json={"model": "gpt-4", "prompt": PROMPT}))[0] == 404
    assert refused(httpx.get(f"{address}nothing"))[0] == 404 and refused(httpx.get(f"{address}completions"))[0] == 405
    # A page of the web that has its own name lead here.
    assert httpx.get(f"{address}models", headers={"host": "evil.example"}).status_code == 400


def test_a_steer_that_breaks_the_model_fails_alone(serve, model, steers):
    """At a huge multiplier the logits are no numbers; the text beside it is written to its end."""
    with openai.OpenAI(base_url=serve(), api_key="none", max_retries=0) as client:
        told = {"name": "sentiment", "multiplier": 3e38}
        with pytest.raises(openai.BadRequestError, match="are NaN or infinite. Steer by a smaller multiplier"):
            client.completions.create(prompt=PROMPT, temperature=0, **asked(told))
        with pytest.raises(openai.APIError, match="are NaN"):
            list(client.completions.create(prompt=PROMPT, temperature=0, stream=True, **asked(told)))
    told: list = []
    for multiplier in (3e38, 2.0):
        prompt = model.tokenizer(PROMPT)["input_ids"]
        acting = drafts.Acting((0,), steers["sentiment"], multiplier)
        told.append(drafts.Draft(prompt, lambda token: True, lambda how: ends.append(how), (acting,), temperature=0))
    ends: list = []
    drafts.write_drafts(model, told)
    assert isinstance(ends[0], ms.InputError) and ends[1].reason == "end"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"prompt": []}, "No prompt came"),
        ({"prompt": PROMPT, "n": 10**9}, "less than or equal to 128"),
        ({"prompt": PROMPT, "distances": True}, "distances needs token_details to be true"),
    ],
)
def test_no_prompt_and_texts_without_number_are_refused_before_anything_is_made(body, words):
    with pytest.raises(ms.InputError, match=words):
        read(Completion, json.dumps({"model": "guestbook"} | body).encode())


def test_likeliest_tokens_are_not_told_without_log_probabilities():
    asked = {"model": "guestbook", "messages": [{"role": "user", "content": "hello"}], "top_logprobs": 3}
    with pytest.raises(ms.InputError, match="needs logprobs"):
        read(Chat, json.dumps(asked).encode())
    read(Chat, json.dumps(asked | {"logprobs": True}).encode())


def test_a_temperature_next_to_nothing_is_greedy(model):
    ends: list = []
    prompt = model.tokenizer(PROMPT)["input_ids"]
    cold = [drafts.Draft(prompt, lambda token: True, ends.append, temperature=t) for t in (0.0, 1e-40)]
    drafts.write_drafts(model, cold)
    assert [token.id for token in ends[0].tokens] == [token.id for token in ends[1].tokens]


def test_prompts_that_are_read_one_at_a_time_are_steered_alike(model, steers, monkeypatch):
    monkeypatch.setattr(drafts, "way_for", lambda model, prompts, n: Way(side_by_side=len(prompts) == 1))
    wanted, ends = {PROMPT: -6.0, f"{PROMPT} {OTHER}": 3.0}, {}

    def draft(prompt: str, multiplier: float, **more) -> drafts.Draft:
        def ended(how) -> None:
            ends[multiplier] = how

        acting = drafts.Acting((0,), steers["sentiment"], multiplier)
        ids = model.tokenizer(prompt)["input_ids"]
        return drafts.Draft(ids, lambda token: True, ended, (acting,), temperature=0, **more)

    together = [draft(prompt, multiplier) for prompt, multiplier in wanted.items()]
    drafts.write_drafts(model, [*together, draft(PROMPT, 1.0, beside_base=True)])
    for prompt, multiplier in wanted.items():
        with ms.steer(model, steers["sentiment"], multiplier) as audit:
            (expected,) = generate_tokens(model, [prompt], temperature=0)
        assert [token.id for token in ends[multiplier].tokens] == expected
        (own,) = ends[multiplier].audits
        assert (own.n_forwards, own.n_positions) == (audit.n_forwards, audit.n_positions)
        assert own.median_relative_shift == pytest.approx(audit.median_relative_shift, rel=1e-5)
    # What is asked for beside the base model is written alone.
    assert ends[1.0].tokens and all(token.base_log_probability is not None for token in ends[1.0].tokens)


def test_texts_for_which_the_model_has_no_room_side_by_side_are_written_apart(model):
    def draft(n_prompt: int, n_new: int) -> drafts.Draft:
        return drafts.Draft([5] * n_prompt, lambda token: True, lambda how: None, max_new_tokens=n_new)

    waiting = Waiting(model, most_waiting=8, most_at_once=2)
    long, wide, small, last = draft(100, 20), draft(20, 100), draft(90, 10), draft(10, 10)
    waiting.put([long, wide, small, last])
    assert [waiting._next(), waiting._next()] == [[long, small], [wide, last]]


def test_what_breaks_is_said_and_the_next_request_is_answered(client, monkeypatch):
    def broken(*asked) -> None:
        raise RuntimeError("out of memory")

    with monkeypatch.context() as patch:
        patch.setattr("mechsteer.serving.waiting.write_drafts", broken)
        with pytest.raises(openai.InternalServerError, match="its log says how"):
            client.completions.create(prompt=PROMPT, **asked())
    assert client.completions.create(prompt=PROMPT, **asked()).choices[0].text


def test_a_full_queue_says_come_again(serve, monkeypatch):
    monkeypatch.setattr(Waiting, "start", lambda self: None)
    address = serve(most_waiting=2)
    body = {"model": "guestbook", "prompt": PROMPT, "n": 2, "stream": True}
    with httpx.Client() as first, first.stream("POST", f"{address}/completions", json=body) as waiting:
        assert waiting.status_code == 200
        with openai.OpenAI(base_url=address, api_key="none", max_retries=0) as client:
            with pytest.raises(openai.RateLimitError, match="no more are taken") as caught:
                client.completions.create(model="guestbook", prompt=PROMPT)
            assert caught.value.response.headers["retry-after"] == "1"


@pytest.mark.parametrize("stream", [True, False])
def test_who_leaves_is_no_longer_written_for(serve, served, monkeypatch, stream):
    reasons: list[str] = []
    real = job._Choice.ended

    def ended(self, how) -> None:
        reasons.append(how.reason)
        real(self, how)

    monkeypatch.setattr(job._Choice, "ended", ended)
    monkeypatch.setattr(drafts, "end_tokens", lambda model: set())
    handle = served.hf.register_forward_pre_hook(lambda *_: time.sleep(0.03))
    address = serve()
    body = {"model": "guestbook", "prompt": PROMPT, "max_tokens": 100, "stream": stream}
    try:
        with httpx.Client(timeout=None if stream else 0.3) as client:
            if stream:
                with client.stream("POST", f"{address}/completions", json=body) as answer:
                    next(answer.iter_text())
            else:
                with pytest.raises(httpx.ReadTimeout):
                    client.post(f"{address}/completions", json=body)
        deadline = time.monotonic() + 2
        while not reasons and time.monotonic() < deadline:
            time.sleep(0.02)
    finally:
        handle.remove()
    assert reasons == ["stopped"]


def test_the_command_serves_steers_by_the_names_of_their_files(steers, tmp_path, mechsteer, monkeypatch):
    served = []
    monkeypatch.setattr("mechsteer.cli.serve.run", lambda app, listening: served.append(listening.getsockname()))
    paths = [steers[name].save(tmp_path / f"{name}.safetensors") for name in ("sentiment", "tense")]
    code, printed, _ = mechsteer("serve", "--intervention", ",".join(map(str, paths)), "--port=0", "--device=cpu")
    ((host, port),) = served
    assert (code, host) == (0, "127.0.0.1")
    assert printed == f"guestbook with sentiment, tense at http://127.0.0.1:{port}/v1 (Ctrl-C ends it)\n"
    other = steers["sentiment"].save(tmp_path / "other" / "tense.safetensors")
    for asked, sentence in (
        (["--intervention", f"{paths[1]},{other}"], "Two files of steers are called 'tense'"),
        ([], "Neither a model nor a steer came"),
        (["--model=guestbook", f"--port={port}"], f"The port {port} cannot be used"),
    ):
        with bound(port) as taken:
            taken.listen()
            code, _, error = mechsteer("serve", *asked, "--device=cpu")
        assert code == 2 and sentence in error and error.count("\n") == 1


def test_words_hold_back_what_may_change_and_lose_nothing():
    from test_prompts import tokenizer

    letters = tokenizer()
    text = "a stop, a sto"
    words = Words(letters, ("stop,",))
    pieces = [
        words.add(token) for token in letters(text, add_special_tokens=False)["input_ids"] if not words.is_stopped
    ]
    assert "".join(pieces) == "a " == words.whole and words.is_stopped
    words = Words(letters, ("stop!",))
    pieces = [words.add(token) for token in letters(text, add_special_tokens=False)["input_ids"]]
    assert "".join(pieces) == "a stop, a " and words.rest() == "sto" and words.whole == text
