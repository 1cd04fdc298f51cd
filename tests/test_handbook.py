"""The example that the demo runs: its questions to learn from stand in its documents, and are none of those that it is asked."""

from __future__ import annotations

import re
from pathlib import Path

from groundling import pipeline
from groundling.records import Example, Question
from groundling.runs import open_run
from groundling.workspace import read_lines

HANDBOOK = Path(__file__).parents[1] / "examples" / "handbook"
NEAR = 0.5  # the share of the words of two questions that both have


def words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", text.lower()))


def test_what_is_learnt_from_stands_in_the_documents_and_repeats_no_question_of_the_evaluation(tmp_path: Path) -> None:
    run = open_run(HANDBOOK, tmp_path / "run", [], lambda text: None)
    pipeline.run_stages(run, "ingest", "curate")
    learnt, asked = (list(read_lines(HANDBOOK / name, Question)) for name in ("training.jsonl", "questions.jsonl"))
    texts = {d.path: d.text for d in run.documents.values()}
    assert len(learnt) > 1000 and all(q.passage in texts[q.document] for q in learnt if q.answerable)
    known = [words(q.question) for q in asked]
    assert not [q.question for q in learnt if any(len(w & said) / len(w | said) >= NEAR for w in [words(q.question)] for said in known)]
    kept = list(run.space.read("curate", Example))
    assert len(kept) > 0.95 * len(learnt) and {e.document for e in kept} == set(run.documents)
    assert 0.3 < sum(e.support == "abstain" for e in kept) / len(kept) < 0.5
