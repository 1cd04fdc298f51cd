"""Filters: each reject has a reason, is kept, and the rest goes on as it came."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from groundling import registry
from groundling.curate.filters import cited
from groundling.errors import ConfigError
from groundling.records import Example, Passage, Quote

from .world import ASKED, NOTHING, abstaining, example, run, verdicts

some = st.lists(
    st.builds(
        lambda n, question, broken, refuses: (abstaining if refuses else example)(
            id=str(n), question=question, unit=f"u{n % 3}", **({"quotes": [Quote(text="no such words", passage=broken)]} if broken else {})
        ),
        st.integers(0, 99), st.sampled_from(["How many?", "how  many?", "Who approves the leave", "有給は？", ""]), st.integers(0, 3), st.booleans(),
    ),
    max_size=12, unique_by=lambda e: e.id,
)  # fmt: skip


@pytest.mark.parametrize("name", registry.names("filter"))
@given(examples=some)
def test_every_filter_gives_each_example_a_short_reason_or_none(name: str, examples: list[Example]) -> None:
    module = registry.load("filter", name)
    assert hasattr(module, "sift") != hasattr(module, "check"), "one door, not two"
    told = verdicts(name, examples, ASKED)
    assert len(told) == len(examples)
    assert all(t is None or (isinstance(t, str) and 0 < len(t) < 60 and "\n" not in t) for t in told)
    assert len(set(told)) <= 7, "reasons are constant phrases: they are counted"
    assert verdicts(name, examples, ASKED) == told
    kept = [e for e, t in zip(examples, told, strict=True) if t is None]
    assert verdicts(name, kept, ASKED) == [None] * len(kept), "what passed once passes again"


@pytest.mark.parametrize("name", registry.names("filter"))
def test_every_filter_keeps_good_examples(name: str) -> None:
    good = [
        example(),
        abstaining(id="2", question="Who founded it?"),
        abstaining(id="3", support="memory", answer="25 days", question="And?"),
    ]
    assert verdicts(name, good, ASKED) == [None] * 3
    assert verdicts(name, [], ASKED) == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(examples=some)
def test_in_is_kept_and_dropped(tmp_path: Path, examples: list[Example]) -> None:
    kept, out = run(tmp_path, examples, ASKED)
    dropped = [json.loads(line) for line in (tmp_path / "dropped.jsonl").read_text("utf-8").splitlines()]
    assert out.counts()["in"] == len(examples) == len(kept) + len(dropped)
    assert Counter(d["reason"] for d in dropped) == out.dropped
    assert Counter([e.id for e in kept] + [d["what"]["id"] for d in dropped]) == Counter(e.id for e in examples)
    assert kept == [e for e in examples if e in kept], "the kept ones are unchanged and in order"
    assert sum(out.notes["kept_by"].values()) == len(kept)


def test_filters_run_in_the_order_of_the_config_and_name_themselves(tmp_path: Path) -> None:
    broken = [example(id=str(n), question="Who approves the leave?", quotes=[]) for n in range(2)]
    assert run(tmp_path, broken, ASKED, ["leaked", "cited"])[1].dropped == {"leaked: asked in the evaluation": 2}
    assert run(tmp_path, broken, ASKED, ["cited", "leaked"])[1].dropped == {"cited: cited without a quote": 2}
    assert run(tmp_path, broken, ASKED, [])[0] == broken


def test_an_unknown_filter_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match='There is no filter "leakd". Did you mean "leaked"'):
        run(tmp_path, [], filters=["leakd"])


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (example(quotes=[Quote(text="Staff have 26 days.", passage=0)]), "quote not verbatim"),
        (example(quotes=[Quote(text="Staff have 25 days.", passage=1)]), "quote not verbatim"),
        (example(quotes=[Quote(text=" ", passage=0)]), "quote not verbatim"),
        *[
            (
                example(passages=[Passage(id="a", title="", text=f"Staff have {mark} 25 days.")], quotes=[Quote(text=f"have {mark} 25", passage=0)]),
                "quote holds marks of the format",
            )
            for mark in ("##begin_quote##", "##end_quote##", "<ANSWER>:")
        ],
        (example(answer="25 <ANSWER>: days"), "answer holds marks of the format"),
        (example(quotes=[Quote(text="Ask Kirsi.", passage=2)]), "quotes a passage that is not shown"),
        (example(quotes=[Quote(text="Ask Kirsi.", passage=-1)]), "quotes a passage that is not shown"),
        (example(quotes=[]), "cited without a quote"),
        (example(oracle=None), "cited without a quote"),
        (abstaining(quotes=[Quote(text="Ask Kirsi.", passage=1)]), "quotes without support"),
        (abstaining(oracle=1), "quotes without support"),
        (abstaining(support="memory", oracle=1), "quotes without support"),
    ],
)
def test_cited_drops_what_does_not_agree(bad: Example, reason: str) -> None:
    assert cited.check(bad, NOTHING) == reason


def test_marks_of_the_format_beside_a_quote_do_no_harm_and_in_it_are_counted(tmp_path: Path) -> None:
    passage = Passage(id="a", title="", text="Write ##begin_quote## first. Staff have 25 days.")
    fine, bad = example(passages=[passage]), example(id="2", unit="b", passages=[passage], quotes=[Quote(text=passage.text, passage=0)])
    kept, out = run(tmp_path, [fine, bad])
    assert kept == [fine] and out.dropped == {"cited: quote holds marks of the format": 1}


@pytest.mark.parametrize(
    "bad", [example(oracle=7), example(oracle=1), abstaining(answer="25 days"), example(answer="Not in the documents."), example(answer="")],
    ids=["oracle not shown", "oracle not quoted", "abstains with an answer", "cites and refuses", "no answer"],
)  # fmt: skip
def test_cited_drops_an_oracle_or_an_answer_that_contradicts_the_support(bad: Example) -> None:
    assert cited.check(bad, NOTHING) is not None
