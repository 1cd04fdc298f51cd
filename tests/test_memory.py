"""What a process tells of its own memory."""

from __future__ import annotations

import ctypes
import subprocess
import sys
import textwrap

import pytest

MB = 1 << 20
CODE = """
    from groundling import memory
    first = memory.peak()
    held = bytearray(80 << 20)
    held[::4096] = b"x" * len(held[::4096])  # every page is really there
    most = memory.resident()
    del held
    print(first, most, memory.resident(), memory.peak())
    """

FREED = """
    from groundling import memory
    parts = [bytearray(b"x" * (100 << 10)) for _ in range(1000)]
    del parts[:-1]  # the last one lies above all that is free
    before = memory.resident()
    memory.give_back()
    print(before, memory.resident())
    """


def said(code: str) -> list[float]:
    command = [sys.executable, "-c", textwrap.dedent(code)]
    told = subprocess.run(command, capture_output=True, text=True, check=True, env={"PYTHONPATH": ":".join(sys.path)})
    return [float(figure) for figure in told.stdout.split()]


def test_a_small_process_is_told_as_small_whoever_started_it_and_its_highest_stays() -> None:
    held = bytearray(200 * MB)
    held[::4096] = b"x" * len(held[::4096])
    first, most, now, highest = said(CODE)
    assert 3 < first < 60, "not that of the process that started it"
    assert first + 75 < most < highest + 1 < 160 and now < first + 20  # the system counts in steps of some pages
    assert len(held) == 200 * MB


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="the C library is not glibc")
def test_freed_memory_that_the_c_library_keeps_is_given_back() -> None:
    before, after = said(FREED)
    assert before > after + 80
