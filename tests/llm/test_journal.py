"""Every reply is paid for once."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from groundling.errors import MachineError
from groundling.llm.base import Reply, Request, Verbatim, call_key
from groundling.llm.journal import Journal, Journaled


class Counting:
    """A model that answers with the number of the question it was asked, and counts."""

    name, documents_role = "counting", False

    def __init__(self, fingerprint: str = "counting/1", finish: str = "stop") -> None:
        self.fingerprint, self.finish, self.asked = fingerprint, finish, []

    async def replies(self, requests: Sequence[Request]) -> list[Reply]:
        self.asked += [r.messages[0]["content"] for r in requests]
        return [Reply(text=f"re {r.messages[0]['content']}", tokens_in=3, tokens_out=2, finish=self.finish) for r in requests]


def request(text: str = "a", **changes) -> Request:
    return Request(messages=[{"role": "user", "content": text}], **changes)


def ask(model, *texts: str) -> list[str]:
    return [r.text for r in asyncio.run(model.replies([request(t) for t in texts]))]


@pytest.fixture
def journal(tmp_path: Path):
    opened = Journal(tmp_path / "run" / "journal.sqlite")
    yield opened
    opened.close()


def test_asked_again_a_reply_comes_from_the_journal_whole(journal: Journal, tmp_path: Path) -> None:
    first = Counting()
    asked = asyncio.run(Journaled(first, journal).replies([request()]))
    reopened, second = Journal(journal.path), Counting()
    assert asyncio.run(Journaled(second, reopened).replies([request()])) == asked == [Reply(text="re a", tokens_in=3, tokens_out=2)]
    assert first.asked == ["a"] and second.asked == []
    reopened.close()


def test_only_what_is_missing_is_asked_and_replies_keep_the_order(journal: Journal) -> None:
    model = Counting()
    ask(Journaled(model, journal), "b", "d")
    assert ask(Journaled(model, journal), "a", "b", "c", "d") == ["re a", "re b", "re c", "re d"]
    assert model.asked == ["b", "d", "a", "c"] and len(journal) == 4


def test_equal_requests_in_one_call_are_sent_once(journal: Journal) -> None:
    model = Counting()
    assert ask(Journaled(model, journal), "a", "b", "a") == ["re a", "re b", "re a"]
    assert model.asked == ["a", "b"]


def test_another_model_is_asked_anew(journal: Journal) -> None:
    ask(Journaled(Counting("one"), journal), "a")
    other = Counting("two")
    ask(Journaled(other, journal), "a")
    assert other.asked == ["a"]


def test_a_failed_call_is_not_remembered_as_a_reply(journal: Journal) -> None:
    """Resuming must ask again where there was no reply."""
    ask(Journaled(Counting(finish="error"), journal), "a")
    again = Counting()
    ask(Journaled(again, journal), "a")
    assert again.asked == ["a"]


def test_where_the_model_fails_nothing_is_stored(journal: Journal) -> None:
    class Failing(Counting):
        async def replies(self, requests: Sequence[Request]) -> list[Reply]:
            raise MachineError("gone")

    with pytest.raises(MachineError):
        ask(Journaled(Failing(), journal), "a", "b")
    assert len(journal) == 0


def test_a_model_that_gives_too_few_replies_is_noticed(journal: Journal) -> None:
    class Short(Counting):
        async def replies(self, requests: Sequence[Request]) -> list[Reply]:
            return (await super().replies(requests))[1:]

    with pytest.raises(ValueError):
        ask(Journaled(Short(), journal), "a", "b")
    assert len(journal) == 0


def test_it_looks_like_the_model_inside(journal: Journal) -> None:
    inner = Counting()
    outer = Journaled(inner, journal)
    assert (outer.name, outer.fingerprint, outer.documents_role) == (inner.name, inner.fingerprint, inner.documents_role)


CHANGES = {
    "messages": [{"role": "user", "content": "b"}], "max_tokens": 9, "temperature": 0.5, "top_p": 0.5, "stop": ["x"], "schema": {"type": "object"},
    "task": "answer", "inputs": {"passage": "p"}, "draw": 1, "attempt": 1, "verbatim": Verbatim(begin="<", end=">", texts=["t"]),
}  # fmt: skip


def test_whatever_shapes_a_reply_is_in_its_key() -> None:
    assert set(CHANGES) == set(Request.__struct_fields__), "a new field of a request must be thought about here"
    base = {"messages": [{"role": "user", "content": "a"}]}
    keys = {name: call_key("m", Request(**base | {name: value})) for name, value in CHANGES.items()}
    keys |= {"": call_key("m", Request(**base)), "model": call_key("other", Request(**base))}
    assert len(set(keys.values())) == len(CHANGES) + 2


def test_the_order_of_words_in_a_mapping_is_not_in_the_key() -> None:
    one, other = ({"passage": "p", "title": "t"}, {"title": "t", "passage": "p"})
    assert call_key("m", request(inputs=one)) == call_key("m", request(inputs=other))


def test_a_stored_reply_survives_a_kill(tmp_path: Path) -> None:
    code = (
        "import os, signal; from pathlib import Path; from groundling.llm.base import Reply; from groundling.llm.journal import Journal\n"
        "Journal(Path('j.sqlite')).put({'k': Reply(text='paid')}); os.kill(os.getpid(), signal.SIGKILL)"
    )
    told = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONPATH": ":".join(sys.path)})
    left = Journal(tmp_path / "j.sqlite")
    assert told.returncode == -9 and left.get("k") == Reply(text="paid")
    left.close()


def test_replies_are_stored_all_or_none(journal: Journal) -> None:
    with pytest.raises(TypeError):
        journal.put({"a": Reply(text="x"), "b": object()})
    assert len(journal) == 0


def test_a_file_that_is_no_journal_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "journal.sqlite").write_bytes(b"this is not a database at all, " * 50)
    with pytest.raises(MachineError, match=r"journal\.sqlite could not be opened.*Move it away"):
        Journal(tmp_path / "journal.sqlite")
