"""Settings written into a config: what stood there before still stands there, comments too."""

from __future__ import annotations

import pytest
import yaml

from groundling.errors import ConfigError
from groundling.settings.edit import edited, flow, fragment

NEW = {"train": {"rate": 2.1e-05, "rank": 8, "targets": ["q_proj"]}, "curate": {"filters": ["cited", {"mixture": {"weights": {"raft": 2.5}}}]}}
BLOCK = """# ours
name: small  # the name

train:
  # the rate was found by hand
  rate: 1.0e-3   # too high?
  base: nano

curate:
  filters:
    - cited
    - leaked   # keep
# the end
serve: {k: 2}
"""
FLOW = "# ours\ntrain: {rate: 1e-3, base: nano}   # a few\ncurate: {filters: [cited]}\n"
CASES = [
    BLOCK,
    FLOW,
    "",
    "name: small",
    "train:\nname: x\n",
    "train: {}\n",
    "name: x\ntrain:\n  epochs: 2",
    '{"train": {"rate": 1}, "curate": {"filters": []}}',
]


@pytest.mark.parametrize("text", CASES, ids=range(len(CASES)))
def test_the_settings_are_in_it_and_all_else_is_as_before(text: str) -> None:
    before = yaml.safe_load(text) or {}
    after = yaml.safe_load(edited(text, NEW, "c.yaml"))
    for section, values in NEW.items():
        assert {name: after[section][name] for name in values} == values
        assert {**(before.get(section) or {}), **values} == after[section]
    assert {name: v for name, v in after.items() if name not in NEW} == {name: v for name, v in before.items() if name not in NEW}


def test_comments_and_order_stay() -> None:
    found = edited(BLOCK, NEW, "c.yaml")
    for comment in ("# ours", "# the name", "# the rate was found by hand", "# too high?", "# the end"):
        assert comment in found, comment
    assert found.index("name:") < found.index("train:") < found.index("curate:") < found.index("# the end") < found.index("serve:")
    assert "# a few" in edited(FLOW, NEW, "c.yaml") and edited(FLOW, {"train": {"rate": 0.5}}, "c").startswith(
        "# ours\ntrain: {rate: 0.5, base: nano}"
    )


@pytest.mark.parametrize(
    "text", ["train: &t {rate: 1}\nother: *t\n", "train: [1]\n", "- 1\n", "train: {base: nano,}\n", "x: &x {rate: 1}\ntrain:\n  <<: *x\n"]
)
def test_what_cannot_be_edited_safely_is_left_alone_with_the_lines_to_put_there(text: str) -> None:
    try:
        found = edited(text, NEW, "c.yaml")
    except ConfigError as error:
        assert "left as it is" in str(error) and fragment(NEW) in str(error)
    else:
        assert yaml.safe_load(found)["train"] == {**yaml.safe_load(text)["train"], **NEW["train"]}


def test_a_small_number_within_filters_is_written_so_that_yaml_reads_a_number() -> None:
    small = {"curate": {"filters": [{"mixture": {"weights": {"raft": 1e-05}}}], "name": "yes"}}
    assert yaml.safe_load(edited(BLOCK, small, "c.yaml"))["curate"] == small["curate"]
    long = {"curate": {"filters": [f"a-filter-with-a-long-name-{n}" for n in range(20)]}}
    assert yaml.safe_load(edited(BLOCK, long, "c.yaml"))["curate"] == long["curate"]
    assert "\n" not in flow(long), "it is a line of --set, too"
    assert flow({"a": [1e-05, "yes"]}) == "{a: [1.0e-05, 'yes']}"


@pytest.mark.parametrize(
    "text",
    [
        "curate:\n  filters:\n    - cited  # the first\n    - leaked\n",
        "curate:\n  filters:  # in this order\n    - cited\n",
        "curate:\n  filters: [\n    cited,  # the first\n    leaked]\n",
        "curate:\n  filters:\n    - length:\n        # short ones\n        answer_max: 9\n",
    ],
)
def test_a_list_with_comments_within_is_left_as_it_is(text: str) -> None:
    with pytest.raises(ConfigError, match="(?s)left as it is.*mixture"):
        edited(text, NEW, "c.yaml")
    assert edited(text, {"train": NEW["train"]}, "c.yaml").startswith(text.rstrip()), "another setting is no matter"


def test_a_sign_that_is_no_comment_keeps_nothing_from_being_edited() -> None:
    text = "curate:\n  filters:\n    - 'a # b'\n    - c#d\n    - {e: \"#\"}   # the last\n"
    found = edited(text, NEW, "c.yaml")
    assert yaml.safe_load(found)["curate"] == NEW["curate"] and "# the last" in found


def test_a_config_that_is_no_yaml_is_told_with_the_lines_to_put_there() -> None:
    with pytest.raises(ConfigError, match="not readable YAML") as told:
        edited("train: [\n", NEW, "c.yaml")
    assert fragment(NEW) in str(told.value)


def test_the_fragment_reads_back_as_what_it_says() -> None:
    assert yaml.safe_load(fragment(NEW)) == NEW
    assert yaml.safe_load(fragment({"train": {"rate": 2e-05}})) == {"train": {"rate": 2e-05}}
