"""The whole model with a Modelfile for Ollama, whose template does what the chat template does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ...errors import ModelError
from .. import stock
from ..chatform import parts, rendering, without_own_bos
from ..job import Job, Packed
from ..llamacpp import check_tokenizer
from ..merge import precision_of, save_whole

READ = ("llama", "mistral", "mixtral", "gemma", "gemma2", "phi3")  # the architectures whose Safetensors `ollama create` reads
CONTEXT = 8192  # tokens, or what the model reads; Ollama's own default cuts longer prompts without a word


def check(job: Job) -> None:
    """Raise ModelError for what Ollama cannot read."""
    from transformers import AutoConfig

    if job.is_reward:
        raise ModelError("A reward model gives a number and writes nothing: Ollama has no use for it. Use --to merged or adapter.")
    precision_of(job)
    kind = AutoConfig.from_pretrained(job.model.weights.base).model_type
    if kind not in READ:
        raise ModelError(
            f"Ollama reads Safetensors of {', '.join(READ)}, and this is {kind}. Use --to gguf, and a Modelfile that begins with FROM ./NAME.gguf."
        )
    check_tokenizer(job.tokenizer_folder)


def pack(job: Job, folder: Path) -> Packed:
    """Save the model and write the Modelfile. Raises ModelError for a chat template that is more than Ollama's can say."""
    config: Any = job.model.network.config
    (folder / "Modelfile").write_text(modelfile(job.model.tokenizer, config, [p.messages for p in job.prompts]), "utf-8")
    precision = save_whole(job, folder)
    name = re.sub(r"[^a-z0-9._-]+", "-", job.name.lower()).strip("-.") or "model"
    usage = [f"ollama create {name} -f Modelfile", f"ollama run {name}"]
    return Packed(usage, "sh", ask=stock.whole(folder, False), asked="stock transformers", precision=precision, engine="Ollama")


def modelfile(tokenizer: Any, config: Any, prompts: list[list[dict[str, str]]]) -> str:
    """The Modelfile: weights, template, where a reply ends, and how much is read."""
    found = parts(rendering(tokenizer), prompts)
    if adds_bos(tokenizer):
        found = without_own_bos(found, tokenizer.bos_token)
    template = found.go()
    if '"""' in template:
        raise ModelError('The chat template holds """, which a Modelfile cannot quote. Use --to merged or vllm.')
    return (
        f'FROM .\nTEMPLATE """{template}"""\nPARAMETER stop "{tokenizer.eos_token}"\n'
        f"PARAMETER num_ctx {min(CONTEXT, getattr(config, 'max_position_embeddings', None) or CONTEXT)}\nPARAMETER temperature 0\n"
    )


def adds_bos(tokenizer: Any) -> bool:
    """Whether the tokenizer puts its mark of the beginning before a text by itself, as engines then do."""
    ids = tokenizer("x")["input_ids"]
    return tokenizer.bos_token_id is not None and ids[:1] == [tokenizer.bos_token_id]
