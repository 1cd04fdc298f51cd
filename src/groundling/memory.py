"""How much memory this process has and had at most, in MB; and giving back what it no longer needs.

The highest is not asked of `getrusage`: on Linux its figure begins at what the process that started this one had, so that a small process that
was started by a large one is told as large.
"""

from __future__ import annotations

import ctypes
import resource
import sys
from functools import cache
from pathlib import Path
from typing import Any


def resident() -> float:
    """Now. Where the system does not tell it, the highest so far."""
    return _told("VmRSS") or _usage()


def peak() -> float:
    """The highest since the process began."""
    return _told("VmHWM") or _usage()


def give_back() -> None:
    """Hand freed memory back to the system.

    The C library keeps what many tensors of changing sizes leave between them: after some steps of training that is three times what is in use,
    and what comes next would be put on top. Costs milliseconds. Where the C library is another than glibc nothing is done.
    """
    if trim := _trimmer():
        trim(0)


@cache
def _trimmer() -> Any:
    return getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None


def _told(name: str) -> float:
    """A line of /proc/self/status, which is given in kB; 0 where there is none."""
    path = Path("/proc/self/status")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:")), 0.0)


def _usage() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1024)
