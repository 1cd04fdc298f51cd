"""Doctor looks at the teacher's endpoint before anything is spent, and never tells the key."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from groundling.doctor import Check
from groundling.doctor import project as checked

from .conftest import Teacher, project

SECRET = "sk-do-not-tell-this"


def docs_elsewhere(docs: Path) -> Path:
    """The same project with an address where nobody is."""
    config = docs / "groundling.yaml"
    config.write_text(re.sub(r"http://127.0.0.1:\d+/v1", "http://127.0.0.1:9/v1", config.read_text()))
    return docs


def found(docs: Path, ask: bool = False) -> dict[str, Check]:
    return {c.what: c for c in checked(docs, ask)}


def test_an_endpoint_that_is_there_is_looked_at_without_a_call(docs: Path, teacher: Teacher) -> None:
    told = found(docs)
    assert told["endpoint"].ok and "lists fake" in told["endpoint"].says and told["prices"].ok
    assert "answer" not in told and teacher.stats()["requests"] == 0


def test_a_call_of_one_token_goes_out_only_where_asked_for(docs: Path, teacher: Teacher) -> None:
    told = found(docs, ask=True)["answer"]
    assert told.ok and "1 out" in told.says and "USD" in told.says and teacher.stats()["requests"] == 1


def test_missing_prices_are_said_and_stop_nothing(tmp_path: Path, teacher: Teacher) -> None:
    told = found(project(tmp_path, teacher.url, prices="key_env: ''"))["prices"]
    assert not told.ok and not told.needed and "price_in and price_out" in told.says


def test_a_model_that_is_not_listed_is_said(docs: Path) -> None:
    config = docs / "groundling.yaml"
    config.write_text(config.read_text().replace("model: fake", "model: other"))
    told = found(docs)["endpoint"]
    assert not told.ok and '"other"' in told.says and "fake" in told.says


def test_an_endpoint_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    told = found(project(tmp_path, "http://127.0.0.1:9/v1"), ask=True)
    assert not told["endpoint"].ok and told["endpoint"].needed and "cannot be reached" in told["endpoint"].says
    assert not told["answer"].ok


def test_an_address_that_is_no_chat_api_is_a_sentence(tmp_path: Path, teacher: Teacher) -> None:
    told = found(project(tmp_path, teacher.url + "/stats"))["endpoint"]
    assert "no list of models (404" in told.says or "not as a chat API" in told.says


def test_a_key_is_checked_for_and_never_told(
    tmp_path: Path, teacher: Teacher, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    docs = project(tmp_path, teacher.url, prices="key_env: TEST_TEACHER_KEY")
    monkeypatch.delenv("TEST_TEACHER_KEY", raising=False)
    told = found(docs)
    assert not told["teacher"].ok and "TEST_TEACHER_KEY" in told["teacher"].says and "endpoint" not in told
    monkeypatch.setenv("TEST_TEACHER_KEY", SECRET)
    told = found(docs, ask=True)
    assert told["teacher"].ok and told["answer"].ok
    told |= found(docs_elsewhere(docs), ask=True)
    assert not told["endpoint"].ok and SECRET not in str(told) + "".join(capfd.readouterr())
