"""Backtranslation: seeds inverted and as they are, segments with an instruction and a score, the two tags, and a judge held against a person."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from groundling.config import Curate
from groundling.curate import Context, curate, judged
from groundling.errors import ConfigError, InputError, TooManyFailed
from groundling.grounding import FORMATS, Instruct, conversation
from groundling.llm.base import Reply, Request
from groundling.llm.template import Template
from groundling.records import Document, Example
from groundling.synthesize import need_model
from groundling.synthesize.calibration import told, weighted_kappa
from groundling.synthesize.recipes import backtranslation
from groundling.workspace import Output, read_lines

from .recipe_world import HELD_OUT, Fake, Scripted, made
from .test_segments import prose

many = settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
SEED_TAG, OWN_TAG = Instruct.tags


def documents(count: int = 6) -> list[Document]:
    """Documents of three sections: two segments, and one that is too short."""
    found = []
    for n in range(count):
        parts = [
            f"# Guide {n}",
            f"## Weights\n\nThe kettle of hall {n + 3} weighs {n + 11} kg. {prose(650, n)}.",
            f"## Times\n\nRepairs of model {n} take {n + 5} working days. {prose(700, n + 50)}.",
            f"## Short\n\n{prose(60, n)}",
        ]
        found.append(Document(id=f"d{n}", path=f"{n}.md", title=f"Guide {n}", text="\n\n".join([parts[0], prose(2000, n + 90), *parts[1:]])))
    return found


def seeds(count: int = 20) -> list[dict[str, str]]:
    return [{"instruction": f"Tell me of matter {n}.", "input": "", "output": f"Matter {n} is this: {prose(80, n)}."} for n in range(count)]


def written(folder: Path, rows: object, name: str = "seeds.json") -> str:
    path = folder / name
    path.write_text(rows if isinstance(rows, str) else json.dumps(rows, ensure_ascii=False), "utf-8")
    return str(path)


def run(folder: Path, make: str, teacher: Any = None, seed: int = 42, seats: dict | None = None, count: int = 6, **options: Any):
    form = FORMATS["backward" if make == "backward" else "instruct"]
    bench = {"documents": lambda: documents(count), "format": form, "held_out": 0.3, **(seats or {})}
    section = options.pop("section", None)
    return made(folder / "out", "backtranslation", [], teacher or Fake(), seed, section, bench, make=make, **options)


class Student(Fake):
    """A model that was taught the format `backward`: it says an instruction, and nothing around it."""

    def __init__(self, said: str = "Write about what begins so: {}", finish: str = "stop") -> None:
        super().__init__()
        self._said, self._finish = said, finish

    async def replies(self, requests: Sequence[Request]) -> list[Reply]:
        self.requests += requests
        return [Reply(text=self._said.format(" ".join(r.messages[-1]["content"].split()[:6])), finish=self._finish) for r in requests]


# The three rounds


def test_seeds_inverted_teach_to_write_the_instruction(tmp_path: Path) -> None:
    examples, out = run(tmp_path, "backward", Template(), seeds=written(tmp_path, seeds()))
    assert len(examples) == 20 and {e.split for e in examples} == {"train", "held_out"} and out.notes["kinds"] == {"seed": 1}
    fmt = FORMATS["backward"]
    for e, row in zip(examples, seeds(), strict=True):
        shown = conversation(fmt, e)
        assert shown[-1]["content"] == row["output"] and fmt.target(e) == [row["instruction"]]
        assert row["instruction"] not in "".join(m["content"] for m in shown)
    assert judged("cited", examples, Context(questions=[])) == [None] * len(examples)


def test_seeds_as_they_are_teach_to_answer_under_the_tag_of_seeds(tmp_path: Path) -> None:
    examples, _ = run(tmp_path, "forward", Template(), seeds=written(tmp_path, seeds()))
    fmt = FORMATS["instruct"]
    for e, row in zip(examples, seeds(), strict=True):
        assert conversation(fmt, e) == [{"role": "system", "content": SEED_TAG}, {"role": "user", "content": row["instruction"]}]
        assert fmt.target(e) == [row["output"]] and not e.passages


def test_segments_get_an_instruction_and_a_score_beside_the_seeds_each_under_its_tag(tmp_path: Path) -> None:
    teacher = Fake()
    examples, out = run(tmp_path, "augmented", teacher, seeds=written(tmp_path, seeds()))
    texts = {f"{d.title}": d.text for d in documents()}
    augmented = [e for e in examples if e.kind == "augmented"]
    assert len(augmented) == 18 and len(examples) == 38 and out.notes["kinds"]["augmented"] == pytest.approx(18 / 38, abs=1e-3)
    for e in augmented:
        assert any(e.answer in t for t in texts.values()) and 600 <= len(e.answer) <= 3000, "the answer is the document's own words"
        assert e.question.startswith(f"{OWN_TAG}\n\n") and e.score in (1, 2, 3, 4, 5) and e.support == "memory"
        assert e.split == ("held_out" if e.document in HELD_OUT else "train")
        assert conversation(FORMATS["instruct"], e)[0] == {"role": "system", "content": OWN_TAG}
    assert all(e.score is None and e.question.startswith(SEED_TAG) for e in examples if e.kind == "seed")
    assert out.dropped == {"a segment shorter than `shortest`": 6}
    asked = [r for r in teacher.requests if r.task == "instruction"]
    assert {(r.temperature, r.top_p) for r in asked} == {(0.7, 0.9)}, "sampled as in the paper"


def test_at_inference_both_tags_stand_together() -> None:
    shown = FORMATS["instruct"].prompt("What is tea?", [])
    assert shown == [{"role": "system", "content": f"{SEED_TAG} {OWN_TAG}"}, {"role": "user", "content": "What is tea?"}]
    assert FORMATS["instruct"].prompt("A letter.\n\nIs it good?", [])[1]["content"] == "A letter.\n\nIs it good?", "only a tag is a tag"


def test_the_same_seeds_are_held_out_in_every_round_and_equal_answers_together(tmp_path: Path) -> None:
    rows = [*seeds(30), *({"instruction": f"And once more, {n}?", "input": "", "output": seeds()[4]["output"]} for n in range(12))]
    file = written(tmp_path, rows)
    rounds = [run(tmp_path, make, count=1, seeds=file)[0] for make in ("backward", "forward", "augmented")]
    sides = [{e.answer: e.split for e in r if e.kind == "seed"} for r in rounds]
    assert sides[0] == sides[1] == sides[2] and set(sides[0].values()) == {"train", "held_out"}
    assert len({e.split for e in rounds[0] if e.answer == rows[4]["output"]}) == 1
    ids = [{e.id for e in r if e.kind == "seed"} for r in rounds]
    assert ids[1] == ids[2] and not ids[0] & ids[1], "rounds that teach the same are compared on the same questions, and with no others"
    everything, _ = run(tmp_path, "forward", seeds=file, seats={"held_out": 0.0})
    assert {e.split for e in everything} == {"train"}


def test_the_student_writes_in_the_format_that_it_was_taught_and_the_judge_scores(tmp_path: Path) -> None:
    student, judge, teacher = Student(), Fake(), Template()
    examples, _ = run(tmp_path, "augmented", teacher, seats={"student": student, "judge": judge}, count=2)
    assert len(examples) == 6 and all(e.question.removeprefix(f"{OWN_TAG}\n\n").startswith("Write about what begins so:") for e in examples)
    assert all(r.messages[0]["content"] == FORMATS["backward"].system and (r.temperature, r.top_p) == (0.7, 0.9) for r in student.requests)
    assert {r.task for r in judge.requests} == {"score"} and len(judge.requests) == 6


@pytest.mark.parametrize(
    ("said", "finish", "reason"),
    [
        ("", "stop", "no instruction"),
        ("I cannot answer that.", "stop", "no instruction"),
        ("What does the passage say of tea?", "stop", "the instruction speaks of the text"),
        (f"{SEED_TAG} Do so.", "stop", "an instruction that is none"),
        ("word " * 900, "stop", "an instruction that is none"),
        ("Write about", "length", "an instruction that does not end within max_tokens"),
    ],
)
def test_an_instruction_that_will_not_do_is_dropped_with_its_reason_and_not_scored(tmp_path: Path, said: str, finish: str, reason: str) -> None:
    judge = Fake()
    examples, out = run(tmp_path, "augmented", seats={"student": Student(said, finish), "judge": judge}, count=2)
    assert not examples and out.dropped[reason] == 6 and not judge.requests


def test_failed_calls_are_failures(tmp_path: Path) -> None:
    with pytest.raises(TooManyFailed, match="6 × no instruction: the call failed"):
        run(tmp_path, "augmented", seats={"student": Student("gone", "error"), "judge": Fake()}, count=2)


@many
@given(st.integers(0, 10**6))
def test_the_same_seed_gives_the_same_bytes_whoever_is_faster(tmp_path: Path, seed: int) -> None:
    file = written(tmp_path, seeds(5))
    first, _ = run(tmp_path, "augmented", Fake(hurried=1), seed, count=3, seeds=file)
    data = (tmp_path / "out" / "data.jsonl").read_bytes()
    run(tmp_path, "augmented", Fake(hurried=2), seed, count=3, seeds=file)
    assert (tmp_path / "out" / "data.jsonl").read_bytes() == data and first


# Scores: the defect of the published reimplementation


@pytest.mark.parametrize("said", ["Score: 8", "91", "1986", '{"score": 6}', '{"score": 0}', "Score: five", '{"score": 4.5}', "It is good."])
def test_a_score_outside_the_scale_or_in_free_words_is_no_score(tmp_path: Path, said: str) -> None:
    """The published reimplementation left 217,203 of 482,963 pairs without a score and read others as 8, 91 and 1986."""
    with pytest.raises(TooManyFailed, match="no score: "):
        run(tmp_path, "augmented", Scripted(score=said), count=2)
    examples, out = run(tmp_path, "augmented", Scripted(score=said), count=2, section={"max_failed": 1.0})
    assert not examples and sum(out.failed.values()) == 6, "what has no score is not kept, and counted"


def test_every_reply_is_asked_for_within_the_scale(tmp_path: Path) -> None:
    teacher = Fake()
    run(tmp_path, "augmented", teacher, count=1)
    schema = next(r.schema for r in teacher.requests if r.task == "score")
    assert (schema["properties"]["score"]["minimum"], schema["properties"]["score"]["maximum"]) == (1, 5)


class Likely(Fake):
    """A model of this machine as seen from here: it says how likely it finds each reply."""

    def __init__(self, *shares: float) -> None:
        super().__init__()
        self._shares = shares

    async def scores(self, messages: list[dict[str, str]], labels: list[str]) -> list[float]:
        from math import log

        assert labels == ["1", "2", "3", "4", "5"]
        return [log(s) for s in self._shares]


def test_a_model_of_this_machine_scores_by_how_likely_it_finds_each_number(tmp_path: Path) -> None:
    judge = Likely(0.05, 0.05, 0.1, 0.2, 0.6)
    examples, _ = run(tmp_path, "augmented", seats={"judge": judge}, count=1)
    assert {e.score for e in examples} == {4.2} and not judge.requests, "no word of it has to be read"


class Rewarding:
    """A reward model."""

    name, fingerprint = "reward", "reward/1"

    async def scores(self, asked: list[tuple[list[dict[str, str]], str]]) -> list[float]:
        return [len(reply) / 1000 for _, reply in asked]


def test_a_reward_model_scores_on_its_own_scale(tmp_path: Path) -> None:
    examples, _ = run(tmp_path, "augmented", seats={"judge": Rewarding()}, count=1)
    assert [e.score for e in examples] == [len(e.answer) / 1000 for e in examples]


@pytest.mark.parametrize(("least", "kept"), [(4, {4.0, 5.0}), (4.5, {5.0})])
def test_the_filter_of_scores_keeps_what_is_good_enough_and_all_seeds(tmp_path: Path, least: float, kept: set[float]) -> None:
    """Uncurated data did not help at any size; 4 and 5 (from 4.5 on) are the published thresholds."""
    examples, _ = run(
        tmp_path, "augmented", Scripted(score=lambda r: {"score": 1 + sum(map(ord, r.inputs["text"])) % 5}), seeds=written(tmp_path, seeds())
    )
    out = Output(tmp_path / "curated")
    curate(examples, Curate(filters=["cited", {"score": {"minimum": least, "scale": [1, 5], "unscored": "keep"}}]), Context(questions=[]), out)
    out.close()
    left = list(read_lines(tmp_path / "curated" / "data.jsonl", Example))
    assert {e.score for e in left if e.kind == "augmented"} == kept and sum(e.kind == "seed" for e in left) == 20
    assert out.dropped["score: score too low"] > 0


# A judge beside a person


def labelled(*scores: tuple[int, int]) -> list[dict[str, Any]]:
    return [{"instruction": f"{judge} please, number {n}", "output": "Here it is.", "score": person} for n, (person, judge) in enumerate(scores)]


def test_a_labelled_set_tells_precision_recall_and_agreement_in_the_record(tmp_path: Path) -> None:
    rows = labelled((5, 5), (5, 4), (4, 4), (3, 4), (2, 1), (1, 1), (4, 2))
    teacher = Scripted(score=lambda r: {"score": int(r.inputs["instruction"][0]) if "please" in r.inputs["instruction"] else 3})
    examples, out = run(tmp_path, "augmented", teacher, count=1, labelled=written(tmp_path, rows, "labelled.json"))
    assert len(examples) == 3 and all("please" not in e.question for e in examples), "they are not trained on"
    assert out.notes["noted"]["labelled 5, scored 4"] == 1 and sum(out.notes["noted"].values()) == 7
    # from 4: the judge says so of 4, of which 3 are; a person of 4. At 5: the judge of 1, which is; a person of 2.
    [sentence] = out.notes["advice"]
    assert "on 7 labelled pairs: from 4: precision 0.75 (3/4), recall 0.75 (3/4); at 5: precision 1.00 (1/1), recall 0.50 (1/2)" in sentence
    assert "weighted kappa 0.77" in sentence  # squares of the differences: 7; by chance (7·(96 + 79) − 2·24·21)/7 = 31; 1 − 7/31


def test_the_kappa_is_cohens_with_quadratic_weights() -> None:
    # By hand, two scores 1 and 5 of four pairs: seen 16·1, by chance 16·(2·1 + 2·3)/4 = 32; 1 − 16/32.
    assert weighted_kappa([(1, 1.0, 1), (1, 5.0, 1), (5, 5.0, 2)]) == pytest.approx(0.5)
    assert weighted_kappa([(1, 1.0, 3), (5, 5.0, 2), (3, 3.0, 1)]) == 1
    assert weighted_kappa([(1, 5.0, 1), (5, 1.0, 1)]) == -1
    assert weighted_kappa([(3, 3.2, 9)]) is None and weighted_kappa([(4, 4.4, 1), (5, 4.5, 1)]) == 1
    assert told({}) == [] and "no agreement can be told" in told({"labelled 3, scored 3": 2})[0]
    assert (
        "at 5: precision 1.00 (1/1)" in told({"labelled 5, scored 4.6": 1})[0]
        and "from 4: precision undefined" in told({"labelled 5, scored 3.9": 1})[0]
    )
    assert "precision undefined, recall 0.00 (0/1)" in told({"labelled 5, scored 3": 1})[0]


def test_labelled_records_that_are_none_fail_with_their_line(tmp_path: Path) -> None:
    lines = [json.dumps(r) for r in labelled((5, 5), (1, 1))]
    file = written(tmp_path, "\n".join([lines[0], '{"instruction": "x", "output": "y", "score": 7}', '{"broken', lines[1]]), "l.jsonl")
    _, out = run(tmp_path, "augmented", count=3, labelled=file, section={"max_failed": 0.5})
    assert out.failed == {"not a labelled pair": 1, "broken JSON": 1}
    told = [json.loads(line) for line in (tmp_path / "out" / "failed.jsonl").read_text().splitlines()]
    assert [t["what"]["line"] for t in told] == [2, 3] and "score" in told[0]["detail"]
    with pytest.raises(InputError, match="holds no labelled pair"):
        run(tmp_path, "augmented", labelled=written(tmp_path, '{"score": 3}', "n.jsonl"))


# Bad input


def test_settings_that_do_not_go_together_are_told_before_anything_is_asked(tmp_path: Path) -> None:
    file, teacher = written(tmp_path, seeds()), Fake()
    for make in ("backward", "forward"):
        with pytest.raises(ConfigError, match=r"needs a file of instructions .*synthesize.options.seeds"):
            run(tmp_path, make, teacher)
        with pytest.raises(ConfigError, match=f"make={make} makes data for train.format="):
            run(tmp_path, make, teacher, seeds=file, seats={"format": FORMATS["raft"]})
    with pytest.raises(ConfigError, match="shortest is above longest"):
        run(tmp_path, "augmented", teacher, shortest=9000)
    with pytest.raises(InputError, match=r"no segment of 2900 to 3000 characters .*Lower synthesize.options.shortest"):
        run(tmp_path, "augmented", teacher, shortest=2900)
    with pytest.raises(InputError, match="is empty"):
        run(tmp_path, "backward", teacher, seeds=written(tmp_path, "", "e.json"))
    assert not teacher.requests


def test_a_seed_file_with_broken_escapes_on_line_812_costs_one_record(tmp_path: Path) -> None:
    lines = json.dumps(seeds(400), indent=1).split("\n")
    at = next(n for n in range(811, 0, -1) if '"output"' in lines[n])
    lines = [""] * (811 - at) + lines
    lines[811] = lines[811].replace("Matter", "\\Matter")
    examples, out = run(tmp_path, "backward", seeds=written(tmp_path, "\n".join(lines)))
    assert len(examples) == 399 and out.failed == {"broken JSON": 1}
    assert json.loads((tmp_path / "out" / "failed.jsonl").read_text())["what"]["line"] == 812


def test_the_rules_cannot_write_instructions_but_student_and_judge_spare_a_teacher() -> None:
    with pytest.raises(ConfigError, match="backtranslation needs a language model to write instructions and to score them"):
        need_model("backtranslation", "template", {})
    with pytest.raises(ConfigError, match="needs a language model"):
        need_model("backtranslation", "template", {}, ["student"])
    need_model("backtranslation", "template", {}, ["student", "judge"])
    need_model("backtranslation", "template", {"make": "backward", "seeds": "s.json"})


def test_a_teacher_that_always_refuses_stops_the_run(tmp_path: Path) -> None:
    refusing = Scripted(instruction="I am sorry, I cannot help with that.")
    with pytest.raises(TooManyFailed, match="None of the first 25 units gave an example.* no instruction: no JSON object in the reply"):
        run(tmp_path, "augmented", refusing, count=60)
    assert len(refusing.requests) < 2 * (25 + 64) + 2


def test_a_segment_that_stands_in_the_documents_twice_is_asked_about_once(tmp_path: Path) -> None:
    both = [documents(1)[0], Document(id="d9", path="9.md", title="Copy", text=documents(1)[0].text)]
    examples, out = run(tmp_path, "augmented", seats={"documents": lambda: both})
    assert len(examples) == 3 and out.dropped["a segment that stands in the documents twice"] == 3


def test_a_conversation_is_no_seed(tmp_path: Path) -> None:
    turns = [("human", "Hello?"), ("gpt", "Hello."), ("human", "And more?"), ("gpt", "More.")]
    rows = [{"conversations": [{"from": who, "value": what} for who, what in turns[:length]]} for length in (2, 4)]
    examples, out = run(tmp_path, "forward", seeds=written(tmp_path, rows))
    assert [e.answer for e in examples] == ["Hello."] and out.dropped == {"a later turn of a conversation": 1}


def test_the_options_name_the_published_values() -> None:
    options = backtranslation.Options()
    assert (options.shortest, options.longest, options.temperature, options.top_p) == (600, 3000, 0.7, 0.9)
    assert options.navigation == ["advertisement", "forum", "quick link", "free newsletter"]


def test_the_page_has_every_option() -> None:
    page = (Path(__file__).parents[2] / "docs" / "recipes" / "backtranslation.md").read_text("utf-8")
    assert set(re.findall(r"^\| `(\w+)` \| ", page, re.MULTILINE)) >= set(backtranslation.Options.model_fields)
    for option, field in backtranslation.Options.model_fields.items():
        assert field.default in ("", []) or isinstance(field.default, list) or f"| `{option}` | {field.default} |" in page, option
