"""What pairs can have wrong with them, found before anything is computed: what came, and what to do."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from ..errors import InputError, shown
from .polarity import Pairs, PolarityPair

FEWEST = 4
"""Distinct pairs on each side: of fewer, no resampling says how far their mean may be off."""
FEW = 30
"""Below so many measured pairs, percentile intervals cover noticeably less than they say."""
ALMOST_ALL = 0.9
"""A word that begins so many of one side's completions, and as few of the other's, tells the side without being read."""
LONGER = 1.2
"""Losses are sums over tokens, so a fifth more text is about a fifth more nats, whatever the text says."""
COPIES_COUNT_ONCE = "Each counts once: give distinct pairs in the place of copies."
SELDOM = 0.01
"""Of both answers to choose from together: where a model gives them so seldom, their odds say little of what it does."""


@dataclass(frozen=True)
class Finding:
    """Something wrong with pairs, and what to do; where it is `refused`, results would mean nothing."""

    kind: str
    found: str
    advice: str
    refused: bool = False
    groups: tuple[str, ...] = ()
    """Columns that could say which pairs are alike."""

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON, without columns where there are none."""
        of = {"kind": self.kind, "found": self.found, "advice": self.advice, "refused": self.refused}
        return of | ({"groups": list(self.groups)} if self.groups else {})

    def __str__(self) -> str:
        return f"{self.found} {self.advice}".strip()


@dataclass(frozen=True)
class Checked:
    """Pairs to learn from and pairs to measure, distinct and apart, and what was found of them."""

    learning: Pairs
    testing: Pairs
    findings: tuple[Finding, ...]


def accept(findings: Iterable[Finding]) -> list[Finding]:
    """The findings, where none says that results would mean nothing; else its sentence."""
    found = []
    for finding in findings:
        if finding.refused:
            raise InputError(str(finding))
        found.append(finding)
    return found


def check_pairs(pairs: Pairs, test_pairs: Pairs | None = None, *, seed: int = 0, prompt_format: str = "raw") -> Checked:
    """What a study would learn from and measure, and what is wrong with it; one set of pairs is split in halves."""
    findings = [finding for some in (pairs, test_pairs) if some is not None for finding in _of_set(some, prompt_format)]
    learning, testing = pairs.distinct(), pairs.distinct() if test_pairs is None else test_pairs.distinct()
    if test_pairs is None:
        if len(learning) < 2 * FEWEST:
            findings.append(_too_few(pairs, 2 * FEWEST, "a study splits them and needs at least eight"))
        else:
            learning, testing = learning.split(0.5, seed=seed)
    if not any(finding.refused for finding in findings):
        findings += _of_sides(learning, testing, is_split=test_pairs is None)
    return Checked(learning, testing, tuple(findings))


def check_losses(
    positive: Float[ndarray, " pairs"],
    negative: Float[ndarray, " pairs"],
    *,
    are_answers: bool = False,
    of: str = "pairs",
) -> Iterator[Finding]:
    """Whether an unsteered model leans to one side, and gives answers at all that it is to choose from; losses in nats, and `of`
    what they are told to be."""
    given = float(np.median(np.exp(-np.asarray(positive, float)) + np.exp(-np.asarray(negative, float))))
    if are_answers and given < SELDOM:
        yield Finding(
            "seldom",
            f"Unsteered, the model gives both answers together a probability of {given:.1g} (median).",
            "It would say something else: ask for one of the answers alone, by a system message or a cue.",
        )
    preference = np.asarray(negative, float) - np.asarray(positive, float)
    mean, leaning = float(preference.mean()), float(np.mean(preference * np.sign(preference.mean()) > 0))
    if leaning >= ALMOST_ALL and len(preference) >= FEWEST:
        yield Finding(
            "losses",
            f"Unsteered, the model prefers the {'positive' if mean > 0 else 'negative'} completion in {leaning:.0%} of the "
            f"{of}, by {abs(mean):.1f} nats in the mean.",
            "Read preference as a change from m = 0, or write completions that are likely alike.",
        )


def _of_set(pairs: Pairs, prompt_format: str) -> Iterator[Finding]:
    """What is wrong with one set of pairs, by its texts."""
    name, n = pairs.name, len(pairs)
    ids = Counter(pair.id for pair in pairs if pair.id)
    if doubled := [label for label, count in ids.items() if count > 1]:
        yield Finding(
            "ids",
            f"Two pairs have the id {shown(doubled[0])!r}, both of {name}.",
            "Give each an id of its own, or none.",
            True,
        )
    if n_copies := n - len(pairs.distinct()):
        yield Finding("copies", f"{n_copies} of {n} pairs of {name} are copies of others.", COPIES_COUNT_ONCE)
    both_ways = Counter(frozenset(_sides(pair)) for pair in pairs.distinct())
    if against := sum(count > 1 for count in both_ways.values()):
        yield Finding(
            "contradictions",
            f"{against} pair{'s' * (against > 1)} of {name} stand there both ways around, so that one denies the other.",
            "Keep the one that is meant.",
        )
    if matched := sum(pair.is_matched for pair in pairs):
        yield Finding(
            "matched",
            f"{matched} of {n} pairs of {name} are texts that answer different queries, matched by their length.",
            "Read their preference as a change from m = 0; what holds one text against the other learns from chance matches.",
        )
    if alike := sum(_letters(pair.positive) == _letters(pair.negative) for pair in pairs):
        yield Finding(
            "halves",
            f"In {alike} of {n} pairs of {name} the completions differ in nothing but spaces or capitals.",
            "If that is not the concept, mend them.",
        )
    if prompt_format == "raw" and (glued := [pair for pair in pairs if _is_glued(pair)]):
        query, completion = next(both for both in _sides(glued[0]) if _runs_on(*both))
        example = query[-12:] + completion[:12]
        yield Finding(
            "spaces",
            f"In {len(glued)} of {n} pairs of {name} no space parts query and completion, as in {shown(example)!r}.",
            "Begin completions with a space, or use the format chat.",
        )
    lengths = np.array([[len(pair.positive), len(pair.negative)] for pair in pairs]).mean(axis=0)
    if max(lengths) > LONGER * min(lengths):
        side = ("positive", "negative")[int(lengths.argmax())]
        yield Finding(
            "lengths",
            f"The {side} completions of {name} are {max(lengths) / min(lengths):.1f} times as long as the others, "
            f"{max(lengths):.0f} and {min(lengths):.0f} letters in the mean, and longer texts are less likely.",
            "Write both alike in length.",
        )
    yield from _answers(pairs)
    if pairs.group_columns:
        columns = " or ".join(f"--group {shown(column)}" for column in pairs.group_columns[:3])
        yield Finding(
            "group",
            f"No column says which of the {n} pairs of {name} are alike, but there is one that could.",
            f"Add {columns}.",
            groups=tuple(pairs.group_columns),
        )


def _answers(pairs: Pairs) -> Iterator[Finding]:
    """A first word that carries the side."""
    if len(pairs) < FEWEST:
        return
    firsts = {side: Counter(_first_word(getattr(pair, side)) for pair in pairs) for side in ("positive", "negative")}
    for side, other in (("positive", "negative"), ("negative", "positive")):
        word, count = firsts[side].most_common(1)[0]
        if word and count >= ALMOST_ALL * len(pairs) and firsts[other][word] <= (1 - ALMOST_ALL) * len(pairs):
            yield Finding(
                "answers",
                f"{count / len(pairs):.0%} of the {side} completions of {pairs.name} begin with {shown(word)!r}, and "
                f"{firsts[other][word] / len(pairs):.0%} of the others.",
                "A steer may learn the word and not the concept: let each answer stand on both sides.",
            )
            return


def _of_sides(learning: Pairs, testing: Pairs, *, is_split: bool) -> Iterator[Finding]:
    """What is wrong between pairs that teach and pairs that are measured."""
    taught = {pair.texts for pair in learning}
    if seen := sum(pair.texts in taught for pair in testing):
        yield Finding(
            "learned",
            f"{seen} of {len(testing)} pairs of {testing.name}, which are to be measured, are learned from.",
            "Leave them out, or give one file, which a study splits.",
            True,
        )
        return
    for some, use in ((learning, "to learn from"), (testing, "to measure")):
        if len(some) < FEWEST:
            yield _too_few(some, FEWEST, f"{FEWEST} are needed {use}")
    if FEWEST <= len(testing) < FEW:
        yield Finding(
            "few",
            f"{len(testing)} distinct pairs are measured, so intervals are wide, and cover less than they say.",
            f"Give {FEW} or more.",
        )
    common = {"query": "a prompt that all share", "completion": "answers to choose from"}
    for what, texts in (("query", _queries), ("completion", _completions)):
        known = {text for pair in learning for text in texts(pair)}
        shared = Counter(text for pair in testing for text in known.intersection(texts(pair)))
        n_shared = sum(bool(known.intersection(texts(pair))) for pair in testing)
        if n_shared:
            by_count = sorted(shared.items(), key=lambda item: (-item[1], item[0]))
            often = ", ".join(repr(shown(text, 30)) for text, _ in by_count[:2])
            yield Finding(
                f"equal {what}",
                f"{n_shared} of {len(testing)} measured pairs have a {what} that is learned from too, such as {often}.",
                f"They are taken for {common[what]}, which every side needs; if they are not, write others for each pair."
                if is_split
                else f"Unless they are {common[what]}, measure other pairs.",
            )


def _too_few(pairs: Pairs, needed: int, why: str) -> Finding:
    n = len(pairs.distinct())
    found = f"{pairs.name} holds {n} distinct pair{'s' * (n != 1)}; {why}."
    return Finding("too few", found, f"Give {needed} or more.", True)


def _queries(pair: PolarityPair) -> set[str]:
    return {query.strip() for query in pair.queries} - {""}


def _completions(pair: PolarityPair) -> set[str]:
    return {pair.positive.strip(), pair.negative.strip()}


def _letters(text: str) -> str:
    return "".join(text.split()).casefold()


def _first_word(text: str) -> str:
    return next(iter(re.findall(r"\w+", text)), "")


def _is_glued(pair: PolarityPair) -> bool:
    """Whether a query runs into its completion."""
    return any(_runs_on(*both) for both in _sides(pair))


def _sides(pair: PolarityPair) -> Iterator[tuple[str, str]]:
    """A query and its completion, the positive one first."""
    return zip(pair.texts[:2], pair.texts[2:], strict=True)


def _runs_on(query: str, completion: str) -> bool:
    """A word after another, or after a sign that a space follows."""
    return (_is_word(query[-1:]) or query.endswith(tuple(".,;:!?"))) and _is_word(completion[0])


def _is_word(letter: str) -> bool:
    """Letters without capitals belong to scripts that may write without spaces."""
    return letter.isdigit() or letter.lower() != letter.upper()
