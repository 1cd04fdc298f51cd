"""Questions that are there already: the chunk that answers each among look-alikes, refusals, and what becomes of a question without its passage."""

from __future__ import annotations

import codecs
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from groundling.errors import ConfigError, InputError
from groundling.grounding import ABSTAIN, FORMATS
from groundling.records import Chunk, Document, Example
from groundling.synthesize.recipes import questions

from .recipe_world import HELD_OUT, PLACES, checked, handbook, made, searcher

many = settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])


def asked(documents: int = 6) -> list[dict[str, Any]]:
    """What the documents of `handbook` answer, two questions of each part, and one of each document that they do not."""
    rows: list[dict[str, Any]] = []
    for d in range(documents):
        place, known = PLACES[d], {"answerable": True, "document": f"{d}.md"}
        for n in range(2):
            k = 10 * d + 3 * n + 11
            weight, night = (
                f"The scale of {place} weighs {k} kg & stands in hall {k + 40}.",
                f"A hotel night in {place} may cost at most {k + 90} EUR.",
            )
            rows.append({"id": f"w{d}{n}", "question": f"How heavy is it in {place}, part {n}?", "answers": [f"{k} kg"], "passage": weight, **known})
            rows.append({"id": f"h{d}{n}", "question": f"What is a bed in {place} ({n})?", "answers": [f"{k + 90} EUR"], "passage": night, **known})
        rows.append({"id": f"u{d}", "question": f"Who leads the hall of {place}?", "answers": [], "answerable": False, "document": f"{d}.md"})
    return rows


def joined(folder: Path, rows: Sequence[dict], chunks: Sequence[Chunk] | None = None, seed: int = 42, **more: Any) -> tuple[list[Example], Any]:
    folder.mkdir(exist_ok=True)
    file = folder / "asked.jsonl"
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return made(folder / "out", "questions", chunks or handbook(6), seed=seed, file=str(file), **more)


@many
@given(st.integers(0, 5), st.booleans(), st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from([0.0, 0.75, 1.0]), st.integers(0, 10**6))
def test_every_row_of_every_setting_keeps_its_promises(tmp_path: Path, distractors: int, vary: bool, present: float, hard: float, seed: int) -> None:
    chunks, rows = {c.id: c for c in handbook(6)}, {r["question"]: r for r in asked()}
    given = {"distractors": distractors, "vary": vary, "oracle_probability": present, "hard": hard}
    examples, out = joined(tmp_path, list(rows.values()), list(chunks.values()), seed, **given)
    assert out.kept + sum(out.dropped.values()) == len(rows) and not out.failed and len(examples) > len(rows) / 2
    for e in examples:
        checked(e, chunks)
        row, texts = rows[e.question], [p.text for p in e.passages]
        assert len(texts) <= distractors + 1 and (f"{e.document[1:]}.md" == row["document"] or not row["answerable"])
        if e.support == "cited":
            assert row["answerable"] and present > 0 and e.answer == row["answers"][0]
            assert [q.text for q in e.quotes] == [row["passage"]] and sum(row["passage"] in t for t in texts) == 1
        else:
            assert e.support == "abstain" and e.answer == ABSTAIN["en"]
            assert not (row["answerable"] and present == 1) and not any((row.get("passage") or "\0") in t for t in texts)
    again, _ = joined(tmp_path, random.Random(seed).sample(list(rows.values()), len(rows)), list(chunks.values())[::-1], seed, **given)
    assert sorted(map(repr, again)) == sorted(map(repr, examples)), "neither the order of the questions nor of the chunks matters"


def test_as_many_are_shown_without_their_passage_as_asked_for(tmp_path: Path) -> None:
    rows = [{**row, "id": f"{row['id']}-{n}", "question": f"{row['question']} {n}"} for n in range(30) for row in asked() if row["answerable"]]
    examples, _ = joined(tmp_path, rows, oracle_probability=0.7)
    share = sum(e.support == "cited" for e in examples) / len(examples)
    assert len(examples) == len(rows) == 720 and abs(share - 0.7) < 4 * (0.7 * 0.3 / 720) ** 0.5


def test_a_question_without_an_answer_is_shown_the_best_that_search_finds(tmp_path: Path) -> None:
    """A refusal is learnt beside what looks as if it answered, not beside anything."""
    examples, _ = joined(tmp_path, [row for row in asked() if not row["answerable"]], distractors=0, vary=False)
    assert len(examples) == 6 and all(len(e.passages) == 1 and PLACES[int(e.document[1:])] in e.passages[0].text for e in examples)
    assert {e.split for e in examples if e.document in HELD_OUT} == {"held_out"}


def test_each_draw_shows_a_question_anew(tmp_path: Path) -> None:
    """A question that is always shown without its passage would be learnt by its words; drawn several times it is met with and without."""
    once, _ = joined(tmp_path, asked(), oracle_probability=0.5)
    often, _ = joined(tmp_path, asked(), oracle_probability=0.5, draws=4)
    assert len(once) == len(asked()) == 30 and len({e.id for e in often}) == len(often) == 120
    assert {repr(e) for e in once} <= {repr(e) for e in often}, "the first draw is what there is without others"
    supports = {q: [e.support for e in often if e.question == q] for q in {e.question for e in often}}
    assert sum(set(s) == {"cited", "abstain"} for s in supports.values()) > 15, "most are met both ways"
    assert all("cited" not in s for q, s in supports.items() if q.startswith("Who leads"))
    beside = {q: {tuple(p.id for p in e.passages) for e in often if e.question == q} for q in supports}
    assert sum(len(kinds) > 2 for kinds in beside.values()) > 20, "with other passages"
    alone, _ = joined(tmp_path, [row for row in asked() if not row["answerable"]], distractors=0, draws=3)
    assert len(alone) == 18 and all(len(e.passages) == 1 for e in alone)
    assert sum(e.passages[0].id == e.unit for e in alone) == 6, "the best that search finds is shown once, then others in its place"


def test_passages_come_best_first_where_that_is_asked_for(tmp_path: Path) -> None:
    chunks = handbook(6)
    found = searcher(chunks)
    drawn, _ = joined(tmp_path, asked(), chunks, hard=0.5)
    ranked, _ = joined(tmp_path, asked(), chunks, hard=0.5, order="retrieved")
    assert [e.id for e in ranked] == [e.id for e in drawn] and any(e.passages != d.passages for e, d in zip(ranked, drawn, strict=True))
    for e, d in zip(ranked, drawn, strict=True):
        best = [hit.chunk.id for hit in found(e.question, 100)]
        assert [p.id for p in e.passages] == sorted((p.id for p in d.passages), key=best.index)
        assert e.support == d.support and [e.passages[q.passage].id for q in e.quotes] == [d.passages[q.passage].id for q in d.quotes]


def test_of_a_paragraph_the_sentence_with_the_answer_is_quoted(tmp_path: Path) -> None:
    chunk = handbook(1)[0]
    start = chunk.text.index("The scale")
    whole = chunk.text[start : chunk.text.index("\n- The hall")].strip()
    row = {"id": "q", "question": "How long does the battery last?", "answers": ["11 months in use"], "answerable": True, "passage": whole}
    [example], _ = joined(tmp_path, [row], distractors=0, oracle_probability=1.0)
    assert [q.text for q in example.quotes] == ["Its battery in Turku lasts 11 months in use."], "no document is named: the passage tells it"


def test_a_sentence_whose_lines_are_broken_in_the_document_is_quoted_whole(tmp_path: Path) -> None:
    row = asked()[0]
    broken = row["passage"].replace(" & stands", " &\nstands")
    chunks = [msgspec.structs.replace(c, text=c.text.replace(row["passage"], broken)) for c in handbook(6)]
    [example], _ = joined(tmp_path, [row], chunks, oracle_probability=1.0)
    assert [q.text for q in example.quotes] == [broken]
    taught = FORMATS["raft"].target(example)
    assert broken in "".join(taught)


def test_what_cannot_be_used_is_counted_by_its_reason(tmp_path: Path) -> None:
    good, *_ = asked()
    rows = [
        good, good,
        {**good, "id": "a", "document": "gone.md"},
        {**good, "id": "b", "passage": "Nothing of the kind stands there."},
        {**good, "id": "c", "passage": None},
        {**good, "id": "d", "passage": " \n"},
        {**good, "id": "e", "answers": []},
        {**good, "id": "f", "answers": [" "]},
        {**good, "id": "g", "question": " "},
    ]  # fmt: skip
    examples, out = joined(tmp_path, rows, oracle_probability=1.0)
    assert len(examples) == 1 and dict(out.dropped) == {
        "it asks nothing": 1,
        "asked twice": 1, questions.ELSEWHERE: 1, questions.NOWHERE: 1, "it does not say its answer and the passage with it": 4,
    }  # fmt: skip


def left_out(folder: Path) -> dict[str, dict[str, Any]]:
    """What stands in the record of each reject, by its reason."""
    lines = (folder / "out" / "dropped.jsonl").read_text("utf-8").splitlines()
    return {told["reason"]: told["what"] for told in map(json.loads, lines)}


def test_a_reject_s_record_tells_its_line_and_what_may_be_meant(tmp_path: Path) -> None:
    good, other, *_ = asked()
    cut = "is handed in. The desk opens at 9."
    chunks = [msgspec.structs.replace(c, path=f"policies/Rules {c.path}") for c in handbook(6)]
    whole = [Document(id="d0", path="policies/Rules 0.md", title="", text="The receipt is handed\nin. The desk opens at 9.")]
    rows = [
        {**good, "document": "Rules 0.md"}, {**good, "document": "policies/Rules 0.md"},
        {**other, "document": "policies/rule 3.md"}, {**other, "document": "2024.xlsx"},
        {**other, "document": "Rules 3.md"},
        {**other, "document": "Rules 0.md", "passage": cut}, {**other, "document": "Rules 1.md", "passage": "Nothing of the kind."},
    ]  # fmt: skip
    file = tmp_path / "asked.jsonl"
    file.write_text("\n\n".join(map(json.dumps, rows)), "utf-8")
    made(tmp_path / "out", "questions", chunks, file=str(file), oracle_probability=1.0, seats={"documents": lambda: whole})
    lines = [json.loads(line) for line in (tmp_path / "out" / "dropped.jsonl").read_text("utf-8").splitlines()]
    assert [(told["what"].pop("line"), told["reason"]) for told in lines] == [
        (3, "asked twice"), (5, questions.ELSEWHERE), (7, questions.ELSEWHERE), (9, questions.NOWHERE), (11, questions.CUT), (13, questions.NOWHERE),
    ]  # fmt: skip
    known = {"id": other["id"], "question": other["question"]}
    assert [told["what"] for told in lines] == [
        {"id": good["id"], "question": good["question"], "first_in_line": 1},
        {**known, "document": "policies/rule 3.md", "hint": 'Did you mean "policies/Rules 3.md"?'},
        {**known, "document": "2024.xlsx"},
        {**known, "passage": other["passage"], "stands_in": "policies/Rules 0.md"},
        {**known, "passage": cut},
        {**known, "passage": "Nothing of the kind."},
    ]


def test_a_refusal_without_a_passage_says_whether_search_or_the_split_has_none(tmp_path: Path) -> None:
    row = {"id": "q", "question": "Who leads the hall?", "answers": [], "answerable": False}
    chunks = handbook(6)
    for n, (found, reason) in enumerate([([], questions.UNFOUND), ([c for c in chunks if c.document in HELD_OUT], questions.OTHER_SIDE)]):
        file = tmp_path / "asked.jsonl"
        file.write_text("\n".join(json.dumps(r) for r in (asked()[0], {**row, "document": "0.md"})), "utf-8")
        made(tmp_path / str(n) / "out", "questions", chunks, file=str(file), seats={"search": searcher(found)}, oracle_probability=1.0)
        assert left_out(tmp_path / str(n)) == {reason: {"line": 2, "id": "q", "question": row["question"]}}


def test_a_question_that_nothing_can_stand_beside_is_left_out_with_its_line(tmp_path: Path) -> None:
    joined(tmp_path, [{**asked()[0], "document": "gone.md"}, asked()[0]], handbook(1)[:1], oracle_probability=0.0)
    assert left_out(tmp_path)["no passage to show in place of the right one"] == {"line": 2, "unit": "c0-0", "question": asked()[0]["question"]}


def test_where_none_can_be_used_it_is_said_why(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"could be used: 2 × {questions.ELSEWHERE}, 1 × {questions.NOWHERE}"):
        joined(tmp_path, [*({**asked()[0], "document": f"gone{n}.md"} for n in range(2)), {**asked()[0], "passage": "No such words."}])


def test_of_a_passage_over_broken_lines_the_whole_sentence_is_quoted(tmp_path: Path) -> None:
    """Neither the lines of the document nor those of the file end a sentence; those of a list do."""
    text = "The company pays the hotel. It may cost at most one hundred and\nninety EUR for each\nnight. Receipts are kept.\n\n- Taxis: 40 EUR\n- Trains: 60 EUR"
    chunks = [handbook(2)[0], msgspec.structs.replace(handbook(2)[2], text=text)]
    wanted = "It may cost at most one hundred and\nninety EUR for each\nnight."
    for n, passage in enumerate([text[:-34], text[:-34].replace("\n", " "), text[:-34].replace(" ", "\r\n ", 3).replace("and\n", "and\r\n")]):
        row = {"id": "q", "question": "What may a bed cost?", "answers": ["ninety EUR for each night"], "answerable": True, "passage": passage}
        [example], _ = joined(tmp_path / str(n), [row], chunks, oracle_probability=1.0)
        assert [q.text for q in example.quotes] == [wanted]
    row = {"id": "q", "question": "What may a ride cost?", "answers": ["60 EUR by train"], "answerable": True, "passage": text[-33:]}
    [example], _ = joined(tmp_path / "list", [row], chunks, oracle_probability=1.0)
    assert [q.text for q in example.quotes] == ["- Trains: 60 EUR"]


@pytest.mark.parametrize(("probability", "rows", "told"), [(0.9, 4, True), (0.5, 150, False), (0.5, 800, False), (1.0, 4, False), (0.0, 4, False)])
def test_a_share_that_chance_left_far_off_is_remarked_upon(tmp_path: Path, probability: float, rows: int, told: bool) -> None:
    some = [{**r, "question": f"{r['question']} {n}"} for n in range(40) for r in asked() if r["answerable"]][:rows]
    examples, out = joined(tmp_path, some, oracle_probability=probability, seed=3, distractors=1)
    without = sum(e.support == "abstain" for e in examples)
    said = [line for line in out.notes["advice"] if "are shown without their passage" in line]
    assert len(said) == told
    if told:
        assert said[0].startswith(f"{without} of {rows} questions that can be answered ({without / rows:.0%}) are shown without")
        assert "oracle_probability = 0.9 asks for 10%" in said[0]


@pytest.mark.parametrize("named", [" ./2.md ", "d2", "2.md"])
def test_a_document_is_named_as_for_the_evaluation(tmp_path: Path, named: str) -> None:
    chunks = [msgspec.structs.replace(c, path=f"deep/in/{c.path}") if named == "2.md" else c for c in handbook(6)]
    row = next(row for row in asked() if row.get("document") == "2.md")
    examples, out = joined(tmp_path, [{**row, "document": named}], chunks, oracle_probability=1.0)
    assert [e.document for e in examples] == ["d2"] and not out.dropped


def test_other_white_space_and_a_passage_that_stands_twice_do_no_harm(tmp_path: Path) -> None:
    """The file is written with the line ends and the mark of another system, and both parts of a document hold the passage."""
    row = asked()[0]
    said = row["passage"]
    chunks = [
        c if c.document != "d0" else msgspec.structs.replace(c, text=f"Part {c.id}.\n\n{said.replace(' weighs ', chr(10) + 'weighs ')}")
        for c in handbook(6)
    ]
    file = tmp_path / "asked.jsonl"
    file.write_bytes(codecs.BOM_UTF8 + json.dumps({**row, "passage": said.replace(" ", "\r\n ", 2)}).encode() + b"\r\n\r\n")
    [example], _ = made(tmp_path / "out", "questions", chunks, file=str(file), distractors=5, vary=False, oracle_probability=1.0)
    assert len(example.passages) > 1 and sum("weighs 11 kg" in p.text for p in example.passages) == 1
    assert all(q.text in example.passages[q.passage].text for q in example.quotes) and example.support == "cited"


def test_a_file_that_cannot_be_used_gets_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="set synthesize.options.file to a .jsonl file"):
        made(tmp_path / "none", "questions", handbook(2))
    with pytest.raises(InputError, match="No question of .* could be used"):
        joined(tmp_path, [{**asked()[0], "document": "gone.md"}])
    with pytest.raises(InputError, match="is a folder. Give a .jsonl file"):
        made(tmp_path / "folder", "questions", handbook(2), file=str(tmp_path))
    with pytest.raises(ConfigError, match="synthesize.options.file is out, and that is a folder. Name a .jsonl file"):
        questions.looked(questions.Options(file="out"), tmp_path.joinpath, None)
    with pytest.raises(ConfigError, match="the evaluation's own file"):
        questions.looked(questions.Options(file="asked.jsonl"), tmp_path.joinpath, tmp_path / "asked.jsonl")
    (tmp_path / "x").mkdir()
    joined(tmp_path / "x", asked())
    told = questions.looked(questions.Options(file="asked.jsonl"), (tmp_path / "x").joinpath, tmp_path / "asked.jsonl")
    assert told == "30 questions to learn from in asked.jsonl, 6 of them not answerable"
    broken = tmp_path / "broken.jsonl"
    lines = [json.dumps({**asked()[0], "id": str(n)}) for n in range(812)]
    broken.write_text("\n".join([*lines[:811], '{"id": "x", "question": "Is \\x it?"']), "utf-8")
    with pytest.raises(InputError, match="line 812"):
        made(tmp_path / "broken", "questions", handbook(2), file=str(broken))
