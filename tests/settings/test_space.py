"""What the space says: ranges and choices, each end held against the setting that it is for."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from groundling import config
from groundling.errors import ConfigError
from groundling.settings.space import Choices, Range, changed, extremes, parse_space, sections, values_of

MIXED = {"filters": ["cited", {"mixture": {"weights": {"raft": 1, "qa": 1}}}]}


def parsed(space: Any, **more: Any) -> dict[str, Any]:
    return parse_space(config.parse({"search": {"space": space}, **more}, "test"))


def test_two_numbers_are_a_range_and_more_are_choices() -> None:
    found = parsed({"train.rate": [1.0e-5, 1.0e-3], "train.rank": [4, 8, 16], "train.epochs": [1, 3], "train.dropout": {"choices": [0.0, 0.1]}})
    assert found["train.rate"] == Range(1e-5, 1e-3, log=True, whole=False)
    assert found["train.rank"] == Choices((4, 8, 16))
    assert found["train.epochs"] == Range(1, 3, log=False, whole=True), "whole ends, whole numbers"
    assert found["train.dropout"] == Choices((0.0, 0.1))
    assert parsed({"train.scheduler": ["cosine", "linear"]})["train.scheduler"] == Choices(("cosine", "linear")), "words are choices"
    assert parsed({"train.rate": {"low": 1e-5, "high": 1e-3, "log": False}})["train.rate"].log is False
    assert parsed({"train.rank": [4.0, 64.0]})["train.rank"].whole, "a rank is a whole number however it is written"
    assert not parsed({"train.epochs": [1.0, 3.0]})["train.epochs"].whole


def test_a_number_that_yaml_takes_for_a_word_is_a_number() -> None:
    written = yaml.safe_load("{train.rate: [1e-5, 1e-3], train.weight_decay: {choices: [0, 1e-2]}}")
    assert written["train.rate"] == ["1e-5", "1e-3"], "else this test holds nothing"
    assert parsed(written) == {"train.rate": Range(1e-5, 1e-3, True, False), "train.weight_decay": Choices((0.0, 0.01))}


def test_what_is_drawn_is_rounded_and_stays_within_its_ends() -> None:
    some = Range(1.2345e-5, 1.2345e-3, True, False)
    assert some.rounded(2.34567e-4) == 2.35e-4
    assert some.rounded(1.2345e-5) == 1.2345e-5 and some.rounded(1.2345e-3) == 1.23e-3
    assert Range(1, 8, False, True).rounded(4) == 4 and isinstance(Range(1, 8, False, True).rounded(4.0), int)


@pytest.mark.parametrize(
    ("space", "words"),
    [
        ({"train.rte": [1e-5, 1e-3]}, ['"train.rte"', "train.rate"]),
        ({"train.base": ["nano", "other"]}, ['"train.base"', "would not compare"]),
        ({"train.batch": [4, 8, 16]}, ['"train.batch"', "would not compare"]),
        ({"synthesize.limit": [4, 8, 16]}, ['"synthesize.limit"']),
        ({"train.rate": [1e-3]}, ["write two numbers"]),
        ({"train.rate": "fast"}, ["write two numbers"]),
        ({"train.rate": {"low": 1e-5}}, ["write two numbers"]),
        ({"train.rate": [1e-3, 1e-5]}, ["must begin below its end"]),
        ({"train.rate": [-1.0, 1.0]}, ["train.rate = -1.0", "a number above 0"]),
        ({"train.rank": [0.5, 2.5]}, ["train.rank = 0.5"]),
        ({"train.rank": ["few", "many"]}, ["train.rank = 'few'"]),
        ({"train.rank": [4, 8, 4]}, ["twice"]),
        ({"train.method": ["lora", "api"]}, ["api"]),
        ({"curate.filters.mixture.weights.raft": [1, 2]}, ["name a filter of curate.filters (cited, duplicates, leaked)"]),
        ({"curate.filters.duplicates": [1, 2]}, ["name a filter of curate.filters"]),
        ({"curate.filters.duplicates.": [1, 2]}, ["name a filter of curate.filters"]),
        ({"curate.filters.cited.treshold": [1, 2]}, ["curate.filters.cited", 'no option "treshold"']),
        ({"curate.filters": [["cited"], ["leaked"], [{"length": {"answer_mx": 7}}]]}, ["curate.filters.length", '"answer_mx"', "answer_max"]),
        ({}, ["names no setting"]),
    ],
)
def test_a_space_that_means_nothing_is_refused_in_a_sentence(space: Any, words: list[str]) -> None:
    with pytest.raises(ConfigError) as told:
        parsed(space)
    assert all(word in str(told.value) for word in words), told.value


def test_what_would_change_nothing_is_left_out_of_the_default_and_refused_where_it_is_named() -> None:
    assert set(parse_space(config.parse({}, "t"))) == {"train.rate", "train.rank", "train.epochs"}
    assert set(parse_space(config.parse({"train": {"method": "full", "steps": 20}}, "t"))) == {"train.rate"}
    with pytest.raises(ConfigError, match="full, which has no adapter"):
        parsed({"train.rank": [4, 8, 16]}, train={"method": "full"})
    with pytest.raises(ConfigError, match="train.steps = 20"):
        parsed({"train.epochs": [1, 3]}, train={"steps": 20})
    assert parsed({"train.rank": [4, 8, 16], "train.method": ["lora", "full"]}, train={"method": "full"})
    with pytest.raises(ConfigError, match="provider"):
        parsed({"train.rate": [1e-5, 1e-3]}, train={"method": "api"})


def test_an_option_of_a_filter_is_changed_in_its_place() -> None:
    key = "curate.filters.mixture.weights.raft"
    c = config.parse({"curate": MIXED, "search": {"space": {key: [0.5, 4.0]}}}, "t")
    assert parse_space(c)[key] == Range(0.5, 4.0, False, False) and values_of(c, [key]) == {key: 1}
    new = changed(c, {key: 2.5, "train.rate": 3e-4})
    assert new.curate.filters == ["cited", {"mixture": {"weights": {"raft": 2.5, "qa": 1}}}] and new.train.rate == 3e-4
    assert c.curate.filters[1] == {"mixture": {"weights": {"raft": 1, "qa": 1}}}, "the config itself stays"
    assert sections(c, {key: 2.5, "train.rate": 3e-4}) == {"curate": {"filters": new.curate.filters}, "train": {"rate": 3e-4}}
    assert [dict(x.curate.steps())["mixture"]["weights"]["raft"] for x in extremes(c, parse_space(c))] == [0.5, 4.0]


def test_the_values_of_a_filter_s_option_are_those_that_the_filter_takes() -> None:
    length = {"filters": ["cited", "length"]}
    found = parsed({"curate.filters.length.answer_max": [7.0, 8000.0]}, curate=length)
    assert found["curate.filters.length.answer_max"] == Range(7, 8000, log=True, whole=True), "or numbers would be drawn that the filter refuses"
    for wrong in ([0.5, 9.5], [0, 9], ["few", "many", "all"]):
        with pytest.raises(ConfigError, match="length.answer_max ="):
            parsed({"curate.filters.length.answer_max": wrong}, curate=length)
    with pytest.raises(ConfigError, match='no option "answer_mx"'):
        parsed({"curate.filters.length.answer_mx": [7, 8000]}, curate=length)


def test_a_changed_config_keeps_what_was_given_by_hand_and_what_was_not() -> None:
    c = config.parse({"train": {"preset": "livedoor", "epochs": 1}}, "t")
    new = changed(c, {"train.rate": 5e-4})
    assert new.train.rank == c.train.rank == 16 and new.train.epochs == 1 and new.train.rate == 5e-4
    assert "rate" in c.train.chosen() and "rate" not in new.train.chosen() and "rank" in new.train.chosen()
