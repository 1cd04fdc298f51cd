"""nano's tokenizer: a byte-level BPE trained on its own training text, so that any file of any language can be encoded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..grounding import Message
from ..seeds import rng
from . import tasks, text
from .model import CHAT_TEMPLATE, END, MARKS, PAD, SPECIAL, VOCABULARY

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


def _corpus(seed: int, conversations: int) -> Iterator[str]:
    for n in range(conversations):
        yield from (m["content"] for m in tasks.draw(rng(seed, "tokenizer", n)))
    yield from (p.text for p in text.paragraphs())
    yield from (p.text for p in text.paragraphs())


def train(folder: Path, seed: int = 0, conversations: int = 4000) -> None:
    """Train the tokenizer and write it, with its chat template, into `folder`."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    # Digits one by one: numbers are copied exactly, never as rare merged tokens.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(MARKS),
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_corpus(seed, conversations), trainer)
    tokenizer.add_tokens(MARKS)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=END, pad_token=PAD, clean_up_tokenization_spaces=False, model_max_length=4096
    )
    fast.chat_template = CHAT_TEMPLATE
    folder.mkdir(parents=True, exist_ok=True)
    fast.save_pretrained(folder)


def encode(tokenizer: PreTrainedTokenizerFast, messages: list[Message]) -> tuple[list[int], list[bool]]:
    """Token ids of a conversation, and for each whether it is part of an assistant turn (its <|end|> included)."""
    ids: list[int] = []
    answer: list[bool] = []
    for message in messages:
        start = tokenizer.convert_tokens_to_ids(f"<|{message['role']}|>")
        body = [*tokenizer.encode(message["content"], add_special_tokens=False), tokenizer.eos_token_id]
        ids += [start, *body]
        answer += [False] + [message["role"] == "assistant"] * len(body)
    return ids, answer
