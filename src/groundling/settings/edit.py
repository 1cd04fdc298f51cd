"""Settings written into a config file, where its comments, its order and all else stay as they are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import yaml

from ..errors import ConfigError
from ..misread import Misread, read


def fragment(sections: Mapping[str, Mapping[str, Any]]) -> str:
    """The settings as a piece of a config."""
    return yaml.safe_dump({name: dict(values) for name, values in sections.items()}, allow_unicode=True, sort_keys=False).rstrip()


def edited(text: str, sections: Mapping[str, Mapping[str, Any]], where: str) -> str:
    """The config's text with the settings in it. Raises ConfigError where it is written in a way that cannot be edited safely."""
    before = loaded(text, sections, where)
    try:
        found = text
        for section, values in sections.items():
            for key, value in values.items():
                found = _put(found, section, key, value)
        good = yaml.safe_load(found) == _wanted(before, sections)
    except (yaml.YAMLError, ValueError):
        good = False
    if not good:
        raise ConfigError(
            f"{where} is written in a way that is not edited by --apply, so it was left as it is. Put these lines there:\n{fragment(sections)}"
        )
    return found


def loaded(text: str, sections: Mapping[str, Mapping[str, Any]], where: str) -> Any:
    """What the config says. Raises ConfigError with the settings' lines where it is not readable: it may have been edited since the search began."""
    try:
        return read(text) or {}
    except Misread as error:
        raise ConfigError(
            f"{where}, {error.place}, is not readable YAML ({error.guess}), so it was left as it is. Mend it and put these lines there:\n"
            f"{fragment(sections)}"
        ) from None


def _wanted(before: Any, sections: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What must be read back. Raises ValueError where the config is no mapping of sections."""
    parts = {name: before.get(name) or {} for name in sections} if isinstance(before, dict) else {"": None}
    if not all(isinstance(part, dict) for part in parts.values()):
        raise ValueError("no mapping of sections")
    return {**before, **{name: {**parts[name], **values} for name, values in sections.items()}}


def _put(text: str, section: str, key: str, value: Any) -> str:
    """One setting. What is not as expected comes out wrong, which the caller sees: it compares what is read back."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if root is None:
        return f"{text.rstrip()}\n{section}:\n  {key}: {flow(value)}\n".lstrip("\n")
    inner = _entry(root, section)
    if inner is None:
        return f"{text.rstrip()}\n\n{section}:\n  {key}: {flow(value)}\n"
    name, mapping = inner
    if not isinstance(mapping, yaml.MappingNode):
        at = name.end_mark.index + 1  # a section without anything in it: after its colon
        return f"{text[:at]} {{{key}: {flow(value)}}}{text[at:]}"
    if there := _entry(mapping, key):
        begin, end = there[0].end_mark.index, max(_end(there[1]), there[0].end_mark.index + 1)
        if "#" in _between(text[begin:end], there[1], begin):
            raise ValueError("a comment within the value, which would be lost")
        return f"{text[:begin]}: {flow(value)}{text[end:]}"
    if mapping.flow_style:
        at = mapping.end_mark.index - 1
        return f"{text[:at].rstrip()}{', ' if mapping.value else ''}{key}: {flow(value)}{text[at:]}"
    first = mapping.value[0][0].start_mark
    return f"{text[: first.index]}{key}: {flow(value)}\n{' ' * first.column}{text[first.index :]}"


def _entry(node: yaml.Node, key: str) -> tuple[yaml.Node, yaml.Node] | None:
    if not isinstance(node, yaml.MappingNode):
        raise ValueError(f"no mapping around {key}")
    return next(((name, value) for name, value in node.value if name.value == key), None)


def _end(node: yaml.Node) -> int:
    """Where a value ends. Of a block the last thing in it: the mark of the block itself lies behind the comments that follow."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last)
    return int(node.end_mark.index)


def _between(text: str, node: yaml.Node, begin: int) -> str:
    """A value's text without its words and numbers, in which a # would be no comment; `begin` is where the text stands in the file."""
    if isinstance(node, yaml.ScalarNode):
        start, end = node.start_mark.index - begin, node.end_mark.index - begin
        return text[:start] + " " * (end - start) + text[end:] if start >= 0 else text
    inner = [one for pair in node.value for one in pair] if isinstance(node, yaml.MappingNode) else node.value
    for one in inner:
        text = _between(text, one, begin)
    return text


def flow(value: Any) -> str:
    """A value on one line, as this reader of YAML takes it back."""
    if isinstance(value, (dict, list)):
        return str(yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, sort_keys=False, width=math.inf)).rstrip()
    return str(yaml.safe_dump(value).splitlines()[0])
