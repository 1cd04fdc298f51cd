"""Training on several processes: every weight, gradient and optimiser state is split between them (FSDP2), and the result is one process's.

torch's `fully_shard` is called here and not through accelerate, whose FSDP2 does three things that groundling must not: on a CPU it gives plain
copies of the model (DDP) without a word, so that no test could prove the path; it gathers for calls of the model's own `forward` only, where the loss
here reads hidden states and projects a few of them; and it writes checkpoints in a form of its own, not in Hugging Face's. The trainer stays the
stock one: what changes is where it gets its batches, and how it saves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MethodType
from typing import Any

from ..config import Train
from ..llm.local import device
from ..seeds import rng
from . import ranks, shards
from .model import precision
from .order import ordered


def split(network: Any, options: Train) -> None:
    """Split every parameter between the processes. Layers are gathered one at a time, what is outside of them as long as a step takes.

    Layers are gathered in the precision of the arithmetic, as autocast would cast them: a copy cast after the gathering would stay whole in each
    process's memory until the backward pass. Gradients are added up in fp32.
    """
    import torch
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard, register_fsdp_forward_method

    arithmetic = {"bf16": torch.bfloat16, "fp32": None}[precision(options)]
    policy = MixedPrecisionPolicy(param_dtype=arithmetic, reduce_dtype=arithmetic and torch.float32, cast_forward_inputs=False)
    mesh = init_device_mesh(device(), (ranks.size(),))
    for layer in _layers(network):
        fully_shard(layer, mesh=mesh, mp_policy=policy)
    fully_shard(network, mesh=mesh)
    _check(network)
    network.run_within = MethodType(lambda self, work, *given: work(*given), network)
    for method in ("run_within", "generate"):
        if hasattr(network, method):
            register_fsdp_forward_method(network, method)


def _layers(network: Any) -> list[Any]:
    """The blocks of the network, by the names that its class gives for what must not be torn apart."""
    bare = network.get_base_model() if hasattr(network, "get_base_model") else network
    names = set(getattr(bare, "_no_split_modules", None) or ())
    return [module for module in bare.modules() if type(module).__name__ in names]


def _check(network: Any) -> None:
    """Raise RuntimeError where a parameter is not split: each process would then train its own."""
    from torch.distributed.tensor import DTensor

    whole = [name for name, parameter in network.named_parameters() if not isinstance(parameter, DTensor)]
    if whole:
        raise RuntimeError(f"{len(whole)} parameters are not split between the processes, {whole[0]} first")


def within(network: Any, work: Callable[..., Any], *given: Any) -> Any:
    """`work(*given)`, which uses parts of the network by themselves. A split network is gathered for it as for its own forward."""
    run = getattr(network, "run_within", None)
    return work(*given) if run is None else run(work, *given)


def gathered(state: Mapping[str, Any]) -> dict[str, Any]:
    """The whole tensors of a split state, one after the other: in the first process's memory, nothing in that of the others."""
    from torch.distributed.tensor import DTensor

    found: dict[str, Any] = {}
    seen: dict[int, Any] = {}  # tied weights are one tensor under two names, and stay so
    for name, value in state.items():
        if id(value) not in seen:
            tensor = value.detach()
            tensor = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
            seen[id(value)] = tensor.cpu() if ranks.rank() == 0 else None
        if ranks.rank() == 0:
            found[name] = seen[id(value)]
    return found


def trained_state(network: Any) -> dict[str, Any]:
    """What is saved of a network, by name: all of it, or only what training changes where the rest is a frozen base."""
    frozen = hasattr(network, "get_base_model")
    return {name: value for name, value in network.state_dict(keep_vars=True).items() if not frozen or value.requires_grad}


def spread(trainer: Any, options: Train, last: Path | None) -> None:
    """Make a stock trainer one of several. Raises RuntimeError where that did not come about. Does nothing in a single process."""
    shards.going_on(trainer)
    if ranks.size() == 1:
        return
    import torch

    if last is not None:
        trainer._load_from_checkpoint(str(last))  # whole, before it is split
    split(trainer.model, options)
    trainer.__class__ = type(f"Shared{type(trainer).__name__}", (Shared, type(trainer)), {"shared": options})
    trainer.is_distributed_loading_by_transformers = True  # the model owns its placement: accelerate must not wrap copies of it (DDP) around it
    # Until here all had to draw the same, or their adapters would differ; dropout shall not be the same for other examples.
    torch.manual_seed(rng(trainer.args.seed, "process", ranks.rank()).getrandbits(63))


class Shared:
    """What a trainer does otherwise where it is one of several. Mixed into the class of a trainer."""

    shared: Train

    def get_train_dataloader(self: Any) -> Any:
        """The batches of this process, in the order of one process: accelerate's own division would make other steps of other examples."""
        from torch.utils.data import DataLoader

        step = self.shared.batch * self.shared.accumulate
        data = self._remove_unused_columns(self.train_dataset, description="Training")
        batches = _batches(ordered(self, step), step, ranks.parts(self.shared, ranks.size())[1])
        return DataLoader(_blanked(data), batch_sampler=batches, collate_fn=self.data_collator)

    def evaluation_loop(self: Any, dataloader: Any, description: str, *rest: Any, metric_key_prefix: str = "eval", **more: Any) -> Any:
        """The held-out loss, over the same batches as in one process, each measured by one of the processes."""
        import torch
        import torch.distributed as dist
        from transformers.trainer_utils import EvalLoopOutput

        data = self._remove_unused_columns(self.eval_dataset, description=description)
        order, size = list(self._get_eval_sampler(data)), self.shared.batch
        batches = [order[start : start + size] for start in range(0, len(order), size)]
        least = -(-len(batches) // ranks.size()) * ranks.size()  # all must take part in each gathering: what is left over is measured in vain
        sums = torch.zeros(2, dtype=torch.float64)
        self.model.eval()
        with torch.no_grad():
            for n in range(ranks.rank(), least, ranks.size()):
                rows = [data[i] for i in batches[n % len(batches)]]
                loss = self.compute_loss(self.model, self._prepare_inputs(self.data_collator(rows)))
                if n < len(batches):
                    sums += torch.tensor([loss.item() * len(rows), len(rows)], dtype=torch.float64)
        dist.all_reduce(sums)
        return EvalLoopOutput(None, None, {f"{metric_key_prefix}_loss": (sums[0] / sums[1]).item()}, int(sums[1].item()))

    def _clip_grad_norm(self: Any, model: Any) -> Any:
        """The norm of the whole gradient: over a part alone each process would scale its own by another number."""
        from torch.distributed.tensor import DTensor
        from torch.nn.utils import clip_grads_with_norm_, get_total_norm

        parameters = [p for p in model.parameters() if p.grad is not None]
        norm = get_total_norm([p.grad for p in parameters])
        norm = norm.full_tensor() if isinstance(norm, DTensor) else norm
        clip_grads_with_norm_(parameters, self.args.max_grad_norm, norm)
        return norm

    def _load_from_checkpoint(self, *given: Any, **more: Any) -> None:
        """The weights were loaded before they were split."""

    def save_model(self: Any, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """One model in Hugging Face's form, written by the first process."""
        whole = gathered(trained_state(self.model))
        if ranks.rank() == 0:
            self.model.save_pretrained(output_dir, state_dict=whole)
            self.processing_class.save_pretrained(output_dir)
        ranks.wait()

    def _save_optimizer_and_scheduler(self: Any, output_dir: str) -> None:
        import torch

        shards.write(self, Path(output_dir))
        if ranks.rank() == 0:  # the stock files that `_load_optimizer_and_scheduler` wants to see; the state itself is in the parts
            torch.save({"state": {}, "param_groups": self.optimizer.state_dict()["param_groups"]}, Path(output_dir) / "optimizer.pt")
            torch.save(self.lr_scheduler.state_dict(), Path(output_dir) / "scheduler.pt")


def _blanked(data: Any) -> Any:
    """The examples, and under ~n example n with nothing to learn from."""
    from torch.utils.data import Dataset

    class Blanked(Dataset[Any]):
        def __len__(self) -> int:
            return len(data)

        def __getitem__(self, n: int) -> Any:
            return data[n] if n >= 0 else data[~n] | {"labels": [-100] * len(data[~n]["input_ids"])}

    return Blanked()


def _batches(order: Any, step: int, count: int) -> Any:
    """The batches of this process: of each step's examples every so manieth, so that like lengths come to all.

    All have as many batches, as all must take part in each gathering: one for which no example is left is a blank.
    """
    from torch.utils.data import Sampler

    def dealt(rows: Sequence[int]) -> Iterator[list[int]]:
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            for n in range(count):
                yield part[n * ranks.size() + ranks.rank() :: count * ranks.size()] or [~part[0]]

    class Batches(Sampler[list[int]]):
        def __len__(self) -> int:
            return -(-len(order) // step) * count

        def __iter__(self) -> Iterator[list[int]]:
            return dealt(list(order))

    return Batches()
