"""What each target writes, against what its readers ask for, and against the defects of published code."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
import yaml

from groundling import grounding, registry
from groundling.commands.exporting import Wanted, export
from groundling.errors import ConfigError
from groundling.export.targets import jsonl
from groundling.grounding import FORMATS
from groundling.records import Example, Pair, Passage

from .conftest import PASSAGES, examples, pairs, write_run

TARGETS = registry.names("export")
TALKING = ["openai", "sharegpt", "trl", "llama-factory", "axolotl", "jsonl"]


def made(run: Path, target: str, out: Path, **wanted: str) -> Path:
    export(run, Wanted(target, out, **wanted), lambda text: None)
    return out


def messages(target: str, row: dict) -> list[dict[str, str]]:
    """A row's conversation with our names, whatever the target calls them."""
    if target == "sharegpt":
        names = {"system": "system", "human": "user", "gpt": "assistant"}
        return [{"role": names[m["from"]], "content": m["value"]} for m in row["conversations"]]
    if target == "trl":
        return row["prompt"] + row["completion"]
    return [{"role": m["role"], "content": m["content"]} for m in row["messages"]]


@pytest.mark.parametrize("target", TALKING)
def test_every_conversation_is_what_training_renders(target, run, tmp_path, lines) -> None:
    """The passages are in the prompt (published code exported the bare question), and questions are whole."""
    for name in ("raft", "ja"):  # with and without a system message
        out = made(run, target, tmp_path / name / target, format=name)
        form = FORMATS[name]
        wanted = [grounding.conversation(form, e) + [{"role": "assistant", "content": form.target(e)[0]}] for e in examples()]
        found = [messages(target, row) for split in ("train", "held_out") for row in lines(out / f"{split}.jsonl")]
        assert found == wanted
        assert all(PASSAGES[0].text in str(row) for row in ("".join(m["content"] for m in talk) for talk in found[1:]))
        assert any("What is Llama 3.1?" in m["content"] for m in found[2])


def test_the_alpaca_row_holds_task_passages_question_and_answer(run, tmp_path, lines) -> None:
    out = made(run, "alpaca", tmp_path / "a")
    found = lines(out / "train.jsonl")
    assert {tuple(row) for row in found} == {("instruction", "input", "output")}
    prompt = FORMATS["raft"].prompt(examples()[2].question, PASSAGES)
    assert found[2] == {"instruction": prompt[0]["content"], "input": prompt[1]["content"], "output": FORMATS["raft"].target(examples()[2])[0]}
    assert len(found) == 5 and json.loads((out / "export.json").read_bytes())["unheld"] == 1, "the dialogue has no place, and is counted"
    bare = lines(made(run, "alpaca", tmp_path / "ja", format="ja") / "train.jsonl")[0]
    assert bare["input"] == "" and bare["instruction"].startswith("### 指示")


def test_every_label_stands_in_the_instruction(tmp_path, lines) -> None:
    """The published classifier named five of its nine labels."""
    labels = [Passage(id=n, title=n, text="") for n in "dokujo-tsushin it-life-hack kaden livedoor-homme movie peachy smax sports topic".split()]
    rows = [msgspec.structs.replace(examples()[0], passages=labels, question="A phone.", answer="smax")]
    found = lines(made(write_run(tmp_path / "r", rows), "alpaca", tmp_path / "a", format="labels") / "train.jsonl")
    assert all(f"- {label.title}\n" in found[0]["input"] for label in labels) and found[0]["output"] == "smax"


def test_openai_rows_have_messages_and_nothing_else_and_only_the_reply_is_taught(run, tmp_path, lines) -> None:
    rows = lines(made(run, "openai", tmp_path / "o") / "train.jsonl")
    assert all(list(row) == ["messages"] for row in rows)
    dialogue = rows[-1]["messages"]
    assert [m.get("weight") for m in dialogue if m["role"] == "assistant"] == [0, None]
    assert {m["role"] for row in rows for m in row["messages"]} == {"system", "user", "assistant"}


def test_two_turns_stay_two_where_the_target_can_hold_them(run, tmp_path, lines) -> None:
    found = lines(made(run, "openai", tmp_path / "o", format="two-turn") / "train.jsonl")
    assert [m["role"] for m in found[2]["messages"]] == ["system", "user", "assistant", "assistant"]
    assert json.loads(found[2]["messages"][2]["content"]) == {"relevant_doc_ids": [1]}
    for target in ("sharegpt", "alpaca", "llama-factory"):
        with pytest.raises(ConfigError, match=r"2 assistant turns in a row.*--format raft"):
            made(run, target, tmp_path / target, format="two-turn")
        assert not (tmp_path / target).exists()


def test_the_columns_of_our_own_rows_are_the_records_fields() -> None:
    """A field added to a record has to be added here, or it is lost on the way out and back."""
    assert set(jsonl.FEATURES) == {*Example.__struct_fields__, "messages"}
    assert set(jsonl.PAIR_FEATURES) == {*Pair.__struct_fields__, "messages"}


@pytest.mark.parametrize("target", TARGETS)
def test_rows_have_the_columns_that_are_declared(target) -> None:
    module = registry.load("export", target)
    for kind, records in (("FEATURES", examples()), ("PAIR_FEATURES", pairs())):
        for n, record in enumerate(records if hasattr(module, kind) else ()):
            row = module.row(record, n, FORMATS["raft"])
            assert row is None or list(row) == list(getattr(module, kind))


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_that_cannot_hold_what_is_there_says_which_can(target, run, pair_run, tmp_path) -> None:
    module = registry.load("export", target)
    for folder, kind, other in ((run, "FEATURES", "--to trl"), (pair_run, "PAIR_FEATURES", "--to trl-preference")):
        if hasattr(module, kind):
            made(folder, target, tmp_path / kind)
            assert (tmp_path / kind / "README.md").is_file()
        else:
            with pytest.raises(ConfigError, match=other):
                made(folder, target, tmp_path / kind)


def test_preference_rows_share_one_prompt(pair_run, tmp_path, lines) -> None:
    """Published code put prompt and replies through the chat template apart, each with a BOS of its own."""
    rows = lines(made(pair_run, "trl-preference", tmp_path / "p") / "train.jsonl")
    prompt = FORMATS["raft"].prompt("How many?", PASSAGES)
    said = [[{"role": "assistant", "content": text}] for text in ("25 days", "30 days")]
    assert all(row == {"prompt": prompt, "chosen": said[0], "rejected": said[1]} for row in rows)


# The keys that the readers document: llamafactory 0.9.5 (data/parser.py, hparams, and the training arguments of transformers that it takes)
# and axolotl 0.19.0 (utils/schemas). A key that is not there is refused or, worse, ignored.
LLAMA_FACTORY = {
    "model_name_or_path", "stage", "do_train", "finetuning_type", "lora_rank", "lora_alpha", "lora_dropout", "lora_target", "dataset", "dataset_dir",
    "eval_dataset", "eval_strategy", "cutoff_len", "train_on_prompt", "mask_history", "output_dir", "per_device_train_batch_size",
    "gradient_accumulation_steps", "learning_rate", "num_train_epochs", "lr_scheduler_type", "logging_steps", "report_to", "template", "val_size",
}  # fmt: skip
DESCRIBED = {"file_name", "formatting", "ranking", "subset", "split", "folder", "num_samples", "columns", "tags"}
AXOLOTL = {
    "base_model", "rl", "chat_template", "datasets", "test_datasets", "val_set_size", "dataset_prepared_path", "adapter", "lora_r", "lora_alpha",
    "lora_dropout", "lora_target_linear", "sequence_len", "excess_length_strategy", "train_on_inputs", "sample_packing", "output_dir",
    "micro_batch_size", "gradient_accumulation_steps", "num_epochs", "learning_rate", "lr_scheduler", "warmup_ratio", "optimizer", "logging_steps",
}  # fmt: skip
AXOLOTL_DATA = {
    "path", "ds_type", "split", "type", "field_messages", "message_property_mappings", "message_field_training", "train_on_eos", "field_chosen",
    "field_rejected",
}  # fmt: skip


def test_llama_factory_finds_its_data_and_learns_only_the_reply(run, pair_run, tmp_path, lines) -> None:
    out = made(run, "llama-factory", tmp_path / "l")
    info, config = json.loads((out / "dataset_info.json").read_bytes()), yaml.safe_load((out / "train.yaml").read_text())
    assert set(config) <= LLAMA_FACTORY and all(set(d) <= DESCRIBED for d in info.values())
    assert config["dataset"] in info and config["eval_dataset"] in info and config["dataset"] != config["eval_dataset"]
    assert all((out / d["file_name"]).is_file() for d in info.values())
    assert config["train_on_prompt"] is False and config["mask_history"] is True and "val_size" not in config
    assert config["model_name_or_path"] == "meta/base" and config["stage"] == "sft"
    assert all(d["formatting"] == "sharegpt" for d in info.values()), "its own openai formatting adds words to the system message"
    for row in lines(out / "train.jsonl"):
        spoken = [m["role"] for m in row["messages"] if m["role"] != "system"]
        assert spoken == ["user", "assistant"] * (len(spoken) // 2), "it skips a conversation in which one side speaks twice"
    preference = made(pair_run, "llama-factory", tmp_path / "lp")
    described = json.loads((preference / "dataset_info.json").read_bytes())["groundling_train"]
    assert described["ranking"] is True and {"chosen", "rejected"} <= set(described["columns"])
    assert lines(preference / "train.jsonl")[0]["rejected"] == {"role": "assistant", "content": "30 days"}
    assert yaml.safe_load((preference / "train.yaml").read_text())["stage"] == "dpo"


def test_axolotl_finds_its_data_and_learns_only_the_reply(run, pair_run, tmp_path, lines) -> None:
    out = made(run, "axolotl", tmp_path / "a")
    config = yaml.safe_load((out / "config.yaml").read_text())
    data, test = config["datasets"][0], config["test_datasets"][0]
    assert set(config) <= AXOLOTL and set(data) <= AXOLOTL_DATA
    assert (data["path"], test["path"], config["val_set_size"]) == ("train.jsonl", "held_out.jsonl", 0), (
        "the held-out rows are not drawn from training"
    )
    assert config["excess_length_strategy"] == "drop" and config["train_on_inputs"] is False
    key = data["message_field_training"]
    for row, e in zip(lines(out / "train.jsonl"), examples()):
        assert [m["content"] for m in row["messages"] if m[key]] == FORMATS["raft"].target(e)
    preference = yaml.safe_load((made(pair_run, "axolotl", tmp_path / "ap") / "config.yaml").read_text())
    assert preference["rl"] == "dpo" and preference["datasets"][0]["type"] == "chat_template.default"
    assert set(preference["datasets"][0]) <= AXOLOTL_DATA and set(preference) <= AXOLOTL


def test_only_the_train_side_makes_a_training_config(run, tmp_path) -> None:
    out = made(run, "axolotl", tmp_path / "a", split="held_out")
    assert not (out / "config.yaml").exists() and (out / "held_out.jsonl").is_file() and not (out / "train.jsonl").exists()
