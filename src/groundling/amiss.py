"""What is wrong with a value of the config or of a plug-in's options, in words: what was given, what it must be, and an example."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

# pydantic's own kinds of errors, whose words are for programmers. Those of our own validators keep the words that we gave them.
_THEIRS = re.compile(
    r"(int|float|bool|string|list|dict|model|literal|tuple|set|none|union|is_instance)_|(greater|less)_than|too_(short|long)|finite|missing$"
)
_SCALARS = {bool: "true or false", int: "a whole number", float: "a number", str: "text", Any: "a value"}
_MANY = {int: "whole numbers", float: "numbers", str: "words"}
_LONGEST = 80  # characters of a value that are repeated


class Place(NamedTuple):
    """A setting: its name with those of its sections, its type with what limits it, and the field it stands in."""

    path: str
    type: Any
    limits: Sequence[Any] = ()
    field: FieldInfo | None = None


def place_of(model: type[BaseModel], loc: Sequence[int | str]) -> Place:
    """Where an error of pydantic is. Of a setting that may be of several types the setting itself, not the one of them that failed."""
    here = Place("", model)
    for part in loc:
        kind, inner = get_origin(here.type), get_args(here.type)
        if isinstance(here.type, type) and issubclass(here.type, BaseModel) and part in here.type.model_fields:
            field = here.type.model_fields[str(part)]
            here = Place(f"{here.path}.{part}".lstrip("."), *_plain(field.annotation, field.metadata), field)
        elif kind is list and isinstance(part, int):
            here = Place(f"{here.path} (item {part + 1})", *_plain(inner[0]))
        elif kind is dict and inner[1:]:
            here = Place(f"{here.path}.{part}", *_plain(inner[1]))
        elif part == "[key]":
            return Place(here.path, str)
        else:
            return here
    return here


def _plain(kind: Any, limits: Sequence[Any] = ()) -> tuple[Any, Sequence[Any]]:
    if get_origin(kind) is Annotated:
        inner, *more = get_args(kind)
        return inner, [*limits, *(limit for one in more for limit in (one.metadata if isinstance(one, FieldInfo) else [one]))]
    return kind, limits


def told(model: type[BaseModel], error: Mapping[str, Any], under: str = "", hide: bool = False) -> str:
    """One of pydantic's errors as a sentence that begins with the setting's name, `under` before it. With `hide` the value is not repeated."""
    place = place_of(model, error["loc"])
    path = f"{under}.{place.path}" if under and place.path else under or place.path
    value = error["input"]
    shown = "" if hide else " has no value" if value is None else f" = {_short(str(value).lower() if isinstance(value, bool) else repr(value))}"
    if error["type"] == "invalid_key":
        return f"{path}: the names in it are words, and {'one of them' if hide else _short(repr(value))} is none."
    if not _THEIRS.match(error["type"]):
        message = str(error["msg"]).removeprefix("Value error, ").rstrip(".")
        return f"{path}{shown}: {message[:1].lower()}{message[1:]}."
    if error["type"] == "missing":
        return f"{path} is missing: it must be {wanted(place)}{_example(place, path, None)}."
    left = " Leave it out for its default." if value is None and place.field is not None and not place.field.is_required() else ""
    said = f"{path}{shown}: it must be {wanted(place)}{_example(place, path, value)}"
    return f"{said}{'?' if '. Did you mean ' in said else '.'}{left}"


def wanted(place: Place) -> str:
    """What a setting must be: `a whole number from 50 on`."""
    if place.field is not None and (form := (place.field.json_schema_extra or {}).get("form")):  # type: ignore[union-attr]
        return str(form)
    kind, inner = get_origin(place.type), get_args(place.type)
    if kind is Literal:
        return _one_of([*(str(value) for value in inner if value != ""), *(["empty"] if "" in inner else [])])
    if kind in (Union, UnionType):
        kinds = [wanted(Place(place.path, *_plain(one, place.limits))) for one in inner if one is not type(None)]
        return " or ".join(dict.fromkeys(kinds))
    if kind is list:
        return _list_of(place, _plain(inner[0])[0])
    if kind is dict or place.type is dict:
        return "names of your own, each with its section" if inner[1:] and _is_section(inner[1]) else "names, each with its value"
    if _is_section(place.type):
        return "a section of settings"
    return _SCALARS.get(place.type, "a value") + _bounds(place.limits)


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _list_of(place: Place, item: Any) -> str:
    least = next((limit.min_length for limit in place.limits if getattr(limit, "min_length", None)), 0)
    if _is_section(item):
        of = " of sections"
    elif get_origin(item) is Literal:
        of = f" with some of {', '.join(map(str, get_args(item)))}"
    else:
        of = f" of {_MANY[item]}" if item in _MANY else ""
    return f"a list{of}{', which is not empty' if least else ''}"


def _one_of(values: Sequence[str]) -> str:
    return values[0] if len(values) == 1 else f"one of {', '.join(values[:-1])} or {values[-1]}"


def _bounds(limits: Sequence[Any]) -> str:
    """`from 0 to below 1`, `above 0`, `of at most 40 characters`."""
    found = {
        name: value for limit in limits for name in ("ge", "gt", "le", "lt", "min_length", "max_length")
        if (value := getattr(limit, name, None)) is not None
    }  # fmt: skip
    least = f"from {found['ge']:g}" if "ge" in found else f"above {found['gt']:g}" if "gt" in found else ""
    most = f"to {found['le']:g}" if "le" in found else f"to below {found['lt']:g}" if "lt" in found else ""
    long = f"of at most {found['max_length']} characters" if "max_length" in found else "that is not empty" if "min_length" in found else ""
    words = [least, most or ("on" if least.startswith("from") else ""), long]
    return "".join(f" {word}" for word in words if word)


def _example(place: Place, path: str, value: Any) -> str:
    """`, for example 1000`; of a section a setting of it, of a list what was given as one."""
    if _is_section(place.type):
        return _of_section(place.type, path, value)
    field, kind = place.field, get_origin(place.type)
    given = field.examples if field is not None else None
    default = field.get_default(call_default_factory=True) if field is not None and not field.is_required() else None
    if kind is Literal:
        close = difflib.get_close_matches(value, [str(one) for one in get_args(place.type)], 1, 0.5) if isinstance(value, str) else []
        return f". Did you mean {close[0]}" if close else ""
    if kind is list and isinstance(value, str) and _may_be(_plain(get_args(place.type)[0])[0], value):
        return f", for example {_flow([value])}"
    if given or default not in (None, "", [], {}):
        return f", for example {_flow(given[0] if given else default)}"
    if place.type is str and isinstance(value, (int, float, bool)):
        return f', for example in quotes: "{value}"'
    return ""


def _may_be(item: Any, value: str) -> bool:
    """Whether a word that stands alone is likely to be meant as the only one of its list."""
    if get_origin(item) is Literal:
        return value in get_args(item)
    return bool(re.fullmatch(r"[^\s,\[\]]+", value)) and item not in (int, float) and not _is_section(item)


def _of_section(kind: type[BaseModel], path: str, value: Any) -> str:
    words = re.findall(r"\w+", value) if isinstance(value, str) else []
    known = {name: default for name, field in kind.model_fields.items() if (default := _sample(field)) is not None}
    needed = [name for name, field in kind.model_fields.items() if field.is_required()]
    names = needed or [next((word for word in words if word in known), next(iter(known), ""))]
    if not set(names) <= set(known):
        return ""
    last, shown = path.rpartition(".")[2], _flow({name: known[name] for name in names})
    by_hand = "" if "(item" in path or needed else f", or --set {path}.{names[0]}={_flow(known[names[0]])}"
    return f", for example {'' if '(item' in last else f'{last}: '}{shown}{by_hand}"


def _sample(field: FieldInfo) -> Any:
    """A value that a setting may have, to be shown; None where there is none that says something."""
    if field.examples:
        return field.examples[0]
    default = None if field.is_required() else field.get_default(call_default_factory=True)
    return default if isinstance(default, (int, float, str)) and default not in ("", None) else None


def called(value: Any) -> str:
    """The kind of a value that was given, in words."""
    words = {list: "a list", dict: "a mapping", str: "text", bool: "true or false", int: "a number", float: "a number", type(None): "nothing"}
    return words.get(type(value), "a value")


def _flow(value: Any) -> str:
    """A value as one may write it on one line of YAML."""
    return str(yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, sort_keys=False, width=10**6)).removesuffix("...\n").strip()


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"
