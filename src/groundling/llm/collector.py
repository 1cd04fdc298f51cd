"""Python's search for dead cycles, made rarer while an endpoint is asked.

Calls leave no cycles behind: of thousands of calls the search finds nothing, and takes a quarter of their processor time, because hundreds of calls
in flight keep so many young objects alive that it begins anew every few calls. It is made rarer, not turned off: what other code leaves behind is
still found, some megabytes later.
"""

from __future__ import annotations

import gc

APART = 50_000  # new objects between two searches; Python's own 700 is for programs with few at once

_askers: set[int] = set()
_before = gc.get_threshold()


def rarely(asker: object) -> None:
    """From now on until `usual` is told of the same asker. A process that has turned the search off keeps it so."""
    global _before
    if not _askers:
        _before = gc.get_threshold()
        gc.set_threshold(max(APART, _before[0]) if _before[0] else 0, *_before[1:])
    _askers.add(id(asker))


def usual(asker: object) -> None:
    """As it was before, when the last asker has ended."""
    if id(asker) in _askers:
        _askers.remove(id(asker))
        if not _askers:
            gc.set_threshold(*_before)
