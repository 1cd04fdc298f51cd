import asyncio
import json

import pytest
from evaluate_world import CHUNKS, DOCUMENTS, QUESTIONS, Oracle, example, search

from groundling.config import Evaluate
from groundling.errors import TooManyFailed
from groundling.evaluate import prompts, run
from groundling.evaluate.cases import Books
from groundling.evaluate.run import Contestant, Plan
from groundling.evaluate.scoring import Row
from groundling.grounding import FORMATS
from groundling.records import Passage
from groundling.workspace import Output, read_lines

RAFT = FORMATS["raft"]
EXAMPLES = [example("long", "cited", "A passage that is longer than the others."), example("short", "cited"), example("none", "abstain")]


def plan(tuned=None, base=None, **options):
    models = [Contestant("base", base or Oracle("base", known=("days of leave",)), RAFT, trial=True)]
    models += [Contestant("tuned", tuned or Oracle("tuned"), RAFT)]
    books = Books(DOCUMENTS, CHUNKS, search, frozenset({"d-leave"}))
    return Plan(Evaluate(**{"k": [1, 2], "batch": 2, **options}), 7, QUESTIONS, books, models, EXAMPLES)


def go(a_plan, folder):
    out = Output(folder)
    try:
        scores = asyncio.run(run.evaluate(a_plan, out))
    except BaseException:
        out.abandon()
        raise
    out.close()
    return scores, out


def pick(scores, model, setting, metric, questions="all"):
    (one,) = [s for s in scores if (s.model, s.setting, s.metric, s.questions) == (model, setting, metric, questions)]
    return one


def test_a_whole_run(tmp_path):
    scores, out = go(plan(), tmp_path)
    assert pick(scores, "tuned", "k=2", "correct").value == 4 / 5  # q5 is refused
    assert pick(scores, "base", "k=2", "correct").value == 2 / 5
    assert pick(scores, "tuned", "none", "refusal_rate").value == 1
    assert pick(scores, "tuned", "k=2", "citation_f1").value == 1 and pick(scores, "tuned", "k=2", "citation_recall").n == 3
    assert pick(scores, "tuned", "given", "correct").n == 4 and pick(scores, "tuned", "given", "abstain_recall").value is None
    seen, unseen = (pick(scores, "tuned", "k=2", "correct", q) for q in ("seen", "unseen"))
    assert (seen.value, seen.n, unseen.value, unseen.n) == (1, 1, pytest.approx(2 / 3), 3)
    hits = pick(scores, "retrieval", "k=1", "hit_rate")
    assert (hits.value, hits.n, hits.unscored) == (1, 3, 1)
    assert out.counts() == {"in": 38, "kept": 38, "dropped": {}, "failed": {}}  # 2 models x (5 + 5 + 5 + 4)
    tests = {(t["setting"], t["metric"]): t for t in json.loads((tmp_path / "tests.json").read_text())}
    assert set(tests[("k=2", "correct")]) == {"setting", "metric", "base", "tuned", "difference", "low", "high", "p", "n", "method"}
    assert (tests[("k=2", "correct")]["difference"], tests[("k=2", "correct")]["p"]) == (pytest.approx(0.4), 0.5)  # two to nothing
    assert json.loads((tmp_path / "scores.json").read_text())[0].keys() == {
        "model", "setting", "metric", "value", "low", "high", "n", "unscored", "questions"}  # fmt: skip


def test_rows_say_what_happened(tmp_path):
    go(plan(), tmp_path)
    rows = list(read_lines(tmp_path / "data.jsonl", Row))
    row = next(r for r in rows if (r.model, r.setting, r.id) == ("tuned", "k=2", "q2"))
    assert row.correct and row.citations == [0] == row.relevant and row.quotes[0].text == "The daily rate is 40 euros." and row.seen is False
    assert row.scores["citation_precision"] == [1, 1] and row.scores["abstain_recall"] is None and len(row.passages) == 2
    assert [r.id for r in rows if (r.model, r.setting) == ("base", "k=1")] == [q.id for q in QUESTIONS]


def test_groups_are_fixed_so_that_a_resumed_run_repeats_them(tmp_path):
    model = Oracle("tuned")
    go(plan(tuned=model), tmp_path / "a")
    assert model.calls == [2, 2, 1] * 3 + [2, 2]
    assert (tmp_path / "a" / "data.jsonl").read_bytes() == (go(plan(), tmp_path / "b") and (tmp_path / "b" / "data.jsonl").read_bytes())
    assert (tmp_path / "a" / "scores.json").read_bytes() == (tmp_path / "b" / "scores.json").read_bytes()


def test_the_base_model_gets_the_best_of_three_prompts(tmp_path):
    class Picky(Oracle):
        def _reply(self, prompt):
            return super()._reply(prompt if "copied word for word" in prompt else "Question: nothing")

    scores, out = go(plan(base=Picky("base"), prompt_trials=0), tmp_path)
    noted = out.notes["prompt"]
    assert (noted["chosen"], noted["setting"], noted["questions"], set(noted["tried"])) == ("plain", "k=2", 5, {"own", "plain", "few-shot"})
    assert noted["tried"]["plain"]["value"] == 4 / 5 and noted["tried"]["own"]["value"] == 1 / 5
    assert pick(scores, "base", "k=2", "correct").value == 4 / 5  # it is asked in the chosen way


def test_a_failed_reply_is_neither_wrong_nor_absent(tmp_path):
    scores, out = go(plan(tuned=Oracle("tuned", broken=("door code?",)), max_failed=0.5), tmp_path)
    one = pick(scores, "tuned", "k=2", "correct")
    assert (one.value, one.n, one.unscored) == (3 / 4, 4, 1)
    assert out.counts()["failed"] == {"no reply": 4} and out.counts()["in"] == 38
    lines = [json.loads(line) for line in (tmp_path / "failed.jsonl").read_text().splitlines()]
    assert {"model": "tuned", "setting": "k=2", "id": "q3"} in [line["what"] for line in lines]


def test_too_many_failures_stop_the_stage(tmp_path):
    with pytest.raises(TooManyFailed):
        go(plan(tuned=Oracle("t", broken=("?",)), base=Oracle("b", broken=("?",))), tmp_path)
    assert not (tmp_path / "scores.json").exists()


def test_a_limit_draws_by_id_and_not_by_order(tmp_path):
    drawn = run.chosen(QUESTIONS, 2, 7, "limit")
    assert len(drawn) == 2 and {q.id for q in drawn} == {q.id for q in run.chosen(QUESTIONS[::-1], 2, 7, "limit")}
    scores, out = go(plan(limit=2, k=[1], without=False, given=False), tmp_path)
    assert pick(scores, "tuned", "k=1", "correct").n == 2 and out.notes["questions"]["left out by limit"] == 3


def test_fewer_can_be_asked_without_passages_the_same_of_both_models(tmp_path):
    scores, out = go(plan(without_limit=2, k=[1], given=False), tmp_path)
    rows = [row for row in read_lines(tmp_path / "data.jsonl", Row) if row.setting == "none"]
    asked = {name: {row.id for row in rows if row.model == name} for name in ("base", "tuned")}
    assert asked["base"] == asked["tuned"] == {q.id for q in run.without(QUESTIONS, Evaluate(without_limit=2), 7)} and len(asked["base"]) == 2
    assert pick(scores, "tuned", "none", "correct").n == 2 and pick(scores, "tuned", "k=1", "correct").n == len(QUESTIONS)
    assert out.notes["questions"]["left out by limit"] == 0


def test_without_a_base_model_there_is_no_test(tmp_path):
    scores, _ = go(plan()._replace(models=[Contestant("tuned", Oracle("t"), RAFT)]), tmp_path)
    assert {s.model for s in scores} == {"tuned", "retrieval"} and json.loads((tmp_path / "tests.json").read_text()) == []


def test_two_turn_and_ja_formats_run_too(tmp_path):
    for name in ("two-turn", "ja"):
        models = [Contestant("base", Oracle("b"), FORMATS[name], trial=True), Contestant("tuned", Oracle("t"), FORMATS[name])]
        scores, _ = go(plan()._replace(models=models), tmp_path / name)
        assert pick(scores, "tuned", "k=1", "correct").n == 5


def test_worked_examples_are_the_shortest_of_each_kind():
    assert [e.id for e in prompts.worked(EXAMPLES)] == ["short", "none"] and prompts.worked([]) == []
    messages = prompts.few_shot(RAFT, prompts.worked(EXAMPLES))("Why?", [Passage(id="p", title="", text="Because.")])
    assert [m["role"] for m in messages] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert "##begin_quote##" in messages[2]["content"] and messages[4]["content"] == "<ANSWER>: Not in the documents."
    assert messages[-1] == RAFT.prompt("Why?", [Passage(id="p", title="", text="Because.")])[-1]
    assert [c.name for c in prompts.candidates(RAFT, [])] == ["own", "plain"]


def test_replies_to_the_plain_prompt_can_be_read():
    passages = [Passage(id="p", title="", text="It opens at 8.")]
    asked = prompts.plain("When?", passages)[0]["content"]
    assert "[0] It opens at 8." in asked and asked.endswith("Question: When?")
    reading = RAFT.read(["##begin_quote##It opens at 8.##end_quote## [0]\n<ANSWER>: 8"], passages)
    assert (reading.text, reading.citations, reading.abstained) == ("8", [0], False)
