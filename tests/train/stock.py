"""What a saved model does, asked with stock transformers and PEFT alone: how likely replies are, what it writes, what it scores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import torch

Messages = list[dict[str, str]]


class Stock(NamedTuple):
    """A model as anybody would load it."""

    network: Any
    tokenizer: Any

    def whole(self, messages: Messages, reply: str) -> tuple[list[int], int]:
        """The conversation that ends with the reply, and where the reply begins."""
        prompt = self.tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
        ids = self.tokenizer.apply_chat_template([*messages, {"role": "assistant", "content": reply}], return_dict=False)
        assert ids[: len(prompt)] == prompt and ids[-1] == self.tokenizer.eos_token_id
        return ids, len(prompt)

    def log_probs(self, messages: Messages, reply: str) -> torch.Tensor:
        """The log-probability of each token of a reply, its end token included."""
        import torch

        ids, start = self.whole(messages, reply)
        with torch.no_grad():
            found = self.network(torch.tensor([ids])).logits[0].log_softmax(-1)
        return found[torch.arange(start - 1, len(ids) - 1), ids[start:]]

    def score(self, messages: Messages, reply: str) -> float:
        """The one number that a reward model gives a reply."""
        import torch

        with torch.no_grad():
            logits = self.network(torch.tensor([self.whole(messages, reply)[0]])).logits
        assert logits.shape == (1, 1)
        return logits.item()

    def written(self, asked: Sequence[Messages], labels: Sequence[str] = ()) -> list[str]:
        """What it writes, greedily; with labels no other word can come out."""
        import torch

        given = self.tokenizer.apply_chat_template(list(asked), add_generation_prompt=True, padding=True, return_dict=True, return_tensors="pt")
        start = given["input_ids"].shape[1]
        only = {}
        if labels:
            words = [ids[at:] for ids, at in (self.whole(asked[0], label) for label in labels)]

            def allowed(_: int, ids: torch.Tensor) -> list[int]:
                so_far = ids[start:].tolist()
                return [word[len(so_far)] for word in words if word[: len(so_far)] == so_far and len(word) > len(so_far)] or [words[0][-1]]

            only["prefix_allowed_tokens_fn"] = allowed
        with torch.no_grad():
            out = self.network.generate(**given, max_new_tokens=6, do_sample=False, **only)
        return self.tokenizer.batch_decode(out[:, start:], skip_special_tokens=True)


def load(folder: str | Path, base: str | Path, kind: str = "AutoModelForCausalLM", **more: Any) -> Stock:
    """A model from its folder, or from its base where the folder holds an adapter. In 32 bits, as groundling reads it on a CPU."""
    import torch
    import transformers
    from peft import PeftModel

    adapter = (Path(folder) / "adapter_config.json").is_file()
    network = getattr(transformers, kind).from_pretrained(base if adapter else folder, dtype=torch.float32, **more)
    network = PeftModel.from_pretrained(network, str(folder)) if adapter else network
    return Stock(network.eval(), transformers.AutoTokenizer.from_pretrained(folder, padding_side="left"))
