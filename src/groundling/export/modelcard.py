"""The card of an exported model: README.md with the YAML head that the Hugging Face hub reads, and a page for people.

It says what the model is made of and from which data, how it was scored, what its training took, under which licence, and how it is asked.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from .. import __version__, grounding
from ..records import Passage
from .card import cell, left_out, licence_head
from .job import Facts, Job, Packed, Part
from .sides import Verdict

WATTS = {"cpu": 65.0, "mps": 30.0, "cuda": 400.0}  # assumed of the machine while it trains, where nothing is stated
CARBON = 480.0  # grams of CO2 a kWh: about the world's mean of 2023 (Ember)
LIBRARIES = {"adapter": "peft", "merged": "transformers", "vllm": "transformers", "gguf": "gguf", "ollama": "ollama"}
SETTINGS = ("objective", "method", "preset", "format", "epochs", "steps", "batch", "accumulate", "rate", "rank", "alpha", "dropout", "max_length")


def card(job: Job, packed: Packed, found: Verdict) -> str:
    """The whole page."""
    top = yaml.safe_dump(_top(job, packed), sort_keys=False, allow_unicode=True)
    what = f"{_kind(job)}, exported by groundling {__version__} as `{job.target}`. {cell(found.says)}\n"
    notes = "".join(f"\n{note}\n" for note in packed.notes)
    parts = [f"---\n{top}---\n", f"# {job.name}\n", what + notes, _made_of(job, packed), _asked(job, packed), _how(job, packed)]
    parts += [_scores(job.facts), _lineage(job.facts), left_out(job.facts.stages), _settings(job.facts), _taken(job), _licence(job)]
    return "\n".join(parts)


def _kind(job: Job) -> str:
    return {"reward": "A reward model: it scores a reply and writes none", "classify": "A model that chooses one of given labels"}.get(
        job.described.get("objective", "sft"), "A model that answers"
    )


def _top(job: Job, packed: Packed) -> dict[str, Any]:
    hub = {} if Path(job.model.weights.base).is_dir() else {"base_model": job.model.weights.base}
    library = "peft" if packed.base else LIBRARIES[job.target]
    return {
        **licence_head(job.wish.licence),
        **hub,
        "library_name": library,
        "pipeline_tag": "text-classification" if job.is_reward else "text-generation",
        "tags": ["groundling", job.described.get("objective", "sft"), job.described["format"]],
    }


def _made_of(job: Job, packed: Packed) -> str:
    chain = [f"| {p.name} | {cell(p.base)} | {_of(p, 'objective')} | {_of(p, 'method')} | {p.record['counts']['kept']} |" for p in job.facts.parts]
    lines = ["## What it is made of\n", "| run | trained from | objective | method | examples |", "|---|---|---|---|---|", *chain, ""]
    needs = f"Needs its base besides: {packed.base}." if packed.base else "The folder is the whole model; nothing else is needed."
    lines.append(f"{needs} Weights in {packed.precision}. Fingerprint of the weights it was made from: `{job.model.weights.fingerprint}`.")
    return "\n".join(lines) + "\n"


def _of(part: Part, name: str) -> Any:
    return part.record["settings"].get(name, "")


def _asked(job: Job, packed: Packed) -> str:
    """How it is loaded and asked. Where that is Python's, what it asks with is defined there: the page's code runs as it stands."""
    given = [f"messages = {_messages(job)}", *(['reply = "REPLY"'] if job.is_reward else [])] if _in_code(packed) else []
    usage = "\n".join([*given, *packed.usage])
    more = "\n`FOLDER` is this folder.\n" if "FOLDER" in usage else ""
    return f"## How to load it\n\n```{packed.language}\n{usage}\n```\n{more}"


def _in_code(packed: Packed) -> bool:
    return packed.language == "python"


def _messages(job: Job) -> str:
    form = grounding.FORMATS[job.described["format"]]
    shown = [Passage(id="a", title="TITLE 0", text="TEXT 0"), Passage(id="b", title="TITLE 1", text="TEXT 1")]
    return json.dumps(form.prompt("QUESTION", shown, job.model.documents_role), ensure_ascii=False, indent=1)


def _how(job: Job, packed: Packed) -> str:
    """The prompt format in full: a model that is asked in other words than it was taught answers worse. No document's text is shown."""
    name = job.described["format"]
    form = grounding.FORMATS[name]
    messages = "as `messages` above.\n" if _in_code(packed) else f"so:\n\n```json\n{_messages(job)}\n```\n"
    lines = [
        f"## How to ask it\n\nIn the prompt format `{grounding.fingerprint(name)}`, through the tokenizer's own chat template, greedy (temperature "
        f"0). With a question and the passages that a search found for it, best first, {messages}"
    ]
    if form.turns > 1:
        lines.append(f"A reply is {form.turns} assistant turns in a row: ask, add the turn, ask again.\n")
    if form.quote_marks:
        lines.append(
            f"A quote stands between `{form.quote_marks[0]}` and `{form.quote_marks[1]}`. groundling's own server lets the model write nothing "
            "there but the passages' words, and its scores were measured so. Other engines do not: check that each quote stands in its passage.\n"
        )
    if name == "labels":
        lines.append("The label is not read from a reply: the log-probability of each label as the whole reply, its end included, is compared.\n")
    if job.is_reward:
        lines.append("The reply to be scored follows as the assistant's turn; the score is the one number that comes out.\n")
    return "\n".join(lines)


def _scores(facts: Facts) -> str:
    if not facts.scores:
        return f"## Scores\n\nNone: {facts.why_no_scores}.\n"
    lines = ["## Scores\n", "| setting | metric | value | 95 % interval | n | unscored |", "|---|---|---|---|---|---|"]
    for s in facts.scores:
        span = "" if s["low"] is None else f"{s['low']:.3f} to {s['high']:.3f}"
        value = "–" if s["value"] is None else f"{s['value']:.3f}"
        lines.append(f"| {s['setting']} | {s['metric']} | {value} | {span} | {s['n']} | {s.get('unscored', 0)} |")
    headline = f"\nThe headline is at the setting {facts.setting}. " if facts.setting else "\n"
    return "\n".join(lines) + f"\n{headline}Measured through groundling's own door; `groundling report` has the tests against the base.\n"


def _lineage(facts: Facts) -> str:
    kept = {name: record["counts"]["kept"] for name, record in facts.stages.items()}
    recipe = facts.stages.get("synthesize", {}).get("settings", {}).get("recipe", "")
    made = f"{kept['synthesize']} examples by the recipe `{recipe}`" if "synthesize" in kept else "examples"
    by = f", written by the teacher `{facts.teacher}`" if facts.teacher else ""
    return (
        f"## Data\n\nFrom {kept.get('ingest', 0)} documents ({kept.get('chunk', 0)} chunks): {made}{by}, of which {kept.get('curate', 0)} were kept. "
        f"The seed was {facts.seed}. Passages are the documents' own words.\n"
    )


def _settings(facts: Facts) -> str:
    lines = ["## Training\n"]
    for part in facts.parts:
        told = {name: part.record["settings"][name] for name in SETTINGS if part.record["settings"].get(name) not in (None, "", 0)}
        lines.append(f"{part.name}:\n\n```yaml\n{yaml.safe_dump(told, sort_keys=False, allow_unicode=True)}```\n")
        if accuracy := part.record.get("notes", {}).get("pair_accuracy"):
            span = f"[{accuracy['low']:.1%}, {accuracy['high']:.1%}]"
            lines.append(f"Of {accuracy['n']} held-out pairs, the better reply had the higher score in {accuracy['value']:.1%} {span}.\n")
    return "\n".join(lines)


def _taken(job: Job) -> str:
    """Time as it was measured; power, carbon and what they are reckoned from as they were assumed."""
    facts = job.facts
    seconds = sum(part.record.get("seconds", 0) for part in facts.parts)
    device = next((d for part in reversed(facts.parts) if (d := part.record.get("notes", {}).get("device"))), "")
    watts, carbon = job.wish.watts or WATTS.get(device, WATTS["cpu"]), job.wish.carbon or CARBON
    where = f" on {device}" if device else " (on what is not recorded)"
    energy = seconds * watts / 3.6e6
    given = "stated by whoever exported" if job.wish.watts else "an assumption of groundling's"
    grid = "stated by whoever exported" if job.wish.carbon else "about the world's mean of 2023, after Ember"
    lines = [
        f"## Energy, carbon and cost\n\nTraining took {seconds:,.0f} seconds{where}, as measured (if it was interrupted, since it went on). "
        f"Energy was not measured. At {watts:g} W ({given}) it is {energy:.3g} kWh, and at {carbon:g} g of CO2 a kWh ({grid}) "
        f"{energy * carbon:.3g} g. Synthesis and evaluation are not in it.\n"
    ]
    if facts.spent is not None:
        tokens, usd = facts.spent
        lines.append(f"Endpoints were sent and sent back {tokens:,} tokens for this run, {usd:.2f} USD at the prices in its config.\n")
    return "\n".join(lines)


def _licence(job: Job) -> str:
    if job.wish.licence:
        return f"## Licence\n\n{job.wish.licence}\n"
    return (
        "## Licence\n\nNot stated. A model made from another stays under that one's licence; what it learnt from may be under others: the "
        "documents', and the terms of the teacher's provider. Settle them before publishing, and state it with `groundling export … --licence`.\n"
    )
