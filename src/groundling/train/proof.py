"""Whether a checkpoint on disk is the model in memory, and whether that model still speaks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import ModelError
from . import ranks
from .sharded import gathered, trained_state


def prove(trainer: Any, checkpoint: Path) -> None:
    """Raise ModelError where the saved weights are not those in memory, or where the model generates nothing. Draws no random number."""
    network = trainer.accelerator.unwrap_model(trainer.model)
    live = _live(network)
    ranks.first(lambda: _compare(checkpoint, live))
    # As it computes in training: the layers of a split network are gathered in that precision, flash attention takes 16 bits only, also where the
    # weights are in 32, and a head in 32 bits may stand on a base in 16.
    with trainer.accelerator.autocast():
        _speaks(network, trainer.processing_class, checkpoint)


def _compare(checkpoint: Path, live: dict[str, Any]) -> None:
    import torch

    saved = _saved(checkpoint)
    wrong = [name for name, tensor in saved.items() if name not in live or not torch.equal(tensor, live[name].detach().cpu())]
    there = {live[name].data_ptr() for name in saved if name in live}
    wrong += [name for name, tensor in live.items() if name not in saved and tensor.data_ptr() not in there]  # tied weights are saved once
    if not saved or wrong:
        raise ModelError(
            f"The checkpoint {checkpoint} does not hold the model that was trained: {wrong[0] if wrong else 'it has no weights'} differs."
        )


def _saved(checkpoint: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    found: dict[str, Any] = {}
    for path in sorted(checkpoint.glob("*.safetensors")):
        found |= load_file(path)
    return found


def _live(network: Any) -> dict[str, Any]:
    """The weights in memory by the names under which they are saved; of a network that is split, in the first process alone."""
    from peft import PeftModel, get_peft_model_state_dict

    if ranks.size() == 1:
        return get_peft_model_state_dict(network) if isinstance(network, PeftModel) else network.state_dict()
    whole = gathered(trained_state(network))
    return get_peft_model_state_dict(network, state_dict=whole) if whole and isinstance(network, PeftModel) else whole


def _speaks(network: Any, tokenizer: Any, checkpoint: Path) -> None:
    """One step from the end token: a model that generates must give a token, one with another head finite numbers."""
    import torch

    ids = torch.tensor([[tokenizer.eos_token_id]], device=network.device)
    was_training = network.training
    network.eval()
    try:
        # What is gathered in inference mode could not be trained with afterwards.
        with torch.inference_mode() if ranks.size() == 1 else torch.no_grad():
            if getattr(network, "can_generate", bool)():
                good = network.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=2, do_sample=False).shape[1] > 1
            else:
                good = bool(network(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.isfinite().all())
    finally:
        network.train(was_training)
    if not good:
        raise ModelError(f"The model in {checkpoint} generates nothing after the first step. Lower train.rate.")
