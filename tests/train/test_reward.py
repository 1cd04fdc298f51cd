"""The reward objective and the model it leaves: the loss by hand, the head saved with the adapter, scores that hang on nothing beside them."""

from __future__ import annotations

import asyncio
import json
import math
from pathlib import Path

import msgspec
import pytest

from groundling import config
from groundling.errors import ConfigError, InputError, ModelError
from groundling.grounding import FORMATS, conversation
from groundling.llm.local import need_torch
from groundling.llm.reward import Reward, like_lengths
from groundling.llm.weights import Weights
from groundling.records import Pair
from groundling.train import train
from groundling.train.objectives import reward
from groundling.train.objectives.reward import Options, dataset
from groundling.train.options import own
from groundling.train.trainer import WHOLE
from groundling.workspace import Output

from .preferring import pair, pair_rows


def trained(base: Weights, folder: Path, **settings) -> Output:
    need_torch()
    out = Output(folder)
    options = {"steps": 2, "batch": 2, "rank": 2, "eval_steps": 2, "rate": 1e-3} | settings
    train([pair(n, held_out_from=4) for n in range(6)], config.Train(objective="reward", **options), base, 1, out)
    out.close()
    return out


@pytest.fixture(scope="module")
def done(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Output]:
    import warnings

    folder = tmp_path_factory.mktemp("reward")
    with warnings.catch_warnings():
        return folder, trained(Weights(str(tiny_model)), folder)


def asked(made: Pair) -> list[tuple[list[dict[str, str]], str]]:
    messages = conversation(FORMATS["raft"], made, True)
    return [(messages, made.chosen), (messages, made.rejected)]


def scores(model: Reward, pairs: list[Pair]) -> list[float]:
    return asyncio.run(model.scores([one for made in pairs for one in asked(made)]))


@pytest.mark.parametrize(("center", "margins"), [(0.01, False), (0.0, False), (0.3, True)])
def test_the_loss_is_what_it_is_by_hand(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, center: float, margins: bool) -> None:
    """TRL's trainer, as our own run sets it up, on one batch; the scores come from stock transformers, one by one, without padding."""
    need_torch()
    import torch

    seen = []
    monkeypatch.setattr(reward, "fit", lambda trainer, *rest: seen.append(trainer) or [])
    rows = pair_rows(tiny_model, 3)
    options = config.Train(objective="reward", rank=2, options={"center": center, "margins": margins})
    reward.run(rows, Weights(str(tiny_model)), options, 1, tmp_path, None)
    [trainer] = seen
    assert trainer.args.max_length is None
    batch = trainer.data_collator([trainer.train_dataset[n] for n in range(3)])
    assert batch["input_ids"].shape[1] % WHOLE == 0
    with torch.no_grad():
        found = trainer.compute_loss(trainer.model, batch).item()
        each = [[trainer.model(torch.tensor([row.prompt + reply])).logits.item() for reply in (row.chosen, row.rejected)] for row in rows]
    wanted = [math.log(1 + math.exp(-(w - l - 0.5 * margins))) + center * (w + l) ** 2 for w, l in each]  # noqa: E741
    assert found == pytest.approx(sum(wanted) / 3, rel=1e-4) and max(abs(w - l) for w, l in each) > 0.01  # noqa: E741


def test_margins_are_wanted_of_every_pair(tiny_model: Path) -> None:
    rows = pair_rows(tiny_model, 2)
    assert dataset(rows, True)["margin"] == [0.5, 0.5] and "margin" not in dataset(rows, False).column_names
    with pytest.raises(InputError, match="p1 has none"):
        dataset([rows[0], msgspec.structs.replace(rows[1], margin=None)], True)
    assert Options().model_dump() == {"center": 0.01, "margins": False}
    with pytest.raises(ConfigError, match="train.options.center"):
        own(Options, {"center": -1})


def test_what_is_saved_is_loaded_by_stock_libraries_head_and_all(tiny_model: Path, done: tuple[Path, Output]) -> None:
    need_torch()
    import torch
    from peft import PeftModel
    from safetensors.torch import load_file
    from transformers import AutoModelForSequenceClassification

    folder, _ = done
    saved = load_file(folder / "adapter_model.safetensors")
    assert any("score" in name for name in saved) and json.loads((folder / "adapter_config.json").read_text())["task_type"] == "SEQ_CLS"
    stock = PeftModel.from_pretrained(AutoModelForSequenceClassification.from_pretrained(tiny_model, num_labels=1), str(folder)).eval()
    ours = scores(Reward(tiny_model, (folder,)), [pair(4), pair(5)])
    rows = pair_rows(tiny_model, 2, start=4)
    with torch.no_grad():
        theirs = [stock(torch.tensor([row.prompt + reply])).logits.item() for row in rows for reply in (row.chosen, row.rejected)]
    assert ours == pytest.approx(theirs, abs=1e-4) and len({round(s, 4) for s in ours}) == 4


def test_a_score_hangs_on_nothing_beside_it(tiny_model: Path, done: tuple[Path, Output], monkeypatch: pytest.MonkeyPatch) -> None:
    need_torch()
    model = Reward(tiny_model, (done[0],))
    pairs = [pair(n) for n in range(5)]
    together = scores(model, pairs)
    assert scores(model, pairs[::-1]) == pytest.approx([s for n in range(4, -1, -1) for s in together[2 * n : 2 * n + 2]], abs=1e-4)
    monkeypatch.setattr("groundling.llm.reward.MAX_ROWS", 1)
    assert scores(model, pairs) == pytest.approx(together, abs=1e-4)
    assert asyncio.run(model.scores([])) == []


def test_batches_are_of_like_lengths_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("groundling.llm.reward.MAX_ROWS", 2)
    assert like_lengths([9, 3, 8, 4, 5]) == [[1, 3], [4, 2], [0]]
    monkeypatch.setattr("groundling.llm.reward.MAX_TOKENS", 10)
    assert like_lengths([9, 3, 8, 4, 5]) == [[1, 3], [4], [2], [0]]


def test_the_record_tells_how_often_held_out_pairs_come_out_right(tiny_model: Path, done: tuple[Path, Output]) -> None:
    need_torch()
    folder, out = done
    found = scores(Reward(tiny_model, (folder,)), [pair(4), pair(5)])
    right = (found[0] > found[1]) + (found[2] > found[3])
    told = out.notes["pair_accuracy"]
    assert told["value"] == right / 2 and told["n"] == 2 and told["low"] <= told["value"] <= told["high"] and told["high"] - told["low"] > 0.5
    assert out.notes["mean_lead"] == pytest.approx((found[0] - found[1] + found[2] - found[3]) / 2, abs=1e-4)


def test_it_starts_from_a_model_with_an_adapter_and_from_a_whole_one(tiny_model: Path, tmp_path: Path, done: tuple[Path, Output]) -> None:
    """The adapter of another objective is merged into the body, under the head."""
    need_torch()
    import torch

    from groundling.llm.local import load_network
    from groundling.panel import unwatched
    from groundling.train.objectives import smpo

    first = tmp_path / "first"
    settings = config.Train(objective="smpo", steps=2, batch=2, rank=2, rate=3e-2, warmup=0)
    smpo.run(pair_rows(tiny_model, 4), Weights(str(tiny_model)), settings, 1, first, unwatched)
    chain = Weights(str(tiny_model), (first,))
    ids = torch.tensor([[5, 9, 12, 7]])
    with torch.no_grad():
        bodies = [
            n.model(ids).last_hidden_state for n in (reward.scalar(chain, settings), load_network(chain), load_network(Weights(str(tiny_model))))
        ]
    assert torch.equal(bodies[0], bodies[1]) and not torch.allclose(bodies[0], bodies[2], atol=1e-3), "what is trained begins where the chain ends"
    trained(chain, tmp_path / "second", rate=1e-6)
    trained(Weights(str(tiny_model)), tmp_path / "plain", rate=1e-6)
    found = [scores(Reward(tiny_model, adapters), [pair(5)]) for adapters in ((first, tmp_path / "second"), (tmp_path / "plain",))]
    assert found[0] != pytest.approx(found[1], abs=1e-3), "the first adapter is below the second"
    trained(Weights(str(tiny_model)), tmp_path / "whole", method="full")
    assert all(map(math.isfinite, scores(Reward(tmp_path / "whole"), [pair(5)])))


def test_what_is_no_reward_model_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    need_torch()
    with pytest.raises(ModelError, match="is no reward model: it has no head"):
        scores(Reward(tiny_model), [pair(0)])
    from peft import LoraConfig

    LoraConfig(task_type="CAUSAL_LM").save_pretrained(tmp_path)
    for path in tiny_model.glob("*token*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "chat_template.jinja").write_bytes((tiny_model / "chat_template.jinja").read_bytes())
    with pytest.raises(ModelError, match="is no reward model: it writes replies"):
        scores(Reward(tiny_model, (tmp_path,)), [pair(0)])
