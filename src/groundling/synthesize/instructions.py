"""Instruction sets that others made, as units of a recipe: read record by record, each bad one a failure with its line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..errors import ConfigError, InputError
from ..imports import Bad, Unheld, read
from ..records import Example, Pair, Record, Turn
from ..seeds import digest


class Instruction(Record):
    """What is asked and what is to be answered. `id` is made of both, so that it stays when other records of the file change."""

    id: str
    path: str
    title: str
    question: str
    answer: str
    history: list[Turn] = []


def need_file(name: str, recipe: str, option: str) -> None:
    """Raise ConfigError where a recipe is not told its file."""
    if not name:
        raise ConfigError(
            f"The recipe {recipe} needs a file of instructions with their answers: set synthesize.options.{option} to a .json, .jsonl, .csv, .tsv or "
            ".parquet file beside the config. `groundling list imports` says which records are read."
        )


def instructions(name: str, shape: str, bench: Any) -> list[Instruction]:
    """The instructions of a file, in its order. What cannot be read fails, with its line; what is no instruction is dropped.

    Raises InputError for a file that is empty, or of which nothing is left.
    """
    counted = {"bad": 0, "left out": 0}
    found: dict[str, Instruction] = {}
    for record in read(bench.path(name), shape):
        if isinstance(record, Bad):
            counted["bad"] += 1
            bench.fail(record.reason, {"file": name, "line": record.line, "record": record.text}, f"line {record.line}: {record.sentence}")
            continue
        reason, what = _unfit(record, name)
        unit = None if reason else _instruction(record, name)
        if unit is not None and unit.id in found:
            reason, what = "a record that stands in the file twice", unit.question
        if reason:
            counted["left out"] += 1
            bench.drop(reason, what)
        elif unit is not None:
            found[unit.id] = unit
    if not found:
        raise InputError(
            f"{name} holds no instruction with an answer that could be used: {counted['bad']} records are broken, {counted['left out']} were left "
            "out. `groundling import` on the file says what is wrong with each."
        )
    return list(found.values())


def _unfit(record: Example | Pair | Unheld, name: str) -> tuple[str, Any]:
    """Why a sound record is no instruction with an answer, and what of it is kept; an empty reason where it is one."""
    if isinstance(record, Unheld):
        return record.reason, {"file": name, "line": record.line, "record": record.text}
    if isinstance(record, Pair):
        return "a preference, not an answer", {"file": name, "question": record.question}
    if record.support == "abstain":
        return "the answer is a refusal", {"file": name, "question": record.question}
    return "", None


def _instruction(record: Any, name: str) -> Instruction:
    told = [(turn.question, turn.answer) for turn in record.history]
    return Instruction(
        id=digest("instruction", record.question, record.answer, told), path=name, title=record.unit, question=record.question,
        answer=record.answer, history=record.history,
    )  # fmt: skip


def files(*names: str) -> Iterator[str]:
    """Those of the names that are given: the files that a recipe's output hangs on."""
    return (name for name in names if name)
