"""`budget_usd` and `budget_tokens`: hard, and for the run's folder in all. A call is sent only where even its worst case stays within them."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import NamedTuple, Protocol

from ..errors import BudgetError


class Cost(NamedTuple):
    """Tokens that an endpoint read and wrote, and what they cost."""

    tokens_in: int = 0
    tokens_out: int = 0
    usd: float = 0.0

    @property
    def tokens(self) -> int:
        return self.tokens_in + self.tokens_out


class Ledger(Protocol):
    """Where costs of all runs of the folder are kept: the journal."""

    def spent(self) -> Cost: ...
    def lose(self, model: str, cost: Cost) -> None: ...


class Budget:
    """What is spent, what calls in flight may still cost, and the two limits (0: none)."""

    def __init__(self, usd: float, tokens: int, ledger: Ledger) -> None:
        self.usd, self.tokens, self._ledger = usd, tokens, ledger
        before = ledger.spent()
        self.spent_usd, self.spent_tokens = before.usd, before.tokens
        self._held_usd, self._held_tokens = 0.0, 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def any(self) -> bool:
        return bool(self.usd or self.tokens)

    def allows(self, worst: Cost) -> bool:
        """Whether so much more stays within the limits, all that is in flight at its worst."""
        return self._fits(worst, held=True)

    def _fits(self, worst: Cost, held: bool) -> bool:
        usd, tokens = self.spent_usd + worst.usd, self.spent_tokens + worst.tokens
        if held:
            usd, tokens = usd + self._held_usd, tokens + self._held_tokens
        return (not self.usd or usd <= self.usd + 1e-9) and (not self.tokens or tokens <= self.tokens)

    async def reserve(self, worst: Cost) -> None:
        """Set aside what a call may cost, waiting for calls in flight to turn out cheaper. Raises BudgetError where it cannot fit any more."""
        while not self._fits(worst, held=True):
            if not self._fits(worst, held=False):
                self._wake()
                raise BudgetError(self.sentence())
            future = asyncio.get_running_loop().create_future()
            self._waiting.append(future)
            await future
        self._held_usd += worst.usd
        self._held_tokens += worst.tokens

    def settle(self, worst: Cost, paid: Cost) -> None:
        """A call is over: it cost `paid`, and the rest of what was set aside is free again."""
        self._held_usd -= worst.usd
        self._held_tokens -= worst.tokens
        self.spent_usd += paid.usd
        self.spent_tokens += paid.tokens
        self._wake()

    def lose(self, model: str, worst: Cost) -> None:
        """A call broke after it was sent. Whether it is charged is not known, so it counts as its worst case, here and in the ledger."""
        self._ledger.lose(model, worst)
        self.settle(worst, worst)

    def _wake(self) -> None:
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)

    def sentence(self) -> str:
        """What was spent, what is kept, how to go on."""
        parts = []
        if self.usd:
            parts.append(f"{self.spent_usd:.4f} of budget_usd {self.usd:g}")
        if self.tokens:
            parts.append(f"{self.spent_tokens:,} of budget_tokens {self.tokens:,}")
        return (
            f"The next call could pass the budget: {' and '.join(parts)} are spent on this run's folder. Every reply so far is kept in its journal. "
            "Raise the budget and give the same command again: it goes on from here, and pays for none of them twice."
        )
