"""A trained model as what other programs load: written whole or not at all, asked on both sides, and told on a card.

A package is a file in `packages/`: `check(job)`, before weights are loaded, and `pack(job, folder)`, which writes the folder and says how it is
asked.
"""

from __future__ import annotations

from typing import Any

from .. import __version__, grounding, registry
from ..workspace import write_atomic, write_json
from .job import Job, Packed
from .modelcard import card
from .sides import Verdict, own, release, verdict
from .whole import RECORD, refuse_foreign, replacing


def pack(job: Job) -> dict[str, Any]:
    """Export into `job.out` and return the record, its verdict in it. Raises ModelError or MachineError where nothing can be exported."""
    module = registry.load("package", job.target)
    refuse_foreign(job.out, "model")
    module.check(job)
    prompts, ours = own(job)
    with replacing(job.out, "model") as folder:
        packed = module.pack(job, folder)
        release(job)
        found = _of_engine(verdict(prompts, ours, packed), packed)
        write_atomic(folder / "README.md", card(job, packed, found).encode())
        record = {
            "groundling_export": 1, "target": job.target, "format": grounding.fingerprint(job.described["format"]),
            "model": job.model.fingerprint, "base": packed.base, "precision": packed.precision, "verdict": found.plain(),
            "files": sorted(p.name for p in folder.iterdir()), "version": __version__,
        }  # fmt: skip
        write_json(folder / RECORD, record)
    return record


def _of_engine(found: Verdict, packed: Packed) -> Verdict:
    """What was seen of the files says nothing of a program that was not run."""
    if not packed.engine or found.state != "verified":
        return found
    says = f"The files: {found.says} {packed.engine} itself was not run here, so what it answers is unverified: {packed.usage[0]}"
    return found._replace(state="unverified", says=says)
