"""Filters with options in the config: how they are written, refused, and what they make stale."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
import yaml

from groundling import registry
from groundling.config import Config, Curate, parse
from groundling.curate import identity, needs_model, options_of
from groundling.errors import ConfigError
from groundling.pipeline import VERSIONS

NAMES = registry.names("filter")
PAGE = Path(__file__).parents[2] / "docs" / "curate.md"


def curate(text: str) -> Curate:
    return parse({"curate": {"filters": yaml.safe_load(text)}}, "x.yaml").curate


def test_a_name_or_a_name_with_options() -> None:
    found = curate("[cited, {near: {threshold: 0.7}}, {near: {}}, {leaked: null}]")
    assert found.filters == ["cited", {"near": {"threshold": 0.7}}, "near", "leaked"]
    assert found.steps() == [("cited", {}), ("near", {"threshold": 0.7}), ("near", {}), ("leaked", {})]
    assert Curate().filters == ["cited", "duplicates", "leaked"], "as it always was"
    assert parse(Config(curate=found).model_dump(mode="json"), "x").curate == found, "as a run's folder keeps it"


@pytest.mark.parametrize("text", ["[3]", "[[near]]", "[{near: {}, top: {}}]", "[{}]", "[{near: 0.7}]", "[{3: {}}]", "[null]"])
def test_anything_else_is_a_sentence(text: str) -> None:
    with pytest.raises(
        ConfigError,
        match=r"^x.yaml: curate.filters \(item 1\).*: a filter is a name, or one name with its options, such as \{near: \{threshold: 0.8\}\}\.$",
    ):
        curate(text)


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("nearr", {}, 'There is no filter "nearr". Did you mean "near"?'),
        ("near", {"treshold": 0.7}, 'curate.filters: near: there is no option "treshold". Did you mean "threshold"?'),
        ("near", {"threshold": 7}, "curate.filters: near.threshold = 7: it must be a number from 0.3 to 1, for example 0.8."),
        ("near", {"threshold": "high"}, "curate.filters: near.threshold = 'high': it must be a number from 0.3 to 1, for example 0.8."),
        ("cited", {"threshold": 0.7}, 'curate.filters: cited: there is no option "threshold". It has no options.'),
        ("mixture", {"weights": {"raft": -1}}, "curate.filters: mixture.weights.raft = -1: it must be a number from 0 on."),
    ],
)
def test_an_option_that_is_not_there_or_does_not_fit_is_a_sentence(name: str, options: dict, told: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(told)):
        options_of(name, options)


def test_what_shapes_the_output_is_the_same_however_it_is_written() -> None:
    assert identity(curate("[cited, near, {top: {n: 5}}]")) == ["cited", "near", {"top": {"n": 5}}]
    assert identity(curate("[cited, {near: {threshold: 0.8}}, {top: {n: 5, spread: unit}}]")) == ["cited", "near", {"top": {"n": 5}}]
    assert identity(curate("[{near: {threshold: 0.7}}]")) != identity(curate("[near]"))
    assert identity(curate("[near, cited]")) != identity(curate("[cited, near]"))


def test_a_default_that_changes_raises_the_version_of_the_stage() -> None:
    """Defaults are no part of a fingerprint: after changing one, raise VERSIONS["curate"] and put the new hash here."""
    defaults = {name: options_of(name, {}).model_dump(mode="json") for name in NAMES}
    found = hashlib.sha256(repr(sorted(defaults.items())).encode()).hexdigest()[:12]
    assert (VERSIONS["curate"], found) == (3, "1d020674e513"), found


def test_which_filters_need_a_model() -> None:
    assert needs_model(curate("[cited, near, {semantic: {threshold: 0.8}}]")) == "semantic"
    assert needs_model(Curate(filters=[n for n in NAMES if n != "semantic"])) == ""


@pytest.mark.parametrize("name", NAMES)
def test_each_filter_says_in_two_lines_what_it_drops_and_what_for(name: str) -> None:
    what, why = registry.explained("filter", name)
    assert what.split()[0] in ("Drops", "Keeps", "Mixes") and why.startswith("For: ")
    assert max(len(what), len(why)) <= 150
    options = options_of(name, {})
    if type(options).model_fields:
        listed = why.partition("Options: ")[2]
        assert all(re.search(rf"\b{option}\b", listed) for option in type(options).model_fields)
    else:
        assert "No options." in why


@pytest.mark.parametrize("name", NAMES)
def test_the_page_has_each_filter_and_each_option_with_its_default(name: str) -> None:
    page = PAGE.read_text("utf-8")
    section = re.search(rf"^### {name}\n(.*?)(?=^##|\Z)", page, re.M | re.S)
    assert section, f"docs/curate.md has no section {name}"
    for option, value in options_of(name, {}).model_dump(mode="json").items():
        shown = yaml.safe_dump(value, default_flow_style=True, width=999).split("\n")[0]
        assert f"| `{option}` | {shown} |" in section[1], f"| `{option}` | {shown} |"


def test_the_configs_on_the_page_are_good() -> None:
    found = re.findall(r"```yaml\n(.*?)```", PAGE.read_text("utf-8"), re.S)
    assert len(found) >= 2
    for text in found:
        config = parse(yaml.safe_load(text), "docs/curate.md")
        for name, options in config.curate.steps():
            options_of(name, options)
