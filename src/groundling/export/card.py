"""The card of a data set: README.md with the YAML head that the Hugging Face hub and `datasets` read, and a page for people.

It says where the rows come from, how many there are of which kind, what was left out and why, the settings, the licence and the splits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import yaml

from .. import __version__, grounding
from ..records import Pair
from .base import Counts, Order, Told
from .features import head

# The licences that the hub knows by these names; any other is written as `other` with its own name.
LICENCES = (
    "unknown", "other", "apache-2.0", "mit", "bsd-3-clause", "cc0-1.0", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nc-4.0",
    "cc-by-nc-sa-4.0", "cc-by-nd-4.0", "cc-by-nc-nd-4.0", "gpl-3.0", "odc-by", "odbl", "pddl", "gfdl", "cdla-permissive-2.0",
)  # fmt: skip
SHOWN = 200  # sources that are listed; the rest is counted
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"), (10_000_000, "1M<n<10M"))


def card(order: Order, counts: Counts, features: Mapping[str, Any], splits: Mapping[str, str], told: Told) -> str:
    """The whole page."""
    top = yaml.safe_dump(_top(order, counts, features, splits), sort_keys=False, allow_unicode=True)
    parts = [f"---\n{top}---\n", f"# {order.name}\n", _what(order, told), _rows(counts, splits), _sources(counts, told), left_out(told.stages)]
    return "\n".join([*parts, _licence(order), _settings(told)])


def licence_head(licence: str) -> dict[str, str]:
    """The licence as the YAML head of a card says it."""
    given = licence or "unknown"
    return {"license": given} if given in LICENCES else {"license": "other", "license_name": given}


def _top(order: Order, counts: Counts, features: Mapping[str, Any], splits: Mapping[str, str]) -> dict[str, Any]:
    rows = counts.rows.total()
    return {
        **licence_head(order.licence),
        "pretty_name": order.name,
        "task_categories": ["question-answering", "text-generation"],
        "size_categories": [next((name for limit, name in SIZES if rows < limit), "n>10M")],
        "tags": ["groundling", "synthetic", "retrieval-augmented-generation"],
        "configs": [{"config_name": "default", "data_files": [{"split": split, "path": file} for split, file in splits.items()]}],
        "dataset_info": {"features": head(features), "splits": [{"name": split, "num_examples": counts.rows[split]} for split in splits]},
    }


def _what(order: Order, told: Told) -> str:
    kind = "Preference pairs" if order.kind is Pair else "Questions with passages and answers"
    by = f" The teacher was `{told.teacher}`." if told.teacher else ""
    seed = "" if told.seed is None else f" The seed was {told.seed}."
    return (
        f"{kind}, exported by groundling {__version__} as `{order.target}`. Prompts and replies are in the format "
        f"`{grounding.fingerprint(order.format)}`.{by}{seed}\n"
    )


def _rows(counts: Counts, splits: Mapping[str, str]) -> str:
    lines = ["## Rows\n", "| split | file | rows |", "|---|---|---|"]
    lines += [f"| {split} | `{file}` | {counts.rows[split]} |" for split, file in splits.items()]
    lines += ["", _across(counts), "", "| split | what the answer rests on | rows |", "|---|---|---|"]
    lines += [f"| {key.split()[0]} | {key.split()[1]} | {n} |" for key, n in sorted(counts.supports.items())]
    lines += ["", "Made by: " + ", ".join(f"{name} {n}" for name, n in sorted(counts.recipes.items())) + "."]
    lines += [f"\nNot exported: {n} rows of the split {split}." for split, n in counts.other.items()]
    lines += [f"\nNot exported: {counts.unheld} dialogues, which have no place in rows of this kind."] if counts.unheld else []
    return "\n".join(lines) + "\n"


def _across(counts: Counts) -> str:
    """Whether the split is clean, as counted: rows of one document on both sides would make a held-out score mean little."""
    sides = [set(found) for found in counts.documents.values()]
    if len(sides) < 2:
        return f"All rows are of the split {next(iter(counts.documents))}."
    both = len(set.intersection(*sides))
    return f"{both} documents have rows on BOTH sides of the split." if both else "No document has rows on both sides of the split."


def _sources(counts: Counts, told: Told) -> str:
    documents = sum(counts.documents.values(), Counter[str]())
    lines = [f"## Sources\n\n{len(documents)} documents.\n", "| document | rows |", "|---|---|"]
    found = sorted((told.sources.get(document, document or "(not said)"), n) for document, n in documents.items())
    lines += [f"| {cell(source)} | {n} |" for source, n in found[:SHOWN]]
    lines += [f"| and {len(found) - SHOWN} more | {sum(n for _, n in found[SHOWN:])} |"] if len(found) > SHOWN else []
    return "\n".join(lines) + "\n"


def cell(text: str) -> str:
    """Text as a cell of a table."""
    return " ".join(text.replace("|", "\\|").split())


def left_out(stages: Mapping[str, Mapping[str, Any]]) -> str:
    """What each stage took in, kept and left out, as a table."""
    lines = ["## What was left out\n", "| stage | in | kept | left out or failed, and why |", "|---|---|---|---|"]
    for stage, record in stages.items():
        counts = record["counts"]
        if not counts["in"]:
            continue  # the index neither takes nor leaves records
        reasons = [f"{reason} {n}" for found in (counts["dropped"], counts["failed"]) for reason, n in sorted(found.items())]
        lines.append(f"| {stage} | {counts['in']} | {counts['kept']} | {cell(', '.join(reasons)) or 'nothing'} |")
    return "\n".join(lines) + "\n"


def _licence(order: Order) -> str:
    if order.licence:
        return f"## Licence\n\n{order.licence}\n"
    return (
        "## Licence\n\nNot stated. The passages are the documents' own words and stay under the documents' licence; what the teacher wrote may be "
        "under the terms of its provider. Settle both before publishing, and state the result with `groundling export … --licence`.\n"
    )


def _settings(told: Told) -> str:
    settings = {stage: record["settings"] for stage, record in told.stages.items()}
    return f"## Settings\n\n```yaml\n{yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)}```\n"
