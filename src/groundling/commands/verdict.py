"""Whether a run's model is shown to be better than its base, said where the run ends."""

from __future__ import annotations

from typing import Any

from ..runs import Run
from ..synthesize import asks_teacher

SURE = 0.05


def not_better(run: Run, scores: list[dict[str, Any]]) -> str:
    """What to know of a model that its headline's paired test does not show to be better than the base; empty where it is, or was not tested."""
    from ..evaluate.scoring import Comparison

    notes = (run.space.record("evaluate") or {}).get("notes", {})
    setting, metric = (notes.get("headline") or {}).get("setting"), (notes.get("headline") or {}).get("metric")
    tests = run.space.table("tests", Comparison) if (run.space.folder("evaluate") / "tests.json").is_file() else []
    found = next((t for t in tests if (t.setting, t.metric) == (setting, metric)), None)
    if found is None or found.p is None or found.difference is None or (found.p < SURE and found.difference > 0):
        return ""
    kind = "is worse than its base" if found.p < SURE else "is not shown to be better than its base"
    said = [f"The tuned model {kind} at {setting} ({metric}, p = {found.p:.2g})."]
    said += [_abstains(scores, setting), f"What usually helps: {_helps(run)}. The report has the details."]
    return "\n" + " ".join(filter(None, said))


def _abstains(scores: list[dict[str, Any]], setting: str) -> str:
    """Where the tuned model abstains less than its base on what the documents do not answer."""
    rows = [s for s in scores if (s["setting"], s["metric"], s["questions"]) == (setting, "abstain_recall", "all")]
    value = {s["model"]: s["value"] for s in rows if s["value"] is not None}
    if not {"base", "tuned"} <= value.keys() or value["tuned"] >= value["base"]:
        return ""
    return f"Of the questions that the documents do not answer it refuses {value['tuned']:.0%}, its base {value['base']:.0%}."


def _helps(run: Run) -> str:
    trained = (run.space.record("train") or {}).get("counts", {}).get("kept")
    ways = [f"more examples (it was trained on {trained})" if trained is not None else "more examples"]
    if run.config.synthesize.teacher not in run.config.models and asks_teacher(run.config.synthesize):
        ways.append(f"a language model as teacher in place of {run.config.synthesize.teacher}")
    return ", ".join(ways) + f", or another base than {run.config.train.base}"
