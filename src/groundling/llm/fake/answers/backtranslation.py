"""The recipes backtranslation and rag_sft: an instruction for a text, a score for the pair, and whether a passage says what an answer says.

A score is told by the words that instruction and text share, so that a pair that belongs together gets 4 or 5 and any other 1 to 3.
"""

from __future__ import annotations

import re
from typing import Any

from ...rules.facts import facts, sentences
from ..chance import share
from ..content import Asked

_INSTRUCTION = re.compile(r"\ABelow is a text that a person wrote\. Write the instruction .*?\n\nText:\n(.*)\Z", re.DOTALL)
_SCORE = re.compile(r"\ARate from 1 to 5 how good the text is as an AI assistant's answer.*?\n\nInstruction:\n(.*?)\n\nText:\n(.*)\Z", re.DOTALL)
_SUPPORTS = re.compile(
    r"\ARead the passage, the question and the answer\. Does .*?\n\nTitle: ([^\n]*)\n\n(.*)\n\nQuestion: (.*)\n\nAnswer: (.*)\Z", re.DOTALL
)
_WORD = re.compile(r"[^\W\d_]{4,}|\d+|[\u3040-\u30ff\u3400-\u9fff]")


def answer(asked: Asked) -> Any | None:
    if found := _INSTRUCTION.match(asked.text):
        return {"instruction": _instruction(found[1])}
    if found := _SCORE.match(asked.text):
        lucky = share(asked.call, "score")
        return {"score": 4 + int(2 * lucky) if _shared(found[1], found[2]) >= 0.5 else 1 + int(3 * lucky)}
    if found := _SUPPORTS.match(asked.text):
        return {"choice": "yes" if _shared(found[4], f"{found[1]} {found[2]}") >= 0.8 else "no"}
    return None


def _instruction(text: str) -> str:
    """A question about the first stated fact, else an instruction to write about how the text begins."""
    first = next(iter(facts(text, "")), None)
    if first:
        return first.question
    said = next((s for s in sentences(text) if not s.startswith("#")), text)
    return f"Explain in some detail: {' '.join(said.split()[:8]).rstrip('.,;:。')[:60]}"


def _shared(words: str, text: str) -> float:
    """The share of some words that stand in a text."""
    own = set(_WORD.findall(words.casefold()))
    return len(own & set(_WORD.findall(text.casefold()))) / len(own) if own else 0.0
