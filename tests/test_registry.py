"""A plug-in is found by its file name."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest

from groundling import registry
from groundling.errors import ConfigError

# What each kind must have; filters have either of two.
DOORS = {
    "loader": ["load", "EXTENSIONS"],
    "splitter": ["split"],
    "retriever": ["build", "open"],
    "recipe": ["make", "Options"],
    "filter": [],
    "objective": ["run"],
    "metric": ["score"],
    "export": ["row"],
    "package": ["check", "pack"],
    "import": ["fits", "record"],
}
ALL = [(kind, name) for kind in registry.FOLDERS for name in registry.names(kind)]


def test_there_is_a_plug_in_of_every_kind() -> None:
    assert {kind for kind, _ in ALL} == set(DOORS) == set(registry.FOLDERS)


@pytest.mark.parametrize(("kind", "name"), ALL, ids=[f"{k} {n}" for k, n in ALL])
def test_every_plug_in_loads_and_has_its_door_and_says_what_it_does(kind: str, name: str) -> None:
    module = registry.load(kind, name)
    assert isinstance(module, ModuleType)
    assert [door for door in DOORS[kind] if not hasattr(module, door)] == []
    said = registry.summary(kind, name)
    assert len(said) > 20 and "\n" not in said


def test_the_config_s_defaults_name_plug_ins_that_exist() -> None:
    from groundling.config import Config

    c = Config()
    named = [
        ("splitter", c.chunk.splitter),
        ("retriever", c.index.retriever),
        ("recipe", c.synthesize.recipe),
        ("objective", c.train.objective),
    ]
    named += [("filter", f) for f in c.curate.filters] + [("metric", m) for m in c.evaluate.metrics]
    assert [pair for pair in named if pair not in ALL] == []


def test_a_misspelt_name_gets_the_nearest() -> None:
    with pytest.raises(ConfigError, match='There is no recipe "rafft". Did you mean "raft"'):
        registry.load("recipe", "rafft")


def test_a_name_like_nothing_gets_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"Known: balance, cited, duplicates, .*leaked"):
        registry.load("filter", "zzzzzz")


@pytest.mark.parametrize("name", ["", "__init__", "_private", "..grounding", "cited.py", "os"])
def test_only_files_of_the_folder_are_plug_ins(name: str) -> None:
    with pytest.raises(ConfigError):
        registry.load("filter", name)


def test_a_new_file_is_a_new_plug_in(tmp_path) -> None:
    """No list is edited: a copy of the package with one more file knows one more plug-in."""
    import shutil
    from pathlib import Path

    source = Path(registry.__file__).parent
    shutil.copytree(source, tmp_path / "groundling", ignore=shutil.ignore_patterns("weights", "__pycache__", "forms"))
    (tmp_path / "groundling/curate/filters/short.py").write_text('"""Drops short answers.\n\nMore."""\n')
    code = "from groundling import registry as r; print(r.names('filter'), r.summary('filter', 'short'))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)})
    assert "'short'" in told.stdout and "Drops short answers." in told.stdout and "More" not in told.stdout, told.stderr


def test_listing_names_imports_no_plug_in() -> None:
    code = "import sys; from groundling import registry as r; [r.names(k) for k in r.FOLDERS]; print([m for m in sys.modules if 'filters.' in m])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": ":".join(sys.path)})
    assert told.stdout.strip() == "[]", told.stderr
