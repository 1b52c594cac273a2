"""Files of pairs for tests and `benchmarks/fuzz.py`: rows, how they are written, and what must be read of them."""

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
from hypothesis import strategies as st

NAMES = {
    "query": ("query", "question", "input", "prompt"),
    "positive": ("positive", "matching", "answer_matching_behavior", "winning_output", "chosen"),
    "negative": ("negative", "not_matching", "answer_not_matching_behavior", "losing_output", "rejected"),
    "id": ("id", "pair_id", "row_id", "uid", "idx"),
    "group": ("group", "topic", "template"),
}
"""Of columns, as the field calls them."""
TEXTS = ("query", "positive", "negative")
FORMATS = (".jsonl", ".json", ".csv", ".tsv", ".parquet")
BOMB = 2**27

PIECES = (
    "a", "b", "Yes", "No", " ", "  ", "\n", "\r\n", "\r", "\t", '"', '""', "'", ",", ";", "|", "\\", "\\n", "\\ud83d", "{", "}",
    "[", "]", "None", "NA", "nan", "null", "3", "1e400", "(A)", "é", "😀", "語", "\u2028", "\x85", "\ufeff", "\x1b[31m", "\x00",
    "\x07", "=1+1", "#", "%", "</s>",
)  # fmt: skip
texts = st.lists(st.sampled_from(PIECES), max_size=6).map("".join)
halves = st.tuples(texts, st.sampled_from(["\ud83d", "\udc00"]), texts).map("".join)
labels = st.sampled_from(["a", "b", "topic 1", "é", "0", "NA"])
file_names = st.sampled_from(
    ["pairs", "two words", "-o", "é😀", "a.b", "new\nline", "\x1b[31m", "%s{0}", "'quoted\"", "\udcff"]
)


@dataclass(frozen=True)
class PairFile:
    """A file's name and bytes; the texts, id and group of each row; and the word that says why it must be refused."""

    name: str
    content: bytes
    rows: tuple[dict[str, str], ...]
    refused: str = ""
    is_damaged: bool = False
    """Bytes are lost or changed, which not every format notices."""
    is_whole: bool = False
    """The rows' completions are whole texts, and where to cut them is for the reader to find."""

    def holds(self, pairs: Sequence) -> bool:
        """Whether these are the file's pairs."""
        read = [{name: getattr(pair, name) for name in NAMES} for pair in pairs]
        if self.is_whole:
            read = [
                row
                | {"query": "", "positive": row["query"] + row["positive"], "negative": row["query"] + row["negative"]}
                for row in read
            ]
        return read == list(self.rows)


def is_pair(row: dict[str, str]) -> bool:
    """Whether the texts are characters, and completions that say something and exclude each other."""
    one, other = row["positive"], row["negative"]
    whole = not any("\ud800" <= letter <= "\udfff" for text in row.values() for letter in text)
    return whole and bool(one.strip() and other.strip()) and one[: len(other)] != other and other[: len(one)] != one


Table = Sequence[tuple[str, Sequence[Any]]]
"""Columns with their cells; a name may stand there twice."""
MESSAGES = pyarrow.list_(pyarrow.struct({"role": pyarrow.string(), "content": pyarrow.string()}))


def _json_row(table: Table, row: int, ascii_only: bool) -> str:
    items = (f"{json.dumps(name)}: {json.dumps(cells[row], ensure_ascii=ascii_only)}" for name, cells in table)
    return "{" + ", ".join(items) + "}"


def _lines(table: Table, ascii_only: bool) -> list[str]:
    return [_json_row(table, row, ascii_only) for row in range(len(table[0][1]))]


def _separated(table: Table, separator: str) -> bytes:
    page = io.StringIO()
    rows = [[name for name, _ in table], *zip(*(cells for _, cells in table), strict=True)]
    csv.writer(page, delimiter=separator, quoting=csv.QUOTE_ALL).writerows(rows)
    return page.getvalue().encode("utf-8", "surrogatepass")


def _parquet(table: Table) -> bytes:
    arrays = [pyarrow.array(cells, pyarrow.string() if isinstance(cells[0], str) else MESSAGES) for _, cells in table]
    page = io.BytesIO()
    written = pyarrow.Table.from_arrays(arrays, names=[name for name, _ in table])
    pyarrow.parquet.write_table(written, page, compression="zstd", write_page_checksum=True)
    return page.getvalue()


WRITERS: dict[str, Callable[[Table, bool], bytes]] = {
    ".jsonl": lambda table, ascii_only: "\n".join(_lines(table, ascii_only)).encode("utf-8", "surrogatepass"),
    ".json": lambda table, ascii_only: f"[{','.join(_lines(table, ascii_only))}]".encode("utf-8", "surrogatepass"),
    ".csv": lambda table, ascii_only: _separated(table, ","),
    ".tsv": lambda table, ascii_only: _separated(table, "\t"),
    ".parquet": lambda table, ascii_only: _parquet(table),
}
FAULTS = ("doubled name", "half a surrogate pair", "too deep", "bomb", "damaged", "a long cell", "no columns")


@st.composite
def pair_files(draw: st.DrawFn) -> PairFile:
    """Two of three files are as their formats want them; the others have one fault."""
    suffix, n_rows = draw(st.sampled_from(FORMATS)), draw(st.integers(1, 4))
    fault = draw(st.sampled_from(FAULTS)) if draw(st.integers(0, 2)) == 0 else ""
    rows = [{name: draw(texts) for name in TEXTS} | {"id": str(number), "group": ""} for number in range(n_rows)]
    shape = draw(st.sampled_from(["columns", "columns", "whole texts", "messages"]))
    if shape == "whole texts" or draw(st.booleans()):  # that they are pairs is not left to chance
        rows = [row | {"positive": f"{row['positive']}+", "negative": f"{row['negative']}-"} for row in rows]
    optional = [name for name in ("id", "group") if draw(st.booleans())]
    for row in rows:
        row.update({name: draw(labels) for name in optional})
    if fault == "a long cell":
        rows[-1]["query"] = draw(texts) + "long " * draw(st.integers(30_000, 60_000))
    if fault == "half a surrogate pair":
        rows[-1][draw(st.sampled_from((*TEXTS, *optional)))] = draw(halves)
    if shape == "whole texts":
        rows = [row | {"query": "", **{name: f"Say {row['query']}{row[name]}" for name in TEXTS[1:]}} for row in rows]
    names = (*TEXTS[shape == "whole texts" :], *optional)
    table = [(draw(st.sampled_from(NAMES[name])), [row[name] for row in rows]) for name in names]
    if shape == "messages" and suffix not in (".csv", ".tsv"):
        roles = ("user", "assistant", "assistant")
        table[:3] = [
            (name, [[{"role": role, "content": text}] for text in cells])
            for role, (name, cells) in zip(roles, table[:3], strict=True)
        ]
    if draw(st.booleans()):
        table.append(("unrelated", [draw(texts) for _ in rows]))
    refused = "" if all(map(is_pair, rows)) else "no pairs"
    if fault == "doubled name":
        table.append((table[0][0], table[1][1]))
        refused = "twice"
    if fault == "no columns":
        table = [(f"{draw(texts)}{number}", cells) for number, (_, cells) in enumerate(table)]
        refused = "completion"
    try:
        content = WRITERS[suffix](table, draw(st.booleans()))
    except UnicodeEncodeError:  # parquet has no way of writing half a surrogate pair
        return PairFile(f"empty{suffix}", b"", (), "is empty")
    if suffix in (".csv", ".tsv") and b"\xed" in content or suffix.startswith(".json") and _has_halves(content):
        refused = "UTF-8"
    if fault == "too deep" and suffix.startswith(".json"):
        content, refused = b"[" * draw(st.integers(5_000, 100_000)), "too deep"
    if fault == "bomb" and suffix == ".parquet":
        content, refused = _bomb(draw(st.booleans())), "unpack"
    damaged = fault == "damaged"
    if damaged:
        at = draw(st.integers(0, len(content) - 1))
        changed = draw(st.sampled_from([b"", bytes([content[at] ^ draw(st.integers(1, 255))]) + content[at + 1 :]]))
        content = content[:at] + changed
    return PairFile(draw(file_names) + suffix, content, tuple(rows), refused, damaged, shape == "whole texts")


def _has_halves(content: bytes) -> bool:
    """Whether half a surrogate pair stands there as bytes, which are not UTF-8, rather than escaped."""
    try:
        content.decode()
    except UnicodeDecodeError:
        return True
    return False


_bombs: dict[bool, bytes] = {}


def _bomb(by_dictionary: bool) -> bytes:
    """A parquet of a few kilobytes that holds a hundred megabytes: in long cells, or in one cell many times."""
    if by_dictionary not in _bombs:
        text = "x" * 2**13
        cells = (
            pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * (BOMB // len(text)), pyarrow.int32()), [text])
            if by_dictionary
            else pyarrow.array(["x" * (BOMB // 2)] * 2)
        )
        page = io.BytesIO()
        pyarrow.parquet.write_table(pyarrow.table({name: cells for name in TEXTS}), page, compression="zstd")
        _bombs[by_dictionary] = page.getvalue()
    return _bombs[by_dictionary]


def check(file: PairFile, folder: Path) -> str:
    """Load the file: "loaded" if its pairs are the rows, "refused" if one sentence says what is wrong; else it fails."""
    from mechsteer.errors import InputError
    from mechsteer.pairs.reading import load_pairs

    path = folder / file.name
    path.write_bytes(file.content)
    try:
        loaded = load_pairs(path)
    except InputError as error:
        assert file.refused or file.is_damaged, f"refused: {error}"
        sentence = str(error)
        assert file.is_damaged or file.refused in sentence, sentence
        assert sentence.isprintable() and len(sentence) < 2000, f"not one sentence: {sentence!r}"
        return "refused"
    finally:
        path.unlink()
    assert file.is_damaged or not file.refused, f"loaded, though it must be refused: {file.refused}"
    assert file.is_damaged or file.holds(loaded), "changed in silence"
    assert loaded.fingerprint and repr(loaded).isprintable()
    return "loaded"
