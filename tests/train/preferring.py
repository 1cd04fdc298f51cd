"""Pairs and labelled texts that a small model can learn from in a few steps, and how what it learnt is measured with stock libraries only."""

from __future__ import annotations

from pathlib import Path

from groundling.llm.local import accepts_documents, load_tokenizer
from groundling.records import Example, Pair, Passage
from groundling.train.pairs import PairRow, pair_row

CITIES = ["Oslo", "Turin", "Lyon", "Porto", "Gent", "Bonn", "Riga", "Graz", "Bath", "Bern", "Brno", "Cork"]


def pair(n: int, held_out_from: int = 24) -> Pair:
    """The better reply quotes and answers; the worse one names another number. From `held_out_from` on they are held out."""
    city, days = CITIES[n % len(CITIES)], 11 + n
    text = f"Staff in {city} have {days} days of leave."
    return Pair(
        id=f"p{n}", unit="u", document="d", question=f"How much leave is there in {city}?", passages=[Passage(id="a", title="Leave", text=text)],
        chosen=f"##begin_quote##{text}##end_quote## [0]\n<ANSWER>: {days} days", rejected=f"Well, I should say <ANSWER>: {days + 7} days",
        margin=0.5, split="held_out" if n >= held_out_from else "train",
    )  # fmt: skip


def pair_rows(base: Path, count: int, start: int = 0) -> list[PairRow]:
    tokenizer = load_tokenizer(base)
    return [pair_row(pair(n), "raft", tokenizer, accepts_documents(tokenizer)) for n in range(start, start + count)]


LABELS = ["travel", "travel abroad", "leave"]
TEXTS = {
    "travel": ["The train to {} is late", "A hotel in {} for two nights", "The bus from {} broke down", "A ticket to {} was lost"],
    "travel abroad": ["A passport is needed for {}", "The border before {} is closed", "A visa for {} was refused", "Customs in {} asked for papers"],
    "leave": ["Two weeks off in {}", "My holiday in {} was granted", "A day off for the {} office", "Parental leave in {} begins"],
}


def labelled(n: int, held_out_from: int = 24) -> Example:
    """A text of one of three labels, one of which begins like another."""
    label = LABELS[n % 3]
    text = TEXTS[label][(n // 3) % 4].format(CITIES[(n * 5) % len(CITIES)])
    return Example(
        id=f"e{n}", recipe="classification", unit="u", document="d", question=text, passages=[Passage(id=x, title=x, text="") for x in LABELS],
        oracle=LABELS.index(label), support="cited", quotes=[], answer=label, split="held_out" if n >= held_out_from else "train",
    )  # fmt: skip
