"""nano's tokenizer: a byte-level BPE trained on its own training text, so that any file of any language can be encoded.

A word is cut alike wherever it stands. Byte-level BPE ties the space before a word to it, so that after a line break, a bracket or an opening
quote mark the same name would be other tokens, and a small model would have to learn each pair. Here a joiner with a space is put before
such words, and taken out again by the decoder.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..grounding import Message
from ..seeds import rng
from . import articles, tasks, text
from .model import CHAT_TEMPLATE, END, MARKS, PAD, SPECIAL, VOCABULARY

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

JOINER = "\u2060 "  # WORD JOINER and the space that does not stand in the text
_BEFORE = ("\n", *'([{"“«„-–—/|*>=:;,.+&@!?')  # words stand right after these
# Marks whole; digits one by one, so that numbers are copied exactly; words with their space; the rest.
_WHOLE, _OFTEN = 40, 20_000  # how often a common word is shown at least, and the commonest
_CUT = "|".join(MARKS) + r"|\x{2060}|\p{N}| ?[\p{L}\p{M}]+| ?[^\s\p{L}\p{M}\p{N}\x{2060}#]+|#+|\s+(?!\S)|\s+"


def _corpus(seed: int, conversations: int, common: list[str]) -> Iterator[str]:
    for n in range(conversations):
        yield from (m["content"] for m in tasks.plain(rng(seed, "tokenizer", n)))
    yield from (p.text for p in text.paragraphs())
    for article in articles.articles():  # ordinary words; without names, which would fill the vocabulary
        text_of = [*article.sentences, *(way for ask in article.asks for way in ask.ways)]
        yield from 5 * [re.sub(r"\{[a-z_]+\d*=|\{[^}]*\}?|[|}]", " ", line) for line in text_of]
    for rank, word in enumerate(common, 1):  # so that they become tokens, whatever our own text happens to speak of
        yield f" {word}" * (_WHOLE + _OFTEN // rank)


def _pieces() -> tuple[object, object, object]:
    """How a text is rewritten, cut, and put together again."""
    from tokenizers import Regex, decoders, normalizers, pre_tokenizers

    opening = [normalizers.Replace(Regex(r"(?<=quote#)#(?=\p{L})"), "#" + JOINER)]
    opening += [normalizers.Replace(Regex(re.escape(c) + r"(?=\p{L})"), c + JOINER) for c in _BEFORE]
    cut = pre_tokenizers.Split(Regex(_CUT), "isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return (
        normalizers.Sequence(opening),
        pre_tokenizers.Sequence([cut, byte_level]),
        decoders.Sequence([decoders.ByteLevel(), decoders.Replace(JOINER, "")]),
    )


def train(folder: Path, seed: int = 0, conversations: int = 2500, common: list[str] | None = None) -> None:
    """Train the tokenizer and write it, with its chat template, into `folder`. `common` are words to know whole, commonest first."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer, tokenizer.pre_tokenizer, tokenizer.decoder = _pieces()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=SPECIAL, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(_corpus(seed, conversations, common or []), trainer)
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
        body = tokenizer.encode("\n" + message["content"], add_special_tokens=False)  # its first token is the line break
        ids += [start, *body, tokenizer.eos_token_id]
        answer += [False, False] + [message["role"] == "assistant"] * len(body)
    return ids, answer
