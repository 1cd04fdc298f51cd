"""RAFT examples: what they promise holds for every setting, and the defects of the published code are not here."""

from __future__ import annotations

import asyncio
import json
import math
import random
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from groundling import config
from groundling.errors import ConfigError, ModelError, TooManyFailed
from groundling.grounding import ABSTAIN, language
from groundling.llm.base import Reply, Request
from groundling.llm.template import Template
from groundling.records import Chunk, Example, Hit, to_line
from groundling.synthesize import Bench, options_of, synthesize
from groundling.synthesize.recipes import raft
from groundling.workspace import Output, read_lines

PLACES = "Turku Oulu Espoo Vantaa Lahti Kuopio Pori Lappi Kotka Rauma".split()
THINGS = "kettle scale ladder printer heater lamp gateway sensor".split()


def world(documents: int = 6) -> list[Chunk]:
    """Look-alike manuals, each cut into chunks that overlap their neighbours, one chunk repeated word for word in every manual."""
    chunks = []
    for d in range(documents):
        place, thing = PLACES[d % len(PLACES)], THINGS[d % len(THINGS)]
        sentences = [
            f"The {thing} of {place} weighs {3 + d} kg and stands in hall {d + 20}.",
            f"Its battery in {place} lasts {12 + 2 * d} months in normal use.",
            f"Repairs of the {thing} are done in {place} within {5 + d} working days.",
            f"The warranty of the {thing} costs {100 + 10 * d} EUR in {place}.",
        ]
        text = " ".join(sentences)
        for n, (first, last) in enumerate([(0, 2), (1, 3), (2, 4)]):  # each shares a sentence with its neighbour
            start = text.index(sentences[first])
            end = text.index(sentences[last - 1]) + len(sentences[last - 1])
            chunks.append(Chunk(id=f"c{d}-{n}", document=f"d{d}", path=f"{d}.md", title=place, text=text[start:end], start=start, end=end))
        same = "All devices are cleaned twice a year with a dry cloth."
        chunks.append(Chunk(id=f"c{d}-same", document=f"d{d}", path=f"{d}.md", title=place, text=same, start=5000, end=5000 + len(same)))
    return chunks


def searcher(chunks: Sequence[Chunk]):
    """Search by common words; ties by id, so that the order of the chunks has no meaning."""

    def search(query: str, k: int) -> list[Hit]:
        words = set(query.lower().strip("?").split())
        scored = [Hit(chunk=c, score=len(words & set(c.text.lower().split()))) for c in chunks]
        return sorted(scored, key=lambda h: (-h.score, h.chunk.id))[:k]

    return search


class Scripted:
    """A teacher that writes what the test says."""

    name, fingerprint, documents_role = "scripted", "scripted/1", False

    def __init__(self, questions: object, answer: object) -> None:
        self.questions, self.answer = questions, answer

    async def replies(self, requests: Sequence[Request]) -> list[Reply]:
        said = [self.questions if r.task == "questions" else self.answer for r in requests]
        return [Reply(text=s if isinstance(s, str) else json.dumps(s, ensure_ascii=False)) for s in said]


def made(
    tmp_path: Path,
    chunks: Sequence[Chunk],
    seed: int = 42,
    teacher=None,
    units: Sequence[Chunk] | None = None,
    fail: float = 0.05,
    **options,
):
    """(examples, the stage's output) of the recipe over the chunks."""
    out = Output(tmp_path)
    bench = Bench(
        teacher=teacher or Template(), search=searcher(chunks), chunks=chunks, seed=seed, recipe="raft", drop=out.drop, fail=out.fail,
        split_of=lambda document: "held_out" if document == "d1" else "train",
    )  # fmt: skip
    section = config.Synthesize(options=options, max_failed=fail)
    try:
        asyncio.run(synthesize(section, bench, units or chunks, out))
    finally:
        out.close()
    return list(read_lines(tmp_path / "data.jsonl", Example)), out


def says(text: str, answer: str) -> bool:
    """Whether a text holds an answer as words of its own, white space and letter case aside."""
    words = re.escape(" ".join(answer.lower().split()))
    return bool(re.search(rf"(?<!\w){words}(?!\w)", " ".join(text.lower().split())))


def checked(example: Example, chunks: dict[str, Chunk], options: dict) -> None:
    """Everything an example promises."""
    sides = {chunks[p.id].document == "d1" for p in example.passages}
    assert sides <= {example.document == "d1"}, "a held-out document is shown in training, or the other way round"
    unit, shown = chunks[example.unit], [chunks[p.id] for p in example.passages]
    assert [(p.title, p.text) for p in example.passages] == [(c.title, c.text) for c in shown]
    assert len({c.text for c in shown}) == len(shown), "no passage comes twice"
    assert not any(near(a.text, b.text) for n, a in enumerate(shown) for b in shown[:n]), "nor nearly"
    assert (example.oracle is not None) == (example.support == "cited")
    oracles = [n for n, c in enumerate(shown) if c.id == unit.id]
    assert oracles == ([example.oracle] if example.support == "cited" else []), "the oracle is where it is said to be, once, or nowhere"
    distractors = [c for c in shown if c.id != unit.id]
    assert len(distractors) <= options["distractors"] + (example.support != "cited"), "as many passages as with the oracle, no more"
    for c in distractors:
        assert c.document != unit.document or c.end <= unit.start or unit.end <= c.start, "no distractor overlaps the oracle"
        assert all(q.text not in c.text for q in example.quotes), "no distractor holds the quote"
        assert not says(c.text, example.answer), "no distractor holds the answer"
    if example.support == "cited":
        [quote] = example.quotes
        assert quote.passage == example.oracle and quote.text and quote.text in example.passages[example.oracle].text
        assert example.answer in quote.text
    else:
        assert example.quotes == []
        assert example.support == options["absent"] or (example.support == "abstain" and options["refusal_probability"] > 0)
        assert (example.answer == ABSTAIN[language(example.question)]) == (example.support == "abstain")
        if example.support == "memory":
            assert example.answer in unit.text
    assert (example.recipe, example.document) == ("raft", unit.document)
    assert example.split == ("held_out" if unit.document == "d1" else "train")


choices = st.fixed_dictionaries(
    {
        "questions": st.integers(1, 4),
        "distractors": st.integers(0, 6),
        "hard": st.sampled_from([0.0, 0.3, 1.0]),
        "oracle_probability": st.sampled_from([0.0, 0.3, 0.8, 1.0]),
        "absent": st.sampled_from(["abstain", "memory"]),
        "refusal_probability": st.sampled_from([0.0, 0.3, 1.0]),
        "vary": st.booleans(),
    }
)
many = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


@many
@given(choices, st.integers(0, 10**6), st.integers(1, 5))
def test_every_example_of_every_setting_keeps_its_promises(tmp_path: Path, options: dict, seed: int, documents: int) -> None:
    chunks = world(documents)
    examples, out = made(tmp_path, chunks, seed, **options)
    assert examples and len({e.id for e in examples}) == len(examples)
    for example in examples:
        checked(example, {c.id: c for c in chunks}, options)
    supports = {e.support for e in examples}
    if not options["refusal_probability"]:
        assert options["oracle_probability"] < 1 or supports == {"cited"}
        assert options["oracle_probability"] > 0 or supports == {options["absent"]}
    asked = Counter(unit for unit, _ in {(e.unit, e.question) for e in examples})
    assert max(asked.values()) <= options["questions"]
    assert set(Counter((e.unit, e.question, e.support) for e in examples).values()) == {1}, "no question is refused twice"
    assert out.counts()["in"] == len(examples) + sum(out.dropped.values()) + sum(out.failed.values())


@many
@given(choices, st.integers(0, 10**6))
def test_the_same_seed_gives_the_same_bytes(tmp_path: Path, options: dict, seed: int) -> None:
    chunks = world(3)
    made(tmp_path, chunks, seed, **options)
    first = (tmp_path / "data.jsonl").read_bytes()
    made(tmp_path, chunks, seed, **options)
    assert (tmp_path / "data.jsonl").read_bytes() == first


def test_another_seed_gives_other_examples(tmp_path: Path) -> None:
    one, _ = made(tmp_path, world(), seed=1)
    other, _ = made(tmp_path, world(), seed=2)
    assert [e.question for e in one] == [e.question for e in other] and one != other


SUBJECTS = "kettle scale ladder printer heater lamp gateway sensor pump valve".split()
RIPPLES = "quietly usually often seldom safely slowly gently firmly".split()


def random_world(seed: int, documents: int, size: int) -> list[Chunk]:
    """Manuals whose facts agree more often than not: some chunks come again word for word, some with a word changed, neighbours overlap."""
    r = random.Random(seed)
    chunks: list[Chunk] = []
    for d in range(documents):
        place = r.choice(PLACES)
        sentences = [
            f"The {r.choice(SUBJECTS)} of {place} {r.choice(RIPPLES)} weighs {r.randint(2, 4)} kg and lasts {r.randint(10, 12)} months in hall {r.randint(1, 3)}."
            for _ in range(size)
        ]
        text, at = " ".join(sentences), 0
        for n in range(0, size, 2):
            part = " ".join(sentences[n : n + 3])
            at = text.index(part, at)
            chunks.append(Chunk(id=f"c{d}-{n}", document=f"d{d}", path=f"{d}.md", title=place, text=part, start=at, end=at + len(part)))
        twin = r.choice(chunks)
        said = r.choice([twin.text, twin.text.upper(), twin.text.replace("lasts", "holds", 1)])
        chunks.append(Chunk(id=f"c{d}-twin", document=f"d{d}", path=f"{d}.md", title=place, text=said, start=9000, end=9000 + len(said)))
    return chunks


def near(a: str, b: str) -> bool:
    """Two texts that share four fifths of their runs of three words, and all their numbers."""
    words = [re.findall(r"\w+", text.lower()) for text in (a, b)]
    one, other = ({tuple(w[n : n + 3]) for n in range(max(1, len(w) - 2))} for w in words)
    numbers = [{w for w in found if any(c.isdigit() for c in w)} for found in words]
    return len(one & other) >= 0.8 * len(one | other) and numbers[0] == numbers[1]


@many
@given(choices, st.integers(0, 10**6), st.integers(1, 6), st.integers(1, 9))
def test_every_example_of_every_corpus_keeps_its_promises(tmp_path: Path, options: dict, seed: int, documents: int, size: int) -> None:
    chunks = random_world(seed, documents, size)
    examples, out = made(tmp_path, chunks, seed, **options)
    for example in examples:
        checked(example, {c.id: c for c in chunks}, options)
    assert len({e.id for e in examples}) == len(examples)
    assert out.counts()["in"] == len(examples) + sum(out.dropped.values()) + sum(out.failed.values())


class Hurried(Template):
    """The rules, but each reply takes its own while, and so many are under way at once."""

    def __init__(self, seed: int, parallel: int) -> None:
        self.parallel, self._random = parallel, random.Random(seed)

    async def replies(self, requests: Sequence[Request]) -> list[Reply]:
        for _ in range(self._random.randrange(4)):
            await asyncio.sleep(0)
        return await super().replies(requests)


@many
@given(choices, st.integers(0, 10**6), st.integers(1, 64))
def test_who_is_faster_has_no_say(tmp_path: Path, options: dict, seed: int, parallel: int) -> None:
    chunks = world(3)
    made(tmp_path, chunks, 7, teacher=Hurried(seed, parallel), **options)
    first = (tmp_path / "data.jsonl").read_bytes()
    made(tmp_path, chunks, 7, **options)
    assert first and (tmp_path / "data.jsonl").read_bytes() == first


def by_id(examples: Sequence[Example]) -> list[bytes]:
    return [to_line(e) for e in sorted(examples, key=lambda e: e.id)]


@many
@given(st.permutations(range(12)), st.integers(1, 12))
def test_an_example_does_not_hang_on_other_units_or_their_order(tmp_path: Path, order: list[int], count: int) -> None:
    chunks = world(3)
    whole = {e.id: e for e in made(tmp_path, chunks)[0]}
    some, _ = made(tmp_path, chunks, units=[chunks[n] for n in order[:count]])
    assert some == [whole[e.id] for e in some]
    assert {e.id for e in some} == {i for i, e in whole.items() if e.unit in {chunks[n].id for n in order[:count]}}


def test_an_example_does_not_hang_on_the_order_of_the_chunks(tmp_path: Path) -> None:
    """A renamed file moves its chunks in the list; that must not draw other passages everywhere."""
    chunks = world()
    assert by_id(made(tmp_path, chunks, hard=0.0)[0]) == by_id(made(tmp_path, chunks[::-1], hard=0.0)[0])


def interval(share: float, n: int) -> tuple[float, float]:
    """Four standard deviations of a binomial share."""
    width = 4 * math.sqrt(share * (1 - share) / n)
    return share - width, share + width


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_the_promised_share_of_examples_has_its_oracle(tmp_path: Path, share: float) -> None:
    examples, out = made(tmp_path, world(60), oracle_probability=share, questions=4)
    low, high = interval(share, len(examples))
    assert len(examples) > 300
    realised = out.notes["realised"]
    assert low < realised["cited"] < high and realised["cited"] == round(sum(e.support == "cited" for e in examples) / len(examples), 4)
    assert sum(realised.values()) == pytest.approx(1, abs=1e-3)


def test_the_oracle_stands_at_every_place_equally_often_and_every_number_of_passages_is_met(tmp_path: Path) -> None:
    examples, out = made(tmp_path, world(60), oracle_probability=1.0, distractors=3, questions=4)
    shown = Counter(len(e.passages) for e in examples)
    assert sorted(shown) == [1, 2, 3, 4]
    for k in (2, 3, 4):
        places = Counter(e.oracle for e in examples if len(e.passages) == k)
        low, high = interval(1 / k, shown[k])
        assert sorted(places) == list(range(k)) and all(low < places[n] / shown[k] < high for n in range(k)), places
    assert out.notes["passages_shown"] == {str(k): v for k, v in sorted(shown.items())}
    assert sum(out.notes["oracle_at"].values()) == len(examples)


def test_each_question_of_a_chunk_has_its_own_draw(tmp_path: Path) -> None:
    examples, _ = made(tmp_path, world(20), oracle_probability=0.5, questions=4)
    supports: dict[str, set[str]] = {}
    for e in examples:
        supports.setdefault(e.unit, set()).add(e.support)
    assert any(len(s) == 2 for s in supports.values())


def test_hard_distractors_are_those_that_search_finds(tmp_path: Path) -> None:
    chunks = world(8)
    hard, _ = made(tmp_path, chunks, hard=1.0, distractors=2, vary=False, oracle_probability=1.0)
    easy, _ = made(tmp_path, chunks, hard=0.0, distractors=2, vary=False, oracle_probability=1.0)

    def likeness(examples: list[Example]) -> float:
        pairs = [(set(e.question.lower().split()), set(p.text.lower().split())) for e in examples for n, p in enumerate(e.passages) if n != e.oracle]
        return sum(len(q & p) / len(q) for q, p in pairs) / len(pairs)

    assert likeness(hard) > 1.3 * likeness(easy)


def test_too_few_chunks_for_the_distractors_are_no_fault(tmp_path: Path) -> None:
    examples, _ = made(tmp_path, world(1)[:1], distractors=6, vary=False, oracle_probability=1.0)
    assert examples and all(len(e.passages) == 1 and e.oracle == 0 for e in examples)


# Questions and answers as a language model writes them.

UNIT = Chunk(
    id="u", document="d", path="u.md", title="Models", start=0, end=120,
    text="Llama 3.1 came out in 2024. It has 8 billion parameters (GQA). Footnote 7 says more about Llama 3.1 and its licence.",
)  # fmt: skip
GOOD = {"quote": "It has 8 billion parameters (GQA).", "answer": "8 billion"}


def from_teacher(tmp_path: Path, said: object, answer: object = GOOD, **options):
    return made(tmp_path, [UNIT, *world(2)], teacher=Scripted(said, answer), units=[UNIT], **options)


def test_a_quote_that_is_not_verbatim_is_dropped_and_kept_for_its_reader(tmp_path: Path) -> None:
    examples, out = from_teacher(tmp_path, {"questions": ["How many?"]}, {"quote": "It has eight billion parameters.", "answer": "8 billion"})
    assert examples == [] and out.dropped == {"quote not verbatim in the passage": 1}
    assert "eight billion" in (tmp_path / "dropped.jsonl").read_text() and "How many?" in (tmp_path / "dropped.jsonl").read_text()


def test_an_answer_without_a_quote_is_dropped_and_one_without_an_answer_too(tmp_path: Path) -> None:
    assert from_teacher(tmp_path, {"questions": ["How many?"]}, {"quote": "", "answer": "8 billion"})[1].dropped.total() == 1
    assert from_teacher(tmp_path, {"questions": ["How many?"]}, {"quote": "", "answer": ""})[1].dropped == {"the teacher found no answer": 1}


def test_an_answer_that_cannot_be_read_is_a_failure_with_its_words_kept(tmp_path: Path) -> None:
    with pytest.raises(TooManyFailed, match="no answer: no JSON object in the reply"):
        from_teacher(tmp_path, {"questions": ["How many?"]}, "It has eight, I think.")
    [line] = (tmp_path / "failed.jsonl").read_text().splitlines()
    assert "How many?" in line and line.count("It has eight, I think.") == 2, "the first reply and that to the re-ask"


def test_an_answer_that_is_the_number_nought_is_an_answer(tmp_path: Path) -> None:
    [example], _ = from_teacher(tmp_path, {"questions": ["How many?"]}, GOOD | {"answer": 0}, oracle_probability=1.0)
    assert example.answer == "0"


def test_no_list_of_questions_is_a_failure_that_is_counted(tmp_path: Path) -> None:
    with pytest.raises(TooManyFailed, match="no list of questions"):
        from_teacher(tmp_path, "I would rather not.")
    assert "no list of questions" in (tmp_path / "failed.jsonl").read_text()
    assert from_teacher(tmp_path, {"questions": []})[1].dropped == {"no question for this chunk": 1}


def test_questions_that_are_no_text_do_not_become_questions(tmp_path: Path) -> None:
    examples, _ = from_teacher(tmp_path, {"questions": [{"question": "How many?"}, ["x"], None, "How large?"]}, questions=4)
    assert [e.question for e in examples if "{" in e.question or "[" in e.question or e.question == "None"] == []
    assert "How large?" in [e.question for e in examples]


def test_the_same_question_is_asked_once_and_no_more_than_wanted(tmp_path: Path) -> None:
    examples, _ = from_teacher(tmp_path, {"questions": ["A?", " A? ", "B?", "C?", "D?"]}, questions=3)
    assert [e.question for e in examples] == ["A?", "B?", "C?"]


def test_a_fenced_reply_is_read(tmp_path: Path) -> None:
    assert len(from_teacher(tmp_path, '```json\n{"questions": ["How many?"]}\n```')[0]) == 1


def test_a_fact_told_elsewhere_is_never_beside_an_abstention(tmp_path: Path) -> None:
    """The same fact in other words stands in another document: shown without the oracle, refusing would be wrong."""
    unit = Chunk(id="u", document="a", path="a", title="", text="The kettle of Turku weighs 3 kg in all.", start=0, end=40)
    twin = Chunk(id="t", document="b", path="b", title="", text="In Turku there is a kettle; the kettle weighs 3 kg.", start=0, end=50)
    examples, _ = made(tmp_path, [unit, twin, *world(3)[4:]], units=[unit], oracle_probability=0.0, distractors=6, vary=False, hard=1.0)
    assert examples and all(twin.id not in {p.id for p in e.passages} for e in examples)


def test_options_are_checked(tmp_path: Path) -> None:
    assert options_of(raft, {}) == raft.Options()
    with pytest.raises(ConfigError, match='no option "distractor". Did you mean "distractors"'):
        options_of(raft, {"distractor": 3})
    with pytest.raises(ConfigError, match=r"synthesize.options.oracle_probability = 2"):
        options_of(raft, {"oracle_probability": 2})
    with pytest.raises(ConfigError, match=r"options.hard = 'very'"):
        made(tmp_path, [UNIT], hard="very")


def test_a_teacher_s_own_error_stops_the_stage(tmp_path: Path) -> None:
    class Refusing(Scripted):
        async def replies(self, requests: Sequence[Request]) -> list[Reply]:
            raise ModelError("no key")

    with pytest.raises(ModelError):
        made(tmp_path, [UNIT], teacher=Refusing(None, None))
