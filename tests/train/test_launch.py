"""Processes that are started for a training: what they are told and tell, and how they end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from groundling.errors import ConfigError, MachineError
from groundling.llm.local import Local, need_torch
from groundling.llm.weights import Weights, resolve
from groundling.panel import View, unwatched
from groundling.train import launch, ranks, train
from groundling.train.checkpoints import all_of, is_whole, last_checkpoint
from groundling.train.objectives import sft
from groundling.train.progress import Judged
from groundling.train.scoring import Job
from groundling.train.tokens import Rows
from groundling.workspace import Output

from .learning import options, rows, same, trained, weights
from .shared import uneven
from .test_tokens import example

LONG = {"method": "full", "rate": 0.0003, "batch": 4, "epochs": 8, "save_steps": 2, "eval_steps": 3, "precision": "fp32"}


def shared(folder: Path, made: Rows, base: str = "nano", watch: Callable = unwatched, **more: object) -> list[dict[str, float]]:
    folder.mkdir(exist_ok=True)
    return launch.run(sft, Job(made, Weights(resolve(base)), options(**{"devices": 2} | more), 1, folder, watch))


def test_the_stage_starts_its_processes_and_the_result_answers(tiny_model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """With bf16 where the machine has it, as it comes."""
    seen: list[View] = []

    @contextmanager
    def watch(view: Callable[[], View]) -> Iterator[None]:
        seen.append(view())
        over = threading.Event()

        def look() -> None:
            while not over.wait(0.2):
                seen.append(view())

        thread = threading.Thread(target=look)
        thread.start()
        yield
        over.set()
        thread.join()

    out, folder = Output(tmp_path / "6-model"), tmp_path / "6-model"
    chosen = options(devices=2, steps=3, base=str(tiny_model), rate=1e-3, batch=4)
    examples = [example(id=str(n), answer="word " * (n + 1)) for n in range(5)]
    train(examples, chosen, Weights(str(tiny_model)), 1, out, watch)
    out.close()
    assert out.notes["processes"] == 2 and out.notes["rows"] == 5 and [e["step"] for e in out.notes["log"]] == [1, 3]
    assert Local(str(tiny_model), (folder,)).network.config.num_hidden_layers == 1, "what was merged is an adapter"
    assert is_whole(folder / "checkpoints" / "checkpoint-3") and (folder / "checkpoints" / "checkpoint-3" / "rng_state_1.pth").exists()
    assert not (folder / "processes").exists()
    assert seen[0].notice == "2 processes are starting" and seen[-1].total == 3
    told = capfd.readouterr()
    assert "loss" not in told.out + told.err and "rank" not in told.err, "the processes tell nothing themselves"


def test_a_search_tries_with_one_process(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="A search tries its settings with one process"):
        shared(tmp_path / "m", rows(), base=str(tiny_model), watch=Judged(unwatched, lambda *given: None))


def test_torchrun_is_for_training_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("RANK", "0"), ("LOCAL_RANK", "0"), ("WORLD_SIZE", "2"), ("MASTER_ADDR", "localhost")):
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match="torchrun is for `groundling train` alone"), launch.led("run"):
        pass
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(SystemExit, match="2"), launch.led("run"):
        pass
    monkeypatch.delenv("RANK")
    with launch.led("run") as leads:
        assert leads and ranks.size() == 1


@pytest.mark.parametrize(("rank", "ends"), [("0", ConfigError), ("1", SystemExit)])
def test_rounds_are_not_for_torchrun(rank: str, ends: type[BaseException], monkeypatch: pytest.MonkeyPatch) -> None:
    """Every process would run all rounds. Nothing of the run is looked at before."""
    from groundling.commands.rounding import Wanted, run_rounds

    for name, value in (("RANK", rank), ("LOCAL_RANK", rank), ("WORLD_SIZE", "2"), ("MASTER_ADDR", "localhost")):
        monkeypatch.setenv(name, value)
    with pytest.raises(ends):
        run_rounds(None, Wanted())  # type: ignore[arg-type]


def workers(folder: Path) -> list[int]:
    """The processes of the training in a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"groundling.train.worker" in words and str(folder / "processes").encode() in words and b"torch.distributed.run" not in words:
            found.append(int(path.parent.name))
    return found


def until(there: Callable[[], object]) -> None:
    end = time.time() + 150
    while not there():
        assert time.time() < end
        time.sleep(0.05)


@pytest.mark.slow
def test_killed_processes_end_all_and_the_same_command_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    """First one of the processes, then the one that started them; on a CPU the weights at the end are the same to the last bit."""
    need_torch()
    shared(tmp_path / "calm", uneven(), **LONG)
    torn = tmp_path / "torn"

    def kill() -> None:
        until(lambda: last_checkpoint(torn / "checkpoints"))
        os.kill(workers(torn)[-1], signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    with pytest.raises(MachineError, match=r"Process \d of 2 of this training was ended from outside \(signal 9; .*checkpoint, of step \d+, is kept"):
        shared(torn, uneven(), **LONG)
    thread.join()
    assert workers(torn) == []
    code = (
        "from pathlib import Path\nfrom tests.train.test_launch import LONG, shared, uneven\n"
        f"if __name__ == '__main__': shared(Path({str(torn)!r}), uneven(), **LONG)"
    )
    before = last_checkpoint(torn / "checkpoints")
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[2])
    until(lambda: last_checkpoint(torn / "checkpoints") not in (None, before))
    parent.kill()
    parent.wait()
    until(lambda: not workers(torn))
    assert not (torn / "model.safetensors").exists()
    shared(torn, uneven(), **LONG)
    assert same(tmp_path / "calm", torn)


@pytest.mark.slow
def test_another_number_of_processes_goes_on_from_the_same_checkpoint(tmp_path: Path) -> None:
    """And too little room is one sentence, whoever found it. Activations are computed again, which gathers layers once more."""
    need_torch()
    nano, more = Path(resolve("nano")), LONG | {"keep": "last", "epochs": 4, "checkpointing": True, "rate": 0.0004}
    trained(nano, tmp_path / "calm", uneven(), **more)
    one = max(sum(p.stat().st_size for p in c.rglob("*")) for c in all_of(tmp_path / "calm" / "checkpoints"))
    start, calm = weights(nano), weights(tmp_path / "calm")
    assert max((start[name] - calm[name]).abs().max().item() for name in calm) > 2e-3
    for first, then in ((2, 1), (1, 2)):
        folder = tmp_path / f"{first}{then}"
        with pytest.raises(MachineError, match=r"would pass train\.disk_gb.*The last good checkpoint, of step 2, is kept"):
            shared(folder, uneven(), devices=first, disk_gb=2.5 * one / 1e9, **more)
        assert (folder / "checkpoints" / "checkpoint-2" / "parts").is_dir() == (first == 2)
        log = shared(folder, uneven(), devices=then, **more)
        assert log[-1]["step"] == 12
        found = weights(folder)
        assert max((calm[name] - found[name]).abs().max().item() for name in calm) < 2e-4, (first, then)


@pytest.mark.slow
def test_an_adapter_in_bf16_is_shared_too(tmp_path: Path) -> None:
    more = LONG | {
        "method": "lora",
        "rate": 0.002,
        "epochs": 1,
        "eval_steps": 1,
        "checkpointing": True,
        "precision": "bf16",
        "accumulate": 2,
        "batch": 2,
    }
    one = trained(Path(resolve("nano")), tmp_path / "one", uneven(), **more)
    two = shared(tmp_path / "two", uneven(), **more)
    for key in ("loss", "held_out_loss"):
        assert [e[key] for e in two] == pytest.approx([e[key] for e in one], rel=0.01), key


@pytest.mark.slow
def test_torchrun_trains_a_project_and_the_first_process_alone_tells_it(tmp_path: Path) -> None:
    """What several machines do, on one."""
    (tmp_path / "docs").mkdir()
    for n, thing in enumerate(("lamp", "valve", "pump", "filter", "motor", "sensor")):
        text = f"# The {thing}\n\nThe {thing} weighs {n + 3} kilograms. Its warranty lasts {n + 2} years. The {thing} is made of steel.\n"
        (tmp_path / "docs" / f"{thing}.md").write_text(text)
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    made = subprocess.run(
        [sys.executable, "-m", "groundling", "run", "docs", "--out", "run", "--to", "curate"], cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert made.returncode == 0, made.stderr
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        "-m",
        "groundling",
        "train",
        "docs",
        "--out",
        "run",
    ]

    def again(*more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, "--set", "train.steps=2", *more], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300)

    done = again()
    assert done.returncode == 0, done.stderr[-5000:]
    assert done.stdout.count("train …") == 1 and done.stdout.count("tokens trained; loss") == 1
    record = json.loads((tmp_path / "run" / "6-model" / "record.json").read_bytes())
    assert record["notes"]["processes"] == 2 and (tmp_path / "run" / "6-model" / "adapter_model.safetensors").exists()
    done = again()
    assert done.returncode == 0 and done.stdout.count("train: done before") == 1, "the others are told that there is nothing to do"
    done = again("--set", "train.rank=3")
    assert done.returncode != 0 and done.stderr.count("train is finished but stale") == 1, "and go with it where it may not"
