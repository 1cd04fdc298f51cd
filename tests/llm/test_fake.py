"""The fake teacher over real HTTP: its replies fit what is asked, its faults are what the script says, and it tells what it served."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from groundling.errors import ConfigError, MachineError
from groundling.llm import fake
from groundling.llm.base import Reply, Request
from groundling.llm.fake.chance import Chance
from groundling.llm.fake.content import Call, Message, name_of, say
from groundling.llm.fake.script import BatchScript, Content, TuningScript, Wire, load
from groundling.llm.schema import prompted, response_format
from groundling.llm.structured import choice, ranking, read, schema_of, score
from groundling.llm.template import Template
from groundling.synthesize.recipes import raft

PASSAGE = "Staff in Finland have 25 days of leave. The lift of Turku was repaired within 12 days. It has cost 900 EUR in all."


def body(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": text}], "max_tokens": 500} | more


class Client:
    """A plain client: no retries, no pace."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url, self.session = url, session

    async def post(self, text: str = "hello", **more: Any) -> tuple[int, Any]:
        """(status, content of the reply or error's message)"""
        async with self.session.post(f"{self.url}/chat/completions", json=body(text, **more)) as response:
            told = await response.json()
            return response.status, told["choices"][0]["message"]["content"] if response.status == 200 else told["error"]["message"]

    async def stats(self) -> dict[str, Any]:
        async with self.session.get(f"{self.url}/stats") as response:
            return await response.json()


def against(work: Callable[[Client], Awaitable[Any]], **script: Any) -> Any:
    """What `work` returns with a client of a fake teacher with this script."""

    async def main() -> Any:
        async with fake.serving(fake.Script(**script)) as url, aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session:
            return await work(Client(url, session))

    return asyncio.run(main())


# Replies


def template(task: str, **inputs: Any) -> str:
    request = Request(messages=[], task=task, inputs={"passage": PASSAGE, "title": "Leave", **inputs})
    return Template().reply(request).text


def test_raft_s_prompts_are_answered_as_by_the_rules() -> None:
    """Renders the recipe's own prompts: a changed prompt that the fake no longer knows fails here."""
    questions = raft.QUESTIONS.format(count=2, title="Leave", passage=PASSAGE)
    wanted = template("questions", count=2)
    first = json.loads(wanted)["questions"][0]
    answers = raft.ANSWER.format(title="Leave", passage=PASSAGE, question=first)

    async def work(client: Client) -> None:
        assert await client.post(questions) == (200, wanted)
        assert await client.post(answers) == (200, template("answer", question=first))
        assert await client.post(answers, response_format=response_format(schema_of(raft.Answer))) == (200, template("answer", question=first))

    against(work)
    assert len(json.loads(wanted)["questions"]) == 2 and json.loads(template("answer", question=first))["answer"]


def test_raft_s_prompt_for_reasoning_is_answered_with_quotes_reasoning_and_answer() -> None:
    question = json.loads(template("questions", count=1))["questions"][0]
    known = json.loads(template("answer", question=question))

    def said(asked: str) -> dict[str, Any]:
        content = raft.REASONED.format(title="Leave", passage=PASSAGE, question=asked)
        call = Call(model="m", messages=[Message(role="user", content=content)])
        return json.loads(say(call, name_of(call), 0, "").content)

    found = raft.Reasoned.model_validate(said(question))
    assert (found.quotes, found.answer) == ([known["quote"]], known["answer"]) and found.answer in found.reasoning
    assert said("What is nobody told?") == {"quotes": [], "reasoning": "", "answer": ""}


def test_a_schema_in_words_and_a_re_ask_are_looked_past() -> None:
    request = Request(
        messages=[{"role": "user", "content": raft.QUESTIONS.format(count=1, title="Leave", passage=PASSAGE)}], schema=schema_of(raft.Questions)
    )
    sent = prompted(request).messages
    again = [*request.messages, {"role": "assistant", "content": "?"}, {"role": "user", "content": "Your reply could not be used: x."}]
    for messages in (sent, again, prompted(Request(messages=again, schema=request.schema)).messages):
        call = Call(model="m", messages=[Message(**m) for m in messages])
        assert say(call, name_of(call), 0, "").content == template("questions", count=1)


class Deep(BaseModel):
    name: str = Field(min_length=3, max_length=8)
    size: float = Field(gt=0, lt=1)
    count: int = Field(ge=3, le=4)
    even: int = Field(multiple_of=2, ge=0, le=10)
    flags: list[bool] = Field(min_length=4, max_length=4)
    maybe: int | None
    inner: list[Deep] = []


@pytest.mark.parametrize("shape", [score(1, 5), score(-3, -1), choice(["a", "b b", "ü"]), ranking(2), ranking(7), Deep, raft.Answer, raft.Questions])
def test_any_schema_is_filled_with_what_fits(shape: type[BaseModel]) -> None:
    for n in range(20):
        for messages, form in (
            ([Message("user", f"Text number {n}.")], response_format(schema_of(shape))),
            ([Message(**prompted(Request(messages=[{"role": "user", "content": f"{n}"}], schema=schema_of(shape))).messages[0])], None),
        ):
            call = Call(model="m", messages=messages, response_format=form)
            assert read(Reply(text=say(call, name_of(call), 0, "").content), shape)


def test_scores_and_choices_are_spread() -> None:
    found = Counter()
    for n in range(300):
        call = Call(model="m", messages=[Message("user", str(n))], response_format=response_format(schema_of(score(1, 5))))
        found[say(call, name_of(call), 0, "").content] += 1
    assert len(found) == 5 and min(found.values()) > 30


@given(st.text(max_size=50), st.integers(0, 3))
def test_a_reply_hangs_on_what_is_asked_and_on_nothing_else(text: str, seed: int) -> None:
    call = Call(model="m", messages=[Message("user", text)])
    assert say(call, name_of(call), seed, "") == say(call, name_of(call), seed, "")
    assert name_of(call) == name_of(Call(model="m", messages=[Message("user", text)]))
    assert name_of(call) != name_of(Call(model="m", messages=[Message("user", text + "x")]))


def test_volatile_fields_are_not_part_of_a_call_s_name() -> None:
    async def work(client: Client) -> None:
        await client.post(user="one")
        await client.post(user="two", metadata={"a": "b"})
        await client.post(temperature=0.5)
        told = await client.stats()
        assert (told["requests"], told["different_requests"], told["answered_again"]) == (3, 2, 1)

    against(work)


def test_a_reply_is_no_longer_than_it_may_be() -> None:
    async def work(client: Client) -> dict[str, Any]:
        async with client.session.post(f"{client.url}/chat/completions", json=body("word " * 100, max_tokens=4)) as response:
            return await response.json()

    told = against(work)
    assert told["choices"][0]["finish_reason"] == "length" and len(told["choices"][0]["message"]["content"]) <= 16
    assert told["usage"]["completion_tokens"] == 4 and told["usage"]["prompt_tokens"] > 100


def test_the_fixed_reply() -> None:
    assert against(lambda c: c.post("a"), reply="fixed", text="so it is") == (200, "so it is")


# Faults


async def outcome(client: Client, text: str, limit: float = 0.6, **more: Any) -> str:
    """What a plain client makes of one call: a status with what is odd about it, or the name of the error."""
    try:
        async with asyncio.timeout(limit):
            async with client.session.post(f"{client.url}/chat/completions", json=body(text, **more)) as response:
                data = await response.read()
    except TimeoutError:
        return "nothing"
    except aiohttp.ClientError as error:
        return type(error).__name__
    if response.status != 200:
        return str(response.status)
    if data.startswith(b"<"):
        return "html"
    try:
        told = json.loads(data)
    except ValueError:
        return "no json"
    return "fine" if told["choices"] else "no choices"


@pytest.mark.parametrize(
    ("fault", "seen"),
    [
        ("refused", {"429"}),
        ("server_error", {"500", "503"}),
        ("hang", {"nothing"}),
        ("reset", {"ServerDisconnectedError", "ClientOSError"}),
        ("cut_body", {"ClientPayloadError", "ClientOSError", "ClientConnectionResetError", "ServerDisconnectedError"}),
        ("short_body", {"ClientPayloadError"}),
        ("html", {"html"}),
        ("invalid_json", {"no json"}),
        ("no_choices", {"no choices"}),
        ("duplicate", {"fine"}),
        ("slow_body", {"nothing"}),
    ],
)
def test_each_wire_fault_is_what_it_says(fault: str, seen: set[str]) -> None:
    async def work(client: Client) -> tuple[set[str], dict]:
        return {await outcome(client, f"call {n}") for n in range(3)}, await client.stats()

    found, told = against(work, wire={fault: 1.0}, slow_seconds=5)
    assert found <= seen and found
    assert told["faults"] == {fault: 3} and told["requests"] == 3 and told["in_flight"] == 0


def test_a_slow_body_comes_whole_in_the_end() -> None:
    async def work(client: Client) -> tuple[str, float]:
        start = time.monotonic()
        return await outcome(client, "a", limit=10), time.monotonic() - start

    found, seconds = against(work, wire={"slow_body": 1.0}, slow_seconds=0.4)
    assert found == "fine" and seconds >= 0.39


def test_an_answer_sent_twice_does_not_answer_the_next_call() -> None:
    """aiohttp's client drops a connection with unasked bytes; a client that did not would mix up replies."""

    async def work(client: Client) -> list[str]:
        return [(await client.post(f"say {n} words of {n * 7}"))[1] for n in range(10)]

    assert against(work, wire={"duplicate": 1.0}) == against(work)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("wrong_schema", "the reply does not fit its schema"),
        ("broken", "the reply is cut off"),
        ("cut", "the reply is cut off"),
        ("empty", "no JSON object in the reply"),
        ("fenced", ""),
        ("twice", ""),
    ],
)
def test_each_content_fault_is_what_it_says(fault: str, reason: str) -> None:
    async def work(client: Client) -> dict:
        sent = body("rate this", response_format=response_format(schema_of(raft.Answer)))
        async with client.session.post(f"{client.url}/chat/completions", json=sent) as response:
            return (await response.json())["choices"][0]

    told = against(work, content={fault: 1.0})
    reply = Reply(text=told["message"]["content"] or "", finish=told["finish_reason"])
    if reason:
        with pytest.raises(Exception, match=reason):
            read(reply, raft.Answer)
    else:
        assert read(reply, raft.Answer) == read(Reply(text=json.dumps(read(reply, raft.Answer).model_dump())), raft.Answer)


def test_faults_come_at_their_rates_and_hang_on_the_request_and_not_on_the_order() -> None:
    script = fake.Script(wire={"server_error": 0.2, "reset": 0.1}, content={"broken": 0.25}, seed=3)
    chance = Chance(script)
    drawn = Counter(chance.wire(f"call {n}", 0) for n in range(10_000))
    assert 1840 < drawn["server_error"] < 2160 and 880 < drawn["reset"] < 1120 and set(drawn) == {"", "server_error", "reset"}
    assert 2320 < sum(chance.content(f"call {n}") == "broken" for n in range(10_000)) < 2680
    assert [chance.wire(f"{n}", n % 3) for n in range(100)] == [Chance(script).wire(f"{n}", n % 3) for n in range(100)]
    assert len({chance.wire("call", attempt) for attempt in range(50)}) == 3, "each attempt is drawn anew"
    assert Chance(fake.Script(wire={"hang": 1.0}, faulty_attempts=2)).wire("call", 2) == ""


def test_latency_has_the_median_and_the_spread_that_are_asked_for() -> None:
    chance = Chance(fake.Script(latency=0.5, spread=0.4))
    drawn = sorted(chance.seconds(f"call {n}", 0) for n in range(2001))
    assert 0.47 < drawn[1000] < 0.53 and 0.31 < drawn[317] < 0.36 and 0.69 < drawn[1683] < 0.8
    assert Chance(fake.Script(latency=0.5)).seconds("call", 0) == 0.5


def test_beyond_its_capacity_it_refuses_and_says_when_to_come_back() -> None:
    async def work(client: Client) -> tuple[list[int], str | None, dict]:
        async def one(n: int) -> tuple[int, str | None]:
            async with client.session.post(f"{client.url}/chat/completions", json=body(f"{n}")) as response:
                return response.status, response.headers.get("Retry-After")

        found = await asyncio.gather(*(one(n) for n in range(10)))
        return [s for s, _ in found], next(after for s, after in found if s == 429), await client.stats()

    statuses, after, told = against(work, latency=0.5, capacity=4, retry_after=2.5)
    assert Counter(statuses) == {200: 4, 429: 6} and after == "2.5"
    assert told["most_in_flight"] == 4 and told["statuses"] == {"200": 4, "429": 6}


def test_in_flight_is_averaged_over_time() -> None:
    async def work(client: Client) -> dict:
        await asyncio.gather(*(client.post(str(n)) for n in range(4)))
        return await client.stats()

    told = against(work, latency=0.5)
    assert told["average_in_flight"] > 2 and told["average_in_flight"] <= 4 and told["seconds"] >= 0.5


@pytest.mark.parametrize(("kind", "seen"), [("503", "503"), ("reset", "ServerDisconnectedError"), ("hang", "nothing")])
def test_an_outage_begins_and_ends(kind: str, seen: str) -> None:
    async def work(client: Client) -> list[str]:
        found = [await outcome(client, "a", limit=0.2)]
        await asyncio.sleep(1.0)
        found.append(await outcome(client, "b", limit=0.2))
        await asyncio.sleep(2.5)
        return [*found, await outcome(client, "c", limit=5)]

    assert against(work, outages=[{"at": 0.9, "seconds": 2, "kind": kind}]) == ["fine", seen, "fine"]


def test_refusals_that_no_retry_mends() -> None:
    assert against(lambda c: c.post(), always=404)[0] == 404
    assert against(lambda c: c.post(), key="right")[0] == 401
    assert against(lambda c: c.post(stream=True)) == (400, "The fake teacher does not stream. Leave out `stream`.")
    status, told = against(lambda c: c.post(response_format=response_format(schema_of(raft.Answer))), response_format=False)
    assert status == 400 and "response_format" in told

    async def nonsense(client: Client) -> int:
        async with client.session.post(f"{client.url}/chat/completions", data=b"{") as response:
            return response.status

    assert against(nonsense) == 400


# Script, log, process


def test_a_script_is_read_from_a_file_under_the_command_s_options(tmp_path: Path) -> None:
    file = tmp_path / "script.yaml"
    file.write_text("latency: 0.2\nwire: {hang: 0.1}\noutages: [{at: 1, seconds: 2}]\n")
    script = load(file, {"latency": 0.3, "capacity": None}, ["wire.reset=0.2", "seed=7"])
    assert (script.latency, script.seed, script.wire.hang, script.wire.reset, script.capacity) == (0.3, 7, 0.1, 0.2, 0)
    assert script.outages[0].kind == "503"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("latncy: 1", 'there is no setting "latncy". Did you mean "latency"'),
        ("wire: {hangs: 0.1}", 'there is no setting "wire.hangs". Did you mean "hang"'),
        ("outages: [{at: 1, second: 2}]", 'there is no setting "outages.0.second". Did you mean "seconds"'),
        ("wire: {hang: 2}", "wire.hang = 2: "),
        ("wire: {hang: 0.6, reset: 0.6}", "add up to more than 1"),
        ("- 1", "a script is a mapping of settings, not a list"),
        ("a: [", "script.yaml, line 1, column 5, is not readable YAML: the text ends within a value. A bracket"),
        ("latency: .inf", "latency = inf"),
    ],
)
def test_a_script_that_is_wrong_is_told_in_a_sentence(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "script.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as told:
        load(file, {}, [])
    assert said in str(told.value)


def test_settings_on_the_command_line_are_checked(tmp_path: Path) -> None:
    for setting, said in (
        ("latency", "write it as key=value"),
        ("latency=[", "the value is not readable: the text ends within a value"),
        ("wire.hag=1", 'Did you mean "hang"'),
    ):
        with pytest.raises(ConfigError, match=said):
            load(None, {}, [setting])
    with pytest.raises(ConfigError, match="could not be read"):
        load(tmp_path / "nothing.yaml", {}, [])


def test_each_call_leaves_a_line_in_the_log(tmp_path: Path) -> None:
    log = tmp_path / "calls.jsonl"

    async def work(client: Client) -> None:
        await client.post("a")
        await client.post("a")
        await outcome(client, "b", limit=0.2)

    against(work, log=str(log))
    against(lambda c: outcome(c, "b", limit=0.2), log=str(log), wire={"hang": 1.0})
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    assert [r["status"] for r in rows] == [200, 200, 200, 499] and [r["fault"] for r in rows] == ["", "", "", "hang"]
    assert rows[0]["call"] == rows[1]["call"] != rows[2]["call"] == rows[3]["call"] and all({"at", "took"} <= set(r) for r in rows)


def test_reset_forgets() -> None:
    async def work(client: Client) -> tuple[dict, dict]:
        await client.post()
        before = await client.stats()
        async with client.session.post(f"{client.url}/reset"):
            return before, await client.stats()

    before, after = against(work)
    assert before["requests"] == 1 and after["requests"] == 0 and after["different_requests"] == 0


def test_as_a_process_of_its_own(tmp_path: Path) -> None:
    async def work(url: str) -> tuple[int, Any]:
        async with aiohttp.ClientSession() as session:
            return await Client(url, session).post("a")

    with fake.running("--set", "text=hi", "--reply", "fixed") as url:
        assert asyncio.run(work(url)) == (200, "hi")
        with pytest.raises(MachineError, match="did not start"), fake.running("--port", url.split(":")[2].split("/")[0]):
            pass


def test_the_page_names_every_setting() -> None:
    page = (Path(__file__).parents[2] / "docs" / "fake-teacher.md").read_text("utf-8")
    for prefix, kind in (("", fake.Script), ("wire.", Wire), ("content.", Content), ("batch.", BatchScript), ("tuning.", TuningScript)):
        for name in kind.model_fields:
            assert name in ("wire", "content", "batch", "tuning") or f"| `{prefix}{name}` |" in page, f"{prefix}{name}"
