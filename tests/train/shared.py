"""Trainings that two processes share, as each of them runs it: `python -m torch.distributed.run … -m tests.train.shared FOLDER`.

With one process the same trainings run as they do without a launcher. The first process writes what it saw into the folder.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

from groundling.ending import leave
from groundling.errors import ModelError
from groundling.llm.local import need_torch
from groundling.llm.weights import Weights, resolve
from groundling.panel import unwatched
from groundling.train import ranks, shards, trainer
from groundling.train.objectives import sft
from groundling.train.tokens import Row, Rows

from .learning import options

seen: dict[str, Any] = {}


def uneven(count: int = 11) -> Rows:
    """Rows of very different lengths, with one to nine trained tokens: a mean of the processes' means would be another number."""
    draw = random.Random(5)
    made = Rows()
    for n in range(count + 3):
        prompt, answer = draw.choices(range(20, 900), k=draw.randint(4, 70)), draw.choices(range(20, 900), k=1 + n % 9)
        made.append(Row(id=str(n), ids=prompt + answer, spans=[(len(prompt), len(prompt) + len(answer))]))
    made.held_out = made[count:]
    del made[count:]
    return made


def look(made: Any) -> None:
    """What of the model and of the optimiser's state is split, and how large this process's part is."""
    from torch.distributed.tensor import DTensor

    parameters = list(made.model.parameters())
    states = [value for p in parameters for value in made.optimizer.state.get(p, {}).values() if value.dim()]
    for name, values in (("parameters", parameters), ("states", states)):
        split = [v for v in values if isinstance(v, DTensor)]
        own = sum(v.to_local().numel() for v in split)
        seen[name] = {"all": len(values), "split": len(split), "share": own / sum(v.numel() for v in values)}
    seen["norms"] = [entry["grad_norm"] for entry in made.state.log_history if "grad_norm" in entry]


def case(folder: Path, name: str, **more: Any) -> None:
    (folder / name).mkdir(exist_ok=True)
    log = sft.run(uneven(), Weights(resolve("nano")), options(precision="fp32", eval_steps=1, save_steps=100, **more), 1, folder / name, unwatched)
    if ranks.rank() == 0:
        (folder / f"{name}.json").write_text(json.dumps(seen | {"log": log}))


def main(folder: Path) -> None:
    need_torch()
    real = shards.write, trainer.log_of

    def log_of(made: Any) -> Any:
        look(made)
        return real[1](made)

    trainer.log_of = log_of
    with ranks.joined():
        case(folder, "full", method="full", rate=0.0003, batch=4, keep="last", steps=4)
        # Two pack their rows and one does not: neither may change a loss.
        case(folder, "lora", batch=2, accumulate=2, steps=4, rate=0.002, packing="on" if ranks.size() > 1 else "off")
        try:
            case(folder, "broken", method="full", rate=1e30, batch=4, keep="last")
        except ModelError as error:
            (folder / f"broken-{ranks.rank()}.txt").write_text(str(error))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    leave(0)
