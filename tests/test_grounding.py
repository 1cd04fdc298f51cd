"""The prompt formats: frozen, and what a format writes it reads back."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundling import grounding
from groundling.grounding import ABSTAIN, FORMATS, fingerprint, is_refusal, language
from groundling.records import Example, Passage, Quote

PASSAGES = [
    Passage(id="c-aa11", title="Leave", text="Staff have 25 days of leave. Ask Kirsi."),
    Passage(id="c-bb22", title="", text="有給休暇は二十日です。"),
    Passage(id="c-cc33", title="Travel > Hotels", text="A night costs at most 140 EUR."),
]
FROZEN = {
    "raft": "raft/1:930c2e66fe84c18c",
    "two-turn": "two-turn/1:0f436708797132d9",
    "ja": "ja/1:da7ffef395d77918",
    "backward": "backward/1:d5f3682322e62e52",
    "labels": "labels/1:fdd91481540a18b2",
    "instruct": "instruct/1:535348e947e3f233",
    "step": "step/1:9f326f252438513b",
}
ANSWERING = ["raft", "two-turn", "ja"]


def example(support: str = "cited", answer: str = "25 days", quotes: list[Quote] | None = None, **changes) -> Example:
    cited = support == "cited"
    common = {
        "id": "e", "recipe": "raft", "unit": "c-aa11", "document": "d", "question": "How many days?", "passages": PASSAGES,
        "oracle": 0 if cited else None, "support": support, "answer": answer,
        "quotes": (quotes or [Quote(text="Staff have 25 days of leave.", passage=0)]) if cited else [],
    }  # fmt: skip
    return Example(**common | changes)


@pytest.mark.parametrize("name", sorted(FROZEN))
def test_what_a_format_renders_is_frozen(name: str) -> None:
    """A model stores this. To change a prompt on purpose: raise the format's version, and freeze the new value here."""
    assert fingerprint(name) == FROZEN[name]


def test_every_format_is_frozen() -> None:
    assert set(FORMATS) == set(FROZEN)


def test_the_fingerprint_follows_what_is_rendered(monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint("raft")
    monkeypatch.setattr(FORMATS["raft"], "system", "Answer the question.", raising=False)
    assert fingerprint("raft") != before
    assert fingerprint("ja") == FROZEN["ja"]


@pytest.mark.parametrize("name", ANSWERING)
@pytest.mark.parametrize("documents_role", [False, True])
def test_a_prompt_shows_question_and_passages_whole_with_local_numbers_and_no_ids(name: str, documents_role: bool) -> None:
    messages = FORMATS[name].prompt("What happened in 1945, and what is Llama 3.1?", PASSAGES, documents_role)
    shown = "\n".join(m["content"] for m in messages)
    assert "What happened in 1945, and what is Llama 3.1?" in shown
    for number, passage in enumerate(PASSAGES):
        assert passage.text in shown and passage.title in shown and passage.id not in shown
        assert f"[{number}]" in shown or f'"doc_id": {number}' in shown
    assert "\\n" not in shown or name == "two-turn", "no literal backslash-n"


def test_only_two_turn_uses_the_documents_role_and_only_when_told() -> None:
    roles = {n: [m["role"] for m in f.prompt("q", PASSAGES, True)] for n, f in FORMATS.items()}
    assert [n for n, r in roles.items() if "documents" in r] == ["two-turn"]
    assert all(m["role"] != "documents" for f in FORMATS.values() for m in f.prompt("q", PASSAGES, False))
    documents = json.loads(FORMATS["two-turn"].prompt("q", PASSAGES, True)[1]["content"])
    assert [d["content"] for d in documents] == [p.text for p in PASSAGES]


@pytest.mark.parametrize(("name", "frame"), [("raft", "[0]"), ("two-turn", "doc_id"), ("ja", "### コンテキスト")])
def test_no_passages_leave_no_empty_frame(name: str, frame: str) -> None:
    assert frame in FORMATS[name].prompt("How many days?", PASSAGES, False)[-1]["content"]
    text = FORMATS[name].prompt("How many days?", [], False)[-1]["content"]
    assert "How many days?" in text and frame not in text


# What a format writes, it reads back.

plain = st.text(st.characters(categories=("L", "N", "Zs", "P"), exclude_characters="[]<>#{}"), min_size=1, max_size=60).map(
    lambda t: " ".join(t.split())
)


@given(answer=plain.filter(lambda t: t and not is_refusal(t)), first=st.integers(0, 2), more=st.booleans())
@pytest.mark.parametrize("name", ANSWERING)
def test_an_answer_comes_back_with_its_citations(name: str, answer: str, first: int, more: bool) -> None:
    quotes = [Quote(text=PASSAGES[first].text, passage=first)]
    if more:
        quotes.append(Quote(text=PASSAGES[(first + 1) % 3].text, passage=(first + 1) % 3))
    fmt = FORMATS[name]
    turns = fmt.target(example(answer=answer, quotes=quotes, oracle=first))
    assert len(turns) == fmt.turns
    reading = fmt.read(turns, PASSAGES)
    assert reading.text == answer and not reading.abstained and reading.invalid == []
    assert sorted(reading.citations) == sorted({q.passage for q in quotes})
    assert reading.quotes == (quotes if name == "raft" else [])


@pytest.mark.parametrize("name", ANSWERING)
@pytest.mark.parametrize("tongue", sorted(ABSTAIN))
def test_an_abstention_comes_back_as_one(name: str, tongue: str) -> None:
    fmt = FORMATS[name]
    reading = fmt.read(fmt.target(example("abstain", ABSTAIN[tongue])), PASSAGES)
    assert reading.abstained and reading.citations == [] and reading.quotes == [] and reading.invalid == []


@pytest.mark.parametrize("name", ANSWERING)
def test_an_answer_from_memory_cites_nothing(name: str) -> None:
    fmt = FORMATS[name]
    reading = fmt.read(fmt.target(example("memory")), PASSAGES)
    assert reading.text == "25 days" and reading.citations == [] and not reading.abstained


def test_backward_and_labels_teach_the_question_and_the_label() -> None:
    assert FORMATS["backward"].target(example()) == ["How many days?"]
    assert "How many days?" not in str(FORMATS["backward"].prompt("How many days?", PASSAGES))
    labels = [Passage(id="1", title="spam", text="unwanted"), Passage(id="2", title="ham", text="")]
    assert FORMATS["labels"].read([" ham\n"], labels)[:1] == ("ham",)
    assert FORMATS["labels"].read(["ham"], labels).citations == [1]
    assert FORMATS["labels"].read(["eggs"], labels).invalid == ["eggs"]


# Replies as models really write them.


def read(name: str, *turns: str) -> grounding.Reading:
    return FORMATS[name].read(list(turns), PASSAGES)


def test_the_answer_is_what_follows_the_last_mark_without_the_mark() -> None:
    assert read("raft", "##begin_quote##Ask Kirsi.##end_quote## [0]\n<ANSWER>: Kirsi [0]").text == "Kirsi"
    assert read("raft", "<ANSWER>: first\n<ANSWER>: second").text == "second"


def test_a_reply_without_a_mark_is_read_whole() -> None:
    reading = read("raft", "##begin_quote##Ask Kirsi.##end_quote## [0]\nKirsi does.")
    assert reading.text == "Kirsi does." and reading.citations == [0]


def test_a_citation_of_a_passage_that_was_not_shown_is_invalid() -> None:
    reading = read("raft", "##begin_quote##Ask Kirsi.##end_quote## [9]\n<ANSWER>: Kirsi [1, 7]")
    assert reading.citations == [1] and reading.invalid == ["9", "7"] and reading.quotes == []
    assert read("ja", "二十日です。[1] [5]") == ("二十日です。", False, [], [1], ["5"])


def test_a_number_in_brackets_inside_a_quote_is_no_citation() -> None:
    """Texts bring footnotes of their own: `… of leave [2].`"""
    reading = read("raft", "##begin_quote##Staff have 25 days of leave [2].##end_quote## [0]\n<ANSWER>: 25 days")
    assert reading.citations == [0] and reading.invalid == []


def test_a_quote_without_a_number_is_not_a_quote_of_any_passage() -> None:
    assert read("raft", "##begin_quote##Ask Kirsi.##end_quote##\n<ANSWER>: Kirsi").quotes == []


@pytest.mark.parametrize(
    ("first", "citations", "invalid"),
    [
        ('{"relevant_doc_ids": [2, 0, 2]}', [2, 0], []),
        ('Sure: {"relevant_doc_ids": [1]}', [1], []),
        ('{"relevant_doc_ids": [1, 8, -1, "2"]}', [1], ["8", "-1", "2"]),
        ('{"relevant_doc_ids": []}', [], []),
        ('{"relevant_doc_ids": 1}', [], ['{"relevant_doc_ids": 1}']),
        ('{"ids": [1]}', [], ['{"ids": [1]}']),
        ("passage one", [], ["passage one"]),
        ('{"relevant_doc_ids": [1', [], ['{"relevant_doc_ids": [1']),
        ("", [], [""]),
    ],
)
def test_two_turn_reads_ids_and_keeps_what_it_cannot_read(first: str, citations: list[int], invalid: list[str]) -> None:
    reading = read("two-turn", first, "25 days")
    assert reading.citations == citations and reading.invalid == invalid and reading.text == "25 days"


def test_true_is_not_the_number_one() -> None:
    reading = read("two-turn", '{"relevant_doc_ids": [true]}', "25 days")
    assert reading.citations == [] and reading.invalid == ["True"]


@given(st.text(max_size=200), st.text(max_size=80))
def test_no_reply_makes_reading_fail_or_cites_what_was_not_shown(first: str, second: str) -> None:
    for fmt in FORMATS.values():
        reading = fmt.read([first, second][: fmt.turns], PASSAGES)
        assert all(type(n) is int and 0 <= n < len(PASSAGES) for n in reading.citations)
        assert all(0 <= q.passage < len(PASSAGES) for q in reading.quotes)


@pytest.mark.parametrize(
    "answer",
    [
        *ABSTAIN.values(), "The documents do not mention a founder.", "I don't know.", "Unknown", "unknown.", "Not mentioned in the passages.",
        "No information.", "The context does not contain the answer.", "No information about that is given.", "unanswerable",
        "文書には記載がありません。", "わかりません", "Не указано.", "В документе нет информации об этом.",
    ],
)  # fmt: skip
def test_these_are_refusals(answer: str) -> None:
    assert is_refusal(answer)


@pytest.mark.parametrize(
    "answer",
    [
        "25 days", "", "The Tomb of the Unknown Soldier", "Callers with an unknown number are sent to reception.",
        "No information is kept after 30 days.", "No answer within 3 days counts as consent.",
        "It is kept not in the document safe but at reception.", "記載がある場合は10日です。",
        "The documents do not have to be signed. " * 5,
    ],
)  # fmt: skip
def test_these_are_answers(answer: str) -> None:
    assert not is_refusal(answer)


def test_reasoning_that_doubts_is_not_a_refusal() -> None:
    reading = read("raft", "Passage 1 does not say; the documents do not mention it twice.\n<ANSWER>: 25 days [0]")
    assert reading.text == "25 days" and not reading.abstained


def test_the_language_of_a_refusal_follows_the_script() -> None:
    assert [language(t) for t in ("How many?", "有給休暇は何日", "Сколько дней?", "")] == ["en", "ja", "ru", "en"]
