"""Texts with labels: from files as people keep them, written by a teacher, or labelled by it where that helps; every label always shown."""

from __future__ import annotations

import csv
import json
import math
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from groundling import config
from groundling.curate import Context, judged
from groundling.errors import ConfigError, InputError
from groundling.grounding import FORMATS
from groundling.llm.base import Request
from groundling.records import Example
from groundling.synthesize import check
from groundling.synthesize.active import helpful
from groundling.synthesize.labelled import Row, sides
from groundling.workspace import read_lines

from .recipe_world import Fake, Scripted, made

LABELS = {
    "refund": "wants money back for a returned product",
    "delivery": "asks where a parcel stays or when it arrives",
    "login": "cannot sign into the account or forgot the password",
}
NINE = "dokujo it-life-hack kaden homme movie peachy smax sports topic".split()
many = settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])


def table(path: Path, rows: list[tuple[str, str]], names: tuple[str, str] = ("text", "label")) -> str:
    with path.open("w", newline="", encoding="utf-8") as handle:
        csv.writer(handle).writerows([names, *rows])
    return str(path)


def numbered(each: dict[str, int]) -> list[tuple[str, str]]:
    return [(f"Message {n} of {label}", label) for label, count in each.items() for n in range(count)]


def dropped(folder: Path) -> Counter:
    return Counter(json.loads(line)["reason"] for line in (folder / "dropped.jsonl").read_text("utf-8").splitlines())


def whole(example: Example, labels: dict[str, str]) -> None:
    """What an example of this recipe promises whatever the settings."""
    assert {p.title: p.text for p in example.passages} == labels and len(example.passages) == len(labels), "every label, each once, with its meaning"
    assert example.answer in labels and (example.oracle, example.support, example.quotes) == (None, "memory", [])
    [*_, user] = FORMATS["labels"].prompt(example.question, example.passages)
    assert all(f"- {label}: {meaning}" if meaning else f"- {label}\n" in user["content"] for label, meaning in labels.items())
    assert FORMATS["labels"].target(example) == [example.answer]


# From labelled files.


@many
@given(st.dictionaries(st.sampled_from(sorted(LABELS)), st.integers(1, 12), min_size=2), st.floats(0, 0.5), st.integers(0, 10**6))
def test_rows_become_examples_of_a_stratified_split(tmp_path: Path, counts: dict[str, int], share: float, seed: int) -> None:
    data = table(tmp_path / "data.csv", numbered(counts))
    examples, out = made(tmp_path / "out", "classification", [], seed=seed, seats={"held_out": share}, data=data)
    assert len(examples) == sum(counts.values()) and not out.failed and not out.dropped
    assert [(e.question, e.answer) for e in examples] == numbered(counts), "all of them, in the file's order"
    for e in examples:
        whole(e, dict.fromkeys(counts, ""))
    held = Counter(e.answer for e in examples if e.split == "held_out")
    for label, n in counts.items():
        least = 1 if n > 1 and share else 0
        assert held[label] == max(least, min(round(share * n), n - 1)), "the same share of each label"
    assert len({e.document for e in examples}) == len(examples), "a document of its own for each text"


def test_where_a_label_stands_tells_nothing(tmp_path: Path) -> None:
    data = table(tmp_path / "data.csv", numbered(dict.fromkeys(LABELS, 200)))
    examples, _ = made(tmp_path / "out", "classification", [], data=data, labels=LABELS)
    at = Counter([p.title for p in e.passages].index(e.answer) for e in examples)
    assert all(abs(at[n] - 200) < 4 * math.sqrt(600 * 2 / 9) for n in range(3)), "within four standard deviations of a third"
    again, _ = made(tmp_path / "again", "classification", [], seed=7, data=data, labels=LABELS)
    assert [e.passages for e in again] != [e.passages for e in examples], "the seed draws the order"


def test_all_nine_labels_are_in_every_prompt_and_licence_files_are_no_news(tmp_path: Path) -> None:
    """The published notebook listed five of nine labels, and loaded nine LICENSE.txt files as articles."""
    for label in NINE:
        (tmp_path / "news" / label).mkdir(parents=True)
        (tmp_path / "news" / label / "LICENSE.txt").write_text("Creative Commons BY-ND")
        for n in range(2):
            (tmp_path / "news" / label / f"{label}-{n}.txt").write_text(f"https://example.com/{n}\n2024-05-0{n + 1}\nTitle {n} of {label}\nA body.\n")
    (tmp_path / "news" / "README.txt").write_text("About the corpus.")
    (tmp_path / "news" / "CHANGES").write_text("1.0")
    examples, out = made(tmp_path / "out", "classification", [], data=str(tmp_path / "news"), skip_lines=2)
    assert len(examples) == 18 and Counter(e.answer for e in examples) == dict.fromkeys(NINE, 2)
    for e in examples:
        whole(e, dict.fromkeys(NINE, ""))
        assert e.question.startswith("Title") and "Creative" not in e.question and "example.com" not in e.question
    assert out.dropped == {"a licence or readme file, no text": 10, "a file outside the folders of the labels": 1}


@pytest.mark.parametrize("name", ["LICENSE", "license.md", "COPYING.txt", "README", "readme.rst", "LICENCE-2.0.txt", "NOTICE.txt"])
def test_files_that_stand_beside_data_are_told_by_their_name(tmp_path: Path, name: str) -> None:
    for label in ("a", "b"):
        (tmp_path / "d" / label).mkdir(parents=True)
        (tmp_path / "d" / label / "1.txt").write_text(f"a text on licenses and {label}")
        (tmp_path / "d" / label / "licensed.txt").write_text(f"licensed {label}")
    (tmp_path / "d" / "a" / name).write_text("All rights reserved.")
    examples, out = made(tmp_path / "out", "classification", [], data=str(tmp_path / "d"))
    assert len(examples) == 4 and out.dropped == {"a licence or readme file, no text": 1}


def test_what_is_no_text_is_counted_and_repeats_are_taken_once(tmp_path: Path) -> None:
    rows = [("One", "a"), ("Two", "b"), ("", "a"), ("  ", "b"), ("one ", "a"), ("Three", ""), ("Both", "a"), ("BOTH", "b"), ("x" * 6001, "a")]
    examples, out = made(tmp_path / "out", "classification", [], data=table(tmp_path / "d.csv", [*rows, ("Four", "b"), ("Five", "a")]))
    assert [(e.question, e.answer) for e in examples] == [("One", "a"), ("Two", "b"), ("Four", "b"), ("Five", "a")]
    assert out.dropped == {
        "an empty text": 2, "a text that stands there twice": 1, "a text without a label": 1, "a text with two labels": 2,
        "a text longer than options.longest": 1,
    }  # fmt: skip
    assert "d.csv, line 4" in (tmp_path / "out" / "dropped.jsonl").read_text(), "the place is told"


def test_json_lines_with_a_broken_one_and_labels_that_are_numbers(tmp_path: Path) -> None:
    lines = ['{"body": "good", "class": 1}', '{"body": "bad\\q", "class": 0}', '{"body": "poor", "class": 0}', '{"body": 3, "class": 0}', '["x"]']
    (tmp_path / "d.jsonl").write_text("\n".join(lines))
    examples, out = made(tmp_path / "out", "classification", [], data=str(tmp_path / "d.jsonl"), section={"max_failed": 1})
    assert [(e.question, e.answer) for e in examples] == [("good", "1"), ("poor", "0")]
    assert out.failed == {"broken JSON": 1, "a text that is none": 1, "not a record": 1}
    assert "line 2" in (tmp_path / "out" / "failed.jsonl").read_text()


def test_fields_are_told_by_name_or_asked_for(tmp_path: Path) -> None:
    data = table(tmp_path / "d.csv", [("a b", "x"), ("c d", "y")], ("Narrative", "Product"))
    with pytest.raises(InputError, match="which field holds the text cannot be told. Set synthesize.options.text to one of: Narrative, Product."):
        made(tmp_path / "out", "classification", [], data=data)
    with pytest.raises(InputError, match='there is no field "Produkt". Set synthesize.options.label to one of: Narrative, Product.'):
        made(tmp_path / "out", "classification", [], data=data, text="Narrative", label="Produkt")
    examples, _ = made(tmp_path / "out", "classification", [], data=data, text="Narrative", label="Product")
    assert [e.answer for e in examples] == ["x", "y"]


def test_a_test_file_is_held_out_whole_and_nothing_of_it_is_trained_on(tmp_path: Path) -> None:
    data = table(tmp_path / "d.csv", [*numbered({"refund": 9, "login": 9}), ("Shared text", "refund")])
    test = table(tmp_path / "t.csv", [("shared  TEXT", "refund"), ("Another", "login")])
    examples, out = made(tmp_path / "out", "classification", [], data=data, test=test)
    assert {e.question for e in examples if e.split == "held_out"} == {"shared  TEXT", "Another"}
    assert len([e for e in examples if e.split == "train"]) == 18 and out.dropped == {"a text that is also in the test file": 1}


@pytest.mark.parametrize(
    ("rows", "options", "said"),
    [
        (numbered({"refund": 2, "Login": 3}), {"labels": LABELS}, r'"Login" \(3 rows, the first at d.csv, line 4\)\. Did you mean "login"\?'),
        (numbered({"refund": 2, "login": 3}), {"labels": LABELS}, "d.csv holds no text with the label delivery. Give some"),
        (numbered({"refund": 2}), {}, "has only the label refund. A choice needs two"),
        ([("", "refund")], {}, "holds no text with a label that could be used"),
        (numbered({"refund": 2, "login": 3}), {"longest": 20}, None),
        ([("x" * 40, "a"), ("y" * 40, "b")], {"longest": 30}, "Every text is longer than 30 characters. Raise synthesize.options.longest"),
    ],
)
def test_what_does_not_fit_is_told_in_a_sentence(tmp_path: Path, rows: list, options: dict, said: str | None) -> None:
    data = table(tmp_path / "d.csv", rows)
    if said is None:
        assert made(tmp_path / "out", "classification", [], data=data, **options)
        return
    with pytest.raises(InputError, match=said):
        made(tmp_path / "out", "classification", [], data=str(Path(data).relative_to(tmp_path)), seats={"path": lambda n: tmp_path / n}, **options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "needs texts with labels"),
        ({"per_label": 3}, "labels is empty"),
        ({"labels": LABELS, "active": 3, "unlabelled": "u.csv"}, "synthesize.student"),
        ({"labels": ["one"]}, "one label is no choice"),
        ({"labels": ["one", " one "]}, "each label needs a name of its own"),
        ({"labels": LABELS, "per_label": 3, "personas": []}, "give at least one"),
    ],
)
def test_a_config_from_which_nothing_can_be_made_is_refused(options: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        check(config.Synthesize(recipe="classification", options=options, teacher="t"))


def test_rules_will_do_for_labelled_texts_and_not_for_writing() -> None:
    check(config.Synthesize(recipe="classification", options={"data": "d.csv"}))
    with pytest.raises(ConfigError, match="The recipe classification needs a language model to write texts"):
        check(config.Synthesize(recipe="classification", options={"labels": LABELS, "per_label": 3}))


def test_sides_are_drawn_by_the_seed_and_not_by_the_order() -> None:
    ids = [f"t{n}" for n in range(40)]
    one, other = sides({"a": ids}, 0.25, 1), sides({"a": ids[::-1]}, 0.25, 1)
    assert one == other and Counter(one.values()) == {"held_out": 10, "train": 30} and one != sides({"a": ids}, 0.25, 2)


# Written by a teacher.


@many
@given(st.integers(1, 11), st.integers(1, 6), st.sampled_from([0.0, 0.2, 0.5]), st.integers(0, 10**6))
def test_written_texts_keep_their_promises(tmp_path: Path, per_label: int, together: int, share: float, seed: int) -> None:
    options = {"labels": LABELS, "per_label": per_label, "together": together}
    examples, out = made(tmp_path, "classification", [], seed=seed, seats={"held_out": share}, **options)
    assert not out.failed and len({e.id for e in examples}) == len(examples)
    sides_of: dict[str, set[str]] = {}
    for e in examples:
        whole(e, LABELS)
        assert e.kind == "written"
        sides_of.setdefault(e.unit, set()).add(e.split)
    assert all(len(found) == 1 for found in sides_of.values()), "what one call wrote is on one side"
    wanted = math.ceil(per_label / (1 - share)) if share else per_label
    assert Counter(e.answer for e in examples) == dict.fromkeys(LABELS, wanted), "as many of each label: balanced"
    if share and wanted > together:
        assert {e.split for e in examples} == {"train", "held_out"}


def test_the_same_seed_gives_the_same_bytes_whoever_is_faster(tmp_path: Path) -> None:
    found = []
    for hurried, seed in ((1, 3), (2, 3), (1, 4)):
        made(tmp_path / f"{hurried}{seed}", "classification", [], Fake(hurried=hurried), seed, labels=LABELS, per_label=12)
        found.append((tmp_path / f"{hurried}{seed}" / "data.jsonl").read_bytes())
    assert found[0] == found[1] != found[2] and found[0]


def test_who_writes_how_and_how_long_is_drawn_and_every_label_is_named(tmp_path: Path) -> None:
    teacher = Fake()
    made(tmp_path, "classification", [], teacher, labels=LABELS, per_label=40, about="messages of customers", attributes={"tone": ["calm", "cross"]})
    asked = [r.messages[-1]["content"] for r in teacher.requests if r.task == "texts"]
    assert all("Write 5 messages of customers" in text and all(f"{k}: {v}" in text for k, v in LABELS.items()) for text in asked)
    lines = [line for text in asked for line in text.splitlines() if line[:1].isdigit()]
    assert len(lines) == 5 * len(asked) and len({line.split(". by ")[1] for line in lines}) > 50, "of 72 profiles most are drawn"
    assert {word for line in lines for word in ("calm", "cross") if f"tone: {word}" in line} == {"calm", "cross"}


def test_a_text_that_the_teacher_calls_otherwise_when_asked_blind_is_dropped(tmp_path: Path) -> None:
    teacher = Scripted(texts=lambda r: {"texts": [f"{r.inputs['label']} {w}" for w in ("one", "two")]}, label={"choice": "refund"})
    options = {"labels": LABELS, "per_label": 2, "together": 2, "again": 0}
    examples, out = made(tmp_path, "classification", [], teacher, seats={"held_out": 0}, **options)
    assert [e.question for e in examples] == ["refund one", "refund two"]
    assert out.dropped == {"asked blind, the teacher chose another label": 4}
    blind = [r for r in teacher.requests if r.task == "label"]
    assert len(blind) == 6 and all(r.schema["properties"]["choice"]["enum"] and len(r.inputs["labels"]) == 3 for r in blind)
    assert all("Write" not in m["content"] for r in blind for m in r.messages), "without a hint of what it was written for"
    unchecked, _ = made(tmp_path, "classification", [], teacher, seats={"held_out": 0}, check=False, **options)
    assert len(unchecked) == 6


def test_a_reply_that_is_no_label_is_never_a_label(tmp_path: Path) -> None:
    """The published notebook's free replies had '4', 'motovisual' and 'sci-tower' among its labels."""
    teacher = Scripted(label={"choice": "motovisual"})
    examples, out = made(tmp_path, "classification", [], teacher, section={"max_failed": 1}, labels=LABELS, per_label=2, again=0)
    assert examples == [] and set(out.failed) == {"the teacher chose no label"} and "motovisual" in (tmp_path / "failed.jsonl").read_text()


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        (["Where is it?", "where  is IT?"], "a text that was written before"),
        (["My parcel has not come yet, where is it now?", "My parcel has not come yet, where is it, now?"], "nearly a text that was written before"),
        (["I ask you where my parcel has been all week long", "I ask you where my parcel has been all week longer"], "nearly a text that was written before"),
        (["Where is it?", "Asks where a parcel stays or when it arrives."], "a text that only repeats its label"),
        (["Where is it?", " ... "], "an empty text"),
        (["Where is it?", "x" * 700], "a text longer than options.longest"),
    ],
)  # fmt: skip
def test_a_text_that_is_not_new_or_not_one_is_dropped_with_its_reason(tmp_path: Path, texts: list[str], reason: str) -> None:
    teacher = Scripted(texts=lambda r: {"texts": texts if r.inputs["label"] == "delivery" else ["One.", "Two."]}, label=lambda r: "none")
    options = {"labels": LABELS, "per_label": 2, "together": 2, "again": 0, "check": False, "longest": 600}
    examples, out = made(tmp_path, "classification", [], teacher, seats={"held_out": 0}, **options)
    assert [e.question for e in examples if e.answer == "delivery"] == texts[:1] and out.dropped == {reason: 1}


def test_what_is_missing_is_asked_for_once_more_with_what_there_is(tmp_path: Path) -> None:
    def said(request: Request) -> dict:
        return {"texts": ["First?"] if "written already" not in request.messages[-1]["content"] else ["First?", "Second?"][: request.inputs["count"]]}

    teacher = Scripted(texts=said)
    made(tmp_path, "classification", [], teacher, seats={"held_out": 0}, labels=LABELS, per_label=3, check=False, again=1)
    second = [r for r in teacher.requests if r.draw == 1]
    assert [r.inputs["count"] for r in second] == [2, 2, 2] and all("- First?" in r.messages[-1]["content"] for r in second)
    assert len(teacher.requests) == 6, "no third time"


def test_the_teacher_fills_up_what_the_data_lacks_and_only_data_is_held_out(tmp_path: Path) -> None:
    data = table(tmp_path / "d.csv", numbered({"refund": 10, "login": 5}))
    examples, _ = made(tmp_path / "out", "classification", [], data=data, labels=LABELS, per_label=6, seats={"held_out": 0.2})
    train = Counter((e.kind, e.answer) for e in examples if e.split == "train")
    assert train == {("labelled", "refund"): 8, ("labelled", "login"): 4, ("written", "login"): 2, ("written", "delivery"): 6}
    assert {e.kind for e in examples if e.split == "held_out"} == {"labelled"}


# Labelled where it helps most.


class Student:
    """Knows what it does not know: two labels are equally likely for a text with a question mark. It never writes."""

    name, fingerprint, documents_role = "student", "student/1", False

    async def scores(self, messages: list[dict], replies: list[str]) -> list[float]:
        text = messages[-1]["content"].partition("\n\nText: ")[2]
        sure = 0.0 if "?" in text else 3.0
        return [{"refund": sure, "delivery": 0.0, "login": -9.0}[label] for label in replies]


def test_the_rows_that_the_student_cannot_decide_get_a_label_from_the_teacher(tmp_path: Path) -> None:
    rows = [(f"Surely {w} money back for a returned product", "") for w in "abcdefgh"] + [
        (f"Where is {w} the parcel or when arrives it?", "") for w in "xyz"
    ]
    unlabelled = table(tmp_path / "u.csv", [*rows, ("Message 0 of login", ""), ("Where is x the parcel or when arrives it?", "")])
    data = table(tmp_path / "d.csv", numbered(dict.fromkeys(LABELS, 3)))
    options = {"data": data, "labels": LABELS, "unlabelled": unlabelled, "active": 3}
    examples, out = made(tmp_path / "out", "classification", [], seats={"student": Student()}, **options)
    active = [e for e in examples if e.kind == "active"]
    assert {e.question for e in active} == {text for text, _ in rows if "?" in text} and {e.answer for e in active} == {"delivery"}
    assert all(e.split == "train" for e in active) and out.dropped == {"a text that has its label already": 1, "a text that stands there twice": 1}
    for e in active:
        whole(e, LABELS)


def test_active_needs_a_student_that_tells_how_sure_it_is(tmp_path: Path) -> None:
    unlabelled = table(tmp_path / "u.csv", [("Where?", "")])
    with pytest.raises(ConfigError, match="must be a model of this machine"):
        made(tmp_path / "out", "classification", [], seats={"student": Fake()}, labels=LABELS, unlabelled=unlabelled, active=1)


def test_of_rows_in_equal_doubt_those_are_taken_that_differ() -> None:
    rows = [Row(f"the same words again and again {n}", "", "") for n in range(8)] + [Row("quite another matter", "", ""), Row("sure thing", "", "")]
    known = {row.id: 0.1 for row in rows[:9]} | {rows[9].id: 0.9}
    chosen = helpful(rows, known, 2)
    assert "quite another matter" in {row.text for row in chosen} and rows[9] not in chosen
    assert helpful(rows[::-1], known, 2) == chosen, "the order of the file has no say"
    assert [row.text for row in helpful(rows, {rows[9].id: 0.9, rows[0].id: 0.2}, 1)] == [rows[0].text], "the smallest margin first"


# Beside curate.


def test_curate_keeps_labels_that_read_like_refusals_and_finds_leaks_between_the_sides(tmp_path: Path) -> None:
    rows = [
        *numbered({"unknown": 6, "n/a": 6}),
        *[(f"The parcel to our house in the hills has not come since early May {w}", "unknown") for w in ("", "!")],
    ]
    data = table(tmp_path / "d.csv", rows)
    examples, _ = made(tmp_path / "out", "classification", [], data=data, labels=["unknown", "n/a"], seats={"held_out": 0.3})
    assert judged("cited", examples, Context([])) == [None] * len(examples)
    pair = [e for e in examples if "parcel" in e.question]
    assert len(pair) == 2 and pair[0].document != pair[1].document
    import msgspec

    split = [msgspec.structs.replace(e, split=side) for e, side in zip(pair, ("held_out", "train"), strict=True)]
    assert judged("leaked", split, Context([])) == [None, "asked in the evaluation"]
    assert judged("leaked", pair[:1] + split[:1], Context([]))[1] is None


def test_the_result_is_summed_up_for_its_reader(tmp_path: Path) -> None:
    data = table(tmp_path / "d.csv", numbered({"refund": 10, "login": 5, "delivery": 1}))
    _, out = made(tmp_path / "out", "classification", [], data=data)
    assert out.notes["advice"] == [
        "3 labels: 1 to 8 texts of each to train on, 1 to 2 texts of each held out",
        "not evaluated, as no text of it is held out: delivery",
    ]
    assert list(read_lines(tmp_path / "out" / "data.jsonl", Example)) and dropped(tmp_path / "out") == {}
