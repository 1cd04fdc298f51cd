"""Instructions joined with retrieved passages: what supports an answer, what fits, which side of the split; and each defect of the published notebook."""

from __future__ import annotations

import csv
import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from groundling import config
from groundling.curate import Context, judged
from groundling.errors import ConfigError, InputError, TooManyFailed
from groundling.grounding import ABSTAIN, FORMATS, conversation
from groundling.llm.template import Template
from groundling.records import Chunk, Example, Hit
from groundling.synthesize import need_model
from groundling.synthesize.recipes import rag_sft
from groundling.synthesize.support import best_sentences, support, wanted

from . import recipe_world
from .recipe_world import HELD_OUT, PLACES, Fake, Scripted, handbook, made

many = settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
POEM = {"ID": "poem", "text": "What is the most beautiful poem of spring?", "output": "The one about cherry blossoms by an unknown monk."}


def pairs(documents: int = 6) -> list[dict[str, str]]:
    """What the documents of `handbook` answer, asked and answered in other words than theirs."""
    rows = []
    for d in range(documents):
        place = PLACES[d]
        for n in range(2):
            k = 10 * d + 3 * n + 11
            rows.append({"ID": f"w{d}{n}", "text": f"How heavy is the scale of {place} in part {n}?", "output": f"It weighs {k} kg."})
            rows.append({"ID": f"h{d}{n}", "text": f"What may a hotel night in {place} cost in part {n}?", "output": f"At most {k + 90} EUR."})
    return rows


def written(folder: Path, rows: object, name: str = "pairs.json") -> str:
    path = folder / name
    path.write_text(rows if isinstance(rows, str) else json.dumps(rows, ensure_ascii=False), "utf-8")
    return str(path)


def joined(
    folder: Path, rows: object, chunks: list[Chunk] | None = None, teacher: Any = None, seed: int = 42, **more: Any
) -> tuple[list[Example], Any]:
    file = written(folder, rows)
    return made(folder / "out", "rag_sft", chunks or handbook(6), teacher or Template(), seed, instructions=file, **more)


@many
@given(
    st.integers(1, 6), st.sampled_from(["drop", "abstain"]), st.sampled_from([0.4, 0.6, 1.0]), st.integers(0, 10**6), st.integers(1, 3),
    st.integers(300, 3000),
)  # fmt: skip
def test_every_row_of_every_setting_keeps_its_promises(
    tmp_path: Path, k: int, unsupported: str, least: float, seed: int, quotes: int, room: int
) -> None:
    chunks = {c.id: c for c in handbook(6)}
    rows = [*pairs(), POEM]
    known = {r["text"]: r["output"] for r in rows}
    options = {"k": k, "unsupported": unsupported, "support": least, "quotes": quotes, "max_tokens": room}
    examples, out = joined(tmp_path, rows, list(chunks.values()), seed=seed, **options)
    assert out.kept + sum(out.dropped.values()) == len(rows) and not out.failed
    for e in examples:
        sides = {"held_out" if chunks[p.id].document in HELD_OUT else "train" for p in e.passages}
        assert sides == {e.split} and e.document in {chunks[p.id].document for p in e.passages}
        assert 1 <= len(e.passages) <= k and len({p.id for p in e.passages}) == len(e.passages)
        assert [(p.title, p.text) for p in e.passages] == [(chunks[p.id].title, chunks[p.id].text) for p in e.passages], "no passage is cut"
        assert rag_sft.tokens(e, FORMATS["raft"]) <= room
        if e.support == "cited":
            assert e.answer == known[e.question] and e.document == chunks[e.passages[e.oracle].id].document
            oracle = e.passages[e.oracle]
            found = support(e.question, e.answer, oracle.title, oracle.text)
            assert found.answer >= least and found.numbers
            assert 1 <= len(e.quotes) <= quotes and all(q.passage == e.oracle and q.text in oracle.text for q in e.quotes)
        else:
            assert unsupported == e.support == "abstain" and e.answer == ABSTAIN["en"] and not e.quotes and e.oracle is None
            assert all(support(e.question, known[e.question], p.title, p.text).answer <= 0.3 for p in e.passages)
            assert all(support(e.question, known[e.question], p.title, p.text).question < least for p in e.passages)
    assert judged("cited", examples, Context(questions=[])) == [None] * len(examples)


def test_what_the_documents_answer_is_cited_from_the_passage_that_answers_it(tmp_path: Path) -> None:
    examples, out = joined(tmp_path, [*pairs(), POEM])
    assert len(examples) == len(pairs()) and out.dropped == {"no passage supports the answer": 1}
    for e in examples:
        number = e.answer.split()[-2]
        assert len(e.quotes) == 1 and number in e.quotes[0].text and e.question.split(" of ")[-1].split(" in ")[-1].split()[0].rstrip("?")
    assert {e.split for e in examples} == {"train", "held_out"} and len({e.oracle for e in examples}) == 3, "its place does not tell the oracle"


@many
@given(st.integers(0, 10**6))
def test_the_same_seed_gives_the_same_bytes_whoever_is_faster(tmp_path: Path, seed: int) -> None:
    options = {"check": "model", "unsupported": "abstain"}
    joined(tmp_path, [*pairs(3), POEM], handbook(3), Fake(hurried=1), seed, **options)
    first = (tmp_path / "out" / "data.jsonl").read_bytes()
    joined(tmp_path, [*pairs(3), POEM], handbook(3), Fake(hurried=2), seed, **options)
    assert (tmp_path / "out" / "data.jsonl").read_bytes() == first and first


def test_a_row_does_not_hang_on_the_other_rows_or_on_the_order_of_the_chunks(tmp_path: Path) -> None:
    one, _ = joined(tmp_path, pairs())
    rows = pairs()[::2]
    random.Random(1).shuffle(rows)
    other, _ = joined(tmp_path, rows, handbook(6)[::-1])
    assert {e.id for e in other} < {e.id for e in one} and all(e in one for e in other)


# Files


def alpaca(row: dict[str, str]) -> dict[str, Any]:
    return {"instruction": row["text"], "input": "", "output": row["output"]}


def sharegpt(row: dict[str, str]) -> dict[str, Any]:
    return {"conversations": [{"from": "human", "value": row["text"]}, {"from": "gpt", "value": row["output"]}]}


def messages(row: dict[str, str]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": row["text"]}, {"role": "assistant", "content": row["output"]}]}


@pytest.mark.parametrize("shaped", [alpaca, sharegpt, messages])
def test_every_shape_of_record_gives_the_same_rows(tmp_path: Path, shaped: Callable[[dict[str, str]], dict[str, Any]]) -> None:
    expected, _ = joined(tmp_path, pairs(2), handbook(2))
    assert joined(tmp_path, [shaped(r) for r in pairs(2)], handbook(2))[0] == expected and expected
    lines = "\n".join(json.dumps(shaped(r)) for r in pairs(2))
    assert made(tmp_path / "l", "rag_sft", handbook(2), Template(), instructions=written(tmp_path, lines, "a.jsonl"))[0] == expected


def test_tables_give_the_same_rows(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    expected, _ = joined(tmp_path, pairs(2), handbook(2))
    with (tmp_path / "a.csv").open("w", newline="") as handle:
        table = csv.DictWriter(handle, ["ID", "text", "output"])
        table.writeheader()
        table.writerows(pairs(2))
    pq.write_table(pa.Table.from_pylist(pairs(2)), tmp_path / "a.parquet")
    for name in ("a.csv", "a.parquet"):
        assert made(tmp_path / name[2:], "rag_sft", handbook(2), Template(), instructions=str(tmp_path / name))[0] == expected


def test_broken_escapes_on_line_812_cost_one_record_which_is_told_with_its_line(tmp_path: Path) -> None:
    rows = (pairs() * 13)[:300]
    for n, row in enumerate(rows):
        rows[n] = row | {"ID": f"{n}", "text": f"{row['text']} (asked {n} times)"}
    lines = ("\n" + json.dumps(rows, indent=1)).split("\n")
    at = next(n for n in range(811, 0, -1) if '"text"' in lines[n])
    lines = [""] * (811 - at) + lines
    lines[811] = lines[811].replace("(asked", "(\\asked")
    examples, out = joined(tmp_path, "\n".join(lines))
    assert out.failed == {"broken JSON": 1} and out.kept + sum(out.dropped.values()) == 299 and len(examples) > 200
    told = json.loads((tmp_path / "out" / "failed.jsonl").read_text())
    assert told["what"]["line"] == 812 and "line 812" in told["detail"] and "\\asked" in told["what"]["record"]


def test_records_that_are_no_instruction_with_an_answer_are_left_out_with_the_reason(tmp_path: Path) -> None:
    refused = {"text": "Who rules Mars?", "output": "I don't know."}
    twice = pairs(1)[0]
    preferred = {"prompt": "How?", "chosen": "So.", "rejected": "Not so."}
    assert len(joined(tmp_path, [twice, twice, refused, *pairs(1)[1:]])[0]) == 4
    examples, out = joined(tmp_path, [twice, twice, refused])
    assert len(examples) == 1 and out.dropped == {"a record that stands in the file twice": 1, "the answer is a refusal": 1}
    with pytest.raises(InputError, match="no instruction with an answer that could be used: 0 records are broken, 1 were left out"):
        joined(tmp_path, [preferred])


def test_a_file_that_is_empty_missing_broken_or_not_named_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is empty"):
        joined(tmp_path, "")
    with pytest.raises(InputError, match="holds no instruction with an answer that could be used"):
        joined(tmp_path, [])
    with pytest.raises(InputError, match="no instruction .* 2 records are broken"):
        joined(tmp_path, "[{]\n, {]")
    with pytest.raises(InputError, match="is not a file"):
        made(tmp_path / "o", "rag_sft", handbook(1), Template(), instructions=str(tmp_path / "nowhere.json"))
    with pytest.raises(ConfigError, match=r"needs a file of instructions .* set synthesize.options.instructions"):
        made(tmp_path / "o", "rag_sft", handbook(1), Template())
    with pytest.raises(TooManyFailed, match=r"2 of 22 .* not a record"):
        joined(tmp_path, [*pairs(5), 1, 2])


# What supports an answer


def test_by_words_an_answer_needs_its_words_and_all_its_numbers() -> None:
    text = "Staff in Finland have 25 days of annual leave. It is requested two weeks before it starts."
    question = "How much leave do employees in Finland get?"
    assert support(question, "They get 25 days.", "Leave", text) == (1.0, True, 0.5)
    assert not support(question, "They get 20 days.", "Leave", text).numbers
    assert support("When must one ask for leave?", "Request it two weeks before.", "Leave", text).answer == 1, "endings do no harm"
    assert support(question, "The sauna opens on Thursdays.", "Leave", text).answer == 0
    assert not wanted("Is it Finland or Estonia?", "Finland.") and not wanted("Is it so?", "Yes, it is."), "words tell nothing"
    assert support("How many are there?", "1,000 items", "", "There are 1000 items.").numbers
    assert best_sentences(question, "25 days", text) == ["Staff in Finland have 25 days of annual leave."]
    assert best_sentences("When and how much?", "25 days, requested weeks before", text, 2) == text.replace(". ", ".\n").split("\n")
    assert best_sentences(question, "On Thursdays", text) == []


def test_an_answer_that_only_shares_a_number_with_a_passage_about_something_else_is_not_supported(tmp_path: Path) -> None:
    """25 days of leave are not supported by a passage about 25 days of warranty: the question's words must be there too."""
    asked = {"text": "How long do employees stay on annual vacation?", "output": "11 months."}
    examples, out = joined(tmp_path, [asked], handbook(1))
    assert not examples and out.dropped == {"no passage supports the answer": 1}
    assert joined(tmp_path, [asked], handbook(1), about=0.0)[0], "it is the question's words that say no"


def japanese() -> list[Chunk]:
    texts = [
        "有給休暇は年に二十日です。申請は二週間前までに人事部へ出します。",
        "出張の宿泊費は一泊一万二千円までです。領収書が必要です。",
        "会議室は三階にあります。予約は総務部が受け付けます。",
    ]
    return [Chunk(id=f"j{n}", document=f"j{n}", path=f"{n}.md", title="規則", text=t, start=0, end=len(t)) for n, t in enumerate(texts)]


def by_characters(chunks: list[Chunk]) -> Any:
    return lambda query, k: sorted((Hit(chunk=c, score=len(set(query) & set(c.text))) for c in chunks), key=lambda h: (-h.score, h.chunk.id))[:k]


def test_japanese_is_told_by_characters_and_shown_in_its_own_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        {"ID": "1", "text": "宿泊費はいくらまでですか？", "output": "一泊一万二千円までです。"},
        {"ID": "2", "text": "一番美しい詩は何ですか？", "output": "春の桜を詠んだ詩です。"},
        {"ID": "3", "text": "有給休暇は何日ですか？", "output": "三十一日です。"},
    ]
    monkeypatch.setattr(recipe_world, "searcher", by_characters)
    (cited, abstained), out = joined(tmp_path, rows, japanese(), seats={"format": FORMATS["ja"]}, unsupported="abstain")
    assert cited.answer == rows[0]["output"] and [q.text for q in cited.quotes] == ["出張の宿泊費は一泊一万二千円までです。"]
    assert abstained.question == rows[1]["text"] and abstained.answer == ABSTAIN["ja"]
    assert out.dropped == {rag_sft.DOUBT: 1}, "the passage says twenty days: to refuse would be wrong, too"
    [prompt] = conversation(FORMATS["ja"], cited)
    assert prompt["content"].index("### コンテキスト") < prompt["content"].index("### 質問") and "### 指示" in prompt["content"]
    assert FORMATS["ja"].target(cited) == [f"{rows[0]['output']} [{cited.oracle}]"]


def test_between_support_and_absence_a_pair_is_in_doubt_and_dropped(tmp_path: Path) -> None:
    half = {"text": "How heavy is the scale of Turku in part 0?", "output": "It weighs elephants."}
    examples, out = joined(tmp_path, [half], handbook(1), unsupported="abstain")
    assert not examples and out.dropped == {rag_sft.DOUBT: 1}
    with pytest.raises(ConfigError, match="absent must be below support"):
        joined(tmp_path, [half], handbook(1), support=0.3, absent=0.5)


# A model that says whether a passage supports an answer


def test_the_judge_is_asked_passage_by_passage_until_one_supports_the_answer(tmp_path: Path) -> None:
    judge = Scripted(supports=lambda r: {"choice": "yes" if "stands in hall 51" in r.inputs["passage"] else "no"})
    teacher = Fake()
    examples, _ = joined(tmp_path, pairs(1)[:1], handbook(1), teacher, seats={"judge": judge}, check="model")
    assert len(examples) == 1 and not teacher.requests and 1 <= len(judge.requests) <= 2
    assert "hall 51" in examples[0].passages[examples[0].oracle].text
    assert judge.requests[0].schema["properties"]["choice"]["enum"] == ["yes", "other", "no"], "it can say nothing else"
    no = Scripted(supports={"choice": "no"})
    examples, out = joined(tmp_path, pairs(1)[:1], handbook(1), no, check="model", unsupported="abstain")
    assert [e.support for e in examples] == ["abstain"] and len(no.requests) == 2
    other = Scripted(supports=lambda r: {"choice": "other" if "hall 51" in r.inputs["passage"] else "no"})
    examples, out = joined(tmp_path, pairs(1)[:1], handbook(1), other, check="model", unsupported="abstain")
    assert not examples and out.dropped == {rag_sft.DOUBT: 1}, "a question that a passage answers otherwise is not refused"
    only, out = joined(tmp_path, [POEM | {"text": "What of Turku?"}], handbook(1), Scripted(supports={"choice": "yes"}), check="model")
    assert not only and out.dropped == {"no sentence of the passage holds a part of the answer": 1}, "no quote is invented"


def test_a_judge_that_always_refuses_stops_the_run_early_and_words_that_find_nothing_do_not(tmp_path: Path) -> None:
    rows = [POEM | {"ID": f"{n}", "text": f"What is poem {n}?"} for n in range(200)]
    refusing = Scripted(supports="I am sorry, I cannot help with that.")
    with pytest.raises(TooManyFailed, match="None of the first 25 units .* no word on the support"):
        joined(tmp_path, rows, handbook(2), refusing, check="model")
    assert len(refusing.requests) < 2 * 25 + 4 * 64 + 8
    examples, out = joined(tmp_path, [*rows, *pairs(1)], handbook(2), Scripted(), section={"teacher": "gpt"})
    assert len(examples) == 4 and out.dropped == {"no passage supports the answer": 200}, "that most pairs have no support is no fault"


def test_the_rules_can_check_by_words_but_are_no_judge() -> None:
    need_model("rag_sft", "template", {"instructions": "a.json"})
    with pytest.raises(ConfigError, match="needs a language model to say whether a passage supports an answer"):
        need_model("rag_sft", "template", {"check": "model"})
    need_model("rag_sft", "template", {"check": "model"}, ["judge"])
    need_model("rag_sft", "gpt", {"check": "model"})


# The defects of the published notebook (docs/recipes/rag_sft.md)


def test_context_never_crowds_out_the_answer(tmp_path: Path) -> None:
    """It cut rows at 512 tokens, and the contexts of 3,000 characters stood before the answer."""
    long = [
        Chunk(id=f"l{n}", document="d0", path="0.md", title="", text=f"{n} Turku scale weigh {'many words ' * 90}", start=9000 + n, end=9990)
        for n in range(4)
    ]
    row = pairs(1)[0]
    wide, out = joined(tmp_path, [row], [*handbook(1), *long], k=5, max_tokens=4000)
    narrow, told = joined(tmp_path, [row], [*handbook(1), *long], k=5, max_tokens=900)
    assert len(wide[0].passages) == 5 > len(narrow[0].passages) >= 1 and "noted" not in out.notes
    left = told.notes["noted"]["passages left out to fit max_tokens"]
    assert left == 5 - len(narrow[0].passages) and f"{left} passages were left out" in told.notes["advice"][0]
    assert narrow[0].answer == row["output"] and narrow[0].quotes[0].text == wide[0].quotes[0].text, "what supports the answer stays"
    assert {p.text for p in narrow[0].passages} < {p.text for p in wide[0].passages}, "none is cut"
    ranked = [h.chunk.id for h in recipe_world.searcher([*handbook(1), *long])(row["text"], 5)]
    oracle = narrow[0].passages[narrow[0].oracle].id
    others = [name for name in ranked if name != oracle][: len(narrow[0].passages) - 1]
    assert {p.id for p in narrow[0].passages} == {oracle, *others}, "the last ones leave"
    examples, told = joined(tmp_path, [row], handbook(1), k=5, max_tokens=128)
    assert not examples and told.dropped == {"question, answer and passage do not fit into max_tokens": 1}


def test_a_label_that_the_context_cannot_support_is_not_taught(tmp_path: Path) -> None:
    """Its contexts came from a book on another matter than its questions, so that it taught to ignore them; and there were no refusals."""
    general = [{"text": f"Tell me about topic {n}.", "output": f"Topic {n} concerns gardens, music and the sea."} for n in range(20)]
    dropped, out = joined(tmp_path, general)
    assert not dropped and sum(out.dropped.values()) == 20
    abstained, _ = joined(tmp_path, [*general, *pairs()], unsupported="abstain")
    assert {e.support for e in abstained} == {"cited", "abstain"}
    assert not any(e.answer.startswith("Topic") for e in abstained)


def test_questions_and_passages_are_embedded_with_their_prefixes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its E5 embeddings had neither `query:` nor `passage:`."""
    from groundling.index import build, open_index
    from groundling.index.retrievers import dense
    from tests.index.test_dense import encoder

    options = config.Index(retriever="dense", model=str(encoder(tmp_path / "encoder", positions=600)))
    seen: list[str] = []
    embed = dense.Embedder._vectors
    monkeypatch.setattr(dense.Embedder, "_vectors", lambda self, texts: seen.extend(texts) or embed(self, texts))
    build(handbook(2), options, tmp_path / "index")
    search = open_index(handbook(2), options, tmp_path / "index")
    assert [t.startswith("passage: ") for t in seen] == [True] * 4
    seen.clear()
    monkeypatch.setattr(recipe_world, "searcher", lambda chunks: search)
    examples, _ = made(tmp_path / "o", "rag_sft", handbook(2), Template(), instructions=written(tmp_path, pairs(2)), k=4)
    assert sorted(seen) == sorted(f"query: {r['text']}" for r in pairs(2)) and examples


def test_training_and_answering_share_one_prompt(tmp_path: Path) -> None:
    """Its prompt at inference was another than in training, and its labels held the prompt."""
    [example] = joined(tmp_path, pairs(1)[:1])[0]
    for fmt in (FORMATS[name] for name in rag_sft.FORMATS):
        assert conversation(fmt, example) == fmt.prompt(example.question, example.passages)
        assert example.answer in fmt.target(example)[-1] and not any(example.answer in m["content"] for m in conversation(fmt, example))


def test_marks_of_a_format_in_an_answer_or_quote_are_left_out(tmp_path: Path) -> None:
    row = pairs(1)[0] | {"output": "It weighs <ANSWER>: 11 kg."}
    examples, out = joined(tmp_path, [row])
    assert not examples and out.dropped == {"marks of the format in the answer": 1}


def test_the_page_has_every_option() -> None:
    page = (Path(__file__).parents[2] / "docs" / "recipes" / "rag_sft.md").read_text("utf-8")
    assert set(re.findall(r"^\| `(\w+)` \| ", page, re.MULTILINE)) >= set(rag_sft.Options.model_fields)
    for option, field in rag_sft.Options.model_fields.items():
        assert field.default in ("", []) or isinstance(field.default, list) or f"| `{option}` | {field.default} |" in page, option
