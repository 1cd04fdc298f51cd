"""Records as messages, in a format of `grounding`: the one rendering that every target shares."""

from __future__ import annotations

from ..errors import ConfigError
from ..grounding import Format, Message, conversation
from ..records import Example, Pair


def prompt(record: Example | Pair, form: Format) -> list[Message]:
    """All before the reply that is taught: passages (a prompt of the bare question would teach answering without them), question, earlier turns."""
    return conversation(form, record)


def reply(example: Example, form: Format) -> list[Message]:
    """What it is taught to say: one assistant turn, or as many as the format has."""
    return [said(turn) for turn in form.target(example)]


def said(text: str) -> Message:
    return {"role": "assistant", "content": text}


def one_turn(form: Format, target: str) -> None:
    """Raise ConfigError where the format's reply takes two assistant turns and the target can hold one."""
    if form.turns > 1:
        raise ConfigError(
            f"--to {target} cannot hold the format {form.name}: its reply is {form.turns} assistant turns in a row. "
            "Use --to openai, trl or axolotl, or a format of one turn (--format raft)."
        )
