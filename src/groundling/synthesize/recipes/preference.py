"""Preferences: the student answers each prompt several times, its replies are scored, and the best one is put beside the worst.

Source: the rejection sampling of Vikhr's Llama and Nemo models (7 hypotheses at temperature 0.8, the best as chosen, the two worst as rejected).
Makes: pairs of a better and a worse reply to one prompt, for the objectives reward, dpo and smpo. Costs: `hypotheses` replies of the student for
each example, and with a judge one short call for each that differs. Use when: a trained model knows how to answer, and should err less often.

What the published code gets wrong and this does not (docs/recipes/preference.md lists all): only the single worst is taken whatever the name says,
pairs without a difference are kept, hypotheses are asked for one after the other, and a failed call loses its row without a trace.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from pydantic import Field, model_validator

from ...config import Synthesize
from ...errors import ConfigError, InputError
from ...grounding import conversation
from ...llm.base import Request, Verbatim
from ...records import Chunk, Example, Pair
from .. import Bench, RecipeOptions, example_id
from ..scoring import GOOD, Scorer, Unscored, scores

MAKES = Pair
INSTEAD = ("student",)  # the teacher is not asked
ASKS = False
SIEVE = True  # a prompt that the student answers rightly every time makes no pair
RUN = "run:"
DRAWN, RIGHT, CUT = "hypotheses", "hypotheses that are right", "hypotheses cut at max_tokens"
LONG = "prompts longer than the student's context"


class Prompt(NamedTuple):
    """What one call of make gets: an example of another run, whose prompt is answered again."""

    example: Example

    @property
    def id(self) -> str:
        return self.example.id

    @property
    def document(self) -> str:
        return self.example.document

    @property
    def path(self) -> str:
        return f"example {self.example.id}"

    @property
    def title(self) -> str:
        return self.example.question


INPUT = Prompt


class Options(RecipeOptions):
    examples: str = ""  # run:NAME, whose curated examples are asked; empty: those of the student's own run
    hypotheses: int = Field(7, ge=2)  # replies of the student to each prompt
    temperature: float = Field(0.8, gt=0, le=2)
    top_p: float = Field(1.0, gt=0, le=1)
    max_tokens: int = Field(256, ge=8)  # longest hypothesis; one that is cut there is neither chosen nor rejected
    verbatim: bool = True  # quotes are kept to the passages while they are written, as when the student is served
    scorer: Scorer = "reference"  # reference (the example's own answer, no model), judge (a model gives 1 to 5) or reward (a reward model)
    good: float | None = None  # from this score on a reply is right: never rejected, and only such ones chosen; reference 0.9, judge 4, reward none
    rejected: Literal["two-worst", "worst"] = "two-worst"  # as published, a pair with each of the two worst; or one with the worst
    # known: a refusal is chosen where the example refuses, and only there; scored: as its score says; apart: no pair has one, on either side
    refusals: Literal["known", "scored", "apart"] = "known"
    chosen: Literal["hypothesis", "reference"] = "hypothesis"  # where none is right: no pair, or the example's own answer as chosen

    @model_validator(mode="after")
    def _can_tell(self) -> Options:
        if self.chosen == "reference" and self.threshold is None:
            raise ValueError("a reward has no scale of its own: chosen reference needs `good`, the score from which on a reply is right")
        return self

    @property
    def threshold(self) -> float | None:
        return GOOD[self.scorer] if self.good is None else self.good


class Reply(NamedTuple):
    """A hypothesis with its score. `draw` tells hypotheses apart; the example's own answer comes before all."""

    text: str
    score: float
    draw: int


def runs(options: Options, section: Synthesize) -> list[str]:
    """The other run whose examples are read."""
    return [options.examples or section.student]


def check(options: Options, section: Synthesize) -> None:
    """Raise ConfigError where the config names no student, or not the judge that the scorer needs."""
    if not section.student:
        raise ConfigError(
            "The recipe preference asks the model that is to get better, and synthesize.student is empty. Name it: run:NAME for the model of another "
            "run (see docs/rounds.md), a name under models, or a folder."
        )
    if not options.examples and not section.student.startswith(RUN):
        raise ConfigError(
            f'The student "{section.student}" is no run, so it has no examples of its own. Set synthesize.options.examples to the run whose '
            "examples are asked, for example run:handbook."
        )
    if options.scorer != "reference" and section.judge in ("", "template"):
        wanted = "run:NAME of a run that trained the objective reward" if options.scorer == "reward" else "a language model"
        raise ConfigError(f"synthesize.options.scorer is {options.scorer}, which needs synthesize.judge: {wanted}.")


def units(chunks: Sequence[Chunk], bench: Bench, options: Options) -> list[Prompt]:
    """The examples of the other run, on both sides of the split, in the order of their ids."""
    if bench.student is None:
        check(options, Synthesize())
    if options.scorer != "reference":
        rewards, named = not hasattr(bench.judge, "replies"), getattr(bench.judge, "name", "")
        if rewards != (options.scorer == "reward"):
            raise ConfigError(
                f'synthesize.options.scorer is {options.scorer}, but the judge "{named}" '
                + ("is a reward model. Set scorer to reward." if rewards else "is no reward model. Set scorer to judge, or name such a run.")
            )
    if bench.format.turns > 1:
        raise ConfigError(f"train.format {bench.format.name} answers in {bench.format.turns} turns, and a pair holds one reply. Use raft or ja.")
    name = options.examples or bench.student.name
    found = bench.examples(name)
    if not found:
        raise InputError(f"{name} has no curated example to ask. See its 5-curated/dropped.jsonl for the reasons.")
    return sorted(map(Prompt, found), key=lambda p: p.id)


async def make(unit: Prompt, bench: Bench, options: Options) -> list[Pair]:
    """The pairs of one prompt: none where all replies are worth the same, or all are right."""
    example = unit.example
    drawn = await _hypotheses(example, bench, options)
    distinct = {text: draw for draw, text in reversed(drawn)}  # of equal ones the first draw
    scored = await _scored(example, bench, options, [(draw, text) for text, draw in sorted(distinct.items(), key=lambda d: d[1])])
    _count(bench, options, [text for _, text in drawn], scored)
    if options.refusals == "apart":
        if example.support == "abstain":
            bench.drop("it is to be refused, and refusals are kept apart", example.id)
            return []
        scored = [reply for reply in scored if _fits(example, bench, reply)]
    if not scored:
        bench.drop("no hypothesis could be used", example.id)
        return []
    if len(distinct) == 1 and options.chosen == "hypothesis":
        bench.drop("all hypotheses are equal", example.id)
        return []
    chosen = await _chosen(example, bench, options, scored)
    if chosen is None:
        return []
    worst = _worst(chosen, scored, options)
    if not worst:
        everyone = all(_right(reply, options) for reply in scored)
        bench.drop("all hypotheses are right" if everyone else "no hypothesis is worse than the best", example.id)
    return [_pair(example, bench, chosen, reply, n) for n, reply in enumerate(worst)]


async def _hypotheses(example: Example, bench: Bench, options: Options) -> list[tuple[int, str]]:
    """The student's whole replies with their draws. A call that failed and a reply that was cut are counted and left out."""
    marks = bench.format.quote_marks if options.verbatim else None
    rule = None
    if marks and example.passages:
        rule = Verbatim(begin=marks[0], end=marks[1], texts=[p.text for p in example.passages], answer=getattr(bench.format, "answer", ""))
    messages = conversation(bench.format, example, bench.student.documents_role)
    asked = [
        Request(messages=messages, max_tokens=options.max_tokens, temperature=options.temperature, top_p=options.top_p, task="hypothesis",
                verbatim=rule, draw=draw)
        for draw in range(options.hypotheses)
    ]  # fmt: skip
    if (fits := getattr(bench.student, "fits", None)) and not fits(asked[0]):
        bench.note(LONG)
        return []
    found = await bench.student.replies(asked)
    whole = []
    for draw, reply in enumerate(found):
        if reply.finish == "error":
            bench.fail("no hypothesis: the call failed", {"unit": example.id, "draw": draw}, reply.text)
        elif reply.finish == "length":
            bench.note(CUT)
        else:
            whole.append((draw, reply.text.strip()))
    return whole


async def _scored(example: Example, bench: Bench, options: Options, replies: Sequence[tuple[int, str]]) -> list[Reply]:
    """The replies that got a score."""
    if not replies:
        return []
    given = await scores(options.scorer, bench.judge, example, bench.format, [text for _, text in replies])
    found = []
    for (draw, text), said in zip(replies, given, strict=True):
        if isinstance(said, Unscored):
            bench.fail(f"no score: {said.reason}", {"unit": example.id, "draw": draw}, said.detail)
        else:
            found.append(Reply(text, said, draw))
    return found


def _count(bench: Bench, options: Options, drawn: Sequence[str], scored: Sequence[Reply]) -> None:
    """How many hypotheses there were, and how many were right: how good the student is at what it is asked."""
    right = {reply.text for reply in scored if _right(reply, options)}
    for text in drawn:
        bench.note(DRAWN)
        if text in right:
            bench.note(RIGHT)


def _right(reply: Reply, options: Options) -> bool:
    """Whether a reply is as good as it need be; by a reward alone that cannot be told."""
    return options.threshold is not None and reply.score >= options.threshold


async def _chosen(example: Example, bench: Bench, options: Options, scored: Sequence[Reply]) -> Reply | None:
    """The best hypothesis; where none is right, nothing, or the example's own answer."""
    able = [reply for reply in scored if options.refusals == "scored" or _fits(example, bench, reply)]
    best = max(able, key=lambda reply: (reply.score, -reply.draw), default=None)
    if best and (options.threshold is None or _right(best, options)):
        return best
    if options.chosen == "hypothesis":
        bench.drop("no hypothesis is right" if options.threshold is not None else "no hypothesis refuses where it should and only there", example.id)
        return None
    [own] = bench.format.target(example)
    found = await _scored(example, bench, options, [(-1, own.strip())])
    if not found or (best and found[0].score <= best.score):
        bench.drop("the example's own answer is scored no better than the best hypothesis", example.id)
        return None
    return found[0]


def _fits(example: Example, bench: Bench, reply: Reply) -> bool:
    """Whether a reply refuses just where the example does: a reward model that is unsure likes refusals, and what is chosen is learnt everywhere."""
    return bench.format.read([reply.text], example.passages).abstained == (example.support == "abstain")


def _worst(chosen: Reply, scored: Sequence[Reply], options: Options) -> list[Reply]:
    """The one or two that are rejected, the worst first: never one that is right, never one of the chosen one's score."""
    worse = [reply for reply in scored if reply.score < chosen.score and not _right(reply, options)]
    return sorted(worse, key=lambda reply: (reply.score, reply.draw))[: 2 if options.rejected == "two-worst" else 1]


def _pair(example: Example, bench: Bench, chosen: Reply, rejected: Reply, number: int) -> Pair:
    return Pair(
        id=example_id(bench.recipe, example.id, example.question, f"worst {number}"), recipe=bench.recipe, unit=example.id,
        document=example.document, question=example.question, passages=example.passages, history=example.history, split=example.split,
        chosen=chosen.text, rejected=rejected.text, margin=round(chosen.score - rejected.score, 6),
    )  # fmt: skip


def advice(options: Options, noted: Mapping[str, int], rows: int) -> list[str]:
    """What the reader of a result should know, as sentences."""
    found: list[str] = []
    drawn, right, cut = (noted.get(what, 0) for what in (DRAWN, RIGHT, CUT))
    if drawn and options.threshold is not None:
        found.append(f"{right} of {drawn} whole hypotheses were right ({options.scorer} score of {options.threshold:g} and more).")
    if long := noted.get(LONG, 0):
        found.append(f"{long} prompts are longer than the student's context with a reply of {options.max_tokens} tokens, and were not asked.")
    if cut:
        found.append(f"{cut} hypotheses were cut at {options.max_tokens} tokens and left out. Raise synthesize.options.max_tokens if they are many.")
    return found
