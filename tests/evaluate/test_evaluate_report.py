import asyncio
import json
import re
from html.parser import HTMLParser

import msgspec
import pytest
from evaluate_world import CHUNKS, DOCUMENTS, QUESTIONS, Oracle, example, search

from groundling.config import Evaluate
from groundling.evaluate import charts, report, run, scoring, view
from groundling.evaluate.cases import Books
from groundling.evaluate.curves import Training
from groundling.evaluate.report import ReportData
from groundling.grounding import FORMATS
from groundling.records import Score
from groundling.workspace import Output, read_lines

EVIL = "<script>alert('x')</script>"
STAGES = {
    "ingest": {
        "counts": {"in": 5, "kept": 3, "dropped": {"empty": 1}, "failed": {"unreadable": 1}},
        "seconds": 75.2,
        "notes": {"pages": 4},
    },
    "synthesize": {"counts": {"in": 3, "kept": 3, "dropped": {}, "failed": {}}, "notes": {"support": {"cited": 0.8, "abstain": 0.2}}},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scores")
    models = [run.Contestant("base", Oracle("b", known=("days of leave",)), FORMATS["raft"], trial=True)]
    models += [run.Contestant("tuned", Oracle("t", known=("days of leave", "daily rate")), FORMATS["raft"])]
    out = Output(folder)
    plan = run.Plan(Evaluate(k=[1, 3]), 1, QUESTIONS, Books(DOCUMENTS, CHUNKS, search, frozenset({"d-leave"})), models, [example("e", "cited")])
    scores = asyncio.run(run.evaluate(plan, out))
    out.close()
    return ReportData(
        name="handbook", scores=scores, tests=msgspec.convert(json.loads((folder / "tests.json").read_text()), list[scoring.Comparison]),
        rows=list(read_lines(folder / "data.jsonl", scoring.Row)), notes=out.notes, origin="The questions were written by hand.",
        records=STAGES, failed={"ingest": [{"reason": "unreadable", "what": "a.pdf", "detail": EVIL}]},
        trainings=[Training("handbook", "sft on nano", [{"step": n, "loss": 3 / (n + 1)} for n in range(30)])], models={"base": "nano"},
    )  # fmt: skip


class Balanced(HTMLParser):
    VOID = {"meta", "br", "link", "img", "input", "hr"}

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, tag


def test_the_page_is_whole_and_loads_nothing(data, tmp_path):
    path = tmp_path / "report.html"
    report.write_report(path, data)
    page = path.read_text()
    parser = Balanced()
    parser.feed(page)
    assert not parser.open
    assert not re.search(r'(?:src|href)="(?!#)|url\((?!#)|@import|<script|<link', page)
    assert page.count("<svg") == 4 and page == report.render(data)
    for words in (
        "written by hand",
        "Seen and unseen",
        "Retrieval",
        "a.pdf",
        "1 × empty",
        "1 min 15 s",
        "support · cited: 0.8",
        "few-shot",
    ):
        assert words in page, words


def test_what_is_read_first_stands_first_and_the_long_tables_are_folded(data):
    page = report.render(data._replace(advice="Set serve.k: 1."))
    first, detail = page[page.index("<main>") :].split('<h2 class="more">In detail</h2>')
    assert first.index(view.headline(data.scores, data.tests, data.notes)[:30]) < first.index("Set serve.k: 1.") < first.index("<svg")
    assert first.count("<svg") == 1 and first.index("<svg") < first.index("<table") and first.count("<table") == 1 and "<details" not in first
    shown = re.findall(r'<th scope="row">([^<]+)<small>', first)
    assert shown[0] == "correct" and "abstain recall" in shown and "token F1" not in shown and len(shown) <= 6
    parts = re.findall(r'<details class="part"><summary><h2>([^<]+)</h2>', detail)
    assert parts == [
        "When it abstains", "Scores", "Seen and unseen documents", "Retrieval", "Answers to read", "How the base model was asked", "Training",
        "What went in, what came out",
    ]  # fmt: skip
    assert _outside(detail) == [], "every table and plot of the details is folded away until it is asked for"


def _outside(page):
    """The tables and plots that are not within a folded section."""
    found, depth = [], 0
    for tag in re.findall(r"</?details[^>]*>|<table|<svg", page):
        depth += tag.startswith("<details") - (tag == "</details>")
        found += [tag] if tag in ("<table", "<svg") and not depth else []
    return found


def test_what_models_and_documents_say_is_escaped(data):
    row = next(r for r in data.rows if r.model == "tuned" and not r.correct and r.setting == "k=3")
    page = report.render(data._replace(rows=[_with(row)], name=EVIL, origin=EVIL, models={"base": EVIL}))
    assert "<script" not in page and page.count("&lt;script&gt;") >= 9


def _with(row):
    passages = [scoring.Passage(id="p", title=EVIL, text=EVIL)]
    return msgspec.structs.replace(row, question=EVIL, id=EVIL, turns=[EVIL], gold=[EVIL], passages=passages, relevant=[0])


def share(model, value, n=100, metric="correct", setting="k=3"):
    low, high = scoring.stats.wilson(value * n, n)
    return Score(model=model, setting=setting, metric=metric, value=value, low=low, high=high, n=n)


def comparison(p, difference=0.2):
    return scoring.Comparison(
        setting="k=3", metric="correct", base=0.5, tuned=0.5 + difference, difference=difference, low=0.1, high=0.3, p=p, n=100, method="m"
    )


def test_the_headline_says_when_nothing_can_be_told():
    scores, notes = [share("base", 0.5), share("tuned", 0.7)], {"headline": {"setting": "k=3"}}
    clear = view.headline(scores, [comparison(0.0004)], notes)
    assert "70.0 % of 100 questions" in clear and "+20.0 points (+10.0 to +30.0), p < 0.001" in clear and "cannot" not in clear
    assert "cannot be told apart" in view.headline(scores, [comparison(0.05)], notes)
    assert "No base model" in view.headline(scores[1:], [], notes) and "not scored" in view.headline([], [], {})
    assert "not tested" in view.headline(scores, [], notes)


def test_an_empty_evaluation_is_still_a_page():
    assert "not scored" in report.render(ReportData("x", [], [], [], {}))


def test_quotes_are_marked_where_they_stand():
    assert view.marked("one two three", ["two"]) == [("one ", False), ("two", True), (" three", False)]
    assert view.marked("one", ["absent"]) == [("one", False)] and view.marked("", ["x"]) == []
    assert view.marked("ab", ["ab", "b"]) == [("ab", True)]


def test_the_gravest_answers_come_first_and_each_kind_is_shown(data):
    row = next(r for r in data.rows if r.model == "tuned" and r.setting == "k=3")
    made = [msgspec.structs.replace(row, id=f"w{n}", correct=False, abstained=False, answerable=True) for n in range(30)]
    made += [msgspec.structs.replace(row, id="u", correct=False, abstained=False, answerable=False)]
    made += [msgspec.structs.replace(row, id="r", correct=False, abstained=True, answerable=True, relevant=[0])]
    found = view.worst(made, {"headline": {"setting": "k=3"}})
    ids = [one["row"].id for one in found["shown"]]
    assert len(ids) == 20 and ids[0] == "u" and ids[-1] == "r" and found["total"] == 32 and found["kinds"]["wrong answer"] == 30


@pytest.mark.parametrize(("p", "wanted"), [(None, "–"), (0.0001, "p < 0.001"), (0.0312, "p = 0.031"), (0.5, "p = 0.50")])
def test_p_values(p, wanted):
    assert view.p_value(p) == wanted


def test_every_measure_of_every_training_has_its_curve(data):
    """Two rounds: one with held-out losses and a rate, one with an objective's own measures; the log of a single step makes no curve."""
    logs = [
        [{"step": n, "loss": 2.0, "rate": 1e-3, "gradient": 1.0} | ({"held_out_loss": 1.5} if n % 2 else {}) for n in range(6)],
        [{"step": n, "loss": 2.0, "margin": 0.1 * n, "ahead": 0.5, "own_thing": 1.0} for n in range(6)],
        [{"step": 1, "loss": 2.0}],
    ]
    page = report.render(data._replace(trainings=[Training(f"round {n}", f"words {n}", log) for n, log in enumerate(logs)]))
    names = re.findall(r'aria-label="([^"]* by step, [^"]*)"', page)
    assert names == [
        "Training loss by step, round 0", "Learning rate by step, round 0", "Gradient norm by step, round 0",
        "Training loss by step, round 1", "Margin by step, round 1", "Better reply ahead by step, round 1", "Own thing by step, round 1",
    ]  # fmt: skip
    assert "squares: on held-out examples" in page and "words 1" in page and "round 2" not in page
    parser = Balanced()
    parser.feed(page)
    assert not parser.open and not re.search(r'(?:src|href)="(?!#)|url\((?!#)|@import|<script|<link', page)


def test_held_out_losses_are_drawn_where_they_are():
    with_held = charts.loss([(0, 2.0), (5, 1.0)], "t", [(0, 2.5), (5, 1.5)])
    assert with_held != charts.loss([(0, 2.0), (5, 1.0)], "t") and with_held.count("<use") >= 2


def test_what_a_stage_noted_is_words_and_no_data() -> None:
    notes = {"log": [{"step": 1}], "kept": True, "base": None, "formats": ["md", "pdf"], "share": {"cited": 0.81234}, "none": []}
    [stage] = view.stages({"index": {"counts": {"in": 0, "kept": 0}, "notes": notes}}, {})
    assert stage["notes"] == [("kept", "yes"), ("formats", "md, pdf"), ("share · cited", "0.8123")] and not stage["counted"]
