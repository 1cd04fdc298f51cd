"""Trained models as folders: what stock libraries load is the model that groundling asks, whatever it was trained from."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from groundling.errors import ModelError
from groundling.export.job import Packed, Said
from groundling.export.packages import vllm
from groundling.export.sides import NEAR, compared, verdict
from groundling.llm.weights import Weights, trained

from ..train.preferring import labelled, pair
from .model_world import card, exported, near, parameters, trained_run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """`one` has an adapter on the tiny model, `two` another one on `one`, `whole` is trained in full, `judge` scores, `sorter` labels."""
    folder = tmp_path_factory.mktemp("trained") / "runs"
    trained_run(folder, "one", str(tiny_model))
    trained_run(folder, "two", "run:one", rank=3, targets=["q_proj", "down_proj"])
    trained_run(folder, "whole", str(tiny_model), method="full", rate=0.002)
    trained_run(folder, "judge", "run:one", [pair(n, held_out_from=4) for n in range(6)], objective="reward", rate=1e-3)
    trained_run(folder, "sorter", str(tiny_model), [labelled(n) for n in range(6)], objective="classify", format="labels")
    return folder


def door(run: Path):
    """The network that groundling asks."""
    from groundling.llm.local import load_network

    return load_network(trained(run).weights)


def stock(folder: Path):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype="auto")


def test_an_adapter_is_loaded_by_stock_peft_and_is_the_run_s_model(runs: Path, tmp_path: Path, tiny_model: Path) -> None:
    from peft import AutoPeftModelForCausalLM

    told = exported(runs / "one", "adapter", tmp_path / "a")
    assert told["verdict"]["state"] == "verified" and told["verdict"]["same"] == told["verdict"]["asked"] == 5
    found = parameters(AutoPeftModelForCausalLM.from_pretrained(tmp_path / "a").merge_and_unload())
    assert near(found, parameters(door(runs / "one"))) and not near(found, parameters(stock(tiny_model)), 1e-3)
    assert (tmp_path / "a" / "chat_template.jinja").read_bytes() == (runs / "one" / "6-model" / "chat_template.jinja").read_bytes()


def test_a_chain_of_adapters_becomes_one_on_the_first_base(runs: Path, tmp_path: Path, tiny_model: Path) -> None:
    """Stock PEFT would put the last adapter on the first base without a word. The second one is of another rank and on two layers alone."""
    from peft import PeftModel

    told = exported(runs / "two", "adapter", tmp_path / "a")
    assert told["verdict"]["state"] == "verified"
    config = json.loads((tmp_path / "a" / "adapter_config.json").read_bytes())
    assert (config["r"], config["lora_alpha"], config["base_model_name_or_path"]) == (5, 5, str(tiny_model.resolve()))
    whole = parameters(door(runs / "two"))
    found = parameters(PeftModel.from_pretrained(stock(tiny_model), str(tmp_path / "a")).merge_and_unload())
    assert near(found, whole, 1e-4)
    last = parameters(PeftModel.from_pretrained(stock(tiny_model), str(runs / "two" / "6-model")).merge_and_unload())
    first = parameters(door(runs / "one"))
    assert not near(last, whole, 1e-2) and not near(first, whole, 1e-2), "neither link alone is the model"
    text = card(tmp_path / "a")
    assert "its rank is 5" in text and f"Needs its base besides: {tiny_model.name} (a folder)." in text and str(tiny_model) not in text
    assert f"| one | {tiny_model.name} (a folder) | sft | lora |" in text and "| two | run:one | sft | lora |" in text


def test_a_chain_with_an_adapter_that_cannot_be_added_is_refused(runs: Path, tmp_path: Path) -> None:
    config = runs / "one" / "6-model" / "adapter_config.json"
    before = config.read_bytes()
    try:
        config.write_text(json.dumps(json.loads(before) | {"use_rslora": True}))
        from groundling.export.lora import joined

        with pytest.raises(ModelError, match=r"no plain LoRA \(use_rslora\).*Use --to merged"):
            joined([runs / "one" / "6-model", runs / "two" / "6-model"], tmp_path, "base")
    finally:
        config.write_bytes(before)


@pytest.mark.parametrize("name", ["one", "two", "whole", "sorter"])
def test_a_merged_model_is_the_run_s_model_for_transformers_alone(runs: Path, tmp_path: Path, name: str) -> None:
    told = exported(runs / name, "merged", tmp_path / "m")
    assert told["verdict"]["state"] == "verified" and told["verdict"]["gap"] < 1e-4 and told["precision"] == "fp32"
    assert near(parameters(stock(tmp_path / "m")), parameters(door(runs / name)), 0.0)
    assert not list((tmp_path / "m").glob("adapter*")) and str(runs) not in (tmp_path / "m" / "config.json").read_text()
    assert ("log-probability of each label" in card(tmp_path / "m")) == (name == "sorter")


def test_a_model_trained_in_full_has_no_adapter(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"trained in full, so there is no adapter. Use --to merged"):
        exported(runs / "whole", "adapter", tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_fewer_bits_are_kept_where_they_are_asked_for(runs: Path, tmp_path: Path) -> None:
    import torch

    try:
        assert exported(runs / "one", "merged", tmp_path / "m", precision="bf16")["verdict"]["state"] == "verified"
    except ModelError as error:  # rounding may change a reply of random weights, and is told then
        assert "NOT verified" in str(error) and "--precision fp32" in str(error)
    assert {p.dtype for p in stock(tmp_path / "m").parameters()} == {torch.bfloat16}
    assert "Weights in bf16" in card(tmp_path / "m")


def test_a_reward_model_scores_alike_with_its_head_merged_and_as_an_adapter(runs: Path, tmp_path: Path, tiny_model: Path) -> None:
    """Its adapter is the second of a chain, and the head comes with it."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from groundling.export.job import Prompt
    from groundling.export.stock import on_base, scored
    from groundling.grounding import FORMATS, conversation
    from groundling.llm.reward import Reward

    asked = [Prompt(conversation(FORMATS["raft"], pair(n), True), reply) for n in (4, 5) for reply in (pair(n).chosen, pair(n).rejected)]
    ours = asyncio.run(Reward(*trained(runs / "judge").weights).scores([tuple(p) for p in asked]))
    for target in ("merged", "adapter"):
        told = exported(runs / "judge", target, tmp_path / target)
        assert told["verdict"]["state"] == "verified" and "same scores" in told["verdict"]["says"]
    network = AutoModelForSequenceClassification.from_pretrained(tmp_path / "merged")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "merged")
    assert [scored(network, tokenizer, p) for p in asked] == pytest.approx(ours, abs=1e-4)
    assert [said.number for said in on_base(tmp_path / "adapter", str(tiny_model), True, "float32")(asked)] == pytest.approx(ours, abs=1e-4)
    assert len({round(score, 4) for score in ours}) == 4
    text = card(tmp_path / "merged")
    assert "held-out pairs, the better reply had the higher score" in text and "it scores a reply and writes none" in text
    assert "None: a reward model answers no questions" in text


@pytest.mark.parametrize("target", ["gguf", "ollama", "vllm"])
def test_engines_that_only_write_get_no_reward_model(runs: Path, tmp_path: Path, target: str) -> None:
    with pytest.raises(ModelError, match="A reward model gives a number and writes nothing"):
        exported(runs / "judge", target, tmp_path / "o")
    assert not (tmp_path / "o").exists()


def test_another_reply_on_the_other_side_is_told_and_nothing_is_claimed(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A weight is changed after it was saved."""
    from safetensors.torch import load_file, save_file

    from groundling.export.packages import merged

    def spoilt(job, folder):
        precision = save(job, folder)
        tensors = load_file(folder / "model.safetensors")
        tensors["model.embed_tokens.weight"] = tensors["model.embed_tokens.weight"].flip(0).contiguous()
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        return precision

    save = merged.save_whole
    monkeypatch.setattr(merged, "save_whole", spoilt)
    with pytest.raises(ModelError, match=r"NOT verified: stock transformers gave other replies .* to 5 of 5 prompts.*Prompt 1: ") as told:
        exported(runs / "one", "merged", tmp_path / "m", push="owner/name")
    assert told.value.exit_code == 2
    found = json.loads((tmp_path / "m" / "export.json").read_bytes())["verdict"]
    assert found["state"] == "differs" and found["same"] == 0
    assert "NOT verified" in card(tmp_path / "m") and "Verified:" not in card(tmp_path / "m")


def test_an_adapter_on_a_run_that_a_size_trained_in_full_names_that_run(tiny_model: Path, tmp_path: Path) -> None:
    """What `train.size` chose stands in no setting: its record tells it."""
    runs = tmp_path / "runs"
    trained_run(runs, "sized", str(tiny_model), size="80gb", rate=0.002)
    trained_run(runs, "on", "run:sized", targets=["q_proj"])
    record = json.loads((runs / "sized" / "6-model" / "record.json").read_bytes())
    assert "method" not in record["settings"] and record["notes"]["settled"] == {
        "method": "full", "batch": 2, "accumulate": 1, "checkpointing": False, "max_length": 1024,
    }  # fmt: skip
    assert exported(runs / "on", "adapter", tmp_path / "a")["base"] == "run:sized"
    text = card(tmp_path / "a")
    assert "| run:sized | sft | lora |" in text and "| sft | full |" in text and "method: full" in text and "max_length: 1024" in text


def test_the_same_words_by_another_model_are_not_the_same() -> None:
    """A slight adapter that was left out changes no word of five replies, but how likely they are."""
    packed = Packed([], asked="x", precision="fp32")
    ours = [Said("yes", -0.5), Said("no", -0.25)]
    assert compared(ours, [Said("yes", -0.5001), Said("no", -0.25)], packed).state == "verified"
    off = compared(ours, [Said("yes", -0.5), Said("no", -0.27)], packed)
    assert (off.state, off.same) == ("differs", 1) and "Prompt 2: the mean log-probability of the same reply is -0.25 here, -0.27 there." in off.says
    assert compared(ours, [Said("yes", -0.5), Said("no", -0.27)], packed._replace(precision="bf16")).state == "verified"
    assert compared(ours, [Said("yes", None), Said("No", None)], packed).says.endswith('Prompt 2: "no" here, "No" there.')
    assert set(NEAR) == {"fp32", "bf16", "fp16"}
    unlikely = [Said("no", -9.0)]
    assert compared(unlikely, [Said("no", -9.02)], packed).state == "differs", "a log-probability's bound does not grow with it"
    score = [Said(None, -9.0)]
    assert compared(score, [Said(None, -9.02)], packed).state == "verified" and compared(score, [Said(None, -9.2)], packed).state == "differs"


def test_a_model_that_no_prompt_fits_is_unverified() -> None:
    def never(prompts):
        raise AssertionError("nobody is asked")

    found = verdict([], [], Packed([], asked="x", ask=never))
    assert (found.state, found.asked) == ("unverified", 0) and "no prompt of the run" in found.says


def test_vllm_gets_a_launch_line_that_nobody_ran(runs: Path, tmp_path: Path) -> None:
    told = exported(runs / "one", "vllm", tmp_path / "v")
    assert told["verdict"]["state"] == "unverified" and "vLLM itself was not run" in told["verdict"]["says"]
    assert "exec vllm serve . --served-model-name one --chat-template ./chat_template.jinja" in (tmp_path / "v" / "serve.sh").read_text()
    assert near(parameters(stock(tmp_path / "v")), parameters(door(runs / "one")), 0.0)


def test_vllm_gets_the_adapter_alone_where_the_base_is_on_a_hub(runs: Path, tmp_path: Path) -> None:
    adapters = (runs / "one" / "6-model", runs / "two" / "6-model")
    model = SimpleNamespace(weights=Weights("owner/base", adapters))
    job = SimpleNamespace(
        model=model, name="my model", base="run:one", is_reward=False, tokenizer_folder=adapters[-1], wish=SimpleNamespace(precision="")
    )
    packed = vllm.pack(job, tmp_path)
    line = "vllm serve owner/base --enable-lora --max-lora-rank 8 --lora-modules 'my model=.' --chat-template ./chat_template.jinja"
    assert f"exec {line}\n" in (tmp_path / "serve.sh").read_text() and packed.engine == "vLLM"
    assert json.loads((tmp_path / "adapter_config.json").read_bytes())["base_model_name_or_path"] == "owner/base"
    assert vllm.launch("n", "b/c", 65).split("--max-lora-rank ")[1].startswith("128 ")
