"""nano's shape and its chat template: a stock Llama, small enough for a package."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import LlamaConfig

VOCABULARY = 16384
ROLES = ("system", "user", "assistant", "documents")
END, PAD = "<|end|>", "<|pad|>"
SPECIAL = [PAD, END, *(f"<|{role}|>" for role in ROLES)]
# Marks of the raft format, one token each. They are ordinary text: decoding keeps them.
MARKS = ["##begin_quote##", "##end_quote##", "<ANSWER>:"]

# Any role name is printed, so `documents` is one; a turn is <|role|>, a line break, content<|end|>.
CHAT_TEMPLATE = (
    "{%- for message in messages -%}<|{{ message['role'] }}|>{{ '\\n' }}"
    "{%- if message['role'] == 'assistant' -%}{% generation %}{{ message['content'] }}<|end|>{% endgeneration %}"
    "{%- else -%}{{ message['content'] }}<|end|>{%- endif -%}"
    "{%- endfor -%}{%- if add_generation_prompt -%}<|assistant|>{{ '\\n' }}{%- endif -%}"
)


def config(width: int, layers: int, heads: int, positions: int = 4096) -> LlamaConfig:
    """A Llama configuration: tied embeddings, SwiGLU of 8/3 width (a multiple of 32), rotary positions.

    The base of the rotation is high, so that half of a head's dimensions hardly turn over 4,096 tokens and can compare words at any distance.
    """
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=width,
        intermediate_size=round(width * 8 / 3 / 32) * 32,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        max_position_embeddings=positions,
        rope_parameters={"rope_type": "default", "rope_theta": 1e7},
        tie_word_embeddings=True,
        rms_norm_eps=1e-5,
        bos_token_id=None,
        eos_token_id=SPECIAL.index(END),
        pad_token_id=SPECIAL.index(PAD),
    )
