"""THE prompt formats: question + passages -> messages, and reading answer, quotes and citations back out of a reply.

Recipes, training, evaluation and serving all render through this module, so that a model is asked in the words it was taught.
Each format has a name and a version; `fingerprint(name)` is the hash of what it renders for fixed fixtures. A model stores that hash, and
serving refuses a model for which it differs. Nothing here cuts text.

raft       quote first, then the passage's number, then the answer (RAFT, arXiv 2403.10131: ##begin_quote## … <ANSWER>:). The question
           stands before and after the passages: a causal model reads each passage knowing what is asked (arXiv 2307.03172, section 4.2).
           An example that holds reasoning has it between its quotes and its answer.
two-turn   a `documents` role with JSON, one assistant turn of ids, one of the answer (Vikhr's grounded RAG).
ja         the 指示 / コンテキスト / 質問 / 回答 sections of RAG-SFT (yf591), with citations.
backward   passage -> question (instruction backtranslation, arXiv 2308.06259).
labels     text + labels -> one label.
instruct   instruction -> answer, with the tag of its source as the system line (instruction backtranslation); no passages.
step       one step of the search agent: its whole prompt -> JSON (agent/steps.py writes both).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from .records import Example, Pair, Passage, Quote

Message = dict[str, str]

ABSTAIN = {"en": "Not in the documents.", "ja": "文書には書かれていません。", "ru": "В документах этого нет."}

# What models say instead of ABSTAIN. Read from the answer only, never from the reasoning, and only where the answer starts so (English,
# Russian) or ends so (Japanese): "the Tomb of the Unknown Soldier" and "no information is kept" are answers.
_SOURCES = r"(?:documents?|passages?|context|texts?|sources?)"
_GIVEN = r"(?:found|stated|mentioned|given|specified|provided|available|answerable|known|listed|covered|included)"
_REFUSALS = re.compile(
    r"^(?:(?:i'm |i am )?sorry[,.!]? *(?:but )?)?(?:"
    rf"(?:(?:it|this|that|the answer|they|the information) (?:is|are|was) )?not {_GIVEN}(?:[.!]?$| (?:in|by|from) )"
    rf"|(?:(?:it|this|that|the answer) is )?not in (?:the|these|any) (?:\w+ )?{_SOURCES}\b"
    rf"|(?:the |these |this |none of the )?(?:\w+ )?{_SOURCES} (?:do|does|did)(?: not|n't) "
    r"|(?:i|we) (?:do not|don't|cannot|can't|could not|couldn't) (?:know|answer|find|tell|have)\b"
    rf"|(?:there is )?(?:no|insufficient|not enough) information(?:[.!]?$| (?:is |was )?{_GIVEN}\b| (?:in|about|on|to) )"
    rf"|(?:there is )?no answer(?:[.!]?$| (?:is |was )?{_GIVEN}\b| in )"
    r"|(?:the question is )?unanswerable\b|unknown[.!]?$|n/a$"
    r"|в документах этого нет|(?:в [\w ]+ )?(?:не (?:указано|сказано|содержится|упоминается)|нет (?:информации|ответа))|(?:я )?не знаю)"
    r"|(?:書かれていません|記載(?:が|は)?(?:ありません|されていません)|わかりません|分かりません|答えられません)。?$",
    re.IGNORECASE,
)
_REFUSAL_LENGTH = 160


class Reading(NamedTuple):
    """What was read out of a reply. `invalid` lists citations of passages that were not shown."""

    text: str
    abstained: bool
    quotes: list[Quote]
    citations: list[int]
    invalid: list[str]


class Format(Protocol):
    """How one kind of model is asked, taught and read.

    `turns` is how many assistant turns a reply takes; `quote_marks` stand around verbatim quotes, None where the format has none.
    """

    name: str
    version: int
    turns: int
    quote_marks: tuple[str, str] | None

    def prompt(self, question: str, passages: Sequence[Passage], documents_role: bool = False) -> list[Message]: ...

    def target(self, example: Example) -> list[str]: ...

    def read(self, turns: Sequence[str], passages: Sequence[Passage]) -> Reading: ...


def language(text: str) -> str:
    """The language whose ABSTAIN sentence fits a question: told by script, so only `en`, `ja` or `ru`."""
    if re.search(r"[\u3040-\u30ff\u4e00-\u9fff]", text):
        return "ja"
    return "ru" if re.search(r"[\u0400-\u04ff]", text) else "en"


def is_refusal(answer: str) -> bool:
    """Whether an answer says that the passages do not hold the answer."""
    answer = answer.strip()
    return answer in ABSTAIN.values() or (len(answer) <= _REFUSAL_LENGTH and bool(_REFUSALS.search(answer)))


def numbered(passages: Sequence[Passage]) -> str:
    """Passages as a prompt shows them: local number, title, text."""
    return "\n\n".join(f"[{n}] {p.title}\n{p.text}" if p.title else f"[{n}] {p.text}" for n, p in enumerate(passages))


def _citations(text: str, count: int) -> tuple[list[int], list[str]]:
    """The passage numbers in `[n]` or `[n, m]`, in order and once each; those that were not shown come second."""
    numbers = [int(n) for group in re.findall(r"\[(\d{1,4}(?:\s*,\s*\d{1,4})*)\]", text) for n in group.split(",")]
    unique = list(dict.fromkeys(numbers))
    return [n for n in unique if n < count], [str(n) for n in unique if n >= count]


class Raft:
    name = "raft"
    version = turns = 1
    system = (
        "Answer the question from the numbered passages. Quote the sentence that holds the answer word for word, then its number, "
        f"then the answer. If no passage holds the answer, say: {ABSTAIN['en']}"
    )
    begin, end, answer = "##begin_quote##", "##end_quote##", "<ANSWER>:"
    quote_marks = (begin, end)
    _quote = re.compile(r"##begin_quote##(.*?)##end_quote##\s*(?:\[(\d{1,4})\])?", re.DOTALL)

    def prompt(self, question: str, passages: Sequence[Passage], documents_role: bool = False) -> list[Message]:
        shown = f"{numbered(passages)}\n\n" if passages else ""
        user = f"Question: {question}\n\n{shown}Question: {question}"
        return [{"role": "system", "content": self.system}, {"role": "user", "content": user}]

    def target(self, example: Example) -> list[str]:
        quotes = "".join(f"{self.begin}{q.text}{self.end} [{q.passage}]\n" for q in example.quotes)
        reasoning = f"{example.reasoning}\n" if example.reasoning else ""
        return [f"{quotes}{reasoning}{self.answer} {example.answer}"]

    def read(self, turns: Sequence[str], passages: Sequence[Passage]) -> Reading:
        text = turns[-1]
        found = self._quote.findall(text)
        outside = self._quote.sub(lambda m: f" [{m[2]}] " if m[2] else " ", text)  # brackets inside a quote are the document's own
        cited, invalid = _citations(outside, len(passages))
        quotes = [Quote(text=q.strip(), passage=int(n)) for q, n in found if n and int(n) < len(passages)]
        answer = text.rsplit(self.answer, 1)[-1] if self.answer in text else self._quote.sub("", text).split(self.begin)[0]
        answer = re.sub(r"\s*\[\d{1,4}(?:\s*,\s*\d{1,4})*\]", "", answer).strip()
        return Reading(answer, is_refusal(answer), quotes, cited, invalid)


class TwoTurn:
    name = "two-turn"
    version = 1
    turns = 2
    quote_marks = None
    system = (
        "Your task is to answer the user's questions using only the information from the provided documents. First give the ids of the "
        "relevant documents as JSON, then the answer. Empty ids mean that the documents do not hold the answer."
    )

    def prompt(self, question: str, passages: Sequence[Passage], documents_role: bool = False) -> list[Message]:
        documents = json.dumps([{"doc_id": n, "title": p.title or None, "content": p.text} for n, p in enumerate(passages)], ensure_ascii=False)
        system = {"role": "system", "content": self.system}
        if documents_role:
            return [system, {"role": "documents", "content": documents}, {"role": "user", "content": question}]
        return [system, {"role": "user", "content": f"{documents}\n\n{question}"}]

    def target(self, example: Example) -> list[str]:
        ids = sorted({q.passage for q in example.quotes} or ({example.oracle} if example.oracle is not None else set()))
        return [json.dumps({"relevant_doc_ids": [] if example.support == "abstain" else ids}), example.answer]

    def read(self, turns: Sequence[str], passages: Sequence[Passage]) -> Reading:
        listed = re.search(r"\{[^{}]*\}", turns[0])
        try:
            ids = json.loads(listed.group())["relevant_doc_ids"] if listed else None
        except (ValueError, KeyError):
            ids = None
        if not isinstance(ids, list):
            ids, invalid = [], [turns[0].strip()[:80]]
        else:
            shown = range(len(passages))
            invalid = [str(i) for i in ids if type(i) is not int or i not in shown]
            ids = [i for i in ids if type(i) is int and i in shown]
        answer = turns[-1].strip()
        return Reading(answer, is_refusal(answer), [], list(dict.fromkeys(ids)), invalid)


class Japanese:
    name = "ja"
    version = turns = 1
    quote_marks = None
    instruction = (
        "コンテキストだけを使って質問に答えてください。答えの後に根拠の番号を [0] のように付けてください。"
        f"コンテキストに答えがなければ「{ABSTAIN['ja']}」と答えてください。"
    )

    def prompt(self, question: str, passages: Sequence[Passage], documents_role: bool = False) -> list[Message]:
        parts = [f"### 指示\n{self.instruction}"]
        if passages:
            parts.append(f"### コンテキスト\n{numbered(passages)}")
        parts += [f"### 質問\n{question}", "### 回答\n"]
        return [{"role": "user", "content": "\n\n".join(parts)}]

    def target(self, example: Example) -> list[str]:
        cited = "".join(f" [{n}]" for n in sorted({q.passage for q in example.quotes}))
        return [f"{example.answer}{cited}"]

    def read(self, turns: Sequence[str], passages: Sequence[Passage]) -> Reading:
        cited, invalid = _citations(turns[-1], len(passages))
        answer = re.sub(r"\s*\[\d{1,4}\]", "", turns[-1]).strip()
        return Reading(answer, is_refusal(answer), [], cited, invalid)


class _Bare:
    """One turn without quotes or citations: the answer, and nothing else."""

    version = turns = 1
    quote_marks: tuple[str, str] | None = None

    def target(self, example: Example) -> list[str]:
        return [example.answer]

    def read(self, turns: Sequence[str], passages: Sequence[Passage]) -> Reading:
        return Reading(turns[-1].strip(), False, [], [], [])


class Backward(_Bare):
    name = "backward"
    system = "Write the question that the passage answers."

    def prompt(self, question: str, passages: Sequence[Passage], documents_role: bool = False) -> list[Message]:
        """`question` is not shown: it is what the model writes."""
        text = "\n\n".join(f"{p.title}\n{p.text}" if p.title else p.text for p in passages)
        return [{"role": "system", "content": self.system}, {"role": "user", "content": text}]

    def target(self, example: Example) -> list[str]:
        return [example.question]


class Labels(_Bare):
    name = "labels"
    system = "Choose the label that fits the text. Answer with one of the labels."

    def prompt(self, question: str, passages: Sequence[Passage], documents_role: bool = False) -> list[Message]:
        """`question` is the text to be classified; each passage's title is a label and its text what the label means."""
        labels = "\n".join(f"- {p.title}: {p.text}" if p.text else f"- {p.title}" for p in passages)
        user = f"Labels:\n{labels}\n\nText: {question}\n\nLabel:"
        return [{"role": "system", "content": self.system}, {"role": "user", "content": user}]

    def read(self, turns: Sequence[str], passages: Sequence[Passage]) -> Reading:
        label = turns[-1].strip()
        chosen = [n for n, p in enumerate(passages) if p.title == label]
        return Reading(label, False, [], chosen, [] if chosen else [label])


class Instruct(_Bare):
    name = "instruct"
    tags = ("Answer in the style of an AI Assistant.", "Answer with knowledge from web search.")  # of the seed, of what was augmented

    def prompt(self, question: str, passages: Sequence[Passage], documents_role: bool = False) -> list[Message]:
        """A question to learn from begins with the tag of its source and a blank line; one without a tag gets both, as in the paper."""
        tag, _, asked = question.partition("\n\n")
        system, user = (tag, asked) if tag in self.tags else (" ".join(self.tags), question)
        return [{"role": "system", "content": system}, {"role": "user", "content": user}]

    def read(self, turns: Sequence[str], passages: Sequence[Passage]) -> Reading:
        return Reading(turns[-1].strip(), is_refusal(turns[-1]), [], [], [])


class Step(_Bare):
    name = "step"

    def prompt(self, question: str, passages: Sequence[Passage], documents_role: bool = False) -> list[Message]:
        return [{"role": "user", "content": question}]


FORMATS: dict[str, Format] = {f.name: f for f in (Raft(), TwoTurn(), Japanese(), Backward(), Labels(), Instruct(), Step())}


def conversation(fmt: Format, example: Example | Pair, documents_role: bool = False) -> list[Message]:
    """All that stands before the reply that is taught. Passages come with the first question; earlier answers are bare, later questions too."""
    asked = [turn.question for turn in example.history] + [example.question]
    messages = fmt.prompt(asked[0], example.passages, documents_role)
    for turn, following in zip(example.history, asked[1:], strict=True):
        messages += [{"role": "assistant", "content": turn.answer}, {"role": "user", "content": following}]
    return messages


def fixtures() -> list[Example]:
    """What fingerprints are made of: a cited, a memory and an abstain example, with a title, without one, and in two scripts."""
    passages = [Passage(id="a", title="Leave", text="Staff have 25 days of leave."), Passage(id="b", title="", text="有給休暇は二十日です。")]
    common = {"recipe": "fixture", "unit": "u", "document": "d", "question": "How many days?", "passages": passages}
    quote = Quote(text="Staff have 25 days of leave.", passage=0)
    return [
        Example(id="1", oracle=0, support="cited", quotes=[quote], answer="25 days", **common),
        Example(id="2", oracle=None, support="memory", quotes=[], answer="25 days", **common),
        Example(id="3", oracle=None, support="abstain", quotes=[], answer=ABSTAIN["en"], **common),
    ]


def rendered(name: str) -> list[list[Message]]:
    """Every fixture as whole conversations, without and with the documents role."""
    fmt, each = FORMATS[name], [(e, role) for e in fixtures() for role in (False, True)]
    return [fmt.prompt(e.question, e.passages, role) + [{"role": "assistant", "content": t} for t in fmt.target(e)] for e, role in each]


def fingerprint(name: str) -> str:
    """`raft/1:` and 16 hex digits of the SHA-256 of the rendered fixtures: it changes with what is rendered, not with this file."""
    text = json.dumps(rendered(name), ensure_ascii=False, sort_keys=True)
    return f"{name}/{FORMATS[name].version}:{hashlib.sha256(text.encode()).hexdigest()[:16]}"
