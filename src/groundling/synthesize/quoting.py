"""Quotes held to the passage they come from: found word for word, or named as a fault that the teacher can mend."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from ..grounding import Raft
from ..llm.base import Request
from ..llm.schema import REASK

MARKS = (Raft.begin, Raft.end, Raft.answer)
_AROUND = "\"'“”„«»‘’`「」『』 \t\r\n"
_CITED = re.compile(r"\[\d{1,4}(?:\s*,\s*\d{1,4})*\]")


def verbatim(quote: str, text: str) -> str | None:
    """The piece of `text` that a quote stands for: itself, or the same words with other white space or with quotation marks around. Else None."""
    if quote and quote in text:
        return quote
    words = quote.strip(_AROUND).split()
    if not words:
        return None
    found = re.search(r"\s+".join(map(re.escape, words)), text)
    return found.group() if found else None


def fault_of(quotes: Sequence[str], text: str, reasoning: str, answer: str) -> tuple[str, str]:
    """What is wrong with an answer and its quotes: (a short reason to be counted, a sentence for the teacher); both empty where nothing is.

    Nothing of it may hold the marks that a format puts around quotes and answers, and no number in brackets may stand in the reasoning: those are
    read as citations of passages, and the teacher saw only one. An answer may hold one (`argv[0]`).
    """
    if not quotes or not all(q.strip() for q in quotes):
        return "quote not verbatim in the passage", "there is an answer, but no quote"
    for quote in quotes:
        if verbatim(quote, text) is None:
            return "quote not verbatim in the passage", f"the quote “{quote}” does not stand in the passage word for word; copy it exactly"
    if any(mark in part for mark in MARKS for part in (*quotes, reasoning, answer)):
        return "marks of the format in the answer", f"the words {', '.join(MARKS)} may not stand in it"
    if _CITED.search(reasoning):
        return "bracketed numbers in the reasoning", "no numbers in square brackets may stand in the reasoning"
    return "", ""


def again(request: Request, said: str, fault: str) -> Request:
    """The same request once more, with the reply and its fault."""
    words = f"{REASK}: {fault}. Reply again, with one JSON object of the same form."
    turns = [{"role": "assistant", "content": said}, {"role": "user", "content": words}]
    return msgspec.structs.replace(request, messages=[*request.messages, *turns], attempt=request.attempt + 1)
