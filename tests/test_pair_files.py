"""Any file that should hold pairs is read as it was written or refused in one sentence, in bounded memory and time."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pandas
import pyarrow
import pytest
from hypothesis import HealthCheck, given, settings
from pair_files import PairFile, check, pair_files

import mechsteer as ms
from mechsteer.errors import InputError, shown

ROOT = Path(__file__).parents[1]
ROWS = [
    {"query": "The day was", "positive": " lovely.", "negative": " awful.", "id": "a", "group": "days"},
    {"query": "The soup is", "positive": " good.", "negative": " bad.", "id": "b", "group": "soups"},
]
PAIRS = ms.Pairs(tuple(ms.PolarityPair(**row) for row in ROWS), "rows")


@pytest.mark.slow
@given(pair_files())
@settings(max_examples=300, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_made_up_files_are_read_as_they_were_written_or_refused_in_one_sentence(tmp_path, file):
    check(file, tmp_path)


def test_a_wrong_reading_would_be_noticed(tmp_path):
    right = PairFile("a.jsonl", json.dumps(ROWS[0]).encode(), (ROWS[0],))
    assert check(right, tmp_path) == "loaded"
    for wrong in (
        PairFile("a.jsonl", right.content, (ROWS[1],)),
        PairFile("a.jsonl", right.content, (ROWS[0],), refused="twice"),
        PairFile("a.jsonl", b"{", (ROWS[0],)),
        PairFile("a.jsonl", b"{", (ROWS[0],), refused="twice"),
    ):
        with pytest.raises(AssertionError):
            check(wrong, tmp_path)


# What went wrong before


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("esc.jsonl", "no pairs|none of them known to be"),
        ("r_deep.json", "nested too deep"),
        ("r_dup_header.tsv", "its header has the column 'positive' twice"),
        ("r_dup_key.jsonl", r"in line 1 \(from 1\) an object has the key 'positive' twice"),
        ("r_mid.parquet", "cannot be read: Unexpected end of stream"),
        ("r_thrift.parquet", "cannot be read: .*thrift"),
        ("r_surrogate_id.jsonl", "Row 1: The id holds half of a surrogate pair"),
    ],
)
def test_files_that_went_wrong_are_refused_in_one_printable_sentence(name, sentence, shared):
    with pytest.raises(InputError, match=sentence) as refusal:
        ms.load_pairs(shared / "cases" / name)
    assert str(refusal.value).isprintable() and len(str(refusal.value)) < 500


def test_cells_of_any_length_are_read_and_the_reader_s_limit_stays(tmp_path):
    import csv

    before = csv.field_size_limit()
    long = [row | {"query": "long " * 100_000} for row in ROWS]
    for suffix, separator in ((".csv", ","), (".tsv", "\t")):
        pandas.DataFrame(long).to_csv(tmp_path / f"long{suffix}", sep=separator, index=False)
        assert [pair.query for pair in ms.load_pairs(tmp_path / f"long{suffix}")] == [row["query"] for row in long]
    assert csv.field_size_limit() == before


def test_pipes_and_devices_are_refused_and_nothing_waits_for_them(tmp_path):
    os.mkfifo(tmp_path / "pipe.jsonl")
    for path in (tmp_path / "pipe.jsonl", "/dev/zero", "/dev/null"):
        with pytest.raises(InputError, match="is a pipe or a device, which is there only once: save the pairs"):
            ms.load_pairs(path)
    code = "import sys; from mechsteer.pairs.reading import load_pairs; load_pairs('/dev/stdin')"
    done = subprocess.run([sys.executable, "-c", code], input=b"{}", cwd=ROOT, capture_output=True, timeout=60)
    assert b"InputError: /dev/stdin is a pipe" in done.stderr


@pytest.mark.parametrize("name", ["x" * 5000, "nul\0byte", "two\nlines.jsonl", "\x1b[31mred.csv", "\udcff.parquet"])
def test_names_that_no_file_has_are_one_printable_sentence(name):
    with pytest.raises(InputError) as refusal:
        ms.load_pairs(name)
    assert str(refusal.value).isprintable() and len(str(refusal.value)) < 500


UNPACK = """
import resource, sys
from mechsteer.pairs.reading import load_pairs
import pyarrow.parquet
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    load_pairs(sys.argv[1])
except ValueError as error:
    print(error)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize("dictionary", [True, False])
def test_a_parquet_that_unpacks_to_a_thousand_times_its_size_is_refused_in_bounded_memory(dictionary, tmp_path):
    path, text = tmp_path / "bomb.parquet", "x" * 10_000
    cells = pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * 200_000, pyarrow.int32()), [text])
    table = pyarrow.table({name: cells if dictionary else ["x" * 2**25] for name in ("query", "positive", "negative")})
    pyarrow.parquet.write_table(table, path, compression="zstd")
    done = subprocess.run([sys.executable, "-c", UNPACK, path], cwd=ROOT, capture_output=True, text=True, timeout=60)
    sentence, grown = done.stdout.splitlines()
    assert "unpack to more than 67,108,864" in sentence and path.stat().st_size < 200_000
    assert int(grown) < 300_000, "kilobytes"


def test_a_parquet_s_lost_bits_are_noticed_where_it_was_written_with_checksums(tmp_path):
    path = tmp_path / "pairs.parquet"
    table = pyarrow.Table.from_pylist([{"query": f"Query {n}", "positive": " a.", "negative": " b."} for n in range(9)])
    pyarrow.parquet.write_table(table, path, write_page_checksum=True, compression="none", use_dictionary=False)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"Query 5", b"Query 6", 1))
    with pytest.raises(InputError, match="cannot be read: .*CRC"):
        ms.load_pairs(path)


def test_rows_and_doubled_ids_are_gone_through_once(guestbook):
    """A hundred thousand pairs, the last two with one id: where each id was counted again, it took minutes."""
    pairs = [ms.PolarityPair("q", " a", " b", id=str(n)) for n in range(100_000)]
    began = time.process_time()
    with pytest.raises(InputError, match="Two pairs have the id '99999'"):
        ms.encode_pairs(guestbook, [*pairs, pairs[-1]])
    assert time.process_time() - began < 5


def test_foreign_words_are_shown_short_and_printable():
    assert shown("plain words, as they are") == "plain words, as they are"
    for text in ("\x1b]0;OWNED\x07", "\ud83d", "two\nlines", "long " * 1000, 7, None):
        assert shown(text).isprintable() and len(shown(text)) <= 80


def test_what_is_printed_of_pairs_is_short():
    assert repr(ms.load_pairs("guestbook/sentiment")) == "Pairs('guestbook/sentiment', 400 pairs in 72 groups)"
    assert (
        repr(PAIRS[0])
        == "PolarityPair(query='The day was', positive=' lovely.', negative=' awful.', id='a', group='days')"
    )
    assert len(repr(ms.PolarityPair("long " * 1000, "a" * 1000, "b" * 1000))) < 150


# From Python


def sources() -> dict[str, object]:
    import datasets

    return {
        "pairs": PAIRS,
        "a list of pairs": list(PAIRS),
        "a tuple of pairs": PAIRS.items,
        "mappings": ROWS,
        "a generator": iter(ROWS),
        "a data frame": pandas.DataFrame(ROWS),
        "a data frame of categories": pandas.DataFrame(ROWS).astype("category"),
        "a dataset": datasets.Dataset.from_list(ROWS),
    }


def test_the_same_pairs_load_equal_from_python():
    for kind, source in sources().items():
        assert ms.load_pairs(source) == PAIRS, kind


def test_tuples_are_query_positive_and_negative_or_two_whole_texts():
    three = ms.load_pairs([("The day was", " lovely.", " awful."), ["It is", " a.", " b."]])
    two = ms.load_pairs([("The day was lovely.", "The day was awful."), ("It is a.", "It is b.")])
    assert three == two
    assert three[0] == ms.PolarityPair("The day was", " lovely.", " awful.", id="0")


def test_columns_and_groups_are_chosen_in_python_as_in_files():
    frame = pandas.DataFrame(ROWS).rename(columns={"positive": "good", "group": "theme"})
    assert ms.load_pairs(frame, columns={"positive": "good"}, group="theme") == PAIRS


def message(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


@pytest.mark.parametrize("suffix", ["jsonl", "json", "parquet", None])
def test_message_lists_of_preference_data_are_pairs(suffix, tmp_path):
    """TRL's explicit and implicit prompts, and a plain prompt beside whole conversations."""
    asked, good, bad = message("user", "How is the soup?"), message("assistant", "Good."), message("assistant", "Bad.")
    explicit = {"prompt": [asked], "chosen": [good], "rejected": [bad]}
    implicit = {"chosen": [asked, good], "rejected": [asked, bad]}
    mixed = {"prompt": "How is the soup?", "chosen": [asked, good], "rejected": [asked, bad]}
    for row in (explicit, implicit, mixed):
        frame = pandas.DataFrame([row])
        path = tmp_path / f"pairs.{suffix}"
        match suffix:
            case "parquet":
                frame.to_parquet(path)
                assert ms.load_pairs(pandas.read_parquet(path)) == ms.load_pairs(path)
            case "jsonl" | "json":
                frame.to_json(path, orient="records", lines=suffix == "jsonl")
        pairs = ms.load_pairs(path if suffix else frame)
        assert pairs.items == (ms.PolarityPair("How is the soup?", "Good.", "Bad.", id="0"),)
    other = implicit | {"rejected": [message("user", "And the bread?"), bad]}
    with pytest.raises(InputError, match="two queries that differ"):
        ms.load_pairs([other])


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (7, "int came, which holds no rows"),
        (None, "NoneType came"),
        ([], "No rows came"),
        (pandas.DataFrame(), "No rows came"),
        ({"train": ROWS}, "A mapping came, of train, not rows"),
        ([("a",)], r"Row 0 \(from 0\) is of type tuple"),
        ([*ROWS, "text"], r"Row 2 \(from 0\) is of type str"),
        ([*PAIRS, ROWS[0]], r"Row 0 \(from 0\) is of type PolarityPair"),
        (pandas.DataFrame([[1, 2]], columns=["a", "a"]), "The table has a twice"),
        ([{"good": " a", "bad": " b"}], "The table holds 1 row with the columns good, bad, none of them known"),
        ([{"positive": " a", "negative": " \ud83d", "query": "q"}], "Row 0: The negative holds half"),
    ],
)
def test_what_is_no_table_of_pairs_is_described(source, sentence):
    with pytest.raises(InputError, match=sentence):
        ms.load_pairs(source)


def test_a_file_that_may_not_be_read_is_one_sentence(tmp_path, monkeypatch):
    (tmp_path / "a.jsonl").write_text("{}")
    monkeypatch.setattr(Path, "read_bytes", lambda path: os.open("/", os.O_WRONLY))
    with pytest.raises(InputError, match=r"a\.jsonl cannot be read: Is a directory"):
        ms.load_pairs(tmp_path / "a.jsonl")
