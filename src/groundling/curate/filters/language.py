"""Drops examples in a language that is not wanted, and those whose answer is in another language than their question.
For: teachers that fall into English. Options: allowed (codes such as en, ja, ru), same, sure. Told by py3langid, 140 languages.

Short texts, names and numbers belong to no language for sure: only what is told with at least `sure` is judged, the rest is kept.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from pydantic import Field, field_validator

from ...options import Options as Base
from ...records import Example
from ...registry import nearest
from .. import Context

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier


@cache
def _identifier() -> LanguageIdentifier:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


class Options(Base):
    allowed: list[str] = []  # codes of ISO 639; empty: every language
    same: bool = True  # the answer must be in the question's language
    sure: float = Field(0.9, gt=0.5, le=1)  # how sure it must be for an example to be dropped

    @field_validator("allowed")
    @classmethod
    def _known(cls, codes: list[str]) -> list[str]:
        known = _identifier().labels if codes else []
        for code in codes:
            if code not in known:
                raise ValueError(f'there is no language "{code}".{nearest(code, known)}'.rstrip("."))
        return codes


def told(text: str, sure: float) -> str:
    """The code of a text's language, empty where it cannot be told for sure."""
    code, confidence = _identifier().classify(text)
    return code if confidence >= sure else ""


def check(example: Example, context: Context, options: Options) -> str | None:
    """The reason an example is dropped, or None."""
    question, answer = told(example.question, options.sure), told(example.answer, options.sure)
    if options.allowed and question and question not in options.allowed:
        return "question in a language not allowed"
    if options.allowed and answer and answer not in options.allowed:
        return "answer in a language not allowed"
    if options.same and question and answer and question != answer:
        return "answer not in the question's language"
    return None
