"""An exported folder through stock libraries alone: transformers, and PEFT where it is an adapter. Nothing here goes through groundling's door."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import ModelError
from .job import Ask, Prompt, Said

TOKENS = 48  # of a reply that both sides are asked for


def whole(folder: Path, reward: bool) -> Ask:
    """Asks a whole model, in the precision that it is saved in."""

    def ask(prompts: Sequence[Prompt]) -> list[Said]:
        from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

        kind = AutoModelForSequenceClassification if reward else AutoModelForCausalLM
        return _asked(kind.from_pretrained(str(folder), dtype="auto"), folder, prompts, reward)

    return ask


def on_base(folder: Path, base: str, reward: bool, dtype: str) -> Ask:
    """Asks an adapter on its base, whose weights compute in `dtype`."""

    def ask(prompts: Sequence[Prompt]) -> list[Said]:
        from peft import PeftModel
        from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

        from ..llm.reward import unheard

        with unheard():  # the head of a reward model is new to its base: it comes with the adapter
            if reward:
                under = AutoModelForSequenceClassification.from_pretrained(base, num_labels=1, dtype=dtype)
            else:
                under = AutoModelForCausalLM.from_pretrained(base, dtype=dtype)
        return _asked(PeftModel.from_pretrained(under, str(folder)), folder, prompts, reward)

    return ask


def _asked(network: Any, folder: Path, prompts: Sequence[Prompt], reward: bool) -> list[Said]:
    """Each prompt by itself: padding changes the last bits."""
    import torch
    from transformers import AutoTokenizer

    from ..llm.local import device

    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    network = network.to(device()).eval()
    with torch.inference_mode():
        return [Said(None, scored(network, tokenizer, p)) if reward else _said(network, tokenizer, p) for p in prompts]


def _said(network: Any, tokenizer: Any, prompt: Prompt) -> Said:
    import torch

    ids = torch.tensor([tokenizer.apply_chat_template(prompt.messages, add_generation_prompt=True, return_dict=False)], device=network.device)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    out = network.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=TOKENS, do_sample=False, pad_token_id=pad)
    return Said(tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True), likelihood(network, tokenizer, prompt))


def likelihood(network: Any, tokenizer: Any, prompt: Prompt) -> float:
    """The mean log-probability of the prompt's reply and its end."""
    import torch

    before = tokenizer.apply_chat_template(prompt.messages, add_generation_prompt=True, return_dict=False)
    reply = [*tokenizer(prompt.reply, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
    logits = network(input_ids=torch.tensor([before + reply], device=network.device)).logits[0, len(before) - 1 : -1].float()
    found: float = logits.log_softmax(-1)[range(len(reply)), reply].mean().item()
    return found


def scored(network: Any, tokenizer: Any, prompt: Prompt) -> float:
    """The score that a reward model gives the prompt's reply."""
    import torch

    said = [*prompt.messages, {"role": "assistant", "content": prompt.reply}]
    ids = torch.tensor([tokenizer.apply_chat_template(said, return_dict=False)], device=network.device)
    found: float = network(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0, 0].item()
    return found


def told(error: Exception) -> ModelError:
    """What a stock library says of a folder that it cannot load, as a sentence."""
    return ModelError(f"The exported model could not be loaded by stock libraries: {(str(error).strip() or type(error).__name__).splitlines()[0]}")
