"""How fast training is beside TRL and LLaMA-Factory: python benchmarks/train/speed.py

    --rows 400      rows of the data (fewer: does every part work?)
    --peers all     `none` leaves LLaMA-Factory out; it gets a virtual environment under --cache at the first run (PyPI is asked then)
    --cache DIR     where that is kept (default: ~/.cache/groundling/bench)
    --tiny          the part for a GPU with a tiny model, on whatever there is: does it work?
    --dry           nothing is written

On a CPU: TRL's SFTTrainer as it comes, with packing, grouped by length, LLaMA-Factory as it comes and grouped, and groundling, each in a process
of its own, over the same rows and the same 2.6 M random weights, trained in full, 8 rows a step. Those that see the same batches have their losses
compared step by step. groundling trains by the whole of its objective, as a run does. On a GPU, where there is one: a Llama of the shape of the
8 B with random weights and LoRA, rows of 2,048 tokens. Writes results.json and the table in the README.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))

from own import EVERY, GROUPED, ours, timed  # noqa: E402
from peers import CACHE, Missing, environment, figures  # noqa: E402

README = HERE.parent / "README.md"
CPU = {"trl": "TRL `SFTTrainer` as it comes", "packed": "TRL, packing", "grouped": "TRL, grouped by length", "ours": "groundling"}
FACTORY = {"trl": "LLaMA-Factory", "grouped": "LLaMA-Factory, grouped by length"}  # by the contender of TRL that sees the same batches
PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L4": 121e12}  # dense bf16, multiplications and additions a second
EIGHT = {"hidden_size": 4096, "num_hidden_layers": 32, "intermediate_size": 14336, "num_attention_heads": 32, "num_key_value_heads": 8}
TINY = {"hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 128, "num_attention_heads": 2, "num_key_value_heads": 2}
SMALL = {"hidden_size": 96, "num_hidden_layers": 9, "intermediate_size": 256, "num_attention_heads": 3, "num_key_value_heads": 3}


def rows(count: int, longest: int, even: bool = False) -> list[Any]:
    """Uneven rows of up to `longest` tokens, of which the last tenth is the answer: as RAFT's are. `even`: all as long as they may be."""
    from groundling.train.tokens import Row

    draw = random.Random(1)
    made = []
    for n in range(count):
        length = longest if even else min(longest, max(40, int(draw.lognormvariate(6.0, 0.6))))
        ids = [draw.randrange(10, 16_000) for _ in range(length)]
        made.append(Row(id=str(n), ids=ids, spans=[(length - length // 10, length)]))
    return made


def network(shape: dict[str, int], vocabulary: int, dtype: Any, device: str) -> Any:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(1)
    config = LlamaConfig(vocab_size=vocabulary, tie_word_embeddings=shape is SMALL, max_position_embeddings=4096, **shape)
    torch.set_default_dtype(dtype)
    with torch.device(device):
        made = LlamaForCausalLM(config)
    torch.set_default_dtype(torch.float32)
    return made


def arguments(contender: str, folder: str, **more: Any) -> Any:
    """Of TRL what its name says and nothing else."""
    from trl import SFTConfig

    named = {"packed": {"packing": True}, "grouped": GROUPED}.get(contender, {})
    return SFTConfig(output_dir=folder, **{"per_device_train_batch_size": 8, "dataloader_pin_memory": False} | EVERY | more | named)


def contend(contender: str, count: int) -> dict[str, Any]:
    """One contender on this CPU."""
    import torch

    from groundling.llm.local import load_tokenizer, need_torch
    from groundling.llm.weights import resolve

    if contender == "ours":
        need_torch()  # what groundling sets before torch is its own; TRL runs as anybody would run it
    from trl import SFTTrainer

    from groundling.train.objectives.sft import dataset

    data = rows(count, 1024)
    found: dict[str, Any] = {"tokens": sum(len(row.ids) for row in data)}

    def made() -> Any:
        return network(SMALL, 16_384, torch.float32, "cpu")

    with tempfile.TemporaryDirectory() as folder, timed(found):
        if contender == "ours":
            ours(made, data, folder, method="full", batch=8)
        else:
            tokenizer = load_tokenizer(resolve("nano"))
            tokenizer.padding_side = "right"
            args = arguments(contender, folder, use_cpu=True)
            SFTTrainer(model=made(), args=args, train_dataset=dataset(data), processing_class=tokenizer).train()
    return found | {"parameters": found.pop("model").num_parameters()}


def factory(count: int, cache: Path) -> dict[str, dict[str, Any]]:
    """LLaMA-Factory on this CPU, as it comes and grouped, over the same weights, token ids, labels and settings; or why it was not measured."""
    import torch

    from groundling.llm.local import load_tokenizer
    from groundling.llm.weights import resolve

    try:
        python, version = environment(cache, "llamafactory", f"torch=={torch.__version__.partition('+')[0]}")
    except Missing as reason:
        return {name: {"failed": f"not installed: {reason}"} for name in FACTORY}
    found = {}
    for name in FACTORY:
        with tempfile.TemporaryDirectory() as folder:
            network(SMALL, 16_384, torch.float32, "cpu").save_pretrained(f"{folder}/model")
            load_tokenizer(resolve("nano")).save_pretrained(f"{folder}/model")
            data = [{"input_ids": row.ids, "labels": row.labels(), "attention_mask": [1] * len(row.ids)} for row in rows(count, 1024)]
            # bf16 is what TRL chooses where nothing is said.
            settings = EVERY | {"per_device_train_batch_size": 8, "use_cpu": True, "bf16": True} | (GROUPED if name == "grouped" else {})
            for part, written in (("rows", data), ("settings", settings)):
                Path(folder, f"{part}.json").write_text(json.dumps(written))
            script = HERE / "contenders" / "llama_factory.py"
            found[name] = figures([python, script, folder], 7200, CUDA_VISIBLE_DEVICES="", HF_HUB_OFFLINE="1") | {"version": version}
    return found


def on_gpu(contender: str, shape: dict[str, int], checkpointing: bool, steps: int = 12) -> dict[str, Any]:
    """LoRA on a large random Llama: TRL as it comes, or ours, at the same checkpointing. The first four steps are not counted."""
    import torch
    from transformers import TrainerCallback
    from trl import SFTTrainer

    from groundling.config import Train
    from groundling.llm.local import device, load_tokenizer, need_torch
    from groundling.llm.weights import resolve
    from groundling.train.model import adapter
    from groundling.train.objectives.sft import dataset

    length, batch, at = (2048, 4, device()) if shape is EIGHT else (128, 4, device())
    times: list[float] = []
    found: dict[str, Any] = {}

    class Clock(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            if at == "cuda":
                torch.cuda.synchronize()
            times.append(time.perf_counter())

        def on_train_begin(self, *_: Any, **__: Any) -> None:
            if at == "cuda":  # what it took to make the network is no part of it
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats()

    def made() -> Any:
        return network(shape, 128_256 if shape is EIGHT else 16_384, torch.bfloat16, at)

    data = rows(batch * steps, length, even=True)
    with tempfile.TemporaryDirectory() as folder, timed(found, Clock()):
        if contender == "ours":
            need_torch()
            ours(made, data, folder, rank=16, batch=batch, steps=steps, checkpointing=checkpointing)
        else:
            tokenizer = load_tokenizer(resolve("nano"))
            tokenizer.padding_side = "right"
            more = {"per_device_train_batch_size": batch, "max_steps": steps, "gradient_checkpointing": checkpointing, "max_length": length}
            SFTTrainer(
                model=made(), args=arguments(contender, folder, **more, use_cpu=at == "cpu", bf16=True), processing_class=tokenizer,
                train_dataset=dataset(data), peft_config=adapter(Train(rank=16)),
            ).train()  # fmt: skip
    rate = batch * length * (len(times) - 4) / (times[-1] - times[3])
    # Forward and the backward pass to the inputs: 4 operations a weight; frozen weights have no gradient. Attention: half of all pairs, three times.
    weights = sum(p.numel() for n, p in found["model"].named_parameters() if "embed_tokens" not in n and "lm_head" not in n)
    operations = 4 * weights + 6 * shape["num_hidden_layers"] * shape["hidden_size"] * length
    name = torch.cuda.get_device_name(0) if at == "cuda" else "cpu"
    peak = next((value for key, value in PEAKS.items() if key in name), None)
    return {
        "device": name, "tokens_a_second": rate, "share_of_peak": rate * operations / peak if peak else None,
        "peak_memory_gb": torch.cuda.max_memory_allocated() / 1e9 if at == "cuda" else None,
        "losses": found["losses"],
    }  # fmt: skip


def started(*words: str, **surroundings: str) -> dict[str, Any]:
    """This script once more, in a process of its own; its last line is the result."""
    done = subprocess.run([sys.executable, __file__, *words], capture_output=True, text=True, env=os.environ | surroundings)
    if done.returncode:
        sys.exit(f"{' '.join(words)} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def furthest(ours: list[float], theirs: list[float]) -> float:
    """The largest difference of two loss curves, as a share of the loss."""
    return max(abs(a - b) / abs(b) for a, b in zip(ours, theirs, strict=True))


def curves(found: dict[str, Any]) -> list[str]:
    """How far losses over the same batches are from each other."""
    ours, grouped = (found["cpu"][name]["losses"] for name in ("ours", "grouped"))
    lines = [f"The largest difference of the loss at any of {len(ours)} steps, same batches: **{furthest(ours, grouped):.2%}**."]
    for name, one in found["factory"].items():
        if "failed" not in one:
            losses = found["cpu"][name]["losses"]
            first, all_steps = furthest(one["losses"][:1], losses[:1]), furthest(one["losses"], losses)
            lines.append(f"{FACTORY[name]}, against {CPU[name]}: {first:.3%} at the first step, at most {all_steps:.3%}.")
    return lines


def table(found: dict[str, Any]) -> str:
    first = found["cpu"]["trl"]
    beside = ": other work ran beside, so the rates are low and only the ratios tell" if found["load"] > 1 else ""
    lines = [
        f"Measured on {found['cores']} cores ({found['threads']} used), {found['system']}, Python {found['python']}, {found['date']}, by "
        f"`{found['command']}`, with a load of {found['load']:.0f} on the machine before it began{beside}.", "",
        f"{found['rows']} rows of up to 1,024 tokens, {found['cpu']['ours']['parameters'] / 1e6:.1f} M parameters:", "",
        "| | real tokens a second | ratio | real tokens a processor second | ratio |", "|---|---|---|---|---|",
    ]  # fmt: skip
    versions = {name: f"LLaMA-Factory {one['version']}" if "version" in one else "LLaMA-Factory" for name, one in found["factory"].items()}
    theirs = [(FACTORY[name].replace("LLaMA-Factory", versions[name]), one) for name, one in found["factory"].items()]
    for title, one in [*((CPU[name], found["cpu"][name]) for name in CPU if name != "ours"), *theirs, (CPU["ours"], found["cpu"]["ours"])]:
        if "failed" in one:
            lines.append(f"| {title} | {one['failed']} | | | |")
            continue
        wall, own = one["tokens"] / one["seconds"], one["tokens"] / one["processor"]
        ratios = [a / b for a, b in ((wall, first["tokens"] / first["seconds"]), (own, first["tokens"] / first["processor"]))]
        lines.append(f"| {title} | {wall:,.0f} | {ratios[0]:.2f} × | {own:,.0f} | **{ratios[1]:.2f} ×** |")
    lines += ["", *curves(found), ""]
    lines += ["| 8 B-shaped Llama, LoRA, 2,048 tokens | tokens a second | ratio | share of bf16 peak | peak memory |", "|---|---|---|---|---|"]
    for checkpointing in ("on", "off"):
        for name in ("trl", "ours"):
            title, one = f"{CPU[name]}, checkpointing {checkpointing}", found["gpu"].get(f"{name} {checkpointing}")
            if one is None:
                lines.append(f"| {title} | not measured | | | |")
                continue
            ratio = one["tokens_a_second"] / found["gpu"][f"trl {checkpointing}"]["tokens_a_second"]
            share = f"{one['share_of_peak']:.1%}" if one["share_of_peak"] else "not known"
            lines.append(f"| {title} | {one['tokens_a_second']:,.0f} | {ratio:.2f} × | {share} | {one['peak_memory_gb']:.1f} GB |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=400)
    for name in ("--tiny", "--dry"):
        parser.add_argument(name, action="store_true")
    parser.add_argument("--contender", default="")
    parser.add_argument("--gpu", default="")
    parser.add_argument("--peers", choices=["all", "none"], default="all")
    parser.add_argument("--cache", type=Path, default=CACHE)
    asked = parser.parse_args()
    if asked.gpu or asked.tiny:
        print(json.dumps(on_gpu(asked.contender or "ours", TINY if asked.tiny else EIGHT, asked.gpu == "on")))
        return
    if asked.contender:
        print(json.dumps(contend(asked.contender, asked.rows)))
        return
    import torch

    load = os.getloadavg()[0]
    cpu = {name: started("--contender", name, "--rows", str(asked.rows), CUDA_VISIBLE_DEVICES="") for name in CPU}
    theirs = factory(asked.rows, asked.cache) if asked.peers == "all" else {}
    names = [(name, on) for on in ("on", "off") for name in ("trl", "ours")] if torch.cuda.is_available() else []
    found = {
        "cores": os.cpu_count(), "threads": torch.get_num_threads(), "system": platform.system(), "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
        "rows": asked.rows,
        "command": f"python benchmarks/train/speed.py --rows {asked.rows}", "load": load, "cpu": cpu, "factory": theirs,
        "gpu": {f"{name} {on}": started("--contender", name, "--gpu", on) for name, on in names},
    }  # fmt: skip
    print(table(found))
    if asked.dry:
        return
    (HERE / "results.json").write_text(json.dumps(found, indent=1) + "\n")
    page = README.read_text("utf-8")
    marked = re.compile(r"(<!-- train -->\n).*?(<!-- /train -->)", re.S)
    README.write_text(marked.sub(lambda m: m[1] + table(found) + m[2], page), "utf-8")


if __name__ == "__main__":
    main()
