"""Trouble in the midst of training: it stops with a sentence, and the last good checkpoint is there to go on from."""

from __future__ import annotations

import errno
import logging
from pathlib import Path
from types import SimpleNamespace

import pytest

from groundling.errors import MachineError, ModelError
from groundling.llm.local import need_torch
from groundling.train.checkpoints import MARK, is_whole, last_checkpoint, seal, sweep
from groundling.train.guard import Watching
from groundling.train.tokens import Row, Rows

from .learning import options, rows, same, trained


def contrary(base: Path) -> Rows:
    """What the base itself would answer is held out, another answer is trained: the longer the training, the worse."""
    import torch
    from transformers import AutoModelForCausalLM

    need_torch()
    prompt = list(range(20, 26))
    answer = AutoModelForCausalLM.from_pretrained(base)(input_ids=torch.tensor([prompt])).logits[0, -1].argmax().item()
    made = rows(answer=7)
    assert answer != 7
    made.held_out = [Row(id="h", ids=[*prompt, answer], spans=[(6, 7)])]
    return made


def test_the_best_on_held_out_examples_is_kept_not_the_last(tiny_model: Path, tmp_path: Path) -> None:
    log = trained(tiny_model, tmp_path / "best", contrary(tiny_model), eval_steps=1, steps=4, rate=0.1)
    measured = [entry["held_out_loss"] for entry in log if "held_out_loss" in entry]
    assert len(measured) == 4 and min(measured) < measured[-1]
    checkpoints = tmp_path / "best" / "checkpoints"
    assert same(tmp_path / "best", checkpoints / f"checkpoint-{1 + measured.index(min(measured))}")
    assert not same(tmp_path / "best", checkpoints / "checkpoint-4")
    trained(tiny_model, tmp_path / "last", contrary(tiny_model), eval_steps=1, steps=4, rate=0.1, keep="last")
    assert same(tmp_path / "last", checkpoints / "checkpoint-4")


def test_a_loss_that_is_no_number_stops_at_once_and_what_was_good_stays(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"not a number by step \d+\. Lower train\.rate .*The last good checkpoint, of step 1, is kept"):
        trained(tiny_model, tmp_path / "m", rate=1e30, steps=8, method="full")
    last = last_checkpoint(tmp_path / "m" / "checkpoints")
    assert last and last.name == "checkpoint-1"
    assert not (tmp_path / "m" / "model.safetensors").exists(), "it is no finished model"


def logged(losses: list[float]) -> SimpleNamespace:
    return SimpleNamespace(global_step=5 * len(losses), log_history=[{"loss": loss} for loss in losses], best_metric=None)


def test_a_loss_that_gets_far_worse_is_not_saved_and_stops_the_second_time(tmp_path: Path) -> None:
    watching = Watching(SimpleNamespace(args=SimpleNamespace(fp16=False)), options(), tmp_path)
    losses = [1.0, 1.0, 1.0]
    for loss, good in ((2.9, True), (3.1, False), (1.2, True), (3.2, False)):
        losses.append(loss)
        assert watching.fine(logged(losses), {"loss": loss}) is good, loss
        assert watching.better(logged(losses), 0.1) is good
    with pytest.raises(ModelError, match=r"began at 1 and is 9 at step 40"):
        watching.fine(logged([*losses, 9.0]), {"loss": 9.0})


def test_gradients_that_are_no_numbers_stop_it_but_where_fp16_skips_the_step(tmp_path: Path) -> None:
    for fp16 in (True, False):
        watching = Watching(SimpleNamespace(args=SimpleNamespace(fp16=fp16)), options(), tmp_path)
        if fp16:
            assert watching.fine(logged([1.0]), {"loss": 1.0, "grad_norm": float("inf")})
        else:
            with pytest.raises(ModelError, match="The gradient became infinite"):
                watching.fine(logged([1.0]), {"loss": 1.0, "grad_norm": float("inf")})


def test_the_room_on_the_disk_is_looked_at_before_the_start_and_before_each_save(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(MachineError, match=r"would pass train\.disk_gb = 1e-07\. Raise it\. No checkpoint was saved before\."):
        trained(tiny_model, tmp_path / "none", disk_gb=1e-7)
    trained(tiny_model, tmp_path / "m", steps=1)
    one = sum(p.stat().st_size for p in (tmp_path / "m" / "checkpoints" / "checkpoint-1").iterdir())
    with pytest.raises(MachineError, match=r"would pass train\.disk_gb.*The last good checkpoint, of step 2, is kept"):
        trained(tiny_model, tmp_path / "two", steps=8, save_steps=2, disk_gb=2.5 * one / 1e9)
    assert is_whole(tmp_path / "two" / "checkpoints" / "checkpoint-2")
    trained(tiny_model, tmp_path / "enough", steps=2, save_steps=2, disk_gb=2.5 * one / 1e9)  # there is no next one to find room for


def test_a_disk_that_is_full_in_the_midst_of_a_save_costs_that_save_alone(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the next run ends with the weights that an undisturbed one has: data order, dropout and all."""
    need_torch()
    from transformers import Trainer

    more = {"epochs": 3, "save_steps": 2, "eval_steps": 3, "dropout": 0.2, "accumulate": 2}
    trained(tiny_model, tmp_path / "calm", rows(held_out=7), **more)
    real = Trainer._save_optimizer_and_scheduler

    def full(self, folder):
        if self.state.global_step == 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(self, folder)

    monkeypatch.setattr(Trainer, "_save_optimizer_and_scheduler", full)
    with pytest.raises(MachineError, match=r"The disk is full.*The last good checkpoint, of step 3, is kept"):
        trained(tiny_model, tmp_path / "torn", rows(held_out=7), **more)
    checkpoints = tmp_path / "torn" / "checkpoints"
    assert (checkpoints / "checkpoint-4").is_dir() and not is_whole(checkpoints / "checkpoint-4")
    monkeypatch.setattr(Trainer, "_save_optimizer_and_scheduler", real)
    trained(tiny_model, tmp_path / "torn", rows(held_out=7), **more)
    assert same(tmp_path / "calm", tmp_path / "torn")
    assert same(tmp_path / "calm" / "checkpoints" / "checkpoint-6", checkpoints / "checkpoint-6")


@pytest.mark.parametrize("words", ["PytorchStreamWriter failed writing file data/3", "I/O error: No space left on device (os error 28)"])
def test_a_full_disk_is_known_in_whoever_s_words(tmp_path: Path, words: str) -> None:
    need_torch()
    from groundling.train.trainer import told

    with pytest.raises(MachineError, match="The disk is full"), told(tmp_path):
        raise RuntimeError(words)
    with pytest.raises(MachineError, match="too little memory"), told(tmp_path):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes")
    with pytest.raises(RuntimeError, match="another fault"), told(tmp_path):
        raise RuntimeError("another fault")


def test_the_first_checkpoint_is_proved_against_what_is_in_memory(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need_torch()
    from safetensors.torch import load_file, save_file
    from transformers import Trainer

    real = Trainer._save

    def wrong(self, folder=None, state_dict=None):
        real(self, folder, state_dict)
        path = next(Path(folder).glob("*.safetensors"))
        found = load_file(path)
        name = sorted(found)[0]
        save_file(found | {name: found[name] + 1}, path, {"format": "pt"})

    monkeypatch.setattr(Trainer, "_save", wrong)
    for method in ("lora", "full"):
        with pytest.raises(ModelError, match="does not hold the model that was trained"):
            trained(tiny_model, tmp_path / method, steps=1, method=method)


def test_a_checkpoint_counts_when_it_is_whole(tmp_path: Path) -> None:
    for step in (2, 10, 11):
        folder = tmp_path / f"checkpoint-{step}"
        (folder / "deep").mkdir(parents=True)
        (folder / "deep" / "weights").write_bytes(b"abc")
        (folder / "trainer_state.json").write_text("{}")
        if step < 11:
            seal(folder)
    assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-10", "by number, and not the one without a mark"
    (tmp_path / "checkpoint-10" / "deep" / "weights").write_bytes(b"ab")
    assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-2", "a file is shorter than it was"
    (tmp_path / "checkpoint-2" / MARK).write_text("[")
    assert last_checkpoint(tmp_path) is None
    seal(tmp_path / "checkpoint-2")
    sweep(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint-2"]


def test_two_checkpoints_within_a_second_are_no_news(tmp_path: Path) -> None:
    need_torch()
    from transformers import trainer_utils

    told: list[str] = []
    listener = logging.Handler()
    listener.emit = lambda record: told.append(record.getMessage())  # type: ignore[method-assign]
    for step in (2, 10):
        (tmp_path / f"checkpoint-{step}").mkdir()
    type(trainer_utils.logger).warning_once.cache_clear()  # another test may have heard it
    trainer_utils.logger.addHandler(listener)
    try:
        assert [Path(path).name for path in trainer_utils.sort_checkpoints(str(tmp_path), use_mtime=True)] == ["checkpoint-2", "checkpoint-10"]
        trainer_utils.logger.warning("This is news.")
    finally:
        trainer_utils.logger.removeHandler(listener)
    assert told == ["This is news."]
