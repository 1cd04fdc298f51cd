"""The record of the published RAFT code: its passages, quotes and answer are read out of instruction and cot_answer.

The passages are those of the instruction, as that is what a model sees: in published refusals `context` still holds the passage that was taken
away. A question that the published code has cut ("What is Llama ") is left out: what it asked cannot be known.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from ...grounding import Raft, is_refusal
from ...records import Example, Passage, Quote
from ..base import Place, Refused, text

NO_TITLE = "placeholder_title"
TAGS = (Raft.answer, "##Answer:")  # the code's, and the paper's
_DOCUMENT = re.compile(r"<DOCUMENT>(.*?)</DOCUMENT>\n?", re.DOTALL)
_QUOTE = re.compile(f"{re.escape(Raft.begin)}(.*?){re.escape(Raft.end)}", re.DOTALL)
_LEADING = re.compile(rf"^\s*(?:{_QUOTE.pattern}\n)+", re.DOTALL)  # quotes apart from the reasoning, as we write them; others stand within it


class Shown(NamedTuple):
    """What the instruction shows: its documents, and their titles where the context names them."""

    texts: list[str]
    titles: list[str]


def fits(row: Mapping[str, Any]) -> int:
    """How many of the fields are the published record's, where all it needs are there."""
    return 3 if {"question", "cot_answer", "instruction"} <= row.keys() else 0


def record(row: dict[str, Any], place: Place) -> Example:
    """The example that the record holds. Raises Refused where its parts contradict each other."""
    question, instruction = text(row, "question"), text(row, "instruction")
    if question != question.rstrip():
        raise Refused('the question is cut, as published RAFT code cuts "What is Llama 3.1?" to "What is Llama "', sound=True)
    if not instruction.endswith(question):
        raise Refused("question and instruction differ", f"the instruction ends in {instruction[-60:]!r}")
    shown = _shown(row, instruction.removesuffix(question))
    answer, quoted, reasoning = _reply(text(row, "cot_answer"))
    refuses = is_refusal(answer)
    gold = text(row, "oracle_context", empty=True) if "oracle_context" in row else ""
    oracle = shown.texts.index(gold) if gold and gold in shown.texts and not refuses else None
    # Where the oracle is not shown, the published answer still quotes it: ours rests on memory there, and has no quote.
    kept = [] if refuses else [q for q in quoted if oracle is not None or q not in gold]
    quotes = [Quote(text=q, passage=_holder(q, shown.texts, oracle)) for q in kept]
    oracle = quotes[0].passage if oracle is None and quotes else oracle  # records without oracle_context
    given = str(row.get("id") or f"line {place.line}")
    return Example(
        id=place.id(given), recipe="import raft", unit=given, document=place.file, question=question,
        passages=[Passage(id=str(n), title=t, text=x) for n, (x, t) in enumerate(zip(shown.texts, shown.titles, strict=True))],
        oracle=oracle, support="abstain" if refuses else "memory" if oracle is None else "cited", quotes=quotes, answer=answer, reasoning=reasoning,
    )  # fmt: skip


def _shown(row: Mapping[str, Any], documents: str) -> Shown:
    """The documents: the context's sentences where they are what the instruction shows (they may hold the tags themselves), else by the tags."""
    context = row.get("context")
    try:
        texts = [str(t) for t in context["sentences"][0]] if context else []
        titles = [str(t) for t in context["title"][0]] if context else []
    except (KeyError, IndexError, TypeError):
        raise Refused("a context that cannot be read", "it has title and sentences, each a list in a list") from None
    if len(titles) == len(texts) and "".join(f"<DOCUMENT>{t}</DOCUMENT>\n" for t in texts) == documents:
        return Shown(texts, ["" if t == NO_TITLE else t for t in titles])
    found = _DOCUMENT.findall(documents)
    if _DOCUMENT.sub("", documents).strip():
        raise Refused("text of the instruction outside its documents", _DOCUMENT.sub("", documents).strip()[:80])
    return Shown(found, [""] * len(found))


def _reply(reply: str) -> tuple[str, list[str], str]:
    """The answer without its tag, the quotes, and the reasoning. A reply without a tag is an answer as a whole (published refusals are)."""
    tag = next((t for t in TAGS if t in reply), "")
    before, _, answer = reply.rpartition(tag) if tag else ("", "", _QUOTE.sub("", reply))
    if not answer.strip():
        raise Refused("no answer", f"nothing stands after {tag or 'its quotes'}")
    quotes = [q.strip() for q in _QUOTE.findall(before if tag else reply) if q.strip()]
    reasoning = _QUOTE.sub(lambda m: m[1], _LEADING.sub("", before)).strip().removeprefix("##Reason:").strip()
    return answer.strip(), quotes, reasoning


def _holder(quote: str, texts: list[str], oracle: int | None) -> int:
    """The passage that a quote stands in, the oracle first. Raises Refused for an invented one: it would teach inventing."""
    order = [*([oracle] if oracle is not None else []), *range(len(texts))]
    found = next((n for n in order if quote in texts[n]), None)
    if found is None:
        raise Refused("a quote that stands in no passage", repr(quote[:80]), sound=True)
    return found
