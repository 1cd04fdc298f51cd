"""What is learnt from trajectories: of each question the answer that is ranked best, or of each step the sample that is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ..agent import Trajectory, steps
from ..agent.ranking import ranked
from ..llm.structured import Failed
from ..records import Example, Passage, Quote
from ..seeds import digest
from .topics import Topic

FOUND = "abstained although the passage that it was asked of was found"


def usable(told: Sequence[Trajectory], topic: Topic, bench: Any, abstentions: bool) -> list[Trajectory]:
    """The trajectories with an end that may be learnt from; the others are left out with their reason."""
    found = []
    for one in told:
        bench.note(f"trajectories that {one.outcome}")
        for check in one.revised:
            bench.note(f"answers changed by the {check} check")
        if one.outcome == "failed":
            what = {"unit": topic.id, "question": one.question, "searches": [look.query for look in one.lookups]}
            if one.fault.endswith("the call failed"):
                bench.fail(f"no trajectory: {one.fault}", what, "")
            else:
                bench.drop(f"no trajectory: {one.fault}", {**what, "said": [s.said for s in one.steps[-1].samples] if one.steps else []})
        elif one.outcome == "abstained" and (why := _not_to_abstain(one, topic, abstentions)):
            bench.drop(why, {"unit": topic.id, "question": one.question})
        else:
            found.append(one)
    return found


def _not_to_abstain(one: Trajectory, topic: Topic, abstentions: bool) -> str:
    if not abstentions:
        return "an abstention, and abstentions is false"
    if not one.passages:
        return "an abstention without a passage to show"
    return FOUND if topic.chunk is not None and topic.chunk.id in {p.id for p in one.passages} else ""


async def best(told: Sequence[Trajectory], topic: Topic, bench: Any, judge: Any) -> Trajectory | None:
    """Of one question the trajectory whose answer is ranked first. Those of equal answers and quotes count as the shortest of them."""
    kinds: dict[str, Trajectory] = {}
    for one in sorted(told, key=lambda t: len(t.lookups)):
        kinds.setdefault(json.dumps([one.answer.casefold(), sorted(q.text for q in one.quotes)]), one)
    different = list(kinds.values())
    if not different:
        return None
    said = [json.dumps({"searches": len(t.lookups), "quotes": [q.text for q in t.quotes], "answer": t.answer}, ensure_ascii=False) for t in different]
    order = await ranked(judge, f"Question: {different[0].question}", said)
    if isinstance(order, Failed):
        bench.fail(f"no ranking: {order.reason}", {"unit": topic.id, "question": different[0].question}, order.told)
        return None
    for n in order[1:]:
        bench.drop("another trajectory was ranked above", {"unit": topic.id, "question": different[n].question, "said": json.loads(said[n])})
    return different[order[0]]


def answer_row(one: Trajectory, topic: Topic, bench: Any, most: int) -> Example:
    """The answer with the passages that it quotes among others that were found, in an order of the row's own."""
    cited = one.citations
    others = [n for n, p in enumerate(one.passages) if n not in cited and not any(q.text in p.text for q in one.quotes)]
    shown = [*cited, *others[: max(0, most - len(cited))]]
    bench.rng(topic.id, f"shown:{one.question}").shuffle(shown)
    at = {old: new for new, old in enumerate(shown)}
    quotes = [Quote(text=q.text, passage=at[q.passage]) for q in one.quotes]
    searches = len(one.lookups)
    return Example(
        id=digest(bench.recipe, topic.id, one.question, "answer"), recipe=bench.recipe, unit=topic.id, document=_document(one, topic, bench),
        question=one.question, passages=[one.passages[n] for n in shown], oracle=quotes[0].passage if quotes else None,
        support="cited" if quotes else "abstain", quotes=quotes, answer=one.answer, split=topic.split,
        kind="abstained" if not quotes else "one search" if searches == 1 else "several searches",
    )  # fmt: skip


def _document(one: Trajectory, topic: Topic, bench: Any) -> str:
    """The topic's document, else that of the first passage quoted; empty where it is none of the run's."""
    if topic.document or not one.quotes:
        return topic.document
    passage: Passage = one.passages[one.quotes[0].passage]
    return next((c.document for c in bench.chunks if c.id == passage.id), "")


async def step_rows(told: Sequence[Trajectory], topic: Topic, bench: Any, judge: Any) -> list[Example]:
    """A row for each prompt that the agent was shown, with the best of all that was said to it, whichever trajectory it was said in."""
    prompts: dict[tuple[str, str], list[str]] = {}
    orders: dict[tuple[str, str], list[str]] = {}
    for step in (s for one in told for s in one.steps):
        key = (step.kind, step.prompt)
        said = prompts.setdefault(key, [])
        said += [text for n in step.valid if (text := step.samples[n].said) not in said]
        if step.order:
            orders[key] = [step.samples[n].said for n in step.order]
    rows = []
    for key, said in prompts.items():
        if not said:
            continue
        if set(orders.get(key, ())) == set(said):
            first = orders[key][0]
        elif isinstance(order := await ranked(judge, key[1], said), Failed):
            bench.fail(f"no ranking: {order.reason}", {"unit": topic.id, "step": key[0]}, order.told)
            continue
        else:
            first = said[order[0]]
        rows.append(_step_row(key, first, topic, bench))
    return rows


def _step_row(key: tuple[str, str], said: str, topic: Topic, bench: Any) -> Example:
    kind, prompt = key
    return Example(
        id=digest(bench.recipe, topic.id, prompt, kind), recipe=bench.recipe, unit=topic.id, document=topic.document,
        question=steps.whole(kind, prompt), passages=[], oracle=None, support="memory", quotes=[], answer=said, split=topic.split, kind=kind,
    )  # fmt: skip
