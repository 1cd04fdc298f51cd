"""A finished stage's record, told in a few lines: what is printed when it ends."""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any

from .errors import InputError
from .runs import Run
from .workspace import Output

FEW = 5  # held-out documents below which chance may leave far fewer than their share


def summary(name: str, record: dict[str, Any]) -> str:
    """`chunk: 212 in = 210 kept + 2 dropped (shorter than minimum 2) + 0 failed, 0.2 s`."""
    if name == "index":
        cut = record["notes"].get("cut")
        return f"index: {record['notes']['chunks']} chunks, {record['seconds']} s" + (f"\n  {cut['why']}" if cut else "")
    counts = record["counts"]
    dropped, failed = counts["dropped"], counts["failed"]

    def reasons(found: dict[str, int]) -> str:
        return f"{sum(found.values())}" + (f" ({', '.join(f'{r} {n}' for r, n in found.items())})" if found else "")

    text = f"{name}: {counts['in']} in = {counts['kept']} kept + {reasons(dropped)} dropped + {reasons(failed)} failed, {record['seconds']} s"
    notes = record["notes"]
    if units := notes.get("units", {}):
        text += f"\n  from {units['used']} of {units['of']} {notes.get('units_called', 'chunks')}" if units["used"] < units["of"] else ""
        text += f" (synthesize.limit {units['limit']})" if units["used"] == units.get("limit") else ""
    if target := notes.get("target"):
        text += f"\n  target of {target['rows']} examples " + (
            "reached" if target["reached"] else f"NOT reached: no further {notes.get('units_called', 'chunks')} to draw"
        )
    if "realised" in notes:
        text += "\n  realised: " + ", ".join(f"{k} {v:.1%}" for k, v in notes["realised"].items())
    if preset := notes.get("preset"):
        text += _preset(preset)
    text += "".join(f"\n  {sentence}" for sentence in notes.get("advice", []))
    if margins := notes.get("margins"):
        text += "\n  margins: " + ", ".join(f"{k} {v:g}" for k, v in margins.items())
    if keep := notes.get("keep"):
        text += f"\n  keep: {keep}"
    if "kinds" in notes:
        text += "\n  kinds: " + ", ".join(f"{k} {v:.1%}" for k, v in notes["kinds"].items())
    if name == "train" and notes.get("job"):
        losses = f"; loss {notes['log'][0]['loss']:g} -> {notes['log'][-1]['loss']:g}" if notes.get("log") else ""
        text += f"\n  {notes['model']} by the job {notes['job']}: {notes['trained_tokens']:,} tokens trained, {notes['usd']:.4f} USD{losses}"
    elif name == "train" and notes.get("log"):
        text += f"\n  {notes['trained_tokens']} of {notes['tokens']} tokens trained; loss {notes['log'][0]['loss']} -> {notes['log'][-1]['loss']}"
    return text


def _preset(told: dict[str, Any]) -> str:
    """What a preset chose and what of it was set by hand instead."""
    chose, by_hand = (", ".join(f"{k} {json.dumps(v)}" for k, v in told[part].items()) for part in ("chose", "by_hand"))
    return f"\n  preset {told['name']}: {chose or 'nothing'}" + (f"; set by hand: {by_hand}" if by_hand else "")


def no_pairs(student: str, counts: dict[str, Any]) -> str:
    """Why not one preference pair came, and what to change, as sentences."""
    why = ", ".join(f"{n} × {reason}" for reason, n in {**counts["dropped"], **counts["failed"]}.items()) or "there was no prompt to ask"
    return (
        f'Not one preference pair came of the replies of "{student}": {why}. Where all are right, there is nothing to prefer: take harder examples, '
        "or raise synthesize.options.temperature. Where none is right, set synthesize.options.chosen to reference. Replies so far are kept."
    )


def nothing_made(recipe: str, teacher: str, counts: dict[str, Any]) -> str:
    """Why not one example came, and what to change, as sentences. `teacher` is "" where the recipe asks none."""
    why = ", ".join(f"{n} × {reason}" for reason, n in {**counts["dropped"], **counts["failed"]}.items()) or "there was nothing to ask about"
    if not teacher:
        return f"The recipe {recipe} made no example at all: {why}. `groundling preview {recipe}` shows why; mend its files or its options."
    other = "a language model" if teacher == "template" else "another model"
    return (
        f'The recipe {recipe} made no example at all with the teacher "{teacher}": {why}. `groundling preview {recipe}` shows why; set '
        f"synthesize.teacher to {other}, or give documents that state facts. Replies that were paid for are kept."
    )


def something_kept(run: Run, out: Output) -> None:
    """Raise InputError where curate left nothing to train on: the filter that dropped most, and what that may come from."""
    kept, trained = out.notes["kept_by"], sum(n for sort, n in out.notes["kept_by"].items() if sort.startswith("train "))
    if trained or not out.dropped:
        return
    by_filter = Counter[str]()
    for reason, n in out.dropped.items():
        by_filter[reason.partition(":")[0]] += n
    [(worst, most)] = by_filter.most_common(1)
    reasons = ", ".join(f"{n} × {reason}" for reason, n in out.dropped.most_common())
    rest = f"the {out.kept} that {'is' if out.kept == 1 else 'are'} left {'is' if out.kept == 1 else 'are'} held out" if kept else "none is left"
    raise InputError(
        f"curate left nothing to train on: of {out.counts()['in']} examples the filter {worst} dropped {most}, and {rest} ({reasons}). "
        f"{_cause(run, worst)}The examples are kept in {run.space.folder('synthesize')}, each reject with its reason in "
        f"{out.folder / 'dropped.jsonl'}."
    )


def _cause(run: Run, worst: str) -> str:
    """What it may come from that a filter drops nearly all, and what to do."""
    if worst != "leaked":
        return "Mend what it drops, or set its options or take it out in curate.filters (`groundling list filters`). "
    if run.project.secret is None:
        return (
            "There is no file of questions, so the evaluation asks the held-out examples, and the examples to train on repeat them: give documents "
            "that differ more, or a questions.jsonl. "
        )
    return (
        f"It drops what the evaluation's questions ({run.project.secret}) ask: the file to learn from may be the evaluation's own questions, or a "
        "copy of them. Learn from other questions than those that are asked, in a file of their own. "
    )


def thin(run: Run) -> list[str]:
    """A line where the draw of a small folder holds out fewer documents than `held_out` says, with what would hold out as many."""
    share, ranks, held = run.config.held_out, sorted(run.ranks.values()), len(run.held_out)
    wanted = round(share * len(ranks))
    if not held < min(wanted, FEW):
        return []
    raised = math.floor(ranks[wanted - 1] * 100 + 1) / 100
    would = f"held_out={raised:g} holds out {min(sum(rank < raised for rank in ranks), len(ranks) - 1)}" if raised < 1 else "Another seed draws anew"
    return [
        f"  NOTE: {held} of {len(ranks)} documents {'is' if held == 1 else 'are'} held out, where the share held_out = {share:g} would be {wanted}: "
        f"each is drawn by its own hash, so that it stays where it is when others come. {would}."
    ]
