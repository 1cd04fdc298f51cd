"""Conversations as our records: the last question and its reply, with what stood before. Shared by the shapes that hold messages."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from ..amiss import called
from ..grounding import FORMATS, Message
from ..records import Example, Passage, Turn
from .base import Place, Refused, plain, text

ROLES = {
    "system": "system", "developer": "system", "user": "user", "human": "user", "prompter": "user", "assistant": "assistant", "gpt": "assistant",
    "bot": "assistant", "model": "assistant", "chatgpt": "assistant", "bing": "assistant", "documents": "documents",
}  # fmt: skip
TOOLS = {"tool", "function", "function_call", "function_response", "observation", "tool_call", "tool_response"}


def messages(value: Any, role: str = "role", content: str = "content") -> list[Message]:
    """A list of messages with our names for the roles. Raises Refused for what is none, and for calls of tools."""
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)) or not value:
        raise Refused("no messages", "a conversation is a list of messages with at least one")
    found = []
    for number, message in enumerate(value, 1):
        if not isinstance(message, Mapping):
            raise Refused("a message is broken", f"message {number} is {called(message)}")
        name = str(message.get(role, "")).lower()
        if name in TOOLS or message.get("tool_calls") or message.get("function_call"):
            raise Refused("calls a tool", sound=True)
        if name not in ROLES:
            raise Refused("a message is broken", f'message {number} has the {role} "{name}"')
        if isinstance(message.get(content), list):
            raise Refused("a message in several parts (images, audio)", sound=True)
        found.append({"role": ROLES[name], "content": text(message, content, empty=ROLES[name] == "system")})
    return found


class Talk(NamedTuple):
    """A conversation taken apart: what stood before it, its documents, each question with the replies that follow it."""

    system: str
    documents: str
    turns: list[tuple[str, list[str]]]


def talk(found: Sequence[Message]) -> Talk:
    """Take a conversation apart. Raises Refused where questions and replies do not follow each other."""
    system, documents, turns = [], [], []
    for message in found:
        role, content = message["role"], message["content"]
        if role == "user":
            if turns and not turns[-1][1]:
                raise Refused("two questions in a row", sound=True)
            turns.append((content, []))
        elif role == "assistant":
            if not turns:
                raise Refused("no question", "the assistant speaks first")
            turns[-1][1].append(content)
        elif turns:
            raise Refused(f"a {role} message within the conversation", sound=True)
        else:
            (documents if role == "documents" else system).append(content)
    if not turns:
        raise Refused("no question", "no message is the user's")
    if not turns[-1][1]:
        raise Refused("no reply", "the last message is not the assistant's")
    if len(documents) > 1:
        raise Refused("several messages of documents", sound=True)
    return Talk("\n\n".join(s for s in system if s.strip()), documents[0] if documents else "", turns)


def example(row: Mapping[str, Any], place: Place, found: Sequence[Message], recipe: str) -> Example:
    """A conversation as an example of its last reply: with its documents where it has the two-turn form, else without passages.

    A system message stands before the first question after a blank line, so that nothing is lost; beside documents it is the format's own
    and is not kept.
    """
    said = talk(found)
    if said.documents:
        return _grounded(row, place, said, recipe)
    if any(len(replies) > 1 for _, replies in said.turns):
        raise Refused("several replies to one question", sound=True)
    asked = [question for question, _ in said.turns]
    asked[0] = f"{said.system}\n\n{asked[0]}" if said.system else asked[0]
    history = [Turn(question=q, answer=replies[0]) for q, (_, replies) in zip(asked[:-1], said.turns[:-1], strict=True)]
    return msgspec.structs.replace(plain(row, place, asked[-1], said.turns[-1][1][0], recipe), history=history)


def _grounded(row: Mapping[str, Any], place: Place, said: Talk, recipe: str) -> Example:
    """Documents, question, relevant ids, answer (Vikhr's Grounded-RAG). Earlier questions keep their answers, not their ids."""
    question, replies = said.turns[-1]
    if len(replies) != 2:
        raise Refused("the two turns are not there", "after documents come the relevant ids, then the answer")
    passages, numbers = _documents(said.documents)
    reading = FORMATS["two-turn"].read([_renumbered(replies[0], numbers), replies[1]], passages)
    if len(reading.citations) > 1:
        raise Refused("an answer from several documents", sound=True)
    oracle = reading.citations[0] if reading.citations else None
    support = "cited" if oracle is not None else "abstain"  # rows of this kind that name no document refuse
    history = [Turn(question=q, answer=earlier[-1]) for q, earlier in said.turns[:-1]]
    made = plain(row, place, question, replies[1], recipe)
    return msgspec.structs.replace(made, passages=passages, oracle=oracle, support=support, history=history)


def _documents(content: str) -> tuple[list[Passage], dict[Any, int]]:
    try:
        listed = json.loads(content)
        passages = [Passage(id=str(d["doc_id"]), title=d.get("title") or "", text=d["content"]) for d in listed]
        numbers = {d["doc_id"]: n for n, d in enumerate(listed)}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Refused("documents that cannot be read", f"{type(error).__name__}: {error}") from None
    return passages, numbers


def _renumbered(reply: str, numbers: Mapping[Any, int]) -> str:
    """The ids of a reply as places in the list: data sets number their documents as they like."""
    try:
        ids = json.loads(reply)["relevant_doc_ids"]
        return json.dumps({"relevant_doc_ids": [numbers[i] for i in ids]})
    except KeyError as error:
        raise Refused("ids of documents that are not there", str(error)) from None
    except (ValueError, TypeError):
        raise Refused("the first turn is no list of ids", reply[:80]) from None
