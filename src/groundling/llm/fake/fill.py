"""Any JSON schema filled with a value that fits it, the same for the same key: an enum by hash, numbers within bounds, strings from the prompt."""

from __future__ import annotations

import re
from typing import Any

from .chance import share

DEPTH = 12  # deeper than this, optional parts are left out: a schema may contain itself


def words(text: str, key: str, count: int) -> list[str]:
    """`count` neighbouring words of a text from a place that the key chooses."""
    found = re.findall(r"[\w'-]+", text) or ["nothing", "was", "asked"]
    start = int(share(key, "words") * max(1, len(found) - count))
    return found[start : start + count]


def fill(schema: Any, key: str, text: str) -> Any:
    """A value for a schema. `text` lends its words to strings."""
    return _Filler(schema, text).value(schema, key, 0)


class _Filler:
    def __init__(self, root: Any, text: str) -> None:
        self.root, self.text = root, text

    def value(self, schema: Any, key: str, depth: int) -> Any:
        if not isinstance(schema, dict):
            return "anything" if schema is True or schema is None else None
        if "$ref" in schema:
            return self.value(self._at(schema["$ref"]), key, depth + 1)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return schema["enum"][int(share(key, "enum") * len(schema["enum"]))]
        if "allOf" in schema:
            merged: dict[str, Any] = {k: v for k, v in schema.items() if k != "allOf"}
            for part in schema["allOf"]:
                part = self._at(part["$ref"]) if "$ref" in part else part
                merged |= {"properties": {**merged.get("properties", {}), **part.get("properties", {})}} | {
                    k: v for k, v in part.items() if k != "properties"
                }
            return self.value(merged, key, depth + 1)
        for choice in ("anyOf", "oneOf"):
            if schema.get(choice):
                options = [o for o in schema[choice] if isinstance(o, dict)]
                plain = [o for o in options if o.get("type") != "null"] or options
                ends = [o for o in options if "$ref" not in o and o.get("type") not in ("object", "array")] or plain
                chosen = ends if depth > DEPTH else plain
                return self.value(chosen[int(share(key, choice) * len(chosen))], key, depth + 1)
        return self._typed(schema, key, depth)

    def _at(self, reference: str) -> Any:
        """The part of the schema that a local reference (`#/$defs/Name`) names."""
        found = self.root
        for part in reference.removeprefix("#").strip("/").split("/"):
            found = found[part.replace("~1", "/").replace("~0", "~")] if part else found
        return found

    def _typed(self, schema: dict[str, Any], key: str, depth: int) -> Any:
        kind = schema.get("type") or ("object" if "properties" in schema else "array" if "items" in schema else "string")
        if isinstance(kind, list):
            kind = next((k for k in kind if k != "null"), "null")
        if kind == "object":
            required = schema.get("required", [])
            wanted = {n: s for n, s in schema.get("properties", {}).items() if n in required or depth <= DEPTH}
            return {n: self.value(s, f"{key}.{n}", depth + 1) for n, s in wanted.items()}
        if kind == "array":
            return self._array(schema, key, depth)
        if kind in ("integer", "number"):
            return _number(schema, key, kind == "integer")
        if kind == "boolean":
            return share(key, "boolean") < 0.5
        return None if kind == "null" else self._string(schema, key)

    def _array(self, schema: dict[str, Any], key: str, depth: int) -> list[Any]:
        if order := _permutation(schema, key):
            return order
        fixed = [self.value(s, f"{key}[{n}]", depth + 1) for n, s in enumerate(schema.get("prefixItems", []))]
        least = schema.get("minItems", 0)
        count = max(least, min(schema.get("maxItems", 2), 2 if depth <= DEPTH else 0)) if schema.get("items", True) is not False else 0
        found, tried = list(fixed), 0
        while len(found) < count and tried < 1000:
            value = self.value(schema.get("items", True), f"{key}[{tried}]", depth + 1)
            tried += 1
            if not schema.get("uniqueItems") or value not in found:
                found.append(value)
        return found

    def _string(self, schema: dict[str, Any], key: str) -> str:
        least, most = schema.get("minLength", 0), schema.get("maxLength", 10_000)
        fixed = {"date": "2024-05-17", "date-time": "2024-05-17T12:00:00Z", "email": "someone@example.com", "uri": "https://example.com/"}
        if schema.get("format") in fixed:
            return fixed[schema["format"]]
        text = " ".join(words(self.text, key, 6))
        while len(text) < least:
            text += " " + text
        return text[:most]


def _permutation(schema: dict[str, Any], key: str) -> list[int]:
    """A list of exactly as many whole numbers as its items may be is a ranking: each of them once."""
    items, count = schema.get("items"), schema.get("minItems", 0)
    if not isinstance(items, dict) or items.get("type") != "integer" or count < 2 or schema.get("maxItems") != count:
        return []
    low, high = items.get("minimum"), items.get("maximum")
    if low is None or high is None or high - low + 1 != count:
        return []
    return sorted(range(low, high + 1), key=lambda n: share(key, n))


def _number(schema: dict[str, Any], key: str, whole: bool) -> int | float:
    step = schema.get("multipleOf", 1 if whole else None)
    low, high = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    small = step or 1e-6
    low = low if low is not None else above + small if above is not None else (high if high is not None else below if below is not None else 10) - 10
    high = high if high is not None else below - small if below is not None else low + 10
    if step:
        first, last = -(-low // step), high // step
        value = (first + int(share(key, "number") * (last - first + 1))) * step
        return int(value) if whole else value
    return round(low + share(key, "number") * (high - low), 6)
