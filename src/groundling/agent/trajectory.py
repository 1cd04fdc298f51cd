"""What an agent did about one question, as a frozen record: every step with all its samples, every search, and the answer."""

from __future__ import annotations

from typing import Literal

from ..records import Answer, Passage, Quote, Record

Outcome = Literal["answered", "abstained", "failed"]


class Sample(Record):
    """One thing that the model said in a step, as canonical JSON, and how often it said so. `fault` tells why it may not be gone on with.

    `said` is empty where no value could be read out of the reply.
    """

    said: str
    fault: str = ""
    times: int = 1


class Step(Record):
    """One call of the state machine. `prompt` is what the model was shown, `chosen` the number of the sample that was gone on with.

    `by` says who chose: `only` (there was one), `perplexity`, `judge` or `first`; empty where no sample would do. `order` is the judge's
    ranking of the samples without a fault, the best first; empty where no judge was asked. `left_out` counts passages that did not fit.
    """

    kind: str
    prompt: str
    samples: list[Sample]
    chosen: int | None = None
    by: str = ""
    order: list[int] = []
    left_out: int = 0

    @property
    def valid(self) -> list[int]:
        """The samples that could have been gone on with."""
        return [n for n, sample in enumerate(self.samples) if not sample.fault]


class Lookup(Record):
    """One search: what was looked for, the numbers of the passages that came, and what they were summarised as. `relevant` are those of use."""

    query: str
    passages: list[int]
    summary: str = ""
    relevant: list[int] = []


class Trajectory(Record):
    """All of it. `passages` are all that were found, in the order of finding: their places are the local numbers of quotes and lookups.

    `revised` names the checks that changed the answer; `fault` says why a failed one has no answer, or why searching ended early.
    """

    question: str
    outcome: Outcome
    answer: str
    quotes: list[Quote]
    passages: list[Passage]
    lookups: list[Lookup]
    steps: list[Step]
    revised: list[str] = []
    fault: str = ""

    @property
    def citations(self) -> list[int]:
        """The numbers of the passages that the answer rests on, each once."""
        return list(dict.fromkeys(q.passage for q in self.quotes))

    @property
    def told(self) -> Answer:
        """The answer in the form in which every other answer travels."""
        said = [s.samples[s.chosen].said for s in self.steps if s.chosen is not None]
        return Answer(
            question=self.question, passages=self.passages, turns=said, text=self.answer, abstained=self.outcome == "abstained",
            quotes=self.quotes, citations=self.citations, finish="error" if self.outcome == "failed" else "stop",
        )  # fmt: skip
