"""The page of an exported model: its code runs as it stands. And where an export goes that is given no place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from groundling.commands.exchange import export as command

from .model_world import card, exported


def code_of(page: str, folder: Path) -> str:
    """The page's Python, for the folder that it lies in, with few words to write."""
    found = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    assert found
    return found[1].replace('"FOLDER"', repr(str(folder))).replace("max_new_tokens=256", "max_new_tokens=2")


@pytest.mark.parametrize("target", ["merged", "adapter"])
def test_the_card_s_code_runs_as_it_stands(target: str, mine: Path, tmp_path: Path) -> None:
    exported(mine, target, tmp_path / "m")
    page = card(tmp_path / "m")
    code = code_of(page, tmp_path / "m")
    known: dict[str, object] = {}
    exec(code, known)  # noqa: S102
    assert "Question: QUESTION" in str(known["messages"]) and known["out"] is not None
    assert "best first, as `messages` above." in page


def test_an_export_without_a_place_goes_into_the_run_s_folder(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command(mine, "adapter")
    assert (mine / "8-exports" / "adapter" / "export.json").is_file()
    assert str(mine / "8-exports" / "adapter") in capsys.readouterr().out
    command(mine, "adapter")  # the earlier one is replaced
    assert [p.name for p in (mine / "8-exports").iterdir()] == ["adapter"]
