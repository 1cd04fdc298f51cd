"""What a trained model makes of a text, or of each text of a file: an answer with its sources, a label with its probability, an instruction."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import ConfigError, InputError, ModelError
from ..records import Example, Passage
from ..runs import Run, service, tuned


def predict(run: Run, text: str | None, file: Path | None, as_json: bool, k: int | None = None) -> None:
    """Print what the run's model says. A text that cannot be taken in is told with the others done. Raises ConfigError without a text."""
    if (text is None) == (file is None):
        raise ConfigError("Give one text, or --file with a text on each line (.txt) or in each row (.csv, .tsv, .json, .jsonl, .parquet).")
    if text is not None and not text.strip():
        raise ConfigError("The text is empty. Write what is to be answered or labelled.")
    if file is not None and not file.is_file():
        raise ConfigError(f"--file {file}: there is no such file.")
    if run.space.record("train") is None:
        raise ModelError(f"{run.space.root} holds no finished model to ask. Run `groundling run` on its project first.")
    texts = [text] if text is not None else texts_of(file or Path())
    taught = run.space.described()["format"]
    kinds = {"labels": _labels, "backward": _instructions, "instruct": _followed}
    if k is not None and taught in kinds:
        raise ConfigError(f"--k is how many passages are retrieved, and the format {taught}, which this model was taught, has none. Leave it out.")
    found = kinds[taught](run, texts) if taught in kinds else _answers(run, texts, as_json, k)
    missing = [fault for one in found if (fault := one.pop("fault", ""))]
    for one in found:
        run.say(_line(one, file is not None, as_json))
    if missing:
        raise InputError(f"{len(missing)} of {len(texts)} texts got no label: {missing[0]}. Shorten them.")


def texts_of(file: Path) -> list[str]:
    """The texts of a file, empty ones left out. Raises InputError for a broken row, and where there is no text."""
    if file.suffix.lower() == ".txt" and file.is_file():
        try:
            found = file.read_text("utf-8-sig").splitlines()
        except UnicodeDecodeError as error:
            raise InputError(f"{file} is not UTF-8 (byte {error.start}). Save it so.") from error
    else:
        found = list(_rows(file))
    texts = [text.strip() for text in found if text.strip()]
    if not texts:
        raise InputError(f"{file} holds no text.")
    return texts


def _rows(file: Path) -> list[str]:
    from ..imports.files import rows
    from ..synthesize.labelled import TEXT

    found = []
    for raw in rows(file):
        if raw.fault or not isinstance(raw.value, Mapping):
            raise InputError(f"{file}, line {raw.line}: {raw.fault or 'not a record'}{f' ({raw.detail})' if raw.detail else ''}.")
        name = next((name for name in TEXT if isinstance(raw.value.get(name), str)), None)
        if name is None:
            raise InputError(f"{file}, line {raw.line}: no field is named {', '.join(TEXT[:-1])} or {TEXT[-1]}. There is: {', '.join(raw.value)}.")
        found.append(raw.value[name])
    return found


def labels_of(run: Run) -> list[Passage]:
    """The labels that the run's model was taught, with what they mean."""
    example = next(iter(run.space.read("curate", Example)), None)
    if example is None:
        raise InputError(f"{run.space.root} has no examples any more, and so no labels. Run `groundling run` on its project again.")
    return example.passages


def _labels(run: Run, texts: Sequence[str]) -> list[dict[str, Any]]:
    from ..choosing import Asking, choose, shown
    from ..grounding import FORMATS

    labels = labels_of(run)
    orders = [shown(labels, run.config.seed, text) for text in texts]
    asked = [Asking(FORMATS["labels"].prompt(text, order), [p.title for p in order]) for text, order in zip(texts, orders, strict=True)]
    found = []
    for text, order, made in zip(texts, orders, asyncio.run(choose(tuned(run), asked)), strict=True):
        likely = sorted(zip(made.shares, (p.title for p in order)), key=lambda pair: (-pair[0], pair[1]))
        found.append({"text": text, "label": made.label, "scores": {label: round(share, 6) for share, label in likely}, "fault": made.fault})
    return found


def _instructions(run: Run, texts: Sequence[str]) -> list[dict[str, Any]]:
    from ..answer import Answerer, Asked
    from ..grounding import FORMATS

    answerer = Answerer(tuned(run), FORMATS["backward"], max_tokens=run.config.serve.max_tokens)
    asked = [Asked("", [Passage(id="text", title="", text=text)]) for text in texts]
    return [{"text": t, "instruction": a.text} for t, a in zip(texts, asyncio.run(answerer.answers(asked)), strict=True)]


def _followed(run: Run, texts: Sequence[str]) -> list[dict[str, Any]]:
    """The answer to each instruction, of a model that answers without passages."""
    from ..answer import Answerer, Asked
    from ..grounding import FORMATS

    answerer = Answerer(tuned(run), FORMATS["instruct"], max_tokens=run.config.serve.max_tokens)
    return [{"text": t, "answer": a.text} for t, a in zip(texts, asyncio.run(answerer.answers([Asked(t, []) for t in texts])), strict=True)]


def _answers(run: Run, texts: Sequence[str], as_json: bool, k: int | None) -> list[dict[str, Any]]:
    """An answer to each question; shown as in the chat where no JSON is wanted."""
    import msgspec
    from rich.console import Console

    from ..serve.chat import show
    from ..serve.service import ask

    asked, found = service(run, k=k), []
    for text in texts:
        told = asyncio.run(ask(asked, text))
        if as_json:
            more = {"question": text} if len(texts) > 1 else {}
            found.append(more | msgspec.to_builtins({"answer": told.answer, "sources": told.sources}))
        else:
            if len(texts) > 1:
                run.say(f"? {text}")
            show(told.answer, told.sources, Console(), told.finish)
    return found


def _line(one: Mapping[str, Any], many: bool, as_json: bool) -> str:
    """One result: JSON; of a file a line with tabs; of a single text the label and under it how likely each is."""
    if as_json:
        return json.dumps(one, ensure_ascii=False)
    said = one.get("label", one.get("instruction", one.get("answer", "")))
    scores = one.get("scores", {})
    if many:
        share = [f"{100 * scores[said]:.1f} %"] if said in scores else []
        return "\t".join([said or "-", *share, " ".join(one["text"].split())])
    return "\n".join([said, *(f"  {100 * share:5.1f} %  {label}" for label, share in scores.items())])
