"""Plain question and answer pairs, the same number for every chunk and of six kinds, some of them over several chunks; each with its quotes.

Source: no single one; questions over several passages after HotpotQA (arXiv 1809.09600). Makes: from each chunk `questions` pairs of drawn kinds
(fact, list, comparison, procedure, number, yes_no), and from a share of them, with neighbours, pairs that need more than one chunk; no
distractors. Costs: one call for each chunk and cluster, one more where pairs are missing. Use when: a data set of questions and answers is
wanted, to train without retrieval, to evaluate, or to take elsewhere.

What such sets get wrong and this does not: kinds are asked for and checked, not hoped for; rich chunks do not crowd out poor ones; a question
over several chunks must quote at least two; every quote stands in its passage word for word; nothing is asked twice.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError, WithJsonSchema, field_validator

from ...grounding import is_refusal, numbered
from ...llm.base import Request
from ...llm.structured import Failed, Text, Whole, structured
from ...records import Chunk, Example, Passage, Quote
from .. import Bench, RecipeOptions, example_id
from ..clusters import By, Cluster, clusters, enough, gather
from ..quoting import verbatim
from ..wording import asked_before, names_a_number, points_at_the_passage

INPUT = Cluster
NEEDS_MODEL = True

Kind = Literal["fact", "list", "comparison", "procedure", "number", "yes_no"]
KINDS: dict[str, str] = {
    "fact": "asks for one thing that is stated; the answer is a few words",
    "list": "asks for several things; the answer names them all, with commas between",
    "comparison": "asks in what two things differ or agree, or which is more; the answer says it of both",
    "procedure": "asks how something is done; the answer gives at least two steps in their order",
    "number": "asks for an amount, a date or a time; the answer holds it in digits",
    "yes_no": "is answered with yes or no; the answer begins with that word, then says why",
}
PAIRS = (
    "Write questions and answers for the passages below, in their language: one for each line of this list, in its order.\n{kinds}\n\n"
    "A question must be understood by somebody who has not seen the passages, so do not mention them; name what you ask about. It must be answerable "
    "from the passages alone.{several} For each pair copy, word for word, the sentences or table rows that hold the answer, with the number of their "
    "passage. Leave a line of the list out if the passages do not allow such a question.{before} "
    'Reply with JSON: {{"pairs": [{{"kind": "…", "question": "…", "answer": "…", "quotes": [{{"passage": 0, "quote": "…"}}]}}]}}\n\n'
    "Passages:\n\n{passages}"
)
SEVERAL = " Each question must need at least two of the passages: with one of them alone it cannot be answered."
BEFORE = " These were asked already; ask something else:\n{asked}\n"


FULL, SHORT = "units with their quota of pairs", "units with fewer pairs than their quota"


class Options(RecipeOptions):
    questions: int = Field(4, ge=1, le=24)  # pairs of each chunk: the quota
    kinds: dict[Kind, Annotated[float, Field(ge=0)]] = Field(dict.fromkeys(KINDS, 1.0))  # how often each kind is asked for, relative to the others
    multi_hop: float = Field(0.25, ge=0, le=1)  # share of the chunks that are also asked about together with neighbours
    hops: int = Field(2, ge=2, le=8)  # chunks of such a cluster, itself included
    multi_hop_questions: int = Field(2, ge=1, le=24)  # pairs of each cluster
    neighbours: By = "search"  # where a cluster's other chunks come from: search, or the same document
    again: bool = True  # ask once more where pairs are missing

    @field_validator("kinds")
    @classmethod
    def _some(cls, kinds: dict[str, float]) -> dict[str, float]:
        if not any(kinds.values()):
            raise ValueError("at least one kind needs a weight above 0")
        return kinds


class Cited(BaseModel):
    passage: Whole
    quote: Text


class Pair(BaseModel):
    kind: Kind
    question: Text
    answer: Text
    quotes: list[Cited]


_QUOTE = {"type": "object", "properties": {"passage": {"type": "integer"}, "quote": {"type": "string"}}}
_PAIR = {
    "type": "object",
    "properties": {
        "kind": {"type": "string", "enum": list(KINDS)},
        "question": {"type": "string"},
        "answer": {"type": "string"},
        "quotes": {"type": "array", "items": _QUOTE},
    },
}


class Said(BaseModel):
    # Read one by one: a pair that does not fit is dropped and counted, and the rest of the list is still good.
    pairs: Annotated[list[Any], WithJsonSchema({"type": "array", "items": _PAIR})]


def units(chunks: Sequence[Chunk], bench: Bench, options: Options) -> list[Cluster]:
    """Every chunk by itself, and a share of them with neighbours. Raises ConfigError where there are too few for those."""
    if options.multi_hop:
        enough(chunks, bench, options.hops, "Lower synthesize.options.hops, set synthesize.options.multi_hop to 0")
    found = []
    for cluster in clusters(chunks, options.hops, options.neighbours):
        found.append(Cluster(cluster.anchor))
        if bench.rng(cluster.anchor.id, "multi-hop").random() < options.multi_hop:
            found.append(cluster)
    return found


async def make(unit: Cluster, bench: Bench, options: Options) -> list[Example]:
    """The pairs of one chunk, or of a cluster of them."""
    chunks = gather(unit, bench)
    if len(chunks) < unit.size:
        bench.drop("too few chunks beside it for a question over several", unit.anchor.id)
        return []
    bench.rng(unit.id, "order").shuffle(chunks)
    quota = options.questions if unit.size == 1 else options.multi_hop_questions
    wanted = _drawn(unit, bench, options, quota)
    made = await _asked(unit, bench, chunks, wanted, [])
    if made is not None and len(made) < quota and options.again:
        missing = set(wanted) - {pair.kind for pair in made}
        rest = _drawn(unit, bench, options, quota - len(made), missing)
        made += await _asked(unit, bench, chunks, rest, [pair.question for pair in made]) or []
    if made is None:
        return []
    bench.note(FULL if len(made) == quota else SHORT)
    return [_example(unit, bench, chunks, n, pair) for n, pair in enumerate(made)]


def advice(options: Options, noted: Mapping[str, int], rows: int) -> list[str]:
    """How many units have their quota."""
    every = noted.get(FULL, 0) + noted.get(SHORT, 0)
    return [f"quota: {noted.get(FULL, 0)} of {every} units have all their pairs"] if every else []


def _drawn(unit: Cluster, bench: Bench, options: Options, count: int, missing: Collection[str] = ()) -> list[str]:
    """Kinds by their weights, each as often as it deserves before another is drawn twice; not those that the passages did not allow before."""
    r, weights = bench.rng(unit.id, f"kinds:{sorted(missing)}"), {k: w for k, w in options.kinds.items() if w}
    weights = {k: w for k, w in weights.items() if k not in missing} or weights
    due = {kind: r.random() / weight for kind, weight in weights.items()}
    found = []
    for _ in range(count):
        kind = min(due, key=lambda k: (due[k], k))
        due[kind] += 1 / weights[kind]
        found.append(kind)
    return found


async def _asked(unit: Cluster, bench: Bench, chunks: Sequence[Chunk], kinds: list[str], before: list[str]) -> list[Pair] | None:
    """One call, and the pairs of its reply that are good. None where there is no reply that could be read."""
    passages = numbered([_passage(c) for c in chunks])
    words = PAIRS.format(
        kinds="\n".join(f"- {k}: {KINDS[k]}" for k in kinds), several=SEVERAL if unit.size > 1 else "", passages=passages,
        before=BEFORE.format(asked="\n".join(f"- {q}" for q in before)) if before else "",
    )  # fmt: skip
    inputs = {"kinds": kinds, "passages": [c.text for c in chunks], "several": unit.size > 1}
    request = Request(messages=[{"role": "user", "content": words}], max_tokens=200 + 250 * len(kinds), task="pairs", inputs=inputs)
    said = await structured(bench.teacher, request, Said)
    if isinstance(said, Failed):
        bench.fail(f"no list of pairs: {said.reason}", unit.id, said.told)
        return None
    good: list[Pair] = []
    left = list(kinds)
    for item in said.pairs:
        pair = _read(item, chunks)
        reason = "a pair that does not fit its schema" if pair is None else _fault(pair, chunks, left, [*before, *(p.question for p in good)])
        if pair is None or reason:
            bench.drop(reason, item)
        else:
            left.remove(pair.kind)
            good.append(pair)
    return good


def _read(item: Any, chunks: Sequence[Chunk]) -> Pair | None:
    """A pair with its quotes as they stand in the passages, where they do. None where it has not the form of one."""
    try:
        pair = Pair.model_validate(item)
    except ValidationError:
        return None
    for q in pair.quotes:
        q.quote = (verbatim(q.quote, chunks[q.passage].text) if 0 <= q.passage < len(chunks) else None) or q.quote
    return pair


def _fault(pair: Pair, chunks: Sequence[Chunk], left: Sequence[str], asked: Sequence[str]) -> str:
    """Why a pair is not good; empty where it is."""
    if pair.kind not in left:
        return "a kind that was not asked for"
    if not pair.question or not pair.answer or is_refusal(pair.answer):
        return "no question or no answer"
    if not of_its_kind(pair.kind, pair.answer):
        return f"an answer that is none to a question of its kind: {pair.kind}"
    if names_a_number(pair.answer):
        return "the answer names passages by their numbers"
    if points_at_the_passage(pair.question):
        return "the question speaks of the passage"
    if asked_before(pair.question, asked):
        return "asked before of the same chunk"
    if not pair.quotes or any(not 0 <= q.passage < len(chunks) or not q.quote or q.quote not in chunks[q.passage].text for q in pair.quotes):
        return "quote not verbatim in the passage"
    if len(chunks) > 1 and len({q.passage for q in pair.quotes}) < 2:
        return "a question over several chunks that quotes only one"
    return ""


_YES_NO = re.compile(
    r"(?:yes|no|да|нет|はい|いいえ|ja|nein|nej|nei|nee|jo|ei|kyllä|jah|oui|non|sí|si|sì|sim|não|tak|nie|ano|ne|так|ні|是|不是|否|有|没有|네|예|아니요|evet|hayır)"
    r"(?![^\W\d_])|^(?:はい|いいえ|是|不|否|没|有|네|예|아니)",
    re.IGNORECASE,
)
_STEPS = re.compile(r"[,;、，；・\n]|[.。!！?？:：](?=\s|\S)|\b(?:and|then|und|dann|et|puis|y|luego|и|затем|потом)\b|から|次に|その後")
_NUMERAL = re.compile(r"\d|[〇一二三四五六七八九十百千万]")


def of_its_kind(kind: str, answer: str) -> bool:
    """Whether an answer has the form that its kind asks for. Of facts and comparisons nothing can be told by form."""
    if kind == "yes_no":
        return bool(_YES_NO.match(answer))
    if kind == "number":
        return bool(_NUMERAL.search(answer))
    if kind in ("list", "procedure"):
        return sum(bool(part.strip()) for part in _STEPS.split(answer)) >= 2
    return True


def _passage(chunk: Chunk) -> Passage:
    return Passage(id=chunk.id, title=chunk.title, text=chunk.text)


def _example(unit: Cluster, bench: Bench, chunks: Sequence[Chunk], n: int, pair: Pair) -> Example:
    quotes = list(dict.fromkeys((q.passage, q.quote) for q in pair.quotes))
    return Example(
        id=example_id(bench.recipe, unit.id, pair.question, n), recipe=bench.recipe, unit=unit.anchor.id, document=unit.document,
        question=pair.question, passages=[_passage(c) for c in chunks], oracle=quotes[0][0], support="cited",
        quotes=[Quote(text=text, passage=passage) for passage, text in quotes], answer=pair.answer,
        split=bench.split_of(unit.document), kind=pair.kind,
    )  # fmt: skip
