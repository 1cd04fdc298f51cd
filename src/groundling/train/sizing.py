"""How much memory a training takes, from the base's configuration alone: nothing is loaded.

The parts are weights, gradients, the optimiser's state, activations, logits, and what the libraries take themselves. Activations are counted for
the layers that Llama and its relatives are made of, with an attention that keeps no table of all pairs of tokens unless one is asked for by name.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, NamedTuple

from ..config import Train
from ..llm.branches import sees_all
from ..llm.hub import cached
from ..llm.weights import Weights
from .kernels import SKIPPING
from .options import needs_of

NF4 = 0.52  # bytes of a weight in four bits, with its doubly quantised scales
LIBRARIES = {"cpu": 0.8e9, "cuda": 1.2e9}
SLACK = 1.1  # allocators keep more than is asked for
TRAINED_SHARE = 0.5  # of the positions, where the data is not known yet: logits are made for those alone


class Shape(NamedTuple):
    """A decoder as its configuration describes it."""

    width: int
    layers: int
    inner: int
    heads: int
    groups: int
    head: int
    vocabulary: int
    tied: bool
    experts: int
    positions: int
    together: bool  # several replies can be one row

    def linears(self) -> dict[str, tuple[int, int, int]]:
        """The linear layers of one block: inputs, outputs, and how many there are."""
        query, key = self.heads * self.head, self.groups * self.head
        wide = (self.width, self.inner, self.experts)
        return {
            "q_proj": (self.width, query, 1), "k_proj": (self.width, key, 1), "v_proj": (self.width, key, 1), "o_proj": (query, self.width, 1),
            "gate_proj": wide, "up_proj": wide, "down_proj": (self.inner, self.width, self.experts),
        }  # fmt: skip

    @property
    def linear(self) -> int:
        return self.layers * sum(a * b * n for a, b, n in self.linears().values())

    @property
    def embedding(self) -> int:
        return self.vocabulary * self.width * (1 if self.tied else 2)

    @property
    def parameters(self) -> int:
        return self.linear + self.embedding + (2 * self.layers + 1) * self.width


class Estimate(NamedTuple):
    """Bytes by what they are for."""

    weights: float
    gradients: float
    optimiser: float
    activations: float
    logits: float
    libraries: float

    @property
    def total(self) -> float:
        return SLACK * (sum(self) - self.libraries) + self.libraries

    def told(self) -> str:
        parts = ", ".join(f"{name} {value / 1e9:.2g}" for name, value in self._asdict().items())
        return f"about {self.total / 1e9:.2g} GB ({parts})"


def shape(base: Weights) -> Shape | None:
    """The shape of a base that is on this machine; None where its configuration is not, or is of a kind that is not known."""
    data = _configuration(base)
    try:
        return shape_of(data.get("text_config", data)) if data else None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def kind_of(base: Weights) -> str:
    """The architecture's name (`model_type`) of a base that is on this machine, else empty."""
    return str(_configuration(base).get("model_type", ""))


def _configuration(base: Weights) -> dict[str, Any]:
    """A base's config.json; {} where it is not on this machine, or holds nothing of use."""
    path = Path(base.base) / "config.json" if Path(base.base).is_dir() else cached(base.base)
    if path is None or not path.is_file():
        return {}
    try:
        data = json.loads(path.read_bytes())
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}


def shape_of(data: dict[str, Any]) -> Shape:
    """Raises KeyError where a configuration names its parts otherwise than Llama and its relatives do."""
    width, heads = data["hidden_size"], data["num_attention_heads"]
    experts = data.get("num_local_experts") or data.get("num_experts") or 1
    window = data.get("sliding_window") if data.get("use_sliding_window", True) else None
    return Shape(
        width=width, layers=data["num_hidden_layers"], inner=data.get("moe_intermediate_size", data["intermediate_size"]) if experts > 1
        else data["intermediate_size"], heads=heads, groups=data.get("num_key_value_heads") or heads, head=data.get("head_dim") or width // heads,
        vocabulary=data["vocab_size"], tied=data.get("tie_word_embeddings", False), experts=experts,
        positions=data.get("max_position_embeddings") or 1 << 20, together=sees_all(data.get("model_type", ""), window),
    )  # fmt: skip


def trainable(found: Shape, options: Train) -> int:
    """Parameters that training changes."""
    if options.method == "full":
        return found.parameters
    each = found.linears()
    named = list(each) if options.targets == "all-linear" else [name for name in options.targets if name in each]
    return found.layers * sum(options.rank * (a + b) * n for a, b, n in (each[name] for name in named))


def estimate(found: Shape, options: Train, device: str, tokens: int, share: float = TRAINED_SHARE, longest: int = 0) -> Estimate:
    """The peak of one step over batches of `tokens` (padding counts; all replies that are read of an example), of which `share` are trained.

    `longest` is the longest row, which tables of pairs of tokens are as wide as, where an attention keeps them.
    """
    needs = needs_of(options)
    if not needs.vocabulary:
        found, share = found._replace(tied=True), 0.0  # a head for numbers has the place of the vocabulary's
    number = 4 if options.precision == "fp32" else 2  # bytes of a number in the arithmetic
    changed = trainable(found, options)
    return Estimate(
        weights=_weights(found, options, device, number) + (4 * found.parameters if needs.reference else 0)
        if options.method == "full" else _weights(found, options, device, number) + 4 * changed,
        gradients=4 * changed,
        optimiser=(2 if options.optimizer == "adamw_8bit" else 8) * changed,
        activations=_activations(found, options, number, tokens) + _tables(found, options, number, tokens, longest),
        # As made, in fp32, and the gradient; where probabilities of single tokens are taken out of them, two of the latter.
        logits=math.ceil(tokens * share) * found.vocabulary * (number + (12 if needs.together else 8)),
        libraries=LIBRARIES["cuda" if device == "cuda" else "cpu"],
    )  # fmt: skip


def divided(whole: Estimate, found: Shape, options: Train, processes: int) -> Estimate:
    """One process's part of a training that several share: all that is split, and what is gathered for a moment, which is two layers (one in use, one
    on its way) and what lies outside of layers."""
    if processes == 1:
        return whole
    gathered = 2 * found.linear / found.layers * (4 if options.precision == "fp32" else 2) + 4 * (found.parameters - found.linear)
    return whole._replace(
        weights=whole.weights / processes + gathered,
        gradients=whole.gradients / processes + (gathered if options.method == "full" else 0),
        optimiser=whole.optimiser / processes,
    )


def _weights(found: Shape, options: Train, device: str, number: int) -> float:
    if options.method == "full":
        return found.parameters * (4 + (number if number < 4 else 0))  # fp32, and a copy in the arithmetic's precision
    rest = found.parameters - found.linear
    if options.method == "qlora":
        largest = max(a * b for a, b, _ in found.linears().values())
        return found.linear * NF4 + rest * (2 if device == "cuda" else 4) + largest * number  # one layer at a time is unpacked
    return found.parameters * (number if device == "cuda" else 4 + (number if number < 4 else 0))


def _tables(found: Shape, options: Train, number: int, tokens: int, longest: int) -> float:
    """What is kept for all pairs of tokens of a row: with eager attention the scores, in packed rows the mask that keeps examples apart.

    What skips such pairs keeps nothing. Packed rows have no more tokens together than the others, but may be as long as `max_length`.
    """
    packed, eager = options.packing == "on", options.attention == "eager"
    if options.attention in SKIPPING or not (packed or eager):
        return 0.0
    pairs = tokens * (max(longest, min(tokens, options.max_length)) if packed else longest)
    # Of scores the probabilities, in fp32 and as cast from it, and in one layer what the backward pass makes of them; a mask in the numbers of the
    # arithmetic, and once as it was made.
    kept, passing = (found.heads * (4 if number == 4 else 6), found.heads * 12) if eager else (number, 1)
    # Behind a mask, keys and values that several heads share are written out for each.
    spread = tokens * 2 * (found.heads - found.groups) * found.head * number
    layers = 1 if options.checkpointing else found.layers
    return layers * (pairs * kept + spread) + pairs * passing


def _activations(found: Shape, options: Train, number: int, tokens: int) -> float:
    """What the backward pass needs of the forward pass. Norms compute in fp32; an adapter keeps its input and its small output once more."""
    one_token = (
        number * (4 * found.width + 3 * found.heads * found.head + 4 * found.groups * found.head + 5 * found.inner)
        + 4 * 4 * found.width
        + (0 if options.method == "full" else number * 7 * options.rank)
    )  # fmt: skip
    if options.checkpointing:
        return tokens * (found.layers * found.width * number + one_token)
    return tokens * found.layers * one_token
