"""The recipe rest: trajectories grown, ranked, and made into rows; what the publication leaves open is closed here."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from groundling import config, registry
from groundling.agent import steps
from groundling.curate import Context, judged
from groundling.errors import ConfigError, InputError, TooManyFailed
from groundling.grounding import ABSTAIN, FORMATS
from groundling.llm.base import Request
from groundling.llm.rules.facts import facts
from groundling.llm.schema import prompted
from groundling.records import Example, Question
from groundling.synthesize import Bench, need_model, options_of, synthesize, units_of
from groundling.workspace import Output, read_lines

from .recipe_world import HELD_OUT, Fake, Scripted, checked, handbook, made, searcher

many = settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
choices = st.fixed_dictionaries(
    {
        "rows": st.sampled_from(["answers", "steps"]),
        "count": st.integers(1, 2),
        "trajectories": st.integers(1, 2),
        "searches": st.integers(1, 4),
        "snippets": st.integers(1, 3),
        "samples": st.integers(1, 3),
        "passages": st.integers(1, 4),
    }
)


@many
@given(choices, st.integers(0, 10**6))
def test_every_row_of_every_setting_keeps_its_promises(tmp_path: Path, options: dict, seed: int) -> None:
    chunks = {c.id: c for c in handbook(4)}
    examples, out = made(tmp_path, "rest", list(chunks.values()), seed=seed, **options)
    assert examples and len({e.id for e in examples}) == len(examples)
    for e in examples:
        if options["rows"] == "steps":
            assert (e.support, e.passages, e.quotes) == ("memory", [], []) and e.kind in steps.STEPS
            steps.STEPS[e.kind].shape.model_validate_json(e.answer)
        else:
            checked(e, chunks)
            assert 1 <= len(e.passages) <= max(options["passages"], len({q.passage for q in e.quotes}))
            assert e.kind in ("one search", "several searches", "abstained")
    assert judged("cited", examples, Context(questions=[]), {}) == [None] * len(examples)
    assert out.notes["units_called"] == "topics"


@many
@given(choices, st.integers(0, 10**6))
def test_the_same_seed_gives_the_same_bytes_whoever_is_faster(tmp_path: Path, options: dict, seed: int) -> None:
    made(tmp_path, "rest", handbook(4), Fake(hurried=1), seed, **options)
    first = (tmp_path / "data.jsonl").read_bytes()
    made(tmp_path, "rest", handbook(4), Fake(hurried=2), seed, **options)
    assert first and (tmp_path / "data.jsonl").read_bytes() == first


def test_a_row_does_not_hang_on_the_order_of_the_chunks(tmp_path: Path) -> None:
    one, _ = made(tmp_path, "rest", handbook(4), samples=1)
    other, _ = made(tmp_path, "rest", handbook(4)[::-1], samples=1)
    assert sorted(one, key=lambda e: e.id) == sorted(other, key=lambda e: e.id)


def test_an_answer_s_row_holds_what_was_found_and_can_be_trained_in_every_grounded_format(tmp_path: Path) -> None:
    examples, _ = made(tmp_path, "rest", handbook(6), samples=1, trajectories=1)
    assert len(examples) >= 10 and {e.support for e in examples} == {"cited"} and any(len(e.passages) > 1 for e in examples)
    assert len({e.oracle for e in examples}) > 1, "its place does not give the passage away"
    for e in examples:
        assert FORMATS["raft"].target(e)[0].endswith(f"<ANSWER>: {e.answer}")
        assert json.loads(FORMATS["two-turn"].target(e)[0]) == {"relevant_doc_ids": sorted({q.passage for q in e.quotes})}


def test_a_step_s_row_reads_as_the_step_is_asked(tmp_path: Path) -> None:
    teacher = Fake()
    examples, _ = made(tmp_path, "rest", handbook(3), teacher, rows="steps", samples=1, trajectories=1)
    asked = {prompted(r).messages[-1]["content"]: r.task for r in teacher.requests if r.task.startswith("agent ")}
    assert {e.question: f"agent {e.kind}" for e in examples} == {q: t for q, t in asked.items() if t != "agent rank"}
    assert {e.kind for e in examples} == set(steps.STEPS)
    for e in examples:
        assert FORMATS["step"].prompt(e.question, e.passages) == [{"role": "user", "content": e.question}] and FORMATS["step"].target(e) == [e.answer]


def test_steps_that_work_on_a_question_of_the_evaluation_are_dropped(tmp_path: Path) -> None:
    examples, _ = made(tmp_path, "rest", handbook(4), rows="steps", samples=1, trajectories=1)
    secret, other = sorted({steps.bare(e.question, e.answer)[0] for e in examples if e.split == "train"})[:2]
    context = Context(questions=[Question(id="q", question=secret.upper(), answers=["x"], answerable=True)])
    said = judged("leaked", examples, context, {})
    found = {(steps.bare(e.question, e.answer)[0], word) for e, word in zip(examples, said, strict=True)}
    assert {word for question, word in found if question == secret} == {"asked in the evaluation"} and (other, None) in found
    passage = " ".join(handbook(4)[0].text.split()[:30])
    shared = Context(questions=[Question(id="q", question="Why?", answers=[passage], answerable=True)])
    assert set(judged("leaked", examples, shared, {})) == {None}, "a step may show a passage that an answer was taken from"


def test_no_trajectory_looks_into_documents_of_the_other_side(tmp_path: Path) -> None:
    chunks = {c.id: c for c in handbook(6)}
    examples, _ = made(tmp_path, "rest", list(chunks.values()), samples=1, snippets=3, passages=9)
    assert {e.split for e in examples} == {"train", "held_out"}
    for e in examples:
        assert {("held_out" if chunks[p.id].document in HELD_OUT else "train") for p in e.passages} == {e.split}
    told, _ = made(tmp_path, "rest", list(chunks.values()), rows="steps", samples=1, snippets=3)
    for e in told:
        assert not any(c.text in e.question for c in chunks.values() if (c.document in HELD_OUT) != (e.split == "held_out"))


# Grow and improve


def differing(**by_step: Any) -> Scripted:
    """Samples differ by their draw: every value of a list is one."""

    def say(values: list[Any], request: Request) -> Any:
        value = values[request.draw % len(values)]
        return value(request) if callable(value) else value

    return Scripted(**{f"agent {kind}": (lambda r, values=values: say(values, r)) for kind, values in by_step.items()})


def no_answer(request: Request) -> dict:
    return {"quotes": [], "answer": ABSTAIN["en"]}


def wordy(request: Request) -> dict:
    """A true answer, but proved by a heading."""
    text = request.inputs["texts"][0]
    return {"quotes": [{"passage": request.inputs["shown"][0], "quote": text.split("\n")[0]}], "answer": "It is told somewhere in a part of it."}


def right(request: Request) -> Any:
    return Fake().say(request)


@pytest.mark.parametrize("values", [[wordy, right], [right, wordy], [no_answer, right, wordy]])
def test_the_sample_that_is_ranked_first_is_learnt_whatever_its_place(tmp_path: Path, values: list[Any]) -> None:
    teacher = differing(answer=values)
    examples, _ = made(tmp_path, "rest", handbook(3), teacher, rows="steps", samples=len(values), trajectories=1)
    answers = [e for e in examples if e.kind == "answer"]
    assert len(answers) >= 4 and "agent rank" in {r.task for r in teacher.requests}
    for e in answers:
        said = json.loads(e.answer)
        assert said["answer"] not in ("It is told somewhere in a part of it.", ABSTAIN["en"]) and said["quotes"]


def test_the_trajectory_whose_answer_is_ranked_first_is_learnt(tmp_path: Path) -> None:
    teacher = differing(answer=[wordy, right])  # with one sample a step, a trajectory each
    passed = {"passed": True, "quotes": [], "answer": ""}
    teacher._said |= {"agent relevance": passed, "agent grounding": passed}
    judge = Scripted(**{"agent rank": lambda r: {"ranking": [0, 1] if "It is told" in r.messages[0]["content"].rpartition("#1\n")[2] else [1, 0]}})
    examples, out = run(tmp_path, handbook(3), teacher, judge=judge, samples=1, trajectories=2)
    assert len(examples) == 6 and all(e.answer != "It is told somewhere in a part of it." for e in examples)
    assert out.dropped == {"another trajectory was ranked above": 6} and out.notes["noted"] == {"trajectories that answered": 12}


def run(folder: Path, chunks: Any, teacher: Any, judge: Any = None, student: Any = None, path: Path | None = None, **options: Any):
    """As `made`, with a student and a judge."""
    out = Output(folder)
    bench = Bench(
        teacher=teacher, student=student, judge=judge, search=searcher(chunks), chunks=chunks, seed=42, recipe="rest", drop=out.drop, fail=out.fail,
        split_of=lambda document: "held_out" if document in HELD_OUT else "train", path=lambda name: (path or folder) / name,
    )  # fmt: skip
    chosen = config.Synthesize(recipe="rest", options=options, max_failed=0.05)
    try:
        units = units_of("rest", chunks, bench, options_of(registry.load("recipe", "rest"), options))
        asyncio.run(synthesize(chosen, bench, units, out))
    finally:
        out.close()
    return list(read_lines(folder / "data.jsonl", Example)), out


def test_the_student_walks_the_teacher_asks_and_the_judge_ranks(tmp_path: Path) -> None:
    teacher, judge, student = Fake(), Fake(), differing(answer=[wordy, right])
    examples, _ = run(tmp_path, handbook(2), teacher, judge, student, samples=2, trajectories=1)
    assert examples and {r.task for r in teacher.requests} == {"questions"} and {r.task for r in judge.requests} == {"agent rank"}
    assert {r.task for r in student.requests} == {f"agent {kind}" for kind in steps.STEPS}


def test_without_a_judge_the_teacher_ranks(tmp_path: Path) -> None:
    teacher = Fake()
    run(tmp_path, handbook(2), teacher, None, differing(answer=[wordy, right]), samples=2, trajectories=1)
    assert "agent rank" in {r.task for r in teacher.requests}


def test_samples_of_different_trajectories_to_one_prompt_are_ranked_together(tmp_path: Path) -> None:
    """With one sample a step the first decision is asked once in each trajectory; the two are one choice."""
    poor = {"action": "search", "query": "something else"}
    examples, _ = made(tmp_path, "rest", handbook(2), differing(decide=[poor, right]), rows="steps", samples=1, trajectories=2)
    first = [e for e in examples if e.kind == "decide" and "(nothing yet)" in e.question]
    assert len(first) == 4 and not any("something else" in e.answer for e in first)


def test_a_ranking_of_one_trajectory_s_samples_does_not_stand_for_all(tmp_path: Path) -> None:
    """The first trajectory said the best, the second ranked two that are worse."""

    def worse(words: str) -> Any:
        return lambda r: right(r) if r.inputs["searched"] else {"action": "search", "query": f"{r.inputs['question']} {words}"}

    teacher = differing(decide=[worse("please"), right, worse("please"), worse("if you would")])
    examples, out = made(tmp_path, "rest", handbook(2), teacher, rows="steps", samples=2, trajectories=2)
    first = [e for e in examples if e.kind == "decide" and "(nothing yet)" in e.question]
    assert len(first) == 4 and out.notes["noted"] == {"trajectories that answered": 8}
    assert not any("please" in e.answer or "would" in e.answer for e in first)


# What the publication leaves open


def test_what_is_empty_is_never_ranked_nor_learnt(tmp_path: Path) -> None:
    empty = {"quotes": [], "answer": ""}
    teacher = differing(answer=[empty, right], decide=[{"action": "search", "query": ""}, right], summarise=[{"summary": "", "relevant": []}, right])
    examples, _ = made(tmp_path, "rest", handbook(3), teacher, rows="steps", samples=2, trajectories=1)
    assert len(examples) >= 24 and not any(json.loads(e.answer) in (empty, {"action": "search", "query": ""}) for e in examples)
    assert "agent rank" not in {r.task for r in teacher.requests}, "one of two was empty: there is nothing to rank"


def test_a_ranking_that_is_none_fails_and_is_not_guessed(tmp_path: Path) -> None:
    judge = Scripted(**{"agent rank": {"ranking": [0, 0]}})
    with pytest.raises(TooManyFailed):
        run(tmp_path, handbook(3), differing(answer=[wordy, right]), judge=judge, rows="steps", samples=2, trajectories=1)
    lines = [json.loads(line) for line in (tmp_path / "failed.jsonl").read_text().splitlines()]
    assert {line["reason"] for line in lines} == {"no ranking: the reply does not fit its schema"} and len(lines) == 6


def test_quotes_that_prove_nothing_make_no_row(tmp_path: Path) -> None:
    def lie(request: Request) -> dict:
        return {"quotes": [{"passage": request.inputs["shown"][0], "quote": "Nobody wrote this."}], "answer": "So"}

    examples, out = made(tmp_path, "rest", handbook(3), differing(answer=[lie]), samples=1, trajectories=1)
    assert examples == [] and out.dropped == {"no trajectory: answer: quote not verbatim in its passage": 6}
    kept = json.loads((tmp_path / "dropped.jsonl").read_text().splitlines()[0])["what"]
    assert kept["searches"] and "Nobody wrote this." in kept["said"][0]
    assert "6 of 6 trajectories came to no answer" in out.notes["advice"][0]


def test_an_abstention_is_kept_only_where_the_answer_was_not_found(tmp_path: Path) -> None:
    chunks = handbook(6)
    examples, out = made(tmp_path, "rest", chunks, differing(answer=[no_answer]), samples=1, trajectories=1)
    assert out.dropped["abstained although the passage that it was asked of was found"] > 5
    assert all(e.unit not in {p.id for p in e.passages} and e.kind == "abstained" and e.answer == ABSTAIN["en"] for e in examples)
    elsewhere = {"decide": [lambda r: {"action": "search", "query": "Katla"} if not r.inputs["searched"] else {"action": "stop", "query": ""}]}
    examples, out = made(tmp_path, "rest", chunks, differing(answer=[no_answer], **elsewhere), samples=1, trajectories=1, snippets=1)
    assert examples and {e.support for e in examples} == {"abstain"} and all(e.passages for e in examples)
    none, out = made(tmp_path, "rest", chunks, differing(answer=[no_answer], **elsewhere), samples=1, trajectories=1, snippets=1, abstentions=False)
    assert none == [] and out.dropped["an abstention, and abstentions is false"] == len(chunks)


def test_an_abstention_without_a_passage_makes_no_row(tmp_path: Path) -> None:
    chunks, out = handbook(3), Output(tmp_path)
    bench = Bench(
        teacher=Fake(), search=lambda query, k: [], chunks=chunks, seed=1, recipe="rest", drop=out.drop, fail=out.fail, split_of=lambda d: "train"
    )
    options = options_of(registry.load("recipe", "rest"), {"samples": 1, "trajectories": 1})
    found = asyncio.run(synthesized(bench, chunks, options))
    out.close()
    assert found == [] and out.dropped == {"an abstention without a passage to show": 6}


async def synthesized(bench: Bench, chunks: Any, options: Any) -> list[Example]:
    recipe = registry.load("recipe", "rest")
    bench = bench.ready()
    return [e for unit in recipe.units(chunks, bench, options) for e in await recipe.make(unit, bench, options)]


def test_a_passage_that_holds_the_quote_too_is_not_shown_beside(tmp_path: Path) -> None:
    chunks = handbook(3)
    twice = [type(c)(**{**{f: getattr(c, f) for f in c.__struct_fields__}, "id": f"{c.id}b", "start": 9000, "end": 9000}) for c in chunks]
    examples, _ = made(tmp_path, "rest", [*chunks, *twice], samples=1, trajectories=1, snippets=6, passages=6)
    assert examples and any(len(e.passages) > 1 for e in examples)
    for e in examples:
        assert sum(any(q.text in p.text for q in e.quotes) for p in e.passages) == len({q.passage for q in e.quotes})


# Questions of a file, an endpoint, bad input


def asked(tmp_path: Path, text: str, name: str = "q.jsonl", **more: Any):
    (tmp_path / name).write_text(text, "utf-8")
    folder = tmp_path / "out"
    folder.mkdir(exist_ok=True)
    return run(folder, handbook(4), more.pop("teacher", None) or Fake(), path=tmp_path, questions=name, samples=1, trajectories=1, **more)


def test_questions_of_a_file_are_asked_on_the_side_of_training_or_of_their_document(tmp_path: Path) -> None:
    chunks, teacher = handbook(4), Fake()
    trained, held = chunks[0], chunks[2]
    own, other = (facts(c.text, c.title)[0].asked for c in (trained, held))
    assert (trained.document, held.document) == ("d0", "d1") and held.document in HELD_OUT
    lines = [{"question": own}, {"question": other, "document": held.path}, {"question": "Who founded Turku?"}, {"question": own, "id": 7}]
    examples, out = asked(tmp_path, "\n".join(map(json.dumps, lines)) + "\n", teacher=teacher)
    assert out.counts()["in"] == 3 and "questions" not in {r.task for r in teacher.requests}, "a question that stands twice is asked once"
    assert [(e.question, e.split, e.document, e.support) for e in examples] == [
        (own, "train", "d0", "cited"),
        (other, "held_out", "d1", "cited"),
        ("Who founded Turku?", "train", "", "abstain"),
    ]
    [alone], _ = asked(tmp_path, json.dumps({"question": other}) + "\n")
    assert (alone.split, alone.support) == ("train", "abstain"), "where no document is named, only those that are trained on are looked into"


def test_a_file_of_plain_lines_is_read(tmp_path: Path) -> None:
    examples, _ = asked(tmp_path, "Who founded Turku?\n\nWho founded Oulu?\n", "q.txt")
    assert [e.question for e in examples] == ["Who founded Turku?", "Who founded Oulu?"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"question": "Who?"}\n{"asked": "What?"}\n', "line 2 holds no question"),
        ('{"question": " "}\n', "line 1 holds no question"),
        ('{"question": "Who?"\n', "line 1 holds no question"),
        ('{"question": 7}\n', "line 1 holds no question"),
        ("\n", "holds no question. Write one a line"),
        ('{"question": "Who?", "document": "z.md"}\n', 'line 1: there is no document "z.md" in the run'),
    ],
)
def test_a_bad_file_of_questions_is_told_in_a_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        asked(tmp_path, text)


def test_the_rules_cannot_be_its_teacher_unless_others_do_all(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="The recipe rest needs a language model"):
        need_model("rest", "template", {})
    with pytest.raises(ConfigError, match="The recipe rest needs a language model"):
        need_model("rest", "template", {}, ["student"])
    need_model("rest", "template", {}, ["student", "judge"])
    from groundling.llm.template import Template

    examples, _ = run(tmp_path, handbook(2), Template(), Fake(), Fake(), samples=1, trajectories=1)
    assert len(examples) == 4, "the rules ask, the student searches, the judge ranks"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"endpoint": {"url": "http://x.example/search"}}, "it must hold {query}"),
        ({"rows": "both"}, "synthesize.options.rows"),
        ({"sample": 3}, 'there is no option "sample"'),
        ({"preset": "rest"}, 'there is no preset "rest"'),
        ({"searches": 0}, "synthesize.options.searches = 0"),
    ],
)
def test_bad_options_are_sentences(options: dict, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        options_of(registry.load("recipe", "rest"), options)


def test_the_presets_are_what_was_published() -> None:
    recipe = registry.load("recipe", "rest")
    paper = options_of(recipe, {"preset": "rest-paper"})
    assert (paper.searches, paper.snippets, paper.samples, paper.temperature, paper.trajectories) == (10, 3, 4, 0.5, 4)
    default = options_of(recipe, {})
    assert (default.searches, default.snippets, default.samples, default.temperature) == (10, 3, 4, 0.5)
    assert recipe.FORMATS(default) == ("raft", "two-turn", "ja") and recipe.FORMATS(options_of(recipe, {"rows": "steps"})) == ("step",)


def test_an_endpoint_is_searched_instead_of_the_index(tmp_path: Path) -> None:
    queries: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        queries.append(request.query["q"])
        return web.json_response([{"title": "Turku", "text": "The lift of Turku was repaired within 12 working days of the storm."}])

    async def main() -> list[Example]:
        app = web.Application()
        app.router.add_get("/", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        out, chunks = Output(tmp_path), handbook(1)
        (tmp_path / "q.txt").write_text("How long was the lift repaired?\n")
        bench = Bench(
            teacher=differing(answer=[wordy]), search=searcher(chunks), chunks=chunks, seed=42, recipe="rest", drop=out.drop, fail=out.fail,
            split_of=lambda d: "train", path=lambda name: tmp_path / name, held_out=0.0,
        )  # fmt: skip
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/?q={{query}}"
        try:
            options = {"questions": "q.txt", "endpoint": {"url": url}, "samples": 1, "trajectories": 1}
            return await synthesized(bench, chunks, options_of(registry.load("recipe", "rest"), options))
        finally:
            await runner.cleanup()
            out.close()

    [example] = asyncio.run(main())
    assert queries[0] == "How long was the lift repaired" and example.passages[0].text.startswith("The lift of Turku")
    assert example.split == "train" and example.document == "" and example.support == "cited"


def test_an_endpoint_that_is_down_fails_the_question_and_stops_the_stage(tmp_path: Path) -> None:
    options = {"endpoint": {"url": "http://127.0.0.1:9/?q={query}", "retries": 0}, "samples": 1, "trajectories": 1}
    with pytest.raises(TooManyFailed):
        run(tmp_path, handbook(3), Fake(), **options)
    lines = [json.loads(line) for line in (tmp_path / "failed.jsonl").read_text().splitlines()]
    assert Counter(line["reason"] for line in lines) == {"the search endpoint did not answer": 6}
    assert "did not answer (no connection" in json.dumps(lines[0])
