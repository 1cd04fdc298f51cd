"""Randomness that depends on what is being made, never on the order in which it is made."""

from __future__ import annotations

import hashlib
import random


def seed_of(seed: int, *parts: object) -> int:
    """A 64-bit seed from (seed, recipe, unit, draw) or any other tuple of parts; equal parts give equal seeds everywhere."""
    text = "\x1f".join(str(part) for part in (seed, *parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def rng(seed: int, *parts: object) -> random.Random:
    """A generator of its own for one choice (see `seed_of`)."""
    return random.Random(seed_of(seed, *parts))


def digest(*parts: object, length: int = 12) -> str:
    """A short stable name for content: the first `length` hex digits of its SHA-256."""
    text = "\x1f".join(str(part) for part in parts)
    return hashlib.sha256(text.encode()).hexdigest()[:length]
