"""What the fake teacher served: counts by status, calls in flight over time, refusals, requests seen before; and a line of log for each."""

from __future__ import annotations

import os
import time
from collections import Counter
from typing import Any

import msgspec

SETTLED = 10.0  # seconds after the first call from which refusals are counted apart: a client has found the capacity by then


class Stats:
    """Counts since the start or the last reset. Times are seconds since the first call."""

    def __init__(self, log: str = "") -> None:
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND) if log else -1
        self.reset()

    def reset(self) -> None:
        self.statuses: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.in_flight = 0
        self.most = 0
        self.late = self.late_refused = self.answered_again = 0
        self.attempts: dict[str, int] = {}
        self.answered: set[str] = set()
        self.first = 0.0
        self._area = self._since = self._late_area = 0.0

    def arrived(self) -> float:
        """A call came; its time."""
        now = time.monotonic()
        if not self.first:
            self.first = self._since = now
        return now - self.first

    def attempt(self, call: str) -> int:
        """Which attempt of this request a call is, from 0; refusals for want of room are not counted."""
        count = self.attempts.get(call, 0)
        self.attempts[call] = count + 1
        return count

    def flying(self, change: int) -> None:
        """Calls in flight went up or down by one."""
        now = time.monotonic()
        self._area += self.in_flight * (now - self._since)
        self._late_area += self.in_flight * max(0.0, now - max(self._since, self.first + SETTLED))
        self._since = now
        self.in_flight += change
        self.most = max(self.most, self.in_flight)

    def served(self, call: str, at: float, status: str, fault: str) -> None:
        """A call ended: with a status, or `499` where the client went away first. `fault` names what was played on it."""
        self.statuses[status] += 1
        if fault:
            self.faults[fault] += 1
        if at > SETTLED:
            self.late += 1
            self.late_refused += status == "429"
        if status == "200" and fault not in UNUSABLE:
            self.answered_again += call in self.answered
            self.answered.add(call)
        if self._log >= 0:
            row = {"at": round(at, 4), "took": round(time.monotonic() - self.first - at, 4), "call": call, "status": int(status), "fault": fault}
            os.write(self._log, msgspec.json.encode(row) + b"\n")

    def told(self) -> dict[str, Any]:
        """Everything as plain values."""
        self.flying(0)
        seconds = self._since - self.first if self.first else 0.0
        return {
            "requests": sum(self.statuses.values()),
            "statuses": dict(sorted(self.statuses.items())),
            "faults": dict(sorted(self.faults.items())),
            "different_requests": len(self.attempts),
            "answered": len(self.answered),
            "answered_again": self.answered_again,
            "seconds": round(seconds, 3),
            "in_flight": self.in_flight,
            "most_in_flight": self.most,
            "average_in_flight": round(self._area / seconds, 3) if seconds else 0.0,
            "after_10_s": {
                "requests": self.late,
                "refused": self.late_refused,
                "average_in_flight": round(self._late_area / (seconds - SETTLED), 3) if seconds > SETTLED else 0.0,
            },
        }

    def close(self) -> None:
        if self._log >= 0:
            os.close(self._log)
            self._log = -1


UNUSABLE = {"cut_body", "short_body", "html", "invalid_json", "no_choices"}  # 200, but no reply reached the client
