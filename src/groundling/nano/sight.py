"""How far nano's heads are from where `aim` says that they should look, as a loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .aim import ASKED, CHOOSE, COPY, FIRST, GATHER, LAST, MATCH, NEAR, ORIGIN, PREVIOUS, RECALL, SECOND

if TYPE_CHECKING:
    import torch
    from transformers import LlamaForCausalLM


class Sight:
    """Watches one head of one layer during a forward pass, and says how far it was from the aims."""

    def __init__(self, network: LlamaForCausalLM, layer: int, head: int) -> None:
        self.attention = network.model.layers[layer].self_attn
        self.size = network.config.hidden_size // network.config.num_attention_heads
        self.rows = slice(head * self.size, (head + 1) * self.size)
        self.seen: tuple[Any, Any] = (None, None)
        self.attention.register_forward_pre_hook(self._keep, with_kwargs=True)

    def _keep(self, module: Any, arguments: Any, named: dict[str, Any]) -> None:
        self.seen = named["hidden_states"], named["position_embeddings"]

    def loss(self, aims: torch.Tensor) -> torch.Tensor:
        """Mean of -log of the attention that lies within the aims ([n, 5]: row, kind, at, start, end)."""
        import torch

        hidden, (cos, sin) = self.seen
        row, _, at, start, end = aims.unbind(1)
        queries, keys = (_turned(hidden @ p.weight[self.rows].T, cos, sin) for p in (self.attention.q_proj, self.attention.k_proj))
        scores = (queries @ keys.mT)[row, at].float() * self.size**-0.5
        places = torch.arange(scores.shape[1], device=scores.device)
        scores = scores.masked_fill(places > at[:, None], float("-inf"))
        within = (places >= start[:, None]) & (places < end[:, None])
        return (scores.logsumexp(1) - scores.masked_fill(~within, float("-inf")).logsumexp(1)).mean()


class Sights:
    """One watched head for each kind of aim, each in the layer after the one that it builds upon; heads as `begin.fresh` prepares them."""

    def __init__(self, network: LlamaForCausalLM) -> None:
        last = network.config.num_hidden_layers - 1
        places = {
            MATCH: (last - 3, 0), RECALL: (last - 2, 2), CHOOSE: (last - 1, 0), ORIGIN: (last - 3, 2), PREVIOUS: (0, 2), COPY: (last, 1),
            GATHER: (last - 2, 3), ASKED: (last - 3, 0), NEAR: (last - 3, 1),
            SECOND: (0, 3), FIRST: (last - 1, 1), LAST: (last - 1, 2),
        }  # fmt: skip
        self.sights = {kind: Sight(network, max(0, layer), head) for kind, (layer, head) in places.items()}
        self.again = Sight(network, last, 0)  # a second look at the choice, with the first one's result

    def losses(self, aims: torch.Tensor) -> list[torch.Tensor]:
        """The loss of each kind; zero where a batch has no such aim."""
        found = []
        for kind, sight in self.sights.items():
            mine = aims[aims[:, 1] == kind]
            if kind == CHOOSE and len(mine):
                found.append((sight.loss(mine) + self.again.loss(mine)) / 2)
                continue
            found.append(sight.loss(mine) if len(mine) else aims.new_zeros((), dtype=sight.attention.q_proj.weight.dtype))
        return found


def _turned(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotary positions."""
    import torch

    half = x.shape[-1] // 2
    return x * cos + torch.cat((-x[..., half:], x[..., :half]), dim=-1) * sin
