"""What is measured in chat is what the tokenizer's own template renders, whatever the template does."""

import json
from datetime import date

import pandas as pd
import pytest
import torch
import transformers
from test_prompts import tokenizer

import mechsteer as ms
from mechsteer.models.chat import ChatTemplate
from mechsteer.models.prompt_format import PromptFormat, parse_options
from mechsteer.models.prompts import encode_prompt, settled

EACH = "{% for m in messages %}"
TEMPLATES = {
    # A space between the prompt and the answer, which only the whole dialogue has.
    "inst": EACH + "{% if m.role == 'user' %}{{ bos_token + '[INST] ' + m.content|trim + ' [/INST]' }}"
    "{% else %}{{ ' ' + m.content|trim + ' ' + eos_token }}{% endif %}{% endfor %}",
    "inst, tight": "{{ bos_token }}" + EACH + "{% if m.role == 'user' %}{{ '[INST] ' + m.content + '[/INST]' }}"
    "{% else %}{{ ' ' + m.content|trim + eos_token }}{% endif %}{% endfor %}",
    # An empty thought that only the whole dialogue has, unless one asks for it.
    "thought": EACH + "{{ '<|' + m.role + '|>' }}{% if m.role == 'assistant' and loop.last %}{{ '<think>\n\n</think>\n\n' }}"
    "{% endif %}{{ m.content + '<|end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}"
    "{% if enable_thinking is defined and enable_thinking is false %}{{ '<think>\n\n</think>\n\n' }}{% endif %}{% endif %}",
    # A thought that only the prompt opens.
    "open thought": EACH + "{{ '<|' + m.role + '|>' + m.content + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|><think>\n' }}{% endif %}",
    # A channel before the answer.
    "channel": EACH + "{{ '<|' + m.role + '|>' }}{% if m.role == 'assistant' %}{{ '<|channel|>final<|message|>' }}{% endif %}"
    "{{ m.content + '<|end|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}",
    # Another end where nothing is to be generated.
    "end of all": EACH + "{{ '<|' + m.role + '|>\n' + m.content + '<|end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}",
    # A system message of the template's own.
    "own system": "{% if messages[0].role != 'system' %}<|system|>You are kind.<|end|>\n{% endif %}" + EACH
    + "{{ '<|' + m.role + '|>' + m.content + '<|end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}",
    # Content as a list of parts; a text would be read by its characters.
    "parts": "{{ bos_token }}" + EACH + "<|{{ m.role }}|>{% for part in m.content %}{% if part.type == 'text' %}"
    "{{ part.text }}{% endif %}{% endfor %}<|end|>{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}",
    "date": "<|system|>{{ strftime_now('%d %b %Y') }}<|end|>" + EACH + "<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}",
}  # fmt: skip
PAIR = ms.PolarityPair("Is it?", " Yes, it is.", " No, never!", id="a")
IN_PARTS = ("parts",)


@pytest.fixture(scope="module")
def model():
    config = transformers.LlamaConfig(
        vocab_size=128, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48,
        max_position_embeddings=256,
    )  # fmt: skip
    return ms.load_model(transformers.LlamaForCausalLM(config), tokenizer=tokenizer(), device="cpu")


def rendered(tok, answer, name, **options):
    """By the tokenizer alone."""
    turns = [{"role": "user", "content": PAIR.query}, {"role": "assistant", "content": answer.strip()}]
    if name in IN_PARTS:
        turns = [{**turn, "content": [{"type": "text", "text": turn["content"]}]} for turn in turns]
    return tok.apply_chat_template(turns, tokenize=False, **options).rstrip()


def using(model, template):
    tok = tokenizer(template=template)
    object.__setattr__(model, "tokenizer", tok)
    return tok


@pytest.mark.parametrize("name", TEMPLATES)
def test_what_is_measured_is_what_the_template_renders(model, name):
    tok = using(model, TEMPLATES[name])
    pair = ms.encode_pairs(model, [PAIR], "chat")[0]
    for ids, answer in ((pair.positive, PAIR.positive), (pair.negative, PAIR.negative)):
        assert tok.decode(ids) == rendered(tok, answer, name)
        # The completion begins with the answer itself, with whatever space stands before it.
        assert tok.decode(ids[pair.begin :]).lstrip(" ").startswith(answer.strip())
    assert pair.positive[: pair.begin] == pair.negative[: pair.begin]
    assert not pair.moved


def test_options_reach_the_template_and_are_part_of_the_format(model):
    tok = using(model, TEMPLATES["thought"])
    chosen = str(PromptFormat("chat", {"enable_thinking": False}))
    assert chosen == 'chat {"enable_thinking":false}'
    assert tok.decode(encode_prompt(model, "Hi", chosen)).endswith("<|assistant|><think>\n\n</think>\n\n")
    assert tok.decode(encode_prompt(model, "Hi", "chat")).endswith("<|assistant|>")
    with pytest.raises(ms.InputError, match="no option 'enable_thinkng'"):
        ms.encode_pairs(model, [PAIR], 'chat {"enable_thinkng":false}')
    with pytest.raises(ms.InputError, match="no option 'tokenize'"):
        ms.encode_pairs(model, [PAIR], 'chat {"tokenize":true}')


def test_what_is_generated_otherwise_than_measured_is_said_once(model, caplog):
    using(model, TEMPLATES["open thought"])
    for _ in range(2):
        encode_prompt(model, "Hi", "chat")
    told = [record.message for record in caplog.records if "before an answer" in record.message]
    assert len(told) == 1 and "<think>" in told[0]
    using(model, TEMPLATES["channel"])
    encode_prompt(model, "Hi", "chat")
    assert "final" in caplog.records[-1].message
    caplog.clear()
    for name in ("inst", "own system"):
        using(model, TEMPLATES[name])
        encode_prompt(model, "Hi", "chat")
    assert not caplog.records


def test_a_system_message_begins_the_dialogue_or_is_refused(model):
    tok = using(model, TEMPLATES["own system"])
    chosen = 'chat {"system":"You are curt."}'
    pair = ms.encode_pairs(model, [PAIR], chosen)[0]
    assert tok.decode(pair.positive).startswith("<|system|>You are curt.<|end|>\n<|user|>")
    assert "kind" not in tok.decode(encode_prompt(model, "Hi", chosen))
    using(model, "{% if messages[0].role == 'system' %}{{ raise_exception('No system role here') }}{% endif %}x")
    with pytest.raises(ms.InputError, match="No system role here"):
        ms.encode_pairs(model, [PAIR], chosen)
    using(model, EACH + "{% if m.role != 'system' %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endif %}{% endfor %}")
    with pytest.raises(ms.InputError, match="drops the system's message 'You are curt.'"):
        ms.encode_pairs(model, [PAIR], chosen)


def test_a_date_in_the_template_is_part_of_the_format(model):
    tok = using(model, TEMPLATES["date"])
    today = date.today()
    assert settled(tok, "chat") == f'chat {{"today":"{today.isoformat()}"}}'
    then = ms.encode_pairs(model, [PAIR], 'chat {"today":"2020-05-06"}')[0]
    assert tok.decode(then.positive).startswith("<|system|>06 May 2020<|end|>")
    assert settled(tok, 'chat {"today":"2020-05-06"}') == 'chat {"today":"2020-05-06"}'
    assert settled(tok, "raw") == "raw"
    assert settled(tokenizer(template=TEMPLATES["inst"]), "chat") == "chat"
    vector = ms.diff_mean(model, ms.Pairs((PAIR,), "one"), ms.Site(1, "resid_post"), prompt_format="chat")
    assert vector.origin.prompt_format == settled(tok, "chat")
    sweep = ms.run_sweep(model, vector, ms.Pairs((PAIR,), "one"), [0.0], progress=False)
    assert sweep.key.prompt_format == settled(tok, "chat")


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (EACH + "{{ m.content|upper }}{% endfor %}", "rewrites the assistant's message 'Yes, it is.'"),
        (EACH + "{{ m.content + m.content }}|{% endfor %}", "repeats the assistant's message"),
        (EACH + "{{ raise_exception('Say please') }}{% endfor %}", "refuses this dialogue: Say please"),
        (EACH + "{{ m.nothing.at_all }}{% endfor %}", "refuses this dialogue"),
        (
            EACH + "{% if 'Yes' in m.content %}<|user|>{% endif %}{{ m.content }}<|end|>{% endfor %}",
            "rewrites the assistant's message",
        ),
    ],
)
def test_what_cannot_be_split_is_refused_with_the_reason(model, template, message):
    using(model, template)
    with pytest.raises(ms.InputError, match=message):
        ms.encode_pairs(model, [PAIR], "chat")


def test_one_of_several_named_templates_is_chosen_by_its_name(model):
    tok = using(model, {"default": TEMPLATES["own system"], "curt": TEMPLATES["inst"]})
    assert "You are kind." in tok.decode(ms.encode_pairs(model, [PAIR], "chat")[0].positive)
    assert "[INST]" in tok.decode(ms.encode_pairs(model, [PAIR], 'chat {"chat_template":"curt"}')[0].positive)
    using(model, {"curt": TEMPLATES["inst"], "rag": TEMPLATES["parts"]})
    with pytest.raises(ms.InputError, match="called 'default'; it has curt, rag"):
        ms.encode_pairs(model, [PAIR], "chat")


def test_every_message_of_a_longer_dialogue_has_its_place():
    template = ChatTemplate(tokenizer(template=TEMPLATES["own system"]), PromptFormat("chat", {"system": "Be."}))
    turns = [("user", "a b"), ("assistant", "c"), ("user", "a b"), ("assistant", "c")]
    whole = template.whole(turns)
    places = [template.place(turns, index) for index in range(5)]
    assert [whole[place] for place in places] == ["Be.", "a b", "c", "a b", "c"]
    assert [place.start for place in places] == sorted({place.start for place in places})


def test_formats_are_read_as_they_are_written():
    for chosen in (PromptFormat(), PromptFormat("chat"), PromptFormat("chat", {"b": [1, None], "a": "x y"})):
        assert PromptFormat.parse(str(chosen)) == chosen
    assert str(PromptFormat.parse("cued")) == r'cued {"cue":"\nAnswer:"}', (
        "which cue it was is part of what was measured"
    )
    assert parse_options(["a=false", "b=3", "c=x y", 'd="4"', "e=x=y", r"f=\nA:"]) == {
        "a": False, "b": 3, "c": "x y", "d": "4", "e": "x=y", "f": "\nA:",
    }  # fmt: skip
    for text, message in (
        ("xml", "Choose raw, cued or chat"),
        ("chat {", "no JSON object"),
        ("chat 3", "no JSON object"),
        ('raw {"a":1}', "Choose chat"),
        ('cued {"a":1}', "one option, the text between"),
        ('cued {"cue":" "}', "one option, the text between"),
        (f"chat {json.dumps({'today': 'Monday'})}", "such as 2026-11-26"),
        (f"chat {json.dumps({'system': 3})}", "is no text"),
    ):
        with pytest.raises(ms.InputError, match=message):
            PromptFormat.parse(text)
    with pytest.raises(ms.InputError, match="not NAME=VALUE"):
        parse_options(["thinking"])


@pytest.mark.slow
def test_a_study_keeps_the_format_in_its_identity(tmp_path, mechsteer, undrawn):
    """Options and the date are in every table; a study of another template is another study."""
    folder = tmp_path / "model"
    config = transformers.LlamaConfig(
        vocab_size=128, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48,
        max_position_embeddings=256,
    )  # fmt: skip
    torch.manual_seed(0)
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer(template=TEMPLATES["date"]).save_pretrained(folder)
    rows = [
        {"query": f"Is it {i}?", "positive": f" Yes, it is {i}.", "negative": f" No, never {i}!"} for i in range(12)
    ]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = (
        "study", "--model", folder, "--pairs", tmp_path / "pairs.jsonl", "--format=chat", "--methods=DiffMean", "--forms=vector",
        "--multipliers=-4:4:5", "--site=1:resid_post", "--claims=", "--device=cpu", "--out", tmp_path / "out",
    )  # fmt: skip

    def formats(*more):
        code, _, error = mechsteer(*options, *more)
        assert code == 0, error
        assert json.loads((tmp_path / "out/study.json").read_text())["settings"]["format"] in error
        return set(pd.read_parquet(tmp_path / "out/sweeps.parquet").prompt_format)

    assert formats() == {f'chat {{"today":"{date.today().isoformat()}"}}'}
    assert "nothing was to do" in mechsteer(*options)[2]
    assert formats("--template-option=today=2020-05-06") == {'chat {"today":"2020-05-06"}'}
    before = pd.read_parquet(tmp_path / "out/sweeps.parquet")
    tokenizer(template=TEMPLATES["own system"]).save_pretrained(folder)
    assert formats("--template-option=system=Be curt.") == {'chat {"system":"Be curt."}'}
    after = pd.read_parquet(tmp_path / "out/sweeps.parquet")
    assert set(before.tokenizer).isdisjoint(after.tokenizer)
    at_zero = after[after.multiplier == 0]
    assert not set(at_zero.loss_positive) & set(before[before.multiplier == 0].loss_positive)
