"""A run that is not grounded is evaluated on its held-out examples; labels by accuracy, macro F1 and a table of which is taken for which."""

import asyncio
import json
from html import unescape

import msgspec
import numpy as np
import pytest

from groundling import stats
from groundling.config import Evaluate
from groundling.evaluate import prompts, report, run, scoring, view
from groundling.evaluate.cases import Books
from groundling.evaluate.confusion import INVALID, confusion
from groundling.evaluate.metrics import macro_f1
from groundling.evaluate.scoring import Metric, Replied
from groundling.grounding import FORMATS
from groundling.llm.base import Reply
from groundling.records import Example, Passage
from groundling.workspace import Output, read_lines

NAMES = ("bill", "parcel", "rest")
LABELS = [Passage(id=n, title=n, text=f"about a {n}") for n in NAMES]


def example(n: int, label: str, split: str = "held_out") -> Example:
    return Example(
        id=f"{split}-{n}", recipe="classification", unit=f"u{n}", document=f"d{split}{n}", question=f"{label} text {n}", passages=LABELS[n % 3 :] + LABELS[: n % 3],
        oracle=None, support="memory", quotes=[], answer=label, split=split,
    )  # fmt: skip


HELD = [example(n, NAMES[n % 3]) for n in range(12)]
TRAIN = [example(n, NAMES[n % 3], "train") for n in range(6)]


class Model:
    """Finds the label likeliest that begins the text, but for texts with the numbers that it gets wrong; `broken` ones end in an error."""

    documents_role = False

    def __init__(self, name, wrong=(), prompt="", long=()):
        self.name, self.fingerprint, self.wrong, self.prompt, self.long, self.asked = name, name, wrong, prompt, long, []

    def fits(self, request):
        return not any(f"text {n}" in request.messages[-1]["content"] for n in self.long)

    async def scores(self, messages, replies):
        said = messages[-1]["content"]
        self.asked.append(said)
        text = said.rpartition("Text:")[2].split("\n\nLabel")[0].strip()
        label, _, number = text.partition(" text ")
        if int(number) in self.wrong or self.prompt not in said:
            label = "rest"
        return [0.0 if reply == label else -2.0 for reply in replies]

    async def replies(self, requests):
        return [Reply(text="no label") for _ in requests]


def go(folder, tuned=None, base=None, fmt="labels", held=HELD, **options):
    models = [run.Contestant("base", base or Model("base", wrong=range(12)), FORMATS[fmt], trial=True)]
    models += [run.Contestant("tuned", tuned or Model("tuned"), FORMATS[fmt])]
    plan = run.Plan(Evaluate(**options), 7, [], Books([], [], lambda q, k: []), models, TRAIN, held_out=held)
    out = Output(folder)
    scores = asyncio.run(run.evaluate(plan, out))
    out.close()
    return {(s.model, s.metric): s for s in scores}, out


def test_held_out_examples_are_the_cases_and_only_the_setting_given_is_asked(tmp_path):
    tuned = Model("tuned", wrong=(0, 3))
    scores, out = go(tmp_path, tuned)
    assert {(s.setting, s.questions) for s in scores.values()} == {("given", "all")}, "no retrieval, no setting without passages"
    assert set(scores) == {(m, n) for m in ("base", "tuned") for n in ("accuracy", "macro_f1")}
    found = scores["tuned", "accuracy"]
    assert (found.value, found.n) == (10 / 12, 12) and (found.low, found.high) == stats.wilson(10, 12)
    assert scores["base", "accuracy"].value == 4 / 12 and out.counts()["kept"] == 24
    tests = {t["metric"]: t for t in json.loads((tmp_path / "tests.json").read_text())}
    assert (tests["accuracy"]["method"], tests["accuracy"]["difference"]) == ("exact McNemar", pytest.approx(0.5))
    assert tests["macro_f1"]["method"] == "swap permutation" and tests["macro_f1"]["p"] < 0.1
    assert out.notes["headline"] == {"setting": "given", "metric": "accuracy", "format": "labels"} and out.notes["questions"]["answerable"] == 12
    assert len(tuned.asked) == 12 and all(all(f"- {n}: about a {n}" in said for n in NAMES) for said in tuned.asked), "every label in every prompt"
    rows = [r for r in read_lines(tmp_path / "data.jsonl", scoring.Row) if r.model == "tuned"]
    assert [r.id for r in rows if not r.correct] == ["held_out-0", "held_out-3"] and {r.answer for r in rows} <= set(NAMES)


def test_macro_f1_is_that_of_the_whole_set_and_its_interval_a_bootstrap(tmp_path):
    scores, _ = go(tmp_path, Model("tuned", wrong=(0, 3, 6)))
    # bill: 1 of 4 found, never given wrongly; parcel: all; rest: all, and 3 texts too many.
    assert scores["tuned", "macro_f1"].value == pytest.approx((2 / 5 + 1 + 8 / 11) / 3)
    found = scores["tuned", "macro_f1"]
    assert found.low < found.value < found.high <= 1 and found.n == 12


def test_macro_f1_leaves_out_labels_that_nobody_has_or_gave_and_counts_those_given_wrongly():
    def value(*pairs):
        parts = [np.array(macro_f1.score(_case(gold), _answer(said))) for gold, said in pairs]
        return float(macro_f1.summarise(*np.sum(parts, axis=0)))

    assert value(("bill", "bill"), ("parcel", "parcel")) == 1
    assert value(("bill", "bill"), ("bill", "rest")) == pytest.approx((2 / 3 + 0) / 2)
    assert value(("bill", "bill"), ("bill", "motovisual")) == pytest.approx(2 / 3), "what is no label is a miss of its own label only"
    many = macro_f1.summarise(*np.array([[1, 1], [0, 0], [0, 0], [0, 1], [0, 0], [1, 0]]))
    assert many == pytest.approx([0.5, 1.0]), "it works on arrays"


def _case(gold):
    from groundling.evaluate.cases import held_out, questions_of

    e = msgspec.structs.replace(HELD[0], answer=gold)
    return held_out([e], FORMATS["labels"], questions_of([e], FORMATS["labels"])).cases["given"][0]


def _answer(said):
    from evaluate_world import answer

    return answer(said)


def test_a_text_that_does_not_fit_is_unscored_and_told(tmp_path):
    scores, out = go(tmp_path, Model("tuned", long=(5,)), max_failed=1)
    assert (scores["tuned", "accuracy"].value, scores["tuned", "accuracy"].n, scores["tuned", "accuracy"].unscored) == (1, 11, 1)
    assert out.failed == {"no reply": 1}


def test_the_limit_draws_among_the_held_out(tmp_path):
    scores, out = go(tmp_path, limit=5)
    assert scores["tuned", "accuracy"].n == 5 and out.notes["questions"]["left out by limit"] == 7


def test_the_base_model_gets_the_best_of_three_prompts_all_with_every_label(tmp_path):
    base = Model("base", prompt="Text: bill text 0\n\nLabel: bill\n\n")
    scores, out = go(tmp_path, base=base)
    assert scores["base", "accuracy"].value == 1 and out.notes["prompt"]["chosen"] == "few-shot"
    assert all(all(f"{n}: about a {n}" in said for n in NAMES) for said in base.asked)
    ways = {c.name: c.prompt("parcel text 4", LABELS) for c in prompts.candidates(FORMATS["labels"], TRAIN)}
    assert set(ways) == {"own", "plain", "few-shot"} and ways["own"] == FORMATS["labels"].prompt("parcel text 4", LABELS)
    assert ways["few-shot"][-1]["content"].count("Label:") == 4 and ways["few-shot"][-1]["content"].endswith("Text: parcel text 4\n\nLabel:")
    assert (
        all(len(c.prompt("x", LABELS)) <= 2 for c in prompts.candidates(FORMATS["labels"], []))
        and len(prompts.candidates(FORMATS["labels"], HELD)) == 2
    )


def test_which_label_is_taken_for_which_is_counted(tmp_path):
    _, out = go(tmp_path, Model("tuned", wrong=(0, 3)))
    table = out.notes["confusion"]
    assert table["labels"] == table["columns"] == list(NAMES)
    assert table["models"]["tuned"] == [[2, 0, 2], [0, 4, 0], [0, 0, 4]] and table["models"]["base"] == [[0, 0, 4], [0, 0, 4], [0, 0, 4]]
    invalid = confusion({"m": {"given": [Replied(_case("bill"), _answer("4")), Replied(_case("bill"), None)]}}, "given")
    assert invalid["columns"] == [*NAMES, INVALID] and invalid["models"]["m"][0] == [0, 0, 0, 1]


def test_the_report_says_it_in_the_words_of_labels(tmp_path):
    scores, out = go(tmp_path, Model("tuned", wrong=(0, 3)))
    tests = msgspec.convert(json.loads((tmp_path / "tests.json").read_text()), list[scoring.Comparison])
    rows = list(read_lines(tmp_path / "data.jsonl", scoring.Row))
    page = unescape(report.render(report.ReportData("messages", list(scores.values()), tests, rows, out.notes)))
    assert "With all labels in the prompt, the tuned model chose the right label for 83.3 % of 12 texts" in page
    assert "the base model for 33.3 %" in page and "Which label is taken for which" in page and "macro F1" in page
    for other in ("abstaining", "Retrieval", "By setting", "passage located", "retrieved passage"):
        assert other not in page, other
    assert "2 wrong outcomes of the tuned model with all labels in the prompt" in page
    assert view.headline(list(scores.values()), [], out.notes).endswith("The two were not tested against each other.")


class Writer:
    """Writes the question of a passage, or something like it."""

    name, fingerprint, documents_role = "writer", "writer/1", False

    async def replies(self, requests):
        return [Reply(text=r.messages[-1]["content"].replace("Answer to", "Question")) for r in requests]


def test_the_same_path_serves_other_formats_that_are_not_grounded(tmp_path):
    passages = [[Passage(id="p", title="", text=f"Answer to {n}")] for n in range(4)]
    held = [msgspec.structs.replace(HELD[n], question=f"Question {n}", passages=passages[n], answer="unused") for n in range(4)]
    scores, out = go(tmp_path, Writer(), Writer(), "backward", held)
    assert scores["tuned", "rouge_l"].value == 1 and scores["tuned", "rouge_l"].n == 4 and ("tuned", "correct") not in scores
    assert "confusion" not in out.notes and out.notes["headline"]["setting"] == "given"
    page = report.render(report.ReportData("x", list(scores.values()), [], list(read_lines(tmp_path / "data.jsonl", scoring.Row)), out.notes))
    assert "On the held-out examples, the tuned model reached a ROUGE-L of 100.0 % over 4 examples" in page and "Answers to read" not in page


def test_parts_of_texts_with_as_many_labels_are_as_many():
    assert {len(Metric("macro_f1", macro_f1).parts(Replied(_case(n), _answer(n)))) for n in NAMES} == {9}
