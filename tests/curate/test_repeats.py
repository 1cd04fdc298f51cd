"""Repeats, exact, near and in meaning: of those alike the best stays, whatever came first."""

from __future__ import annotations

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundling.curate import likeness
from groundling.curate.best import LONG, quality, ranked
from groundling.curate.filters import semantic
from groundling.errors import ConfigError
from groundling.records import Quote, Turn

from .world import NOTHING, Context, abstaining, example, kept, verdicts

REPEATS = ["duplicates", "near", "semantic"]
WORSE_TO_BETTER = [
    ({"score": 2.0, "answer": "25 days, as the handbook says"}, {"score": 4.0}),
    ({}, {"score": -3.0}),
    ({"quotes": [Quote(text="Staff have 26 days.", passage=0)], "answer": "25 DAYS now"}, {"answer": "25 days now"}),
    ({"quotes": [], "oracle": None, "support": "memory"}, {}),
    ({"answer": "25 days"}, {"answer": "25 days a year"}),
    ({"answer": "25 days " + "and more " * LONG}, {"answer": "25 days"}),
    ({"answer": "25 days " + "and more " * LONG}, {"answer": "25 days " + "and more " * (LONG - 1)}),
]


@pytest.mark.parametrize(("worse", "better"), WORSE_TO_BETTER)
def test_what_is_better(worse: dict, better: dict) -> None:
    assert quality(example(**better)) > quality(example(**worse))
    one, other = example(id="1", **worse), example(id="2", **better)
    assert ranked([one, other]) == [1, 0] and ranked([other, one]) == [0, 1]


def test_a_japanese_answer_is_as_long_as_it_reads() -> None:
    assert quality(example(answer="年次有給休暇は二十五日です")) > quality(example(answer="25 days a year, paid"))


def test_equals_are_told_apart_by_id_and_then_by_content() -> None:
    assert ranked([example(id="b"), example(id="a")]) == [1, 0]
    one, other = example(answer="25 days"), example(answer="26 days")
    assert ([one, other][ranked([one, other])[0]]) == ([other, one][ranked([other, one])[0]])


@pytest.mark.parametrize("name", REPEATS)
@pytest.mark.parametrize(("worse", "better"), [WORSE_TO_BETTER[0], WORSE_TO_BETTER[1], WORSE_TO_BETTER[2]])
def test_the_best_stays_and_not_the_first(name: str, worse: dict, better: dict) -> None:
    one, other = example(id="1", **worse), example(id="2", **better)
    options = {} if name == "duplicates" else {"of": "question"}
    for examples in ([one, other], [other, one]):
        assert kept(name, examples, **options) == ["2"]


@pytest.mark.parametrize("name", REPEATS)
def test_what_is_on_the_other_side_of_the_split_or_of_another_support_is_no_repeat(name: str) -> None:
    same = [example(id="1"), example(id="2", split="held_out", unit="b"), abstaining(id="3", unit="c")]
    assert kept(name, same) == ["1", "2", "3"]
    assert kept(name, [same[0], example(id="4")]) == ["1"], "and if they were not, one would go"


@pytest.mark.parametrize("name", REPEATS)
def test_the_same_words_after_another_conversation_are_another_question(name: str) -> None:
    def after(place: str) -> list[Turn]:
        return [Turn(question=f"I work in {place}. Who may help me with the forms and with everything else that there is?", answer="Kirsi.")]

    assert kept(name, [example(id="1", history=after("Tallinn")), example(id="2", history=after("Tartu"))]) == ["1", "2"]
    assert kept(name, [example(id="1", history=after("Tallinn")), example(id="2", history=after("TALLINN"))]) == ["1"]


@pytest.mark.parametrize("name", ["near", "semantic"])
def test_a_long_conversation_in_common_makes_no_repeat(name: str) -> None:
    history = [
        Turn(question=ENGLISH, answer="The people there get 28 days, and more of them after ten years, as all others in the Baltic countries do.")
    ]
    examples = [example(id=str(n), history=history, question=q, answer=a) for n, (q, a) in enumerate([("And Riga?", "27"), ("Who signs?", "Kirsi")])]
    assert kept(name, examples) == ["0", "1"]


def test_duplicates_are_of_a_passage_or_of_an_answer() -> None:
    told = verdicts(
        "duplicates",
        [
            example(id="1"), example(id="2", question=" how MANY  days?"), example(id="3", unit="b", answer="30 days"),
            example(id="4", unit="c", answer="25 Days"), example(id="5", question="How many nights?"), abstaining(id="6", unit="z"),
        ],
    )  # fmt: skip
    assert [t is None for t in told] == [True, False, True, False, True, True]


ENGLISH = "How many days of annual leave do the people in the Tallinn office get?"
JAPANESE = "タリン事務所の社員は年次有給休暇を一年に何日取得することができますか"


@pytest.mark.parametrize("options", [{"words": 0}, {"characters": 0}, {}], ids=["characters alone", "words alone", "both"])
@pytest.mark.parametrize(
    ("one", "alike", "other"),
    [
        (ENGLISH, ENGLISH.replace("people", "staff"), "Who approves a train ticket of the first class?"),
        (JAPANESE, JAPANESE.replace("できますか", "できるか"), "一等車の切符は誰が承認しますか"),
    ],
    ids=["English", "Japanese"],
)
def test_near_repeats_in_two_scripts_by_words_and_by_characters(one: str, alike: str, other: str, options: dict) -> None:
    examples = [example(id="1", question=one), example(id="2", question=alike, unit="b"), example(id="3", question=other)]
    assert kept("near", examples, threshold=0.7, of="question", **options) == ["1", "3"]
    assert kept("near", examples, threshold=0.98, of="question", **options) == ["1", "2", "3"]


@pytest.mark.parametrize("name", ["near", "semantic"])
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How much does the scale Katla 200 weigh with its battery in it?", "How much does the scale Katla 250 weigh with its battery in it?"),
        (JAPANESE.replace("一年", "二年"), JAPANESE),
    ],
)
def test_other_numbers_are_other_questions(name: str, one: str, other: str) -> None:
    examples = [example(id="1", question=one), example(id="2", question=other)]
    options = {"threshold": 0.8, "of": "question"}
    assert kept(name, examples, **options) == ["1", "2"]
    assert kept(name, examples, numbers=False, **options) == ["1"]


@pytest.mark.parametrize("name", ["near", "semantic"])
def test_that_both_abstain_makes_questions_no_more_alike(name: str) -> None:
    said = "This is not in the documents that were given to me, so that I cannot tell you anything about it, however much I would like to."
    examples = [abstaining(id="1", question="Who runs it?", answer=said), abstaining(id="2", question="Who owns it?", answer=said)]
    assert kept(name, examples) == ["1", "2"]
    assert kept(name, [example(id=e.id, question=e.question, answer=e.answer, support="memory") for e in examples]) == ["1"]


def test_a_text_without_a_letter_is_like_no_other() -> None:
    examples = [example(id=str(n), question=q, answer=q) for n, q in enumerate(["???", "!!!", ""])]
    assert kept("near", examples) == ["0", "1", "2"]


@settings(max_examples=30)
@given(st.integers(0, 1000), st.sampled_from([0.5, 0.65, 0.8, 0.9, 1.0]))
def test_every_pair_called_alike_is_and_almost_all_that_are_are_found(seed: int, threshold: float) -> None:
    """Against comparing each with each."""
    r = numpy.random.default_rng(seed)
    base = r.integers(0, 400, 60)
    texts = []
    for _ in range(12):
        words = base.copy()
        words[r.random(60) < r.choice([0.0, 0.02, 0.05, 0.2])] = r.integers(400, 800)
        texts.append(" ".join(f"w{w}" for w in words))
    alike = likeness.Alike(texts, [0] * 12, threshold)
    found, there = set(), set()
    for n in range(1, 12):
        lone = likeness.Alike([texts[0], texts[n]], [0, 0], threshold)
        lone.add(0)
        if lone.near(1) is not None:
            found.add(n)
        views = [(likeness.of_words, 2), (likeness.of_characters, 4)]
        if max(likeness.share(make(texts[0], size), make(texts[n], size)) for make, size in views) >= threshold:
            there.add(n)
    assert found <= there
    assert len(there - found) <= 1
    alike.add(0)
    assert {n for n in range(1, 12) if alike.near(n) == 0} == found, "the others in the list change nothing"


def test_a_crowd_of_half_alike_texts_costs_no_more_for_each_the_more_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = "What must an employee of the office in {} do before a business trip to another country that lasts long?"
    texts = [asked.format(f"{n * 7919:05x}") for n in range(500)]
    alike, counted = likeness.Alike(texts, [0] * 500, 0.95), []
    monkeypatch.setattr(likeness, "share", lambda one, other: counted.append(1) or 0.0)
    for n in range(499):
        alike.add(n)
    assert max(map(len, alike._kept.values())) == likeness.CROWDED
    assert alike.near(499) is None and 0 < len(counted) <= 2 * likeness.CHECKED


def test_a_pair_at_the_threshold_meets_almost_always_and_one_far_below_it_seldom() -> None:
    for threshold in (0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0):
        rows = likeness.rows_of(threshold)
        bands = likeness.HASHES // rows
        assert 1 - (1 - threshold**rows) ** bands >= likeness.FOUND
    assert 1 - (1 - 0.3 ** likeness.rows_of(0.8)) ** (likeness.HASHES // likeness.rows_of(0.8)) < 0.15


@pytest.mark.parametrize(("common", "least", "most"), [(60, 0.0, 0.15), (160, 0.95, 1.0)], ids=["0.3", "0.8"])
def test_how_many_pairs_really_meet_in_a_bucket(common: int, least: float, most: float) -> None:
    own = (200 - common) // 2
    texts = []
    for n in range(100):
        words = [f"p{n}w{k}" for k in range(200)]
        texts += [" ".join(words[: common + own]), " ".join(words[:common] + words[common + own :])]
    buckets = likeness.Alike(texts, [0] * 200, 0.8, words=1, characters=0)._buckets
    met = [bool(((buckets[n] == buckets[n + 1]) & (buckets[n] >= 0)).any()) for n in range(0, 200, 2)]
    assert least <= sum(met) / 100 <= most


def test_the_least_hashes_agree_as_often_as_the_runs_are_shared() -> None:
    """The law that buckets rest on (Broder): the share of equal least hashes estimates the share of runs in common."""
    r = numpy.random.default_rng(5)
    off = []
    for _ in range(200):
        pool = numpy.unique(likeness._mixed(r.integers(0, 2**32, 300).astype(numpy.uint32)))
        one, other = pool[:200], pool[60:]
        agree = (likeness._signature(one) == likeness._signature(other)).mean()
        off.append(agree - likeness.share(one, other))
    assert abs(numpy.mean(off)) < 0.02 and numpy.std(off) < 0.09


def fixed(vectors: dict[str, tuple[float, float]]) -> Context:
    def embed(texts):
        rows = numpy.array([vectors[t] for t in texts], "float32")
        return rows / numpy.linalg.norm(rows, axis=1, keepdims=True)

    return NOTHING._replace(embed=embed)


def test_semantic_repeats_are_those_at_the_threshold_and_a_repeat_of_a_dropped_one_stays() -> None:
    # Angles of 0, 20 and 40 degrees: each is near its neighbour only (cosine of 20 degrees is 0.94, of 40 is 0.77).
    turn = {q: (float(numpy.cos(numpy.radians(a))), float(numpy.sin(numpy.radians(a)))) for q, a in (("A", 0), ("B", 20), ("C", 40))}
    examples = [example(id=q, question=q, score=score) for q, score in (("C", 1.0), ("B", 2.0), ("A", 3.0))]
    assert kept("semantic", examples, fixed(turn), of="question") == ["A", "C"]
    assert verdicts("semantic", examples, fixed(turn), of="question")[1] == "means the same as a better one"
    assert kept("semantic", examples, fixed(turn), of="question", threshold=0.95) == ["A", "B", "C"]
    assert kept("semantic", examples, fixed(turn), of="question", threshold=0.7) == ["A"]


@given(st.integers(0, 10_000), st.integers(1, 40))
def test_semantic_in_blocks_is_what_it_is_at_once(seed: int, block: int) -> None:
    r = numpy.random.default_rng(seed)
    rows = r.normal(size=(60, 3)).astype("float32")
    rows /= numpy.linalg.norm(rows, axis=1, keepdims=True)
    expected: list[int] = []
    for n in range(60):
        if all(float(rows[n] @ rows[k]) < 0.9 for k in expected):
            expected.append(n)
    was, semantic.BLOCK = semantic.BLOCK, block
    try:
        told = semantic._first_of_kind(rows, 0.9)
    finally:
        semantic.BLOCK = was
    assert [n for n, stays in enumerate(told) if stays] == expected and len(expected) < 60


def test_semantic_without_a_model_is_a_sentence() -> None:
    with pytest.raises(ConfigError, match="needs an embedding model: set index.model"):
        verdicts("semantic", [example()], Context(questions=[]))
