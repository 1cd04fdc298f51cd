"""What a process tells of its own memory."""

from __future__ import annotations

import subprocess
import sys
import textwrap

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


def test_a_small_process_is_told_as_small_whoever_started_it_and_its_highest_stays() -> None:
    held = bytearray(200 * MB)
    held[::4096] = b"x" * len(held[::4096])
    command = [sys.executable, "-c", textwrap.dedent(CODE)]
    told = subprocess.run(command, capture_output=True, text=True, check=True, env={"PYTHONPATH": ":".join(sys.path)})
    first, most, now, highest = map(float, told.stdout.split())
    assert 3 < first < 60, "not that of the process that started it"
    assert first + 75 < most < highest + 1 < 160 and now < first + 20  # the system counts in steps of some pages
    assert len(held) == 200 * MB
