"""Replies of a given shape: asked for with a JSON schema, validated by pydantic, mended where the meaning is plain, asked again once, else failed.

    found = await structured(model, Request(messages=…), score(1, 5))
    if isinstance(found, Failed): bench.fail(found.reason, unit.id, found.detail)

The request carries the shape's schema (`Request.schema`). How it reaches the model is the model's matter: as `response_format`, or in words
(`schema.prompted`). A re-ask is a request of its own (`attempt` 1, with the first reply and what is wrong with it), so the journal keeps both.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

import msgspec
from pydantic import BaseModel, RootModel, ValidationError

from .base import Model, Reply, Request
from .mend import objects
from .schema import REASK
from .shapes import Text, Whole, choice, ranking, score

Shape = TypeVar("Shape", bound=BaseModel)

CUT = "the reply is cut off"
NONE = "no JSON object in the reply"
MISFIT = "the reply does not fit its schema"
SEVERAL = "the reply holds several different answers"
LOST = "the call failed"


class Failed(NamedTuple):
    """No value came of a request. `reason` is one of five phrases, to be counted; `detail` says more; `replies` are all that were paid for."""

    reason: str
    detail: str
    replies: list[Reply]

    @property
    def told(self) -> str:
        """Detail and raw replies, for a file of failures."""
        return "\n\n".join([self.detail, *(f"Reply {n}: {r.text}" for n, r in enumerate(self.replies, 1))])


class Unreadable(Exception):
    """A reply without a value of the shape."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason, self.detail = reason, detail


async def structured(model: Model, request: Request, shape: type[Shape]) -> Shape | Failed:
    """One reply of a shape."""
    return (await structured_all(model, [request], shape))[0]


async def structured_all(model: Model, requests: Sequence[Request], shape: type[Shape]) -> list[Shape | Failed]:
    """Replies of a shape, in the order of the requests: all are asked, then those that cannot be used once more, together."""
    schema = schema_of(shape)
    asked = [msgspec.structs.replace(r, schema=schema) for r in requests]
    found: list[Shape | Failed] = []
    again: dict[int, Request] = {}
    for n, reply in enumerate(await model.replies(asked) if asked else []):
        found.append(_value(reply, shape, []))
        if isinstance(failed := found[-1], Failed) and failed.reason != LOST:  # a lost call was retried at the door
            again[n] = _again(asked[n], failed)
    if again:
        for n, reply in zip(again, await model.replies(list(again.values())), strict=True):
            found[n] = _value(reply, shape, found[n].replies)
    return found


def _value(reply: Reply, shape: type[Shape], before: list[Reply]) -> Shape | Failed:
    try:
        return read(reply, shape)
    except Unreadable as error:
        return Failed(error.reason, error.detail, [*before, reply])


def _again(request: Request, failed: Failed) -> Request:
    """The re-ask: the reply and what is wrong with it. A cut reply is not shown again: it would be paid for, and copied."""
    words = f"{REASK}: {failed.reason}{f' ({failed.detail})' if failed.detail else ''}. Reply again, with one JSON object that fits the schema."
    if failed.reason == CUT:
        return _with(request, [{"role": "user", "content": f"{words} Be brief: it must end within {request.max_tokens} tokens."}])
    return _with(request, [{"role": "assistant", "content": failed.replies[-1].text}, {"role": "user", "content": words}])


def _with(request: Request, turns: list[dict[str, str]]) -> Request:
    if len(turns) == 1 and request.messages and request.messages[-1]["role"] == "user":  # many templates want the roles to alternate
        last = request.messages[-1]
        messages = [*request.messages[:-1], {**last, "content": f"{last['content']}\n\n{turns[0]['content']}"}]
    else:
        messages = [*request.messages, *turns]
    return msgspec.structs.replace(request, messages=messages, attempt=request.attempt + 1)


def read(reply: Reply, shape: type[Shape]) -> Shape:
    """The value in a reply. Raises Unreadable. A reply that ended for want of tokens is never read, however whole it looks."""
    if reply.finish == "error":
        raise Unreadable(LOST, reply.text)
    if reply.finish == "length":
        raise Unreadable(CUT, f"it reached its limit of tokens after {len(reply.text)} characters")
    found = objects(reply.text)
    if found.cut:
        raise Unreadable(CUT, "a bracket is not closed")
    values: list[Shape] = []
    errors: list[str] = []
    for candidate in found.objects or _bare(reply.text, shape):
        try:
            value = shape.model_validate(candidate)
        except ValidationError as error:
            errors.append(_sentence(error))
        else:
            if value not in values:
                values.append(value)
    if len(values) > 1:
        raise Unreadable(SEVERAL, f"{len(values)} objects fit the schema; one is wanted")
    if not values:
        if errors or found.unreadable:
            raise Unreadable(MISFIT, errors[-1] if errors else "the object is not valid JSON, or says two things under one key")
        raise Unreadable(NONE)
    return values[0]


def _bare(text: str, shape: type[BaseModel]) -> list[dict[str, Any]]:
    """A whole reply that is just the label or the number, as the object that it stands for."""
    bare = re.sub(r"\A[\"'*`]*(.*?)[\"'*`]*\Z", r"\1", text.strip(), flags=re.DOTALL)
    if shape.__name__ not in ("Choice", "Score") or len(shape.model_fields) != 1:
        return []
    candidate = {next(iter(shape.model_fields)): bare}
    try:
        shape.model_validate(candidate)
    except ValidationError:
        return []  # words without JSON, rather than JSON that does not fit
    return [candidate]


def _sentence(error: ValidationError) -> str:
    """The first three faults, in words for the model and for the reader."""
    faults = [f"{'.'.join(map(str, e['loc'])) or 'the object'}: {e['msg'].removeprefix('Value error, ')}" for e in error.errors(include_url=False)]
    return "; ".join(faults[:3])


@lru_cache(maxsize=256)
def schema_of(shape: type[BaseModel]) -> dict[str, Any]:
    """The shape's JSON schema in the strict form: no further properties, every property required, no defaults.

    Raises TypeError for a shape that is not an object: endpoints take no other.
    """
    if issubclass(shape, RootModel):
        raise TypeError(f"{shape.__name__} is not an object: give it a field.")
    return _strict(shape.model_json_schema())


def _strict(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    made = {}
    for key, value in schema.items():
        if key in ("properties", "$defs"):  # their keys are names, not words of the schema
            made[key] = {name: _strict(part) for name, part in value.items()}
        elif key != "default":
            made[key] = _strict(value)
    if "properties" in made:
        made |= {"additionalProperties": False, "required": list(made["properties"])}
    return made


__all__ = ["Failed", "Text", "Unreadable", "Whole", "choice", "ranking", "read", "schema_of", "score", "structured", "structured_all"]
