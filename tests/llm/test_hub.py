"""What `doctor` says of a base that only a hub can have. Nothing here goes over a network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from groundling import doctor
from groundling.doctor import Check
from groundling.errors import ModelError
from groundling.llm import hub

hub_package = pytest.importorskip("huggingface_hub")


def base_of(tmp_path: Path, base: str) -> Check:
    (tmp_path / "docs").mkdir(exist_ok=True)
    (tmp_path / "docs" / "leave.md").write_text("# Leave\n\nStaff have 25 days of leave.\n")
    file = tmp_path / "groundling.yaml"
    file.write_text(yaml.safe_dump({"documents": "docs", "train": {"base": base}}))
    return next(c for c in doctor.project(file) if c.what == "base model")


def raising(monkeypatch: pytest.MonkeyPatch, kind: str, text: str) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        errors = hub_package.errors
        failed = getattr(errors, kind)
        raise failed(text) if kind == "OfflineModeIsEnabled" else failed.__new__(failed)

    monkeypatch.setattr(hub_package.HfApi, "model_info", refuse)


def test_a_name_that_the_hub_does_not_have_is_no_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raising(monkeypatch, "RepositoryNotFoundError", "")
    said = base_of(tmp_path, "models/my-model")
    assert (said.ok, said.needed) == (False, True)
    assert 'The base model "models/my-model" is not on this machine, and the hub shows none of that name' in said.says


def test_a_gated_base_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    raising(monkeypatch, "GatedRepoError", "")
    with pytest.raises(ModelError, match="not on this machine, and it is gated: accept its terms"):
        hub.look_up("owner/closed")


def test_a_hub_that_cannot_be_asked_leaves_nothing_to_train_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raising(monkeypatch, "OfflineModeIsEnabled", "Offline mode is enabled.")
    said = base_of(tmp_path, "owner/nowhere")
    assert not said.ok
    assert "is not on this machine, and the hub could not be asked for it (Offline mode is enabled)." in said.says


def test_what_the_hub_has_is_fine_and_is_not_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, Any]] = []
    monkeypatch.setattr(hub_package.HfApi, "model_info", lambda self, name, timeout: asked.append((name, timeout)))
    said = base_of(tmp_path, "owner/there")
    assert said.ok and "not on this machine yet, a run fetches it" in said.says
    assert asked == [("owner/there", hub.SECONDS)]


def test_what_was_fetched_before_is_not_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raising(monkeypatch, "RepositoryNotFoundError", "")
    (tmp_path / "config.json").write_text("{}")
    monkeypatch.setattr(hub_package, "try_to_load_from_cache", lambda name, file: str(tmp_path / file))
    assert hub.look_up("owner/there") == "owner/there, from a model hub, fetched before"
