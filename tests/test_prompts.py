"""The query ends on a token boundary, whatever the tokenizer does."""

import pytest
from conftest import build_hf
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

import mechsteer as ms
from mechsteer.models.prompts import encode_prompt

CHAT = (
    "{{ bos_token }}{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def tokenizer(*, merges=(), bos=True, eos=False, template=None) -> PreTrainedTokenizerFast:
    """One token a character, and one for each merge."""
    characters = [chr(code) for code in range(32, 127)] + ["\n"]
    special = ["<s>", "</s>", "<|user|>", "<|assistant|>", "<|end|>"]
    merged = ["".join(pair) for pair in merges]
    vocabulary = {token: index for index, token in enumerate(special + characters + merged)}
    inner = Tokenizer(models.BPE(vocabulary, list(merges)))
    inner.decoder = decoders.Fuse()
    inner.pre_tokenizer = pre_tokenizers.Split("|||", "isolated")
    inner.add_special_tokens(special)
    around = f"{'<s> ' if bos else ''}$A{' </s>' if eos else ''}"
    inner.post_processor = processors.TemplateProcessing(single=around, special_tokens=[("<s>", 0), ("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token="<s>" if bos else None, eos_token="</s>", chat_template=template
    )


def model(tokenizer) -> ms.Model:
    hf = build_hf("llama")
    hf.resize_token_embeddings(len(tokenizer))
    return ms.load_model(hf, tokenizer=tokenizer)


def texts(tok, encoded):
    """What stands before the completion, and the two completions."""
    return (
        tok.decode(encoded.positive[: encoded.begin]),
        tok.decode(encoded.positive[encoded.begin :]),
        tok.decode(encoded.negative[encoded.begin :]),
    )


PAIR = ms.PolarityPair("The day was", " good.", " bad!", id="row 7")


def test_a_cue_stands_between_query_and_answer_and_the_answer_alone_is_measured():
    opened, tok = model(tokenizer()), tokenizer()
    glued = ms.PolarityPair("Is it?", "Yes", " No", id="glued")
    for prompt_format, cue in (("cued", "\nAnswer:"), ('cued {"cue":" So:"}', " So:")):
        first, second = ms.encode_pairs(opened, [PAIR, glued], prompt_format)
        assert texts(tok, first) == (f"<s>The day was{cue}", " good.", " bad!")
        assert texts(tok, second) == (f"<s>Is it?{cue}", " Yes", " No"), "a cue is a word of its own"
        assert tok.decode(encode_prompt(opened, "Is it?", prompt_format)) == f"<s>Is it?{cue}"
        written = [
            ms.PolarityPair(pair.query + cue, f" {pair.positive.strip()}", pair.negative, id=pair.id)
            for pair in (PAIR, glued)
        ]
        assert [first, second] == ms.encode_pairs(opened, written), "as if the pairs had it"


def test_a_token_that_was_added_beyond_the_model_is_said_where_a_text_has_one():
    opened, tok = model(tokenizer()), tokenizer()
    tok.add_special_tokens({"pad_token": "[PAD]"})
    beside = ms.load_model(opened.hf, tokenizer=tok)
    assert ms.encode_pairs(beside, [PAIR]) == ms.encode_pairs(opened, [PAIR])
    strange = ms.PolarityPair("The [PAD] day was", " good.", " bad!")
    for read in (lambda: ms.encode_pairs(beside, [PAIR, strange]), lambda: ms.generate(beside, "A [PAD] day")):
        with pytest.raises(
            ms.InputError, match=rf"1 of \d (pairs|prompts) hold tokens .*'\[PAD\]' \(id {len(tok) - 1}; "
        ):
            read()


def test_raw_adds_nothing_but_the_first_token():
    tok = tokenizer()
    encoded = ms.encode_pairs(model(tok), [PAIR])[0]
    assert texts(tok, encoded) == ("<s>The day was", " good.", " bad!")
    assert not encoded.moved


def test_an_end_token_that_a_tokenizer_appends_is_not_part_of_a_text():
    tok = tokenizer(eos=True)
    assert texts(tok, ms.encode_pairs(model(tok), [PAIR])[0]) == ("<s>The day was", " good.", " bad!")
    written = ms.PolarityPair("The day was", " good.</s>", " bad.</s>")
    assert texts(tok, ms.encode_pairs(model(tok), [written])[0])[1] == " good.</s>"


def test_a_token_that_spans_query_and_completion_belongs_to_both_completions():
    """`s ` is one token, so the query "was " ends inside it: the boundary moves before it, for both completions."""
    tok = tokenizer(merges=[("s", "g")])
    encoded = ms.encode_pairs(model(tok), [ms.PolarityPair("It was", "good", "bad")])[0]
    assert encoded.moved
    assert texts(tok, encoded) == ("<s>It wa", "sgood", "sbad")


def test_the_chat_template_surrounds_query_and_answer_with_the_end_of_turn():
    tok = tokenizer(template=CHAT)
    encoded = ms.encode_pairs(model(tok), [PAIR], "chat")[0]
    assert texts(tok, encoded) == ("<s><|user|>The day was<|end|>\n<|assistant|>", "good.<|end|>", "bad!<|end|>")
    assert tok.decode(encode_prompt(model(tok), "Hi", "chat")) == "<s><|user|>Hi<|end|>\n<|assistant|>"


@pytest.mark.parametrize(
    ("tok", "pair", "prompt_format", "message"),
    [
        (tokenizer(), PAIR, "chat", "no chat template"),
        (tokenizer(), PAIR, "xml", "Choose raw, cued or chat"),
        (tokenizer(bos=False), ms.PolarityPair("", "good", "bad", id="3"), "raw", "Pair '3': no token stands before"),
    ],
)
def test_what_cannot_be_tokenized_is_refused(tok, pair, prompt_format, message):
    with pytest.raises(ms.InputError, match=message):
        ms.encode_pairs(model(tok), [pair], prompt_format)


def test_real_pairs_have_their_query_as_a_prefix_in_tokens(stories, shared):
    for name in ("story_mood", "story_outdoors"):
        pairs = ms.load_pairs(shared / "data" / name / "validation.jsonl")
        for pair, encoded in zip(pairs, ms.encode_pairs(stories, pairs), strict=True):
            assert not encoded.moved
            tok = stories.tokenizer
            assert tok.decode(encoded.positive, skip_special_tokens=True).strip() == pair.query + pair.positive
            assert list(encoded.positive[: encoded.begin]) == tok(pair.query)["input_ids"]


@pytest.mark.parametrize("answer", [" end", " m", " e", " user"])
def test_an_answer_that_stands_in_the_template_s_own_words_is_not_cut(answer):
    tok = tokenizer(template=CHAT)
    encoded = ms.encode_pairs(model(tok), [ms.PolarityPair("Say", answer, " other")], "chat")[0]
    assert texts(tok, encoded)[1] == f"{answer.strip()}<|end|>"
