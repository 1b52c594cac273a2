"""Texts of one side each: matched into pairs by rules that are told, and learned from as what they are."""

from collections import Counter

import numpy as np
import pytest
import torch
from test_losses import plain_loss

import mechsteer as ms
from mechsteer import InputError
from mechsteer.pairs.checks import check_pairs
from mechsteer.pairs.matching import matched
from mechsteer.pairs.reading import label_of

AXBENCH = "data/axbench/concept10/prod_2b_l20_v1/generate/train_data.parquet"


def rows(
    n: int = 6, concept: object = 3, genre: str = "text", n_negative: int | None = None, mark: str = "."
) -> list[dict]:
    """As AxBench writes them: one text of either side answers the same input."""
    about = {"concept_genre": genre, "output_concept": "ships"}
    positive = [
        {"input": f"Q{i}?", "output": f"A ship{'s' * i}{mark}", "category": "positive", "concept_id": concept} | about
        for i in range(n)
    ]
    negative = [
        {
            "input": f"Q{i}?" if i == 0 else f"R{i}?",
            "output": f"No{'o' * i}{mark}",
            "category": "negative",
            "concept_id": -1,
        }
        | about
        for i in range(n if n_negative is None else n_negative)
    ]
    return [*positive, *negative]


def test_texts_that_answer_one_input_are_a_pair_and_the_rest_are_matched_by_length_within_their_genre():
    table = [*rows(), *rows(5, 3, "code", mark="!")]
    pairs = ms.load_pairs(table)
    same = [pair for pair in pairs if not pair.is_matched]
    assert len(pairs) == 11 and [pair.query for pair in same] == ["Q0?"] * 2 and same[0].negative_query is None
    for pair in pairs:
        assert any(row["input"] == pair.query and row["output"] == pair.positive for row in table)
        assert pair.positive[-1] == pair.negative[-1], "of one genre"
        assert not pair.is_matched or len(pair.positive) - len("A ship.") == len(pair.negative) - len("No.")
    assert Counter(pair.negative for pair in pairs) == Counter(
        row["output"] for row in table if row["category"] == "negative"
    ), "each text once"


def test_one_concept_is_chosen_by_its_name_and_what_is_for_others_is_not_against_it(tmp_path):
    import pandas as pd

    own = [
        row | {"category": "negative", "concept_id": 4, "output": f"Other {n}."} for n, row in enumerate(rows(3)[:3])
    ]
    table = [*rows(), *(row | {"concept_id": 4} for row in rows()[:6]), *own]
    path = tmp_path / "train.parquet"
    pd.DataFrame(table).to_parquet(path)
    pairs = ms.load_pairs(f"{path}#3")
    assert (pairs.name, label_of(f"{path}#3"), len(pairs)) == ("train-3", "train-3", 6)
    assert not any(pair.negative.startswith("Other") for pair in pairs)
    with pytest.warns(UserWarning, match="3 texts have no match"):
        assert any(pair.negative.startswith("Other") for pair in ms.load_pairs(f"{path}#4"))
    for asked, sentence in (
        ("", "texts for 2 concepts. Name one as FILE#CONCEPT, of 3 .ships., 4"),
        ("#7", "no texts for the concept '7'"),
    ):
        with pytest.raises(InputError, match=sentence):
            ms.load_pairs(f"{path}{asked}")
    plain = ms.save_pairs(pairs, tmp_path / "plain.jsonl")
    assert ms.load_pairs(plain) == pairs and ms.load_pairs(plain).fingerprint == pairs.fingerprint
    with pytest.raises(InputError, match="holds pairs of one concept. Leave out '#3'"):
        ms.load_pairs(f"{plain}#3")


def test_columns_of_any_name_are_matched_when_they_are_named():
    table = [{"ask": row["input"], "said": row["output"], "kind": row["category"]} for row in rows()]
    found = ms.load_pairs(table, columns={"query": "ask", "completion": "said", "side": "kind"})
    assert found.items == ms.load_pairs(rows()).items


def test_where_one_side_has_more_texts_some_are_drawn_and_the_rest_is_told():
    columns = {
        "query": "input",
        "completion": "output",
        "side": "category",
        "concept": "concept_id",
        "genre": "concept_genre",
    }
    table = rows(4, n_negative=9)
    with pytest.warns(UserWarning, match="The table: 5 texts have no match on the other side and are left out"):
        drawn = [matched(table, columns, "", "The table", seed=seed) for seed in (0, 0, 1)]
    assert len(drawn[0]) == 4 and drawn[0] == drawn[1] != drawn[2]


def test_every_concept_of_axbench_is_read_and_says_how_its_texts_were_matched(shared):
    same = [4, 5, 4, 6, 9, 4, 6, 3, 8, 4]
    for concept, n_same in enumerate(same):
        pairs = ms.load_pairs(f"{shared / AXBENCH}#{concept}")
        assert len(pairs) == 72 and sum(not pair.is_matched for pair in pairs) == n_same
    checked = check_pairs(pairs, prompt_format="chat")
    told = next(finding for finding in checked.findings if finding.kind == "matched")
    assert (
        told.found.startswith("68 of 72 pairs of train_data-9 are texts that answer different queries")
        and not told.refused
    )
    sides = [{query for pair in side for query in pair.queries} for side in (checked.learning, checked.testing)]
    assert not sides[0] & sides[1]


def test_pairs_with_two_queries_are_swapped_asked_and_compared_by_all_that_they_say():
    pairs = ms.load_pairs(rows())
    other = pairs.swapped()
    assert [pair.queries[::-1] for pair in other] == [pair.queries for pair in pairs] and other.swapped() == pairs
    from mechsteer.pairs.asking import Asking

    asked = Asking("Against: {query}", "For: {query}").of("positive", pairs)
    assert [pair.queries for pair in asked] == [tuple(f"For: {query}" for query in pair.queries) for pair in pairs]
    twice = ms.Pairs((*pairs, *pairs), "twice")
    assert twice.distinct() == pairs


# Under a model


@pytest.fixture(scope="module")
def told() -> ms.Pairs:
    said = [
        ("Once upon a time, there was a dog.", " He was happy.", "Lily had a red ball.", " She was very sad that day."),
        ("The sun was up.", " Tom smiled and ran.", "Mom made a big cake for Ben.", " Ben cried."),
        ("One day a cat sat down.", " It was glad.", None, " It was mad at the bird."),
    ]
    return ms.Pairs(
        tuple(ms.PolarityPair(q, p, n, id=str(i), negative_query=other) for i, (q, p, other, n) in enumerate(said)),
        "told",
    )


def test_each_completion_is_measured_after_its_own_query_as_plain_hugging_face_does(stories, told):
    tokenizer = stories.require_tokenizer()
    sweep = ms.run_sweep(
        stories, ms.SteeringVector(ms.Site(1, "resid_post"), torch.ones(64)), told, [0.0, 1.0], progress=False
    )
    for column, pair in enumerate(told):
        for query, text, losses in zip(
            pair.queries, pair.texts[2:], (sweep.loss_positive, sweep.loss_negative), strict=True
        ):
            ids, begin = tokenizer(query + text)["input_ids"], len(tokenizer(query)["input_ids"])
            assert losses[0, column] == pytest.approx(plain_loss(stories.hf, ids, begin), abs=1e-4)
    assert (sweep.tokens_positive > 0).all() and (sweep.loss_positive[0] != sweep.loss_positive[1]).all()


def test_diff_mean_is_the_difference_of_either_side_s_own_mean_however_they_are_matched(stories, told):
    """By hooks of plain Hugging Face; and the same where other texts are matched with each other."""
    seen: list[torch.Tensor] = []
    hook = stories.hf.model.layers[1].register_forward_hook(
        lambda module, args, output: seen.append(output[0] if isinstance(output, tuple) else output)
    )
    tokenizer, sums = stories.require_tokenizer(), []
    for side in (0, 1):
        kept = []
        for pair in told:
            query, text = pair.queries[side], pair.texts[2 + side]
            with torch.no_grad():
                stories.hf(torch.tensor([tokenizer(query + text)["input_ids"]]))
            kept.append(seen.pop().reshape(-1, 64)[len(tokenizer(query)["input_ids"]) :])
        sums.append(torch.cat(kept).double().mean(dim=0))
    hook.remove()
    found = ms.diff_mean(stories, told, "1:resid_post").direction
    np.testing.assert_allclose(found, (sums[0] - sums[1]).float(), atol=1e-4)
    one, two, three = told
    others = [(one, two), (two, three), (three, one)]
    again = ms.Pairs(
        tuple(
            ms.PolarityPair(a.query, a.positive, b.negative, id=a.id, negative_query=b.queries[1]) for a, b in others
        ), "matched otherwise",
    )  # fmt: skip
    np.testing.assert_allclose(ms.diff_mean(stories, again, "1:resid_post").direction, found, atol=1e-5)


def test_sft_teaches_positive_texts_at_plus_m_and_negative_ones_at_minus_m_each_after_its_own_query(stories, told):
    """Its losses in a step are those of the texts' own queries, whoever is matched with them."""
    from mechsteer.methods.teaching import Teaching
    from mechsteer.models.prompts import encode_pairs, encode_prompt

    steer = ms.SteeringVector(ms.Site(1, "resid_post"), torch.randn(64, generator=torch.Generator().manual_seed(0)))
    teaching = Teaching.read(stories, encode_pairs(stories, told), steer)
    for m, side in ((1.0, 0), (-1.0, 1)):
        with teaching.losses(steer, torch.arange(3), torch.full((2, 3), m), "all") as losses:
            per_token = ms.SFT()(losses).item()
        alone = []
        for pair in told:
            query, text = pair.queries[side], pair.texts[2 + side]
            with ms.steer(stories, steer, m):
                ids, begin = encode_prompt(stories, query + text), len(encode_prompt(stories, query))
                alone.append(plain_loss(stories.hf, ids, begin) / (len(ids) - begin))
        assert per_token == pytest.approx(np.mean(alone), abs=1e-4)
