"""Print the tables of docs/measurements.md from a finished run: `python scripts/measurements.py runs/handbook`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

METRICS = ["correct", "exact_match", "f1", "rouge_l", "refusal_rate", "precision_answered", "citation_precision", "citation_recall", "citation_f1"]
METRICS += ["abstain_recall", "false_refusal_rate"]


def cell(score: dict | None) -> str:
    """`31 % [26, 37]`, n aside."""
    if not score or score["value"] is None:
        return "–"
    span = "" if score["low"] is None else f" [{100 * score['low']:.0f}, {100 * score['high']:.0f}]"
    return f"{100 * score['value']:.0f} %{span}"


def stages(run: Path) -> str:
    """Seconds, processor seconds and peak memory of each stage, from their records."""
    lines = ["| stage | kept | seconds | processor seconds | peak memory so far, MB |", "|---|---|---|---|---|"]
    for path in sorted(run.glob("[1-7]-*/record.json")):
        r = json.loads(path.read_text("utf-8"))
        lines.append(f"| {r['stage']} | {r['counts']['kept']} | {r['seconds']} | {r['processor_seconds']} | {r['notes']['peak_memory_mb']} |")
    return "\n".join(lines)


def scores(run: Path, questions: str = "all") -> str:
    """Every metric, base and tuned, by setting."""
    found = [s for s in json.loads((run / "7-scores/scores.json").read_text("utf-8")) if s["questions"] == questions]
    table = {(s["model"], s["setting"], s["metric"]): s for s in found}
    settings = list(dict.fromkeys(s["setting"] for s in found if s["model"] == "tuned"))
    lines = ["| metric | model | " + " | ".join(settings) + " |", "|---|---|" + "---|" * len(settings)]
    for metric in METRICS:
        for model in ("base", "tuned"):
            lines.append(f"| {metric} | {model} | " + " | ".join(cell(table.get((model, s, metric))) for s in settings) + " |")
    return "\n".join(lines)


def tests(run: Path) -> str:
    """The paired tests of tuned against base."""
    lines = ["| setting | metric | base | tuned | p | n | method |", "|---|---|---|---|---|---|---|"]
    for t in json.loads((run / "7-scores/tests.json").read_text("utf-8")):
        if t["metric"] in ("correct", "f1", "citation_f1") and t["p"] is not None:
            base, tuned = f"{100 * t['base']:.0f} %", f"{100 * t['tuned']:.0f} %"
            lines.append(f"| {t['setting']} | {t['metric']} | {base} | {tuned} | {t['p']:.2g} | {t['n']} | {t['method']} |")
    return "\n".join(lines)


if __name__ == "__main__":
    where = Path(sys.argv[1])
    print(stages(where), scores(where), tests(where), sep="\n\n")
