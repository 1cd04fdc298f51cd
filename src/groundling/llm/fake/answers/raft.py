"""The RAFT recipe: questions about a passage, and a quote with an answer, by the rules that the `template` teacher knows.

Reasoning is a sentence about the quote: enough to see where it goes, nothing to learn from.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache

from ...base import Request
from ...template import Template
from ..content import Asked

_QUESTIONS = re.compile(r"\AWrite (\d+) questions .*?\n\nTitle: ([^\n]*)\n\n(.*)\Z", re.DOTALL)
_REASONED = '"reasoning"'
_ANSWER = re.compile(r"\AAnswer the question from the passage\..*?\n\nTitle: ([^\n]*)\n\n(.*)\n\nQuestion: (.*)\Z", re.DOTALL)


def answer(asked: Asked) -> str | None:
    if found := _QUESTIONS.match(asked.text):
        return _template("questions", found[3], found[2], count=int(found[1]))
    if found := _ANSWER.match(asked.text):
        said = _template("answer", found[2], found[1], question=found[3])
        return _reasoned(said) if _REASONED in asked.text.partition("\n\nTitle: ")[0] else said
    return None


def _reasoned(said: str) -> str:
    found = json.loads(said)
    if not found["answer"]:
        return json.dumps({"quotes": [], "reasoning": "", "answer": ""})
    reason = f"The question is answered by this one sentence. What it asks for is {found['answer']}."
    return json.dumps({"quotes": [found["quote"]], "reasoning": reason, "answer": found["answer"]}, ensure_ascii=False)


@lru_cache(maxsize=4096)
def _template(task: str, passage: str, title: str, **rest: object) -> str:
    request = Request(messages=[], task=task, inputs={"passage": passage, "title": title, **rest})
    return Template().reply(request).text
