"""Every reply is paid for once."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from groundling.errors import MachineError
from groundling.llm.base import Reply, Request, Verbatim, call_key
from groundling.llm.budget import Cost
from groundling.llm.journal import Journal, Origin
from groundling.llm.journaled import Journaled


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
    again = Journaled(model, journal)
    assert ask(again, "a", "b", "c", "d") == ["re a", "re b", "re c", "re d"]
    assert model.asked == ["b", "d", "a", "c"] and len(journal) == 4
    assert again.asked == 2, "what the journal answered is not counted"


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


class Slow:
    """An endpoint: answers each request after the seconds that it names, and notes when it was asked and when it answered."""

    name, fingerprint, documents_role, paid, parallel = "slow", "slow/1", False, True, 8

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answered: list[str] = []
        self.stopped = False

    async def replies(self, requests: Sequence[Request]) -> list[Reply]:
        [request] = requests
        text = request.messages[0]["content"]
        self.asked.append(text)
        await asyncio.sleep(float(text.split()[0]))
        self.answered.append(text)
        return [Reply(text=f"re {text}", tokens_in=3, tokens_out=2)]

    def usd(self, reply: Reply) -> float:
        return 0.5

    def stop(self) -> None:
        self.stopped = True


def test_each_reply_is_stored_as_it_arrives_and_not_with_the_slowest(journal: Journal) -> None:
    async def main() -> None:
        model = Journaled(Slow(), journal)
        asking = asyncio.ensure_future(model.replies([request("0 a"), request("5 b"), request("0.01 c")]))
        await asyncio.sleep(0.4)
        assert len(journal) == 2 and not asking.done()
        asking.cancel()
        for call in journal.in_flight.values():
            call.cancel()
        await asyncio.gather(asking, *journal.in_flight.values(), return_exceptions=True)

    asyncio.run(main())


def test_a_reply_is_on_the_disk_before_it_is_used(journal: Journal) -> None:
    async def main() -> None:
        model = Journaled(Slow(), journal)

        async def use(text: str) -> None:
            await model.replies([request(text)])
            other = sqlite3.connect(journal.path)  # as another process would see it
            assert other.execute("SELECT count(*) FROM replies WHERE key = ?", (call_key("slow/1", request(text)),)).fetchone() == (1,)
            other.close()

        await asyncio.gather(*(use(f"0.0{n} x") for n in range(10)))

    asyncio.run(main())


def test_replies_that_arrive_together_share_a_transaction(journal: Journal) -> None:
    writes: list[int] = []
    write = journal._write

    def counted(rows: list) -> None:
        writes.append(len(rows))
        write(rows)

    journal._write = counted
    slow = Slow()
    slow.parallel = 500
    asyncio.run(Journaled(slow, journal).replies([request(f"0.05 {n}") for n in range(400)]))
    assert len(journal) == 400 and sum(writes) == 400 and len(writes) < 100


def test_the_same_request_of_several_callers_is_sent_once(journal: Journal) -> None:
    async def main() -> None:
        slow, other = Slow(), Slow()
        one, two = Journaled(slow, journal), Journaled(other, journal)  # two doors to one endpoint
        found = await asyncio.gather(*(m.replies([request("0.05 a"), request("0.05 b")]) for m in (one, two, one)))
        assert slow.asked + other.asked == ["0.05 a", "0.05 b"]
        assert found[0] == found[1] == found[2]
        assert journal.in_flight == {}

    asyncio.run(main())


def test_a_request_that_waited_its_turn_is_not_sent_where_another_caller_has_got_it_meanwhile(journal: Journal) -> None:
    async def main() -> None:
        slow = Slow()
        slow.parallel = 1
        model = Journaled(slow, journal)
        long = asyncio.ensure_future(model.replies([request("0.2 first"), request("0 second")]))
        await asyncio.sleep(0.05)
        await model.replies([request("0 second")])
        await long
        assert slow.asked == ["0.2 first", "0 second"]

    asyncio.run(main())


def test_a_caller_that_goes_away_does_not_take_the_call_with_it(journal: Journal) -> None:
    async def main() -> None:
        slow = Slow()
        model = Journaled(slow, journal)
        asking = asyncio.ensure_future(model.replies([request("0.1 a")]))
        await asyncio.sleep(0.02)
        asking.cancel()
        await model.drain()
        assert slow.answered == ["0.1 a"] and len(journal) == 1 and slow.stopped

    asyncio.run(main())


def test_a_journal_that_cannot_be_written_stops_every_caller_with_a_sentence(journal: Journal) -> None:
    async def main() -> None:
        journal._writer.execute("PRAGMA query_only=1")
        found = await asyncio.gather(*(Journaled(Slow(), journal).replies([request(f"0.01 {n}")]) for n in range(5)), return_exceptions=True)
        assert all(isinstance(f, MachineError) and "could not be written" in str(f) for f in found)

    asyncio.run(main())


def test_a_fault_of_our_own_while_writing_leaves_nobody_waiting(journal: Journal) -> None:
    async def main() -> None:
        journal._write = lambda rows: 1 / 0
        with pytest.raises(ZeroDivisionError):
            await asyncio.wait_for(Journaled(Slow(), journal).replies([request("0 a")]), 5)

    asyncio.run(main())


def test_a_model_that_batches_gets_the_missing_requests_of_a_call_together(journal: Journal) -> None:
    calls: list[int] = []

    class Batched(Counting):
        batched = True

        async def parts(self, requests: Sequence[Request]) -> AsyncIterator[dict[int, Reply]]:
            calls.append(len(requests))
            yield dict(enumerate(await self.replies(requests)))

    ask(Journaled(Batched(), journal), "a")
    assert ask(Journaled(Batched(), journal), "a", "b", "c", "b") == ["re a", "re b", "re c", "re b"]
    assert calls == [1, 2]


def test_a_batch_is_stored_before_the_next_is_begun(journal: Journal) -> None:
    """Killed in the middle of a call, a local model is asked again for the batch under way and what comes after, no more."""

    class Killed(Counting):
        batched, last = True, ""

        async def parts(self, requests: Sequence[Request]) -> AsyncIterator[dict[int, Reply]]:
            for at in range(len(requests) - 2, -1, -2):  # batches come in the model's own order
                replies = await self.replies(requests[at : at + 2])
                if any(r.text == self.last for r in replies):
                    raise KeyboardInterrupt
                yield {at: replies[0], at + 1: replies[1]}

    first, second = Killed(), Killed()
    first.last = "re c"
    with pytest.raises(KeyboardInterrupt):
        ask(Journaled(first, journal), *"abcdef")
    assert first.asked == list("efcd") and len(journal) == 2
    assert ask(Journaled(second, journal), *"abcdef") == [f"re {c}" for c in "abcdef"]
    assert second.asked == list("cdab")


def test_what_was_paid_is_summed_and_what_cost_nothing_is_not(journal: Journal) -> None:
    async def main() -> None:
        await Journaled(Slow(), journal).replies([request("0 a"), request("0 b")])
        journal.lose("slow", Cost(10, 20, 0.25))
        await journal.settled()

    ask(Journaled(Counting(), journal), "free")
    asyncio.run(main())
    assert journal.spent() == journal.spent("slow") == Cost(16, 24, 1.25)
    assert journal.spent("counting") == Cost()
    assert [tokens for _, tokens in journal.recent("slow", 60, 0.1)] and sum(t for _, t in journal.recent("slow", 60, 0.1)) == 40
    assert journal.recent("slow", 0, 0.1) == []
    reopened = Journal(journal.path)
    assert reopened.spent() == Cost(16, 24, 1.25)
    reopened.close()


def test_the_sums_do_not_read_the_replies(journal: Journal) -> None:
    plan = journal._db.execute("EXPLAIN QUERY PLAN SELECT sum(tokens_in), sum(usd) FROM replies WHERE paid = 1 AND model = 'slow'").fetchall()
    assert "COVERING INDEX costs" in str(plan)


def test_a_journal_of_the_first_version_is_read_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    old = sqlite3.connect(path)
    old.execute("CREATE TABLE replies (key TEXT PRIMARY KEY, reply BLOB NOT NULL, made REAL DEFAULT (unixepoch('subsec')))")
    key = call_key("counting/1", request("a"))
    old.execute("INSERT INTO replies (key, reply) VALUES (?, ?)", (key, b'{"text":"kept","tokens_in":1,"tokens_out":1,"finish":"stop"}'))
    old.commit()
    old.close()
    for _ in range(2):
        journal = Journal(path)
        model = Counting()
        assert ask(Journaled(model, journal), "a", "b") == ["kept", "re b"]
        assert journal.spent() == Cost()
        journal.close()


def test_the_schema_s_columns_are_what_sums_and_plans_read(journal: Journal) -> None:
    journal.put({"k": Reply(text="t", tokens_in=5, tokens_out=7, finish="length")}, Origin("gpt", True), usd=0.25)
    row = journal._db.execute("SELECT model, finish, tokens_in, tokens_out, usd, paid FROM replies").fetchone()
    assert row == ("gpt", "length", 5, 7, 0.25, 1)


def test_finished_units_are_remembered_by_their_work(journal: Journal) -> None:
    async def main() -> None:
        for unit in ("u1", "u2", "u1"):
            journal.finish("raft", unit)
        await journal.settled()

    asyncio.run(main())
    assert journal.finished("raft") == {"u1", "u2"} and journal.finished("other") == set()


def test_what_an_event_loop_left_behind_is_written_when_the_journal_closes(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.sqlite")

    async def main() -> None:
        asyncio.ensure_future(journal.store("k", Reply(text="paid"), Origin(), 0.0))
        await asyncio.sleep(0)
        journal.finish("w", "u")

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(torn(main))
    journal.close()
    again = Journal(tmp_path / "j.sqlite")
    assert again.get("k") == Reply(text="paid") and again.finished("w") == {"u"}
    again.close()


async def torn(main) -> None:
    """A loop that ends in the middle of its work."""
    await main()
    raise KeyboardInterrupt


def test_many_keys_are_looked_up_at_once(journal: Journal) -> None:
    journal.put({f"k{n}": Reply(text=str(n)) for n in range(1200)})
    found = journal.get_many([f"k{n}" for n in range(0, 2400, 2)])
    assert len(found) == 600 and found["k1198"].text == "1198" and journal.get_many([]) == {}
