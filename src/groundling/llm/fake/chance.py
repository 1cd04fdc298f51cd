"""What happens to a call, drawn from the call's own hash: the order of calls, their number and their time change nothing."""

from __future__ import annotations

import math
from hashlib import blake2b
from statistics import NormalDist

from .script import Script

_NORMAL = NormalDist()


def share(*parts: object) -> float:
    """A number in (0, 1) from any parts; equal parts give equal numbers."""
    drawn = blake2b("\x1f".join(map(str, parts)).encode(), digest_size=7).digest()
    return (int.from_bytes(drawn, "big") + 0.5) / 2**56


class Chance:
    """A script's draws. At most one wire fault and one content fault meet a call."""

    def __init__(self, script: Script) -> None:
        self.seed = script.seed
        self.latency, self.spread, self.faulty = script.latency, script.spread, script.faulty_attempts
        self._wire = [(name, rate) for name, rate in script.wire.model_dump().items() if rate]
        self._content = [(name, rate) for name, rate in script.content.model_dump().items() if rate]

    def wire(self, call: str, attempt: int) -> str:
        """The wire fault of an attempt (from 0), or an empty string."""
        if not self._wire or (self.faulty and attempt >= self.faulty):
            return ""
        return _pick(self._wire, share(self.seed, "wire", call, attempt))

    def content(self, call: str) -> str:
        """The content fault of a request, or an empty string."""
        return _pick(self._content, share(self.seed, "content", call)) if self._content else ""

    def seconds(self, call: str, attempt: int) -> float:
        """The latency of an attempt."""
        if not self.spread or not self.latency:
            return self.latency
        return self.latency * math.exp(self.spread * _NORMAL.inv_cdf(share(self.seed, "latency", call, attempt)))


def _pick(rates: list[tuple[str, float]], drawn: float) -> str:
    for name, rate in rates:
        if drawn < rate:
            return name
        drawn -= rate
    return ""
