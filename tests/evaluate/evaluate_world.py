"""A handful of documents, questions and a model for the tests of evaluate."""

from __future__ import annotations

from collections.abc import Sequence

from groundling.answer import Asked
from groundling.evaluate.cases import Case
from groundling.llm.base import Reply
from groundling.records import Answer, Chunk, Document, Example, Hit, Passage, Question, Quote

TEXTS = {
    "leave": "Staff have 25 days of leave. Leave is booked in the portal.",
    "travel": "Trains are booked second class. The daily rate is 40 euros.",
    "office": "The office opens at 8. The door code is 4711.",
}
DOCUMENTS = [Document(id=f"d-{n}", path=f"hr/{n}.txt", title=n.title(), text=t) for n, t in TEXTS.items()]


def sentences(document: Document) -> list[Chunk]:
    found, at = [], 0
    for n, sentence in enumerate(document.text.split(". ")):
        start = document.text.index(sentence, at)
        at = start + len(sentence)
        found.append(
            Chunk(id=f"{document.id}-{n}", document=document.id, path=document.path, title=document.title, text=sentence, start=start, end=at)
        )
    return found


CHUNKS = [c for d in DOCUMENTS for c in sentences(d)]
QUESTIONS = [
    Question(id="q1", question="How many days of leave have staff?", answers=["25 days"], answerable=True, document="leave.txt",
             passage="Staff have 25 days of leave."),
    Question(id="q2", question="What is the daily rate?", answers=["40 euros"], answerable=True, document="hr/travel.txt",
             passage="The daily rate is 40 euros."),
    Question(id="q3", question="What is the door code?", answers=["4711"], answerable=True, document="office.txt",
             passage="The door code is 4711."),
    Question(id="q4", question="Who is the chairman?", answers=[], answerable=False),
    Question(id="q5", question="When does the office open?", answers=["at 8"], answerable=True, document="office.txt",
             passage="It opens at nine sharp."),
]  # fmt: skip


def search(question: str, k: int) -> list[Hit]:
    """Chunks by shared words."""
    words = set(question.lower().strip("?").split())
    order = sorted(CHUNKS, key=lambda c: (-len(words & set(c.text.lower().strip(".").split())), c.id))
    return [Hit(chunk=c, score=1.0) for c in order[:k]]


def example(id: str, support: str, text: str = "A short passage.") -> Example:
    quotes = [Quote(text=text, passage=0)] if support == "cited" else []
    return Example(
        id=id, recipe="r", unit="u", document="d", question=f"Question {id}?", passages=[Passage(id="p", title="T", text=text)],
        oracle=0 if quotes else None, support=support, quotes=quotes, answer=f"answer {id}" if quotes else "Not in the documents.",
    )  # fmt: skip


class Oracle:
    """Answers from the sentences shown, by shared words; `known` limits it to questions of these words; `broken` ones fail."""

    documents_role = False

    def __init__(self, name: str, known: tuple[str, ...] = (), broken: tuple[str, ...] = ()) -> None:
        self.name, self.fingerprint, self.known, self.broken, self.calls = name, name, known, broken, []

    async def replies(self, requests):
        self.calls.append(len(requests))
        return [self._reply(r.messages[-1]["content"]) for r in requests]

    def _reply(self, prompt: str) -> Reply:
        if any(b in prompt for b in self.broken):
            return Reply(text="", finish="error")
        for question, sentence, answer in [
            ("days of leave", "Staff have 25 days of leave", "25 days"),
            ("daily rate", "The daily rate is 40 euros.", "40 euros"),
            ("door code", "The door code is 4711.", "4711"),
        ]:
            if question in prompt.rsplit("Question:", 1)[-1] and sentence in prompt and (not self.known or question in self.known):
                number = prompt[: prompt.index(sentence)].rsplit("[", 1)[-1].split("]")[0]
                return Reply(text=f"##begin_quote##{sentence}##end_quote## [{number}]\n<ANSWER>: {answer}", tokens_out=9)
        return Reply(text="<ANSWER>: Not in the documents.", tokens_out=4)


def case(answerable: bool = True, relevant: Sequence[int] | None = (0,), golds: list[str] | None = None, shown: int = 3) -> Case:
    question = Question(id="x", question="How many?", answers=golds or (["25 days"] if answerable else []), answerable=answerable)
    passages = [Passage(id=str(n), title="", text=f"passage {n}") for n in range(shown)]
    return Case(question, "k=3", Asked("How many?", passages), list(relevant) if relevant is not None else None, None)


def answer(text: str = "25 days", citations: Sequence[int] = (), abstained: bool = False, invalid: Sequence[str] = ()) -> Answer:
    return Answer(
        question="How many?",
        passages=[],
        turns=[text],
        text=text,
        abstained=abstained,
        quotes=[],
        citations=list(citations),
        invalid=list(invalid),
    )


REFUSAL = answer("Not in the documents.", abstained=True)
