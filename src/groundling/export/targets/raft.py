"""The record of the published RAFT code: id, type, question, context, oracle_context, cot_answer, instruction. Its prompt is RAFT's own.

What that code gets wrong and this does not: questions are whole ("What is Llama 3.1?" was cut to "What is Llama "), and the context of a refusal
is what the instruction shows, not the passage that was taken away. The published documents have no numbers, so the quotes have none either. A
dialogue has no place in the record and is left out.
"""

from __future__ import annotations

from typing import Any

from ...errors import ConfigError
from ...grounding import Format, Raft
from ...records import Example

FEATURES = {
    "id": "string", "type": "string", "question": "string", "context": {"title": [["string"]], "sentences": [["string"]]},
    "oracle_context": "string", "cot_answer": "string", "instruction": "string",
}  # fmt: skip
NO_TITLE = "placeholder_title"


def check(form: Format) -> None:
    """Raise ConfigError for another format: the record's prompt and answer are RAFT's."""
    if form.name != Raft.name:
        raise ConfigError(f"--to raft writes RAFT's own prompt, so --format {form.name} cannot go with it. Leave --format out, or use another --to.")


def row(example: Example, number: int, form: Format) -> dict[str, Any] | None:
    """One record; a refusal is named as one, as in the published data. None for a dialogue."""
    if example.history:
        return None
    texts = [p.text for p in example.passages]
    reasons = "".join(f"{Raft.begin}{quote.text}{Raft.end}\n" for quote in example.quotes) + (f"{example.reasoning}\n" if example.reasoning else "")
    return {
        "id": f"{'refusal' if example.support == 'abstain' else 'seed'}_task_{number}",
        "type": "general",
        "question": example.question,
        "context": {"title": [[p.title or NO_TITLE for p in example.passages]], "sentences": [texts]},
        "oracle_context": "" if example.oracle is None else texts[example.oracle],
        "cot_answer": f"{reasons}{Raft.answer} {example.answer}",
        "instruction": shown(texts) + example.question,
    }


def shown(texts: list[str]) -> str:
    """The documents as the instruction begins."""
    return "".join(f"<DOCUMENT>{text}</DOCUMENT>\n" for text in texts)
