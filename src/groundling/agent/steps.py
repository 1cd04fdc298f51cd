"""The agent's prompts, the shapes of its replies, and what is wrong with a reply that has the right shape.

Everything a prompt shows is rendered from `State` here, so that a step's training example and the step itself read the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

from pydantic import BaseModel

from ..answer import find
from ..grounding import ABSTAIN, is_refusal, language
from ..llm.base import Request
from ..llm.schema import prompted
from ..llm.structured import Text, Whole, schema_of
from ..records import Passage, Quote
from .trajectory import Lookup

DECIDE = (
    "You answer a question by searching a collection of documents. Decide what to do next: search once more, or stop, because what was found "
    "answers the question, or because further searching would not help. A query is a few words that are likely to stand in the passage you need; "
    "ask for one thing at a time and never for the same twice. "
    'Reply with JSON: {{"action": "search", "query": "…"}} or {{"action": "stop", "query": ""}}.\n\n'
    "Question: {question}\n\nSo far:\n{past}\n\nSearches left: {left}"
)
SUMMARISE = (
    "Passages were found for a question. Say in one to three sentences what they tell towards its answer, with the number of the passage in square "
    "brackets after each statement, and list the numbers of the passages that help. If none helps, say so, and list none. "
    'Reply with JSON: {{"summary": "…", "relevant": [0]}}.\n\n'
    "Question: {question}\n\nSearched for: {query}\n\nPassages:\n\n{passages}"
)
ANSWER = (
    "Answer the question from the passages alone. First copy from them, word for word and with the passage's number, what proves the answer; then "
    "answer briefly, in the language of the question and without numbers of passages. If they do not hold the answer, give no quotes and say: "
    '{abstain} Reply with JSON: {{"quotes": [{{"passage": 0, "quote": "…"}}], "answer": "…"}}.\n\n'
    "Question: {question}\n\nSo far:\n{past}\n\nPassages:\n\n{passages}"
)
_CHECKED = (
    "If it does, reply with passed true, no quotes and an empty answer. If it does not, reply with passed false, a better answer from the passages, "
    "and the quotes that prove it, word for word; if they do not hold one, with no quotes and the answer: {abstain} "
    'Reply with JSON: {{"passed": false, "quotes": [{{"passage": 0, "quote": "…"}}], "answer": "…"}}.\n\n'
    "Question: {question}\n\nAnswer: {answer}\n\nQuoted:\n{quoted}\n\nPassages:\n\n{passages}"
)
RELEVANCE = "Check an answer: does it answer what the question asks, all of it, and nothing else? " + _CHECKED
GROUNDING = "Check an answer: does every statement of it stand in the passages that it quotes? " + _CHECKED

SEARCHED = "searched for before"
_ASKED = re.compile(r"\n\nQuestion: (.*?)\n\n(?:So far|Searched for|Answer): ?", re.DOTALL)
_BRACKETS = re.compile(r"\[(\d{1,4}(?:\s*,\s*\d{1,4})*)\]")
_NAMED = re.compile(r"(?:^|\s)\[\d{1,4}(?:\s*,\s*\d{1,4})*\]")  # not argv[0]


class Decision(BaseModel):
    action: Literal["search", "stop"]
    query: Text


class Summary(BaseModel):
    summary: Text
    relevant: list[Whole]


class Cited(BaseModel):
    passage: Whole
    quote: Text


class Answered(BaseModel):
    quotes: list[Cited]
    answer: Text


class Checked(BaseModel):
    passed: bool
    quotes: list[Cited]
    answer: Text


class Kind(NamedTuple):
    """A step: its prompt, the shape of its reply, and the most tokens of one."""

    prompt: str
    shape: type[BaseModel]
    max_tokens: int


STEPS = {
    "decide": Kind(DECIDE, Decision, 120),
    "summarise": Kind(SUMMARISE, Summary, 300),
    "answer": Kind(ANSWER, Answered, 500),
    "relevance": Kind(RELEVANCE, Checked, 500),
    "grounding": Kind(GROUNDING, Checked, 500),
}


class State(NamedTuple):
    """What a step may see. `shown` are the numbers of the passages that this step shows, of all that were found."""

    question: str
    passages: Sequence[Passage] = ()
    lookups: Sequence[Lookup] = ()
    left: int = 0
    shown: Sequence[int] = ()
    answer: str = ""
    quotes: Sequence[Quote] = ()


def prompt(kind: str, state: State) -> str:
    """The words of a step."""
    query = state.lookups[-1].query if state.lookups else ""
    quoted = "\n".join(f"[{q.passage}] {q.text}" for q in state.quotes) or "(nothing)"
    return STEPS[kind].prompt.format(
        question=state.question, past=_past(state.lookups), left=state.left, query=query, passages=numbered(state.passages, state.shown),
        answer=state.answer, quoted=quoted, abstain=ABSTAIN[language(state.question)],
    )  # fmt: skip


def request(kind: str, state: State, temperature: float, draw: int) -> Request:
    """The call of a step."""
    texts = [state.passages[n].text for n in state.shown]
    inputs = {"question": state.question, "searched": len(state.lookups), "shown": list(state.shown), "texts": texts}
    messages = [{"role": "user", "content": prompt(kind, state)}]
    return Request(messages=messages, max_tokens=STEPS[kind].max_tokens, temperature=temperature, task=f"agent {kind}", inputs=inputs, draw=draw)


def whole(kind: str, words: str) -> str:
    """A step's prompt as a model without JSON schemas of its own gets it: with the schema in words. What a student is taught."""
    asked = Request(messages=[{"role": "user", "content": words}], schema=schema_of(STEPS[kind].shape))
    return prompted(asked).messages[-1]["content"]


def bare(words: str, said: str) -> tuple[str, str]:
    """The question that a step works on, out of its prompt, and what was said in words of the model's own: without quotes and passages."""
    asked = _ASKED.search(words)
    value = json.loads(said)
    own = [value[key] for key in ("query", "summary", "answer") if value.get(key)]
    return asked[1] if asked else words, own[0] if own else ""


def numbered(passages: Sequence[Passage], shown: Sequence[int]) -> str:
    """Some of the passages, each with its own number among all."""
    return "\n\n".join(f"[{n}] {passages[n].title}\n{passages[n].text}" if passages[n].title else f"[{n}] {passages[n].text}" for n in shown)


def _past(lookups: Sequence[Lookup]) -> str:
    lines = []
    for n, look in enumerate(lookups, 1):
        told = " ".join(look.summary.split()) or "nothing was found"
        use = ", ".join(map(str, look.relevant)) or "none"
        lines.append(f"{n}. searched for: {look.query}\n   passages of use: {use}. {told}")
    return "\n".join(lines) or "(nothing yet)"


def fault_of(value: BaseModel, state: State) -> str:
    """Why a reply of the right shape may not be gone on with, as a short phrase to be counted; empty where it may."""
    if isinstance(value, Decision):
        return _decision(value, state)
    if isinstance(value, Summary):
        return _summary(value, state)
    if isinstance(value, Checked) and value.passed:
        return ""
    assert isinstance(value, Answered | Checked)
    return _answered(value, state)


def _decision(value: Decision, state: State) -> str:
    if value.action == "stop":
        return "" if state.lookups else "stops before anything was searched for"
    if not value.query:
        return "an empty query"
    return SEARCHED if plain(value.query) in {plain(look.query) for look in state.lookups} else ""


def _summary(value: Summary, state: State) -> str:
    if not value.summary:
        return "an empty summary"
    cited = [int(n) for group in _BRACKETS.findall(value.summary) for n in group.split(",")]
    return "" if {*cited, *value.relevant} <= set(state.shown) else "names a passage that was not shown"


def _answered(value: Answered | Checked, state: State) -> str:
    if not value.answer:
        return "an empty answer"
    if is_refusal(value.answer):
        return "an abstention with quotes" if value.quotes else ""
    if _NAMED.search(value.answer):
        return "the answer names passages by their numbers"
    if not value.quotes:
        return "an answer without a quote"
    if any(q.passage not in state.shown for q in value.quotes):
        return "quotes a passage that was not shown"
    return "" if all(find(q.quote, state.passages[q.passage].text) for q in value.quotes) else "quote not verbatim in its passage"


def quotes_of(value: Answered | Checked, passages: Sequence[Passage]) -> list[Quote]:
    """The quotes as they stand in the passages, white space and all; each once."""
    found = []
    for q in value.quotes:
        text = passages[q.passage].text
        at = find(q.quote, text)
        if at:
            found.append(Quote(text=text[at[0] : at[1]], passage=q.passage))
    return list(dict.fromkeys(found))


def plain(text: str) -> str:
    """A query as it is compared: letter case, punctuation and white space aside."""
    return " ".join(re.sub(r"[^\w]+", " ", text.casefold()).split())
