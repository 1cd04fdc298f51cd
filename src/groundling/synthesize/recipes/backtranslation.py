"""Instruction backtranslation: texts that people wrote already get the instructions that would ask for them, and the good pairs are kept.

Source: Humpback (arXiv 2308.06259). Makes: `backward`: the pairs of a seed set inverted, for a model that writes instructions; `forward`: the pairs
as they are; `augmented`: an instruction for each segment of the documents, scored from 1 to 5, beside the seeds. Costs: for `augmented` two calls a
segment, one for its instruction and one for its score; else nothing. Use when: documents read like good answers, and some hundred seeds are there.

What published code of this method gets wrong and this does not (docs/recipes/backtranslation.md lists all): scores are read out of free words, so
that half the pairs have none and others 8, 91 or 1986; no score is held against a person's; the two sources are not told apart.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, Field, model_validator

from ...choosing import Asking, choose, scorer
from ...errors import ConfigError, InputError
from ...grounding import Backward, Instruct, is_refusal
from ...llm.base import Request
from ...llm.structured import Failed, Text, score, structured
from ...records import Chunk, Example, Passage, Record
from ...seeds import digest
from .. import Bench, RecipeOptions, example_id
from ..calibration import HIGH, LOW, labelled, note, told
from ..instructions import files as named
from ..instructions import instructions, need_file
from ..segments import segments
from ..wording import points_at_the_passage

INSTEAD = ("student", "judge")
FORMATS = ("instruct", "backward")
INSTRUCTION = (
    "Below is a text that a person wrote. Write the instruction or question to which exactly this text would be a good answer, in the language of "
    "the text, as somebody would put it who has not seen the text. "
    'Reply with JSON: {{"instruction": "…"}}\n\nText:\n{text}'
)
SCORE = (
    "Rate from 1 to 5 how good the text is as an AI assistant's answer to the instruction.\n"
    "1: incomplete, vague, off topic, or not an answer: advertising, navigation, parts of a forum or a blog. 2: answers a part, or not directly. "
    "3: helpful, but written from another view than an assistant's, as a page or a post of somebody. 4: written as an assistant would, complete and "
    "clear, with little to improve. 5: an expert's answer, to the point, with no sentence too many.\n"
    'Reply with JSON: {{"score": n}}\n\nInstruction:\n{instruction}\n\nText:\n{text}'
)
SEED, SEGMENT, LABELLED = "seed", "segment", "labelled"


class Options(RecipeOptions):
    make: Literal["backward", "forward", "augmented"] = "augmented"  # what this round trains: see docs/recipes/backtranslation.md
    seeds: str = ""  # a file of instructions with good answers: .json, .jsonl, .csv, .tsv, .parquet
    shape: str = ""  # which of `groundling list imports` its records are; empty: as they look
    labelled: str = ""  # a file of instruction, output and a person's score from 1 to 5: what the judge is held against
    shortest: int = Field(600, ge=1)  # characters of a segment
    longest: int = Field(3000, ge=1)
    repeated: float = Field(0.8, gt=0, le=1)  # a segment with two sentences that share so many of their runs of words is left out
    ngram: int = Field(3, ge=1)  # words of such a run
    capitals: float = Field(0.25, gt=0, le=1)  # a segment with a larger share of capital letters is left out
    navigation: list[str] = ["advertisement", "forum", "quick link", "free newsletter"]  # headings with these words are left out
    temperature: float = Field(0.7, ge=0, le=2)  # of who writes the instructions
    top_p: float = Field(0.9, gt=0, le=1)
    max_tokens: int = Field(200, ge=8)  # longest instruction

    @model_validator(mode="after")
    def _in_order(self) -> Options:
        if self.shortest > self.longest:
            raise ValueError("shortest is above longest, so no segment could be taken")
        return self


class Source(Record):
    """A pair of the seed set, a segment of a document, or a labelled pair."""

    id: str
    document: str
    path: str
    title: str
    kind: str
    text: str
    question: str = ""
    label: int = 0


INPUT = Source


class Written(BaseModel):
    instruction: Text


def needs(options: Options) -> str:
    """What a language model is needed for; empty where the seeds only are written in another form."""
    return " to write instructions and to score them (or a student and a judge)" if options.make == "augmented" else ""


NEEDS_MODEL = needs


def asks(options: Options, named: Collection[str]) -> bool:
    """Whether the teacher is asked: to write or to score instructions, where student and judge do not do both."""
    return bool(needs(options)) and not {*INSTEAD} <= {*named}


ASKS = asks


def check(options: Options, section: Any = None) -> None:
    """Raise ConfigError where the seeds are missing that a round is made of."""
    if options.make != "augmented":
        need_file(options.seeds, "backtranslation", "seeds")


def files(options: Options) -> list[str]:
    """The files that the output hangs on."""
    return list(named(options.seeds, options.labelled))


def units(chunks: Sequence[Chunk], bench: Bench, options: Options) -> list[Source]:
    """Segments first, then seeds, then what the judge is held against. Raises ConfigError where the round's settings do not go together."""
    wanted = "backward" if options.make == "backward" else "instruct"
    if bench.format.name != wanted:
        raise ConfigError(f"synthesize.options.make={options.make} makes data for train.format={wanted}, not for {bench.format.name}. Set it so.")
    check(options)
    if options.make != "augmented":
        return _seeds(bench, options)
    found = _segments(bench, options)
    found += _seeds(bench, options) if options.seeds else []
    pairs = labelled(options.labelled, bench) if options.labelled else []
    return found + [
        Source(id=digest(LABELLED, n, p.instruction, p.output), document="", path=options.labelled, title="", kind=LABELLED, text=p.output,
               question=p.instruction, label=p.score) for n, p in enumerate(pairs)
    ]  # fmt: skip


def _seeds(bench: Bench, options: Options) -> list[Source]:
    found = []
    for one in instructions(options.seeds, options.shape, bench):
        if one.history:
            bench.drop("a later turn of a conversation", one.question)
        else:
            found.append(Source(id=one.id, document="", path=one.path, title=one.title, kind=SEED, text=one.answer, question=one.question))
    return found


def _segments(bench: Bench, options: Options) -> list[Source]:
    found: dict[str, Source] = {}
    for document in bench.documents():
        for piece in segments(document, options):
            what = {"document": document.path, "heading": piece.heading, "text": piece.text}
            bare = " ".join(piece.text.casefold().split())
            if piece.reason or bare in found:
                bench.drop(piece.reason or "a segment that stands in the documents twice", what)
            else:
                found[bare] = Source(
                    id=piece.id(document), document=document.id, path=document.path, title=piece.heading, kind=SEGMENT, text=piece.text
                )
    if not found:
        raise InputError(
            f"The documents gave no segment of {options.shortest} to {options.longest} characters that could be an answer. Lower "
            "synthesize.options.shortest, or give documents of running text; dropped.jsonl of the stage says what was left out and why."
        )
    return list(found.values())


async def make(unit: Source, bench: Bench, options: Options) -> list[Example]:
    """The pair of one source; of a labelled one only what the judge says of it."""
    if unit.kind == SEED:
        return [_example(unit, bench, options, unit.question)]
    asked: str | None = unit.question or await _instruction(unit, bench, options)
    rated = await _rated(asked, unit.text, bench) if asked else None
    if asked is None or rated is None:
        return []
    if rated.fault:
        bench.fail(f"no score: {rated.reason}", {"unit": unit.id, "instruction": asked}, rated.fault)
    elif unit.kind == LABELLED:
        bench.note(note(unit.label, rated.score))
    else:
        return [_example(unit, bench, options, asked, rated.score)]
    return []


async def _instruction(unit: Source, bench: Bench, options: Options) -> str | None:
    """An instruction for a segment: of the student, which was taught to write them, else of the teacher. None where none will do."""
    sampled = {"max_tokens": options.max_tokens, "temperature": options.temperature, "top_p": options.top_p, "task": "instruction"}
    if bench.student is not None:
        said = await _by_student(unit, bench, sampled)
    else:
        prompt = [{"role": "user", "content": INSTRUCTION.format(text=unit.text)}]
        found = await structured(bench.teacher, Request(messages=prompt, inputs={"text": unit.text}, **sampled), Written)
        if isinstance(found, Failed):
            bench.fail(f"no instruction: {found.reason}", unit.id, found.told)
            return None
        said = found.instruction
    if said is None:
        return None
    if why := _fault(said, unit.text):
        bench.drop(why, {"unit": unit.id, "instruction": said})
        return None
    return said


async def _by_student(unit: Source, bench: Bench, sampled: dict[str, Any]) -> str | None:
    """The student's words, in the format that it was taught."""
    student: Any = bench.student
    prompt = Backward().prompt("", [Passage(id=unit.id, title="", text=unit.text)])
    request = Request(messages=prompt, **sampled)
    if (fits := getattr(student, "fits", None)) and not fits(request):
        bench.drop("a segment too long for the student", unit.id)
        return None
    [reply] = await student.replies([request])
    if reply.finish == "error":
        bench.fail("no instruction: the call failed", unit.id, reply.text)
        return None
    if reply.finish == "length":
        bench.drop("an instruction that does not end within max_tokens", {"unit": unit.id, "instruction": reply.text})
        return None
    return reply.text.strip()


def _fault(said: str, text: str) -> str:
    """Why an instruction will not do; empty where it will."""
    if not said or is_refusal(said):
        return "no instruction"
    if points_at_the_passage(said):
        return "the instruction speaks of the text"
    if len(said) >= len(text) or any(tag in said for tag in Instruct.tags):
        return "an instruction that is none"
    return ""


class _Rated(NamedTuple):
    """The judge's word: a score from 1 to 5 (of a reward model: its own), or why there is none."""

    score: float = 0.0
    reason: str = ""
    fault: str = ""


async def _rated(instruction: str, text: str, bench: Bench) -> _Rated:
    """A score within its scale: a reward model's own; of a model of this machine the mean of 1…5 by how likely it finds each; else by a schema."""
    judge = bench.judge or bench.teacher
    if not hasattr(judge, "replies"):
        [value] = await judge.scores([([{"role": "user", "content": instruction}], text)])
        return _Rated(float(value))
    prompt = [{"role": "user", "content": SCORE.format(instruction=instruction, text=text)}]
    if scorer(judge):
        [chosen] = await choose(judge, [Asking(prompt, [str(n) for n in range(LOW, HIGH + 1)])])
        if not chosen.label:
            return _Rated(reason="the judge chose none", fault=chosen.fault)
        return _Rated(round(sum(n * share for n, share in enumerate(chosen.shares, LOW)), 1))
    request = Request(messages=prompt, max_tokens=60, task="score", inputs={"instruction": instruction, "text": text})
    said: Any = await structured(judge, request, score(LOW, HIGH))
    return _Rated(reason=said.reason, fault=said.told or said.reason) if isinstance(said, Failed) else _Rated(float(said.score))


def _example(unit: Source, bench: Bench, options: Options, instruction: str, value: float | None = None) -> Example:
    """The pair in the form of its round. Inverted, the answer is the passage shown; else the instruction begins with the tag of its source.

    A seed has one id in all rounds that teach to answer it, so that their models are compared on the same ones.
    """
    inverted = options.make == "backward"
    tag = Instruct.tags[0 if unit.kind == SEED else 1]
    return Example(
        id=example_id(bench.recipe, unit.id, instruction, "inverted" if inverted else "pair"), recipe=bench.recipe, unit=unit.id,
        document=unit.document or unit.path,
        question=instruction if inverted else f"{tag}\n\n{instruction}",
        passages=[Passage(id=unit.id, title="", text=unit.text)] if inverted else [], oracle=None, support="memory", quotes=[], answer=unit.text,
        split=_side(unit, bench), kind=SEED if unit.kind == SEED else "augmented", score=value,
    )  # fmt: skip


def _side(unit: Source, bench: Bench) -> Literal["train", "held_out"]:
    """A segment is on its document's side of the split; of seeds the same share is held out, the same ones in every round."""
    if unit.kind == SEGMENT:
        return bench.split_of(unit.document)
    return "held_out" if bench.rng(digest(unit.text), "split").random() < bench.held_out else "train"


def advice(options: Options, noted: Mapping[str, int], rows: int) -> list[str]:
    """What the judge is worth, where a labelled set says."""
    return told(noted)
