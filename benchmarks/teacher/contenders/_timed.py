"""What every contender is given and tells: python CONTENDER.py URL CALLS IN_FLIGHT -> one line of JSON. Imports are not counted."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

URL, CALLS, IN_FLIGHT = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
PROMPTS = [f"Question {n}. " + "Which of the passages says so? " * 12 for n in range(CALLS)]


def timed(work: Callable[[], int]) -> None:
    """Run it; `work` returns how many replies came."""
    start, processor = time.perf_counter(), time.process_time()
    came = work()
    seconds, spent = time.perf_counter() - start, time.process_time() - processor
    print(json.dumps({"calls": came, "seconds": round(seconds, 3), "processor_seconds": round(spent, 3)}))
