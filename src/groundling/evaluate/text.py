"""Answers as text. The rules stand in `groundling.matching`, as recipes that score a model's replies go by the same ones."""

from __future__ import annotations

from ..matching import EXTRA, best, contains, correct, exact, f1, rouge_l, tokens

__all__ = ["EXTRA", "best", "contains", "correct", "exact", "f1", "rouge_l", "tokens"]
