"""Training tells how far it is, and nothing of the trainer's own raw lines and warnings reaches the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from groundling import config
from groundling.llm.local import need_torch
from groundling.llm.weights import Weights
from groundling.panel import Teller, View, line
from groundling.train.objectives import sft
from groundling.train.progress import Seen, watched
from groundling.train.tokens import Row

from .learning import options, rows


def test_training_tells_a_view_and_prints_nothing_raw(tiny_model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    need_torch()
    seen: list[View] = []

    @contextmanager
    def watch(view: Callable[[], View]) -> Iterator[None]:
        seen.append(view())
        yield
        seen.append(view())

    rows = [Row(id=str(n), ids=[5 + n, 9, 12, 7], spans=[(2, 4)]) for n in range(4)]
    log = sft.run(rows, Weights(str(tiny_model)), config.Train(epochs=3, batch=2, rank=2), 1, tmp_path, watch)
    assert log and [v.done for v in seen] == [0, 6] and seen[1].total == 6
    assert seen[1].facts["epoch"] == "3.00 of 3" and float(seen[1].facts["loss"].split()[0]) == pytest.approx(log[-1]["loss"], abs=0.001)
    assert seen[0].rates == {} and seen[1].rates == {"tokens": 3 * 16}, "every token that was read, without padding"
    assert seen[1].facts["loss"].endswith(f"(first {log[0]['loss']:.3f})") and set(seen[1].facts) == {"epoch", "loss", "rate", "gradient"}
    told = capfd.readouterr()
    assert "loss" not in told.out and "Warning" not in told.err


def test_what_is_trained_on_is_counted_and_what_is_measured_is_not(tiny_model: Path, tmp_path: Path) -> None:
    """Two further rows are only measured on; the panel says so while it waits for them."""
    need_torch()
    seen: list[Callable[[], View]] = []
    notices: list[str] = []

    @contextmanager
    def watch(view: Callable[[], View]) -> Iterator[None]:
        seen.append(view)
        yield

    made = rows(4, held_out=7)
    real = Seen.hear

    def hear(self: Seen, figures: dict[str, float], step: int) -> None:
        notices.append(self.notice if "held_out_loss" in figures else "")
        real(self, figures, step)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Seen, "hear", hear)
        trained_with(watch, tiny_model, tmp_path, made)
    view = seen[0]()
    assert view.rates == {"tokens": 2 * sum(len(row.ids) for row in made)} and view.notice == ""
    assert "the held-out loss is being measured" in notices and "held out" in view.facts


def trained_with(watch: object, base: Path, folder: Path, made: list[Row]) -> None:
    sft.run(made, Weights(str(base)), options(save_steps=100), 1, folder, watch)  # type: ignore[arg-type]


def test_the_figures_in_words() -> None:
    seen = Seen()
    assert seen.facts() == {}
    seen.hear({"loss": 2.0, "rate": 1e-3, "gradient": 1.5, "ahead": 0.5}, 1)
    assert seen.facts() == {"loss": "2.000", "rate": "1.0e-03", "gradient": "1.50", "ahead": "0.50"}
    seen.hear({"held_out_loss": 1.5}, 1)
    seen.hear({"loss": 1.0, "held_out_loss": 1.75}, 5)
    assert seen.facts()["loss"] == "1.000 (first 2.000)" and seen.facts()["held out"] == "1.750 (lowest 1.500 at step 1)"


def test_a_line_in_a_log_file_says_how_fast_and_how_long_and_a_resume_is_not_fast() -> None:
    """Forty steps were done before: the time left is told from the ten that were done here, a second each."""
    import types

    clock = iter([0.0, 10.0])
    state = types.SimpleNamespace(global_step=0, max_steps=100, epoch=0.0, num_train_epochs=2)
    trainer = types.SimpleNamespace(state=state, remove_callback=lambda c: None, add_callback=lambda c: None, data_collator=len)
    trainer.get_train_dataloader = lambda: trainer.data_collator
    teller = Teller(watched(trainer, 40), lambda: next(clock))
    batch = trainer.get_train_dataloader()
    batch([{"input_ids": [1]}])
    assert teller.tell().view.done == 40
    state.global_step, state.epoch = 50, 1.0
    batch([{"input_ids": [1] * 3000}, {"chosen_ids": [1] * 1500, "rejected_ids": [1] * 500}])
    assert line(teller.tell()) == "  train: 50 of 100 steps, 500.0 tokens/s, epoch 1.00 of 2, about 50 s left"
