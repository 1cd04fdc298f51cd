"""How well a nano reads: `python -m groundling.nano.measure FOLDER -n 200` on fresh worlds of unseen fact forms, four passages each."""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..answer import Answerer, Asked
from ..grounding import FORMATS
from ..records import Answer, Example
from ..seeds import rng
from ..stats import wilson
from . import reading, tasks

if TYPE_CHECKING:
    from ..llm.local import Local


def questions(count: int, split: str, passages: int = 4, seed: int = 1, kind: str = "facts") -> list[Example]:
    """One question for each of `count` fresh contexts: invented worlds of `facts`, or `written` passages."""
    drawn = (rng(seed, "measure", split, n) for n in range(2 * count))
    if kind == "written":
        return [e for r in drawn for e in reading.ask(r, passages, 1, split)][:count]
    return [tasks.from_world(r, passages, split=split)[0] for r in drawn][:count]


class Share(NamedTuple):
    """A share of `n` answers, with its 95 % interval (Wilson's)."""

    value: float | None
    low: float | None
    high: float | None
    n: int


def scores(asked: Sequence[Example], answers: Sequence[Answer]) -> dict[str, Share]:
    """Exact answers, right passages and verbatim quotes among the answerable; abstentions of both kinds."""
    pairs = list(zip(asked, answers, strict=True))
    answerable = [(e, a) for e, a in pairs if e.support == "cited"]
    absent = [(e, a) for e, a in pairs if e.support == "abstain"]

    def share(values: list[bool]) -> Share:
        low, high = wilson(sum(values), len(values))
        return Share(sum(values) / len(values) if values else None, low, high, len(values))

    return {
        "exact_answer": share([a.text == e.answer for e, a in answerable]),
        "right_citation": share([a.citations == [e.oracle] for e, a in answerable]),
        "right_quote": share([[q.text for q in a.quotes] == [q.text for q in e.quotes] for e, a in answerable]),
        "abstain_recall": share([a.abstained for _, a in absent]),
        "false_refusal_rate": share([a.abstained for _, a in answerable]),
    }


def _speed(model: Local) -> float:
    """Tokens a second of stock `generate`, greedy, one request of four passages, 128 new tokens; the best of three."""
    import torch

    one = questions(1, "unseen")[0]
    prompt = FORMATS["raft"].prompt(one.question, one.passages)
    ids = torch.tensor([model.encode(prompt)])
    best = 0.0
    for _ in range(3):
        start = time.perf_counter()
        model.network.generate(ids, max_new_tokens=128, min_new_tokens=128, do_sample=False)
        best = max(best, 128 / (time.perf_counter() - start))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("-n", type=int, default=200)
    parser.add_argument("--kind", choices=["facts", "written"], default="facts")
    parser.add_argument("--split", choices=["train", "unseen"], default="unseen")
    parser.add_argument("--speed", action="store_true", help="tokens a second of stock generate, and nothing else")
    parser.add_argument("--show", type=int, default=0, help="print so many wrong answers")
    arguments = parser.parse_args()

    from ..llm.local import Local

    model = Local(arguments.folder)
    if arguments.speed:
        print(f"{_speed(model):.0f} tokens a second")
        return
    asked = questions(arguments.n, arguments.split, kind=arguments.kind)
    answerer = Answerer(model, FORMATS["raft"], max_tokens=160)
    answers = asyncio.run(answerer.answers([Asked(e.question, e.passages) for e in asked]))
    for name, share in scores(asked, answers).items():
        print(json.dumps({"metric": name, **share._asdict()}))
    wrong = [(e, a) for e, a in zip(asked, answers, strict=True) if a.text != e.answer]
    for e, a in wrong[: arguments.show]:
        print(f"\nQ {e.question}\n  gold {e.answer!r} {[q.text for q in e.quotes]} [{e.oracle}]\n  said {a.turns[-1]!r}")


if __name__ == "__main__":
    main()
