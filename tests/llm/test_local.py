"""A checkpoint on this machine: a real one, tiny and random."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from groundling.errors import ConfigError, ModelError
from groundling.llm.base import Reply, Request
from groundling.llm.local import Local, accepts_documents, batches, load_tokenizer
from groundling.llm.open import open_model
from groundling.llm.weights import resolve, weights_fingerprint

REFUSES = (
    "{%- for m in messages -%}{%- if m['role'] not in ['system', 'user', 'assistant'] -%}{{ raise_exception('unknown role') }}{%- endif -%}"
    "<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{%- endfor -%}{%- if add_generation_prompt -%}<|assistant|>{%- endif -%}"
)
SKIPS = "{%- for m in messages if m['role'] != 'documents' -%}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{%- endfor -%}"


def request(text: str, **changes) -> Request:
    return Request(messages=[{"role": "user", "content": text}], **{"max_tokens": 6} | changes)


def ask(model: Local, *requests: Request) -> list[Reply]:
    return asyncio.run(model.replies(list(requests)))


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Local:
    return Local(tiny_model)


@pytest.fixture
def copy(tiny_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model, tmp_path / "copy"))


def test_a_reply_counts_its_tokens_and_says_how_it_ended(model: Local) -> None:
    [reply] = ask(model, request("How many days?"))
    assert reply.tokens_in == len(model.encode(request("How many days?").messages)) and 0 < reply.tokens_out <= 6
    assert (reply.finish == "length") == (reply.tokens_out == 6)
    assert "<|" not in reply.text


def test_replies_come_in_the_order_of_the_requests_whatever_the_batches(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = [request(f"Question {n} " + "about leave " * (7 * n % 5), max_tokens=(4, 6)[n % 2]) for n in range(7)]
    one_by_one = [ask(Local(tiny_model), r)[0] for r in asked]
    assert len({r.text for r in one_by_one}) > 3, "the model tells the questions apart"
    for rows in (3, 16):
        monkeypatch.setattr("groundling.llm.local.MAX_ROWS", rows)
        assert ask(Local(tiny_model), *asked[::-1]) == one_by_one[::-1]


def test_requests_with_other_settings_in_one_call_are_all_answered(model: Local) -> None:
    asked = [
        request("a", top_p=1.0),
        request("bb", top_p=0.9),
        request("ccc", top_p=1.0),
        request("dd", temperature=0.5, top_p=0.5),
        request("e"),
    ]
    assert [r.tokens_in for r in ask(model, *asked)] == [len(model.encode(r.messages)) for r in asked]


def test_a_stop_string_ends_a_reply_before_itself_as_an_api_does(model: Local) -> None:
    [whole] = ask(model, request("Tell me", max_tokens=40))
    assert len(whole.text) > 20 and whole.tokens_out == 40
    stop = whole.text[9:12]
    at = whole.text.index(stop)
    [cut] = ask(model, request("Tell me", max_tokens=40, stop=["never said", stop, ""]))
    assert cut.text == whole.text[:at] and cut.finish == "stop" and 0 < cut.tokens_out < 40
    [first] = ask(model, request("Tell me", max_tokens=40, stop=[whole.text[15:18], stop]))
    assert first == cut, "the one that comes first in the reply, not in the list"
    assert ask(model, request("Tell me", max_tokens=40, stop=["never said"])) == [whole]


def test_a_stop_string_stops_generating_and_each_row_on_its_own(model: Local) -> None:
    from groundling.llm.stops import until

    asked = [request(text, max_tokens=40) for text in ("Tell me", "How many days?")]
    one, two = ask(model, *asked)
    stop = next(one.text[n : n + 3] for n in range(6, 30) if one.text[n : n + 3] not in two.text)
    halves = ask(model, *[request(r.messages[0]["content"], max_tokens=40, stop=[stop]) for r in asked])
    assert halves[0].text == one.text[: one.text.index(stop)] and halves[1] == two, "the other one goes on"
    [alone] = ask(model, request("Tell me", max_tokens=500, stop=[stop]))
    assert alone.text == halves[0].text
    [said] = until([stop], 2, lambda ids: "".join(map(chr, ids)))
    import torch

    rows = torch.tensor([[ord(c) for c in f"ab{stop}"], [ord(c) for c in f"{stop}ab"]])
    assert said(rows, None).tolist() == [True, False], "the prompt does not count"


def test_requests_with_other_stop_strings_are_not_generated_together(model: Local) -> None:
    asked = [request("a"), request("b", stop=["x"]), request("c"), request("d", stop=["x"])]
    assert batches(asked, [[1]] * 4) == [[0, 2], [1, 3]]


def test_batches_come_one_by_one_and_the_rest_of_a_call_is_batched_alike(model: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("groundling.llm.local.MAX_ROWS", 3)
    asked = [request(f"Question {n} " + "about leave " * (7 * n % 5)) for n in range(8)]

    async def parts(requests: list[Request]) -> list[dict[int, Reply]]:
        return [part async for part in model.parts(requests)]

    found = asyncio.run(parts(asked))
    assert [len(part) for part in found] == [3, 3, 2] and sorted(n for part in found for n in part) == list(range(8))
    rest = [n for n in range(8) if n not in found[0]]
    assert asyncio.run(parts([asked[n] for n in rest])) == [{rest.index(n): r for n, r in part.items()} for part in found[1:]]


def test_nothing_asked_is_nothing_answered(model: Local) -> None:
    assert ask(model) == []


def test_a_drawn_reply_comes_again_and_another_draw_is_another(model: Local) -> None:
    hot = [request("Tell me", temperature=1.5, max_tokens=12, draw=n) for n in range(2)]
    assert ask(model, hot[0]) == ask(model, hot[0])
    assert ask(model, hot[0]) != ask(model, hot[1])


def test_a_drawn_reply_does_not_hang_on_the_order_of_the_requests(model: Local) -> None:
    asked = [request(text, temperature=1.5, max_tokens=12, draw=draw) for text, draw in (("Tell me", 0), ("Tell me", 1), ("Tell us", 0))]
    assert ask(model, *asked) == ask(model, *asked[::-1])[::-1]


def test_a_prompt_that_is_too_long_is_a_sentence(model: Local) -> None:
    with pytest.raises(ModelError, match=r"A prompt of 1\d\d\d tokens and a reply of 6 do not fit into the 1024 tokens.*chunk\.size"):
        ask(model, request("1 " * 800))


def test_the_documents_role_is_used_where_the_template_shows_it(model: Local) -> None:
    assert model.documents_role


@pytest.mark.parametrize("template", [REFUSES, SKIPS], ids=["refused", "skipped"])
def test_it_is_not_used_where_the_template_refuses_or_skips_it(copy: Path, template: str) -> None:
    (copy / "chat_template.jinja").write_text(template)
    tokenizer = load_tokenizer(copy)
    assert tokenizer.chat_template == template and not accepts_documents(tokenizer)
    assert not Local(copy).documents_role


def test_the_fingerprint_follows_weights_and_template_not_place_or_records(tiny_model: Path, copy: Path) -> None:
    before = weights_fingerprint(tiny_model)
    assert len(before) == 16 and weights_fingerprint(copy) == before and Local(copy).fingerprint == Local(tiny_model).fingerprint
    (copy / "record.json").write_text("{}")
    (copy / "notes.txt").write_text("x")
    assert weights_fingerprint(copy) == before
    (copy / "chat_template.jinja").write_text(REFUSES)
    assert weights_fingerprint(copy) != before
    shutil.copy(tiny_model / "chat_template.jinja", copy)
    weights = bytearray((copy / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (copy / "model.safetensors").write_bytes(weights)
    assert weights_fingerprint(copy) != before


def refused(folder: Path) -> str:
    with pytest.raises(ModelError) as caught:
        ask(Local(folder), request("a"))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_folder_that_does_not_exist_is_a_sentence(tmp_path: Path) -> None:
    assert "could not be loaded" in refused(tmp_path / "none")


def test_a_folder_without_weights_is_a_sentence(copy: Path) -> None:
    (copy / "model.safetensors").unlink()
    assert f"The model {copy} could not be loaded" in refused(copy)


def test_weights_that_are_cut_short_are_a_sentence(copy: Path) -> None:
    weights = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    assert "could not be loaded" in refused(copy)


def test_a_tokenizer_without_a_chat_template_is_a_sentence(copy: Path) -> None:
    (copy / "chat_template.jinja").unlink()
    assert "has no chat template" in refused(copy)


def test_a_tokenizer_without_an_end_is_a_sentence(copy: Path) -> None:
    settings = json.loads((copy / "tokenizer_config.json").read_text())
    (copy / "tokenizer_config.json").write_text(json.dumps({k: v for k, v in settings.items() if k != "eos_token"}))
    assert "no end-of-sequence token" in refused(copy)


def test_a_base_is_nano_a_folder_or_a_hub_name(tmp_path: Path) -> None:
    (tmp_path / "models" / "mine").mkdir(parents=True)
    assert Path(resolve("nano")).is_dir()
    assert resolve("models/mine", tmp_path) == str((tmp_path / "models" / "mine").resolve()) == resolve(str(tmp_path / "models" / "mine"))
    assert resolve("owner/model") == "owner/model"


@pytest.mark.parametrize("name", ["./none", "/nowhere/model", "none", "a/b/c", "~/no such model"])
def test_a_path_that_does_not_exist_is_never_looked_for_on_a_hub(name: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match='does not exist.*Use "nano"'):
        resolve(name, tmp_path)


def test_an_unknown_teacher_is_a_sentence() -> None:
    assert open_model("template").name == "template"
    with pytest.raises(ConfigError, match='There is no model "gpt": neither under models in the config, nor built in. Known: nano, template.'):
        open_model("gpt")


@pytest.mark.parametrize(("chosen", "spins"), [({}, "10000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "PASSIVE"}, "0")])
def test_threads_that_wait_leave_the_cores_to_others_unless_the_user_says_how(chosen: dict[str, str], spins: str) -> None:
    """What GNU's OpenMP itself says that it took."""
    env = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")} | chosen | {"OMP_DISPLAY_ENV": "VERBOSE"}
    command = [sys.executable, "-c", "from groundling.llm.local import need_torch; need_torch()"]
    told = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stderr
    if "GOMP_" not in told:
        pytest.skip("torch computes with another OpenMP here")
    assert f"GOMP_SPINCOUNT = '{spins}'" in told
