"""Prompts and replies that are longer than a model reads: the pair is left out and counted, and the others are made. With real small models."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from groundling import grounding
from groundling.errors import ConfigError
from groundling.llm.local import Local, need_torch
from groundling.llm.reward import Reward
from groundling.records import Example, Passage
from groundling.runs import open_run
from groundling.train import describe
from groundling.workspace import write_json

from .preference_world import RIGHT, WRONG, Rewards, Student, example, made


def longer(n: int) -> Example:
    """An example whose passage alone is longer than the 1,024 tokens that the small models read."""
    return msgspec.structs.replace(example(n), passages=[Passage(id="long", title="Leave", text="Staff have 25 days of leave. " * 300)])


def test_a_prompt_longer_than_the_student_s_context_is_counted_and_not_asked(tiny_model: Path, tmp_path: Path) -> None:
    need_torch()
    student = Local(tiny_model, name="run:handbook")
    pairs, out = made(tmp_path, [longer(0), example(1)], student, Rewards({}), scorer="reward", hypotheses=2, max_tokens=8, verbatim=False)
    assert out.dropped.get("no hypothesis could be used", 0) >= 1 and all(p.unit == "e1" for p in pairs)
    assert out.notes["noted"]["prompts longer than the student's context"] == 1
    assert "1 prompts are longer than the student's context with a reply of 8 tokens, and were not asked." in out.notes["advice"]
    assert not out.failed


@pytest.fixture(scope="module")
def judge(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole reward model of random weights, that reads 1,024 tokens."""
    import torch
    from transformers import LlamaForSequenceClassification

    from groundling.llm.local import load_tokenizer

    need_torch()
    folder = tmp_path_factory.mktemp("judge")
    torch.manual_seed(3)
    LlamaForSequenceClassification.from_pretrained(tiny_model, num_labels=1).save_pretrained(folder)
    load_tokenizer(tiny_model).save_pretrained(folder)
    return folder


def test_a_reply_that_the_reward_model_cannot_read_has_no_score_and_costs_no_other_pair(judge: Path, tmp_path: Path) -> None:
    """The student reads more than the judge: its reply is there, and the run goes on."""
    model = Reward(judge, name="run:rm")
    messages = grounding.conversation(grounding.FORMATS["raft"], example(1), model.documents_role)
    assert model.fits(messages, RIGHT) and not model.fits(messages, "word " * 1100)
    pairs, out = made(tmp_path, [longer(0), example(1)], Student([RIGHT, WRONG]), model, {"max_failed": 0.8}, scorer="reward", hypotheses=2)
    assert [p.unit for p in pairs] == ["e1"] and {pairs[0].chosen, pairs[0].rejected} == {RIGHT, WRONG}
    assert out.failed == {"no score: prompt and reply are longer than the reward model's context": 2}


def test_a_reward_model_asked_in_another_format_than_it_learnt_is_refused(judge: Path, tmp_path: Path) -> None:
    """Its scores are only of what it was shown: the same replies in another format get other ones."""
    import asyncio
    import shutil

    from groundling import config

    folder = tmp_path / "runs" / "rm" / "6-model"
    shutil.copytree(judge, folder)
    learnt = config.Train(objective="reward", method="full", format="raft", base="nano")
    from groundling.llm.weights import resolve_weights

    describe(folder, learnt, resolve_weights("nano"))
    write_json(folder / "record.json", {"fingerprint": "f", "settings": {}, "inputs": {}, "seed": 1, "counts": {}})
    write_json(tmp_path / "runs" / "rm" / "run.json", {"base": str(tmp_path), "config": {}})
    (tmp_path / "docs").mkdir()

    def asked(form: str) -> Reward:
        run = open_run(tmp_path / "docs", tmp_path / "runs" / "smpo", [f"train.format={form}"], lambda text: None)
        return run.judge("run:rm")

    model = asked("raft")
    scores = [
        asyncio.run(model.scores([(grounding.conversation(grounding.FORMATS[form], example(1), model.documents_role), RIGHT)]))[0]
        for form in ("raft", "ja")
    ]
    assert abs(scores[0] - scores[1]) > 1e-3, "in another format the same reply has another score"
    with pytest.raises(ConfigError, match=r"run:rm learnt to score replies in the format raft/1:\w+, and this run's are in ja/1:\w+"):
        asked("ja")
