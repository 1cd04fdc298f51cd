"""What goes up to a provider that trains, what stays here and is counted, and which settings are refused."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from groundling import doctor
from groundling.answer import Answerer, Asked
from groundling.config import Config, Endpoint, Train
from groundling.errors import ConfigError, ModelError
from groundling.grounding import FORMATS
from groundling.llm import fake, hosted
from groundling.llm.api import Api
from groundling.llm.fake.tuning import Tuning
from groundling.llm.hosted import Place
from groundling.llm.journal import Journal
from groundling.llm.tokens import SPREAD, of_messages
from groundling.records import Example, Pair, Passage, Quote, Turn
from groundling.train.provider import ALIKE, EMPTY, _proved, lines_of, most, wanted_of
from groundling.train.tokens import TOO_LONG

ENDPOINT = Endpoint(base_url="http://127.0.0.1:1/v1", model="tiny-1", price_in=1, price_out=2, price_train=25, tuned_price_in=3)
PASSAGES = [Passage(id="c1", title="Leave", text="Staff have 30 days of leave."), Passage(id="c2", title="Travel", text="A night costs 140 EUR.")]


def example(number: int = 0, answer: str = "30 days", **changes: Any) -> Example:
    known: dict[str, Any] = {
        "id": f"e{number}", "recipe": "raft", "unit": "c1", "document": "d1", "question": "How much leave?", "passages": PASSAGES, "oracle": 0,
        "support": "cited", "quotes": [Quote(text="Staff have 30 days of leave.", passage=0)], "answer": answer,
    }  # fmt: skip
    return Example(**(known | changes))


def pair(number: int = 0, chosen: str = "good", rejected: str = "bad") -> Pair:
    return Pair(id=f"p{number}", unit="e", document="d1", question="How much leave?", passages=PASSAGES, chosen=chosen, rejected=rejected)


def options(**changes: Any) -> Train:
    return Train(**({"method": "api", "base": "gpt"} | changes))


def config(models: dict[str, Endpoint] | None = None, **train: Any) -> Config:
    return Config(models={"gpt": ENDPOINT} if models is None else models, train=options(**train))


class Out:
    def __init__(self) -> None:
        self.dropped: list[tuple[str, Any]] = []

    def drop(self, reason: str, what: Any) -> None:
        self.dropped.append((reason, what["id"]))


def place(**changes: Any) -> Place:
    known = {
        "name": "gpt",
        "endpoint": ENDPOINT,
        "root": Path("runs/x"),
        "journal": Path("runs/x/j"),
        "config": config(),
        "suffix": "My run: 1",
        "say": print,
    }
    return Place(**(known | changes))


@pytest.mark.parametrize("form", ["raft", "two-turn", "ja"])
def test_a_model_is_taught_in_the_very_messages_in_which_it_is_asked(form: str) -> None:
    [line] = lines_of([example()], options(format=form), Out())
    messages = line.body["messages"]
    answerer = Answerer(Api("gpt", ENDPOINT), FORMATS[form])
    asked = answerer.request(Asked("How much leave?", PASSAGES)).messages
    replies = [{"role": "assistant", "content": text} for text in FORMATS[form].target(example())]
    assert messages == [*asked, *replies] and json.loads(line.data) == {"messages": messages}


def test_earlier_answers_of_a_dialogue_are_shown_and_not_taught() -> None:
    [line] = lines_of([example(history=[Turn(question="Hello?", answer="Yes.")])], options(), Out())
    weights = [m.get("weight") for m in line.body["messages"] if m["role"] == "assistant"]
    assert weights == [0, None]


def test_what_is_empty_too_long_or_prefers_nothing_is_counted() -> None:
    out = Out()
    long = example(2, passages=[Passage(id="c", title="", text="word " * 400)])
    kept = lines_of(
        [example(), example(1, answer=" ", support="memory", oracle=None, quotes=[]), long], options(format="instruct", max_length=64), out
    )
    assert [line.id for line in kept] == ["e0", "e2"] and out.dropped == [(EMPTY, "e1")], "instruct shows no passages"
    out = Out()
    assert [line.id for line in lines_of([example(), long], options(max_length=400), out)] == ["e0"]
    assert out.dropped == [(TOO_LONG, "e2")]
    assert len(lines_of([example(), long], options(), Out())) == 2, "not set, it is what providers take"
    out = Out()
    assert [line.id for line in lines_of([pair(), pair(1, "same", "same"), pair(2, "")], options(objective="dpo"), out)] == ["p0"]
    assert out.dropped == [(ALIKE, "p1"), (EMPTY, "p2")]


def test_over_long_is_told_by_the_upper_end_of_the_estimate() -> None:
    [line] = lines_of([example()], options(), Out())
    size = of_messages(line.body["messages"])
    least = int(size * (1 + SPREAD)) + 1
    assert lines_of([example()], options(max_length=least), Out()) and not lines_of([example()], options(max_length=least - 1), Out())


def test_pairs_go_up_as_preferences() -> None:
    [line] = lines_of([pair()], options(objective="dpo"), Out())
    assert set(line.body) == {"input", "preferred_output", "non_preferred_output"}
    assert line.body["preferred_output"] == [{"role": "assistant", "content": "good"}]
    assert line.body["input"]["messages"][-1]["role"] == "user" and line.body["non_preferred_output"][0]["content"] == "bad"


def test_the_provider_is_told_what_was_set_and_nothing_else() -> None:
    lines = lines_of([example(n) for n in range(4)], options(), Out())
    plain = wanted_of(lines, lines[:1], options(), 7, place())
    assert plain.order == {"model": "tiny-1", "seed": 7, "hyperparameters": {"n_epochs": 2}} and plain.name == "My-run-1"
    all_set = options(epochs=3, batch=16, rate_multiplier=0.5, suffix="Own name!")
    told = wanted_of(lines, [], all_set, 7, place())
    assert told.order["hyperparameters"] == {"n_epochs": 3, "batch_size": 16, "learning_rate_multiplier": 0.5} and told.name == "Own-name"
    preferring = wanted_of(lines, [], options(objective="dpo", options={"beta": 0.3}), 7, place())
    assert preferring.order["method"] == {"type": "dpo", "dpo": {"hyperparameters": {"n_epochs": 2, "beta": 0.3}}}
    assert "hyperparameters" not in preferring.order
    assert plain.worst.tokens == most(sum(line.tokens for line in lines), options()) and plain.worst.usd == pytest.approx(
        plain.worst.tokens * 25 / 1e6
    )


def test_the_mark_changes_with_what_is_paid_for_and_not_with_the_name() -> None:
    lines = lines_of([example(n) for n in range(4)], options(), Out())
    mark = wanted_of(lines, [], options(), 7, place()).mark
    assert wanted_of(lines, [], options(suffix="other"), 7, place(suffix="x")).mark == mark
    others = [
        wanted_of(lines[:3], [], options(), 7, place()), wanted_of(lines, lines[:1], options(), 7, place()), wanted_of(lines, [], options(), 8, place()),
        wanted_of(lines, [], options(epochs=3), 7, place()), wanted_of(lines, [], options(batch=8), 7, place()),
    ]  # fmt: skip
    assert len({mark, *(w.mark for w in others)}) == 6


def test_what_only_a_machine_does_is_refused() -> None:
    refused = {
        "rank": 4, "alpha": 8, "dropout": 0.1, "targets": ["q_proj"], "precision": "bf16", "steps": 5, "accumulate": 2, "rate": 1e-4,
        "scheduler": "linear", "floor": 0.1, "warmup": 3, "weight_decay": 0.1, "optimizer": "adamw_8bit", "checkpointing": True, "eval_steps": 3,
        "disk_gb": 2, "save_steps": 3, "size": "8gb", "preset": "livedoor",
    }  # fmt: skip
    for name, value in refused.items():
        with pytest.raises(ConfigError, match="is not for train.method api"):
            hosted.check(config(**{name: value}))
    with pytest.raises(ConfigError, match=r"train\.rank is not for"):
        hosted.check(config(rank=16))  # also where it is the default
    hosted.check(config(epochs=3, batch=4, rate_multiplier=2, suffix="mine", max_length=4000, keep="last", eval_rows=5, eval_steps=25))


@pytest.mark.parametrize("objective", ["classify", "reward", "smpo"])
def test_what_needs_weights_is_refused(objective: str) -> None:
    with pytest.raises(ConfigError, match=f"train.objective {objective} trains what a provider does not"):
        hosted.check(config(objective=objective))


def test_other_mistakes_are_told() -> None:
    with pytest.raises(ConfigError, match="whole epochs"):
        hosted.check(config(epochs=1.5))
    with pytest.raises(ConfigError, match=r'train\.base = "gtp".*Did you mean "?gpt'):
        hosted.check(config(base="gtp"))
    with pytest.raises(ConfigError, match="no such loss"):
        hosted.check(config(objective="dpo", options={"loss": "ipo"}))
    for name, value in (("rate_multiplier", 2), ("suffix", "x")):
        with pytest.raises(ConfigError, match=rf"train\.{name} is for train.method api"):
            hosted.check(Config(train=Train(**{name: value})))
    with pytest.raises(ConfigError, match="no price_train"):
        hosted.prices(Config(budget_usd=1), "gpt", ENDPOINT.model_copy(update={"price_train": 0}))
    hosted.prices(Config(budget_tokens=1), "gpt", ENDPOINT.model_copy(update={"price_train": 0}))


def test_all_mistakes_are_told_together_by_the_run_and_the_doctor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {"method": "api", "base": "gpt", "rank": 4, "rate": 0.1, "epochs": 1.5, "objective": "smpo"}
    with pytest.raises(ConfigError) as raised:
        hosted.check(config(**wrong))
    sentences = ["train.objective smpo", "train.rank is not for", "train.rate is not for", "train.epochs = 1.5"]
    assert [one for one in sentences if one not in str(raised.value)] == [] and str(raised.value).count("A provider takes epochs") == 1
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    gpt = ENDPOINT.model_dump(mode="json") | {"price_train": 0, "price_out": 0, "key_env": "NO_SUCH_KEY"}
    (tmp_path / "a.md").write_text("# A")

    def told(models: dict[str, Any], train: dict[str, Any]) -> str:
        (tmp_path / "groundling.yaml").write_text(yaml.safe_dump({"budget_usd": 1, "models": models, "train": train}))
        return next(c.says for c in doctor.project(tmp_path) if c.what == "training")

    more = ["has no price_train", "lacks price_in or price_out", '"NO_SUCH_KEY" is not set']
    assert [one for one in sentences + more if one not in told({"gpt": gpt}, wrong)] == []
    assert 'train.base = "gtp"' in (said := told({"gpt": gpt}, wrong | {"base": "gtp"})) and "train.rank is not for" in said
    assert sum("gtp" in c.says for c in doctor.project(tmp_path)) == 1, "what is wrong is told once"
    assert "train.suffix is for train.method api" in told({}, {"suffix": "x"})


def test_settings_that_the_provider_never_sees_make_no_model_stale() -> None:
    assert options().identity() == options(suffix="x", save_steps=3).identity()
    assert options().identity() != options(batch=8).identity(), "set by hand it is told"
    assert options().identity() != options(rate_multiplier=2).identity()
    assert "rate_multiplier" not in Train().identity(), "models that were trained before this setting stay what they are"


def test_a_tuned_model_is_asked_as_the_config_says_today(tmp_path: Path) -> None:
    described = hosted.describe("gpt", ENDPOINT, "ft:tiny-1:a")
    assert described["endpoint"]["price_in"] == 3 and described["endpoint"]["price_out"] == 2, "the tuned model's own price, else the same"
    name, endpoint = hosted.endpoint_of(described, None)
    assert (name, endpoint.model, endpoint.price_in) == ("gpt", "ft:tiny-1:a", 3)
    now = ENDPOINT.model_copy(update={"max_parallel": 3, "tuned_price_in": 9.0, "key_env": "OTHER"})
    _, endpoint = hosted.endpoint_of(described, config({"gpt": now}))
    assert (endpoint.model, endpoint.max_parallel, endpoint.price_in, endpoint.key_env) == ("ft:tiny-1:a", 3, 9, "OTHER")
    elsewhere = ENDPOINT.model_copy(update={"base_url": "http://127.0.0.1:2/v1"})
    assert hosted.endpoint_of(described, config({"gpt": elsewhere}))[1].base_url == ENDPOINT.base_url
    with pytest.raises(ModelError, match="names no run"):
        hosted.started_from(config(base="run:nowhere"), tmp_path)


def test_a_tuned_model_that_said_nothing_is_asked_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it cost to ask stands in the journal each time; a model that did answer is not asked again."""
    words = ["", "", "Yes."]
    monkeypatch.setattr(Tuning, "knows", lambda self, model: True)
    monkeypatch.setattr(Tuning, "recalls", lambda self, call: words.pop(0))

    async def main() -> None:
        async with fake.serving() as url:
            at = ENDPOINT.model_copy(update={"base_url": url})
            where = place(endpoint=at, journal=tmp_path / "j", root=tmp_path)
            wanted = wanted_of(lines_of([example()], options(), Out()), [], options(), 7, where)
            spent = []
            for outcome in ("", "", "good", "good"):
                journal = Journal(where.journal)
                try:
                    if outcome:
                        await _proved(hosted.describe("gpt", at, "ft:tiny-1:a"), journal, wanted, where)
                    else:
                        with pytest.raises(ModelError, match=r"does not answer yet \(an empty reply\)"):
                            await _proved(hosted.describe("gpt", at, "ft:tiny-1:a"), journal, wanted, where)
                    spent.append(journal.spent().tokens_in)
                finally:
                    journal.close()
            assert words == [] and spent[0] < spent[1] < spent[2] == spent[3]

    asyncio.run(main())
