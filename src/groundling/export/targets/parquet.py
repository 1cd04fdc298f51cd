"""Parquet for Hugging Face `datasets`: the columns of `jsonl` in compressed row groups. Needs pyarrow, which comes with the extra [train]."""

from __future__ import annotations

from ...grounding import Format
from ..files import parquet
from .jsonl import FEATURES, PAIR_FEATURES, row

SUFFIX = "parquet"
__all__ = ["FEATURES", "PAIR_FEATURES", "SUFFIX", "check", "row"]


def check(form: Format) -> None:
    """Raise MachineError where pyarrow is missing, before anything is written."""
    parquet()
