"""Assembling RAFT rows, teacher aside: linear in rows and flat in memory. The figures of a million rows are in benchmarks/README.md."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ASSEMBLE = Path(__file__).parents[2] / "benchmarks" / "recipes" / "assemble.py"


def assembled(rows: int) -> dict:
    """So many rows from 500 chunks, in a process of its own."""
    done = subprocess.run([sys.executable, ASSEMBLE, "--quick", "--one", str(rows)], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_eight_times_the_rows_take_eight_times_as_long_and_no_more_memory() -> None:
    few, many = assembled(2_000), assembled(16_000)
    assert few["rows"] > 1_900 and many["rows"] > 15_000, "hardly a row is dropped"
    assert many["ms_a_row"] < 1.5 * few["ms_a_row"], "processor time a row does not grow"
    assert many["written_mb"] > 30 and many["grown_mb"] < few["grown_mb"] + 10, "rows are written, not kept"
    assert many["ms_a_row"] < 2, "20,000 rows take 10 s at 0.5 ms a row; this holds on a machine four times as slow"
