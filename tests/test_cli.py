"""The command line as a user meets it: a process of its own, its words, its exit code."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

import groundling
from groundling import config, registry

SOURCE = Path(groundling.__file__).parents[1]
STAGES = ["ingest", "chunk", "index", "synthesize", "curate", "train", "evaluate"]


class Told(NamedTuple):
    code: int
    out: str
    err: str


def call(*arguments: object, at: Path) -> Told:
    """groundling with these arguments in a folder; a traceback of our own is never an answer to a user."""
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1", "COLUMNS": "200", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", "from groundling.cli import main; main()", *map(str, arguments)]
    done = subprocess.run(command, cwd=at, env=environment, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
    assert "Traceback" not in done.stderr, done.stderr[-1500:]
    return Told(done.returncode, done.stdout, done.stderr)


def sentence(*arguments: object, at: Path) -> str:
    """What a user is told who can mend it: exit code 2, one line, nothing else."""
    told = call(*arguments, at=at)
    assert told.code == 2, told
    assert told.err.startswith("groundling: ") and told.err.count("\n") == 1, told.err
    return told.err.strip()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A working folder with a folder of two documents in it."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "leave.md").write_text(
        "# Leave\n\nStaff in Finland have 30 days of annual leave. A hotel night may cost at most 140 EUR.\n\n"
        "## Sick leave\n\nA doctor's note is needed after 3 days of absence, and it is sent to HR within 14 days."
    )
    (tmp_path / "docs" / "scale.txt").write_text("Katla manual\n\nThe Katla 200 weighs 12 kg in all. Its battery lasts 18 months in normal use.")
    return tmp_path


@pytest.fixture(scope="module")
def curated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with a run that went as far as curate. Tests must not write into it."""
    root = tmp_path_factory.mktemp("curated")
    (root / "docs").mkdir()
    (root / "docs" / "leave.md").write_text("# Leave\n\nStaff in Finland have 30 days of annual leave. A hotel night may cost at most 140 EUR.")
    (root / "docs" / "scale.txt").write_text("Katla manual\n\nThe Katla 200 weighs 12 kg in all. Its battery lasts 18 months in normal use.")
    told = call("run", "docs", "--out", "run", "--to", "curate", "--set", "chunk.size=400", at=root)
    assert told.code == 0, told
    return root


# Mistakes of the reader.


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "nowhere"], ["nowhere does not exist", "folder of documents"]),
        (["run", "docs/leave.md"], ["docs/leave.md is a single file", "folder it is in"]),
        (["run", "docs", "--to", "trian"], ['no stage "trian"', "train"]),
        (["run", "docs", "--set", "chunk.siez=300"], ['no setting "chunk.siez"', 'Did you mean "size"']),
        (["run", "docs", "--set", "chunk.size=big"], ["chunk.size = 'big'", "it must be a whole number from 50 on, for example 1000"]),
        (["run", "docs", "--set", "chunk.size"], ["section.key=value"]),
        (["run", "docs", "--from", "train"], ["train needs the output of curate"]),
        (["run", "docs", "--from", "curate", "--to", "chunk"], ["curate", "chunk"]),
        (["run", "docs", "--set", "chunk.splitter=recursiv", "--to", "chunk"], ['no splitter "recursiv"', 'Did you mean "recursive"']),
        (["run", "docs", "--set", "train.base=./none", "--to", "ingest"], ["./none", "nano"]),
        (["run", "docs", "--set", "evaluate.questions=none.jsonl", "--to", "ingest"], ["none.jsonl"]),
        (["run", "docs", "--out", "docs/leave.md"], ["docs/leave.md"]),
        (["ingest", "docs", "--out", "docs/leave.md"], ["docs/leave.md"]),
        (["status", "docs", "--out", "docs/leave.md"], ["docs/leave.md"]),
        (["status", "nowhere"], ["nowhere does not exist"]),
        (["trace", "docs", "abc"], ["docs"]),
        (["report", "docs"], ["no scores yet"]),
        (["run", "docs", "--set", "synthesize.options.question=5"], ['no option "question"', 'Did you mean "questions"?']),
        (["run", "docs", "--set", "synthesize.teacher=gpt"], ['no model "gpt"']),
        (["evaluate", "docs"], ["evaluate needs the output of ingest, which is not there yet. `groundling run` makes all that is missing."]),
        (["evaluate", "docs", "--k", "3"], ["go with --documents", "evaluate.k=[1,3]"]),
        (["chat", "docs"], ["no finished model"]),
        (["serve", "docs", "--port", "0"], ["no finished model"]),
        (["predict", "docs", "How many?"], ["no finished model"]),
        (["evaluate", "nano", "--documents", "docs"], ["--questions"]),
        (["evaluate", "nano"], ["--documents DIR and --questions"]),
        (["predict", "docs", " "], ["The text is empty"]),
        (["predict", "docs", "How many?", "--k", "3"], ["no finished model"]),
        (["evaluate", "nano", "--documents", "docs", "--questions", "docs/scale.txt", "--k", "three"], ["--k three", "neither a number"]),
        (["list", "recipe"], ['no list "recipe"', 'Did you mean "recipes"']),
        (["init", "nowhere"], ["nowhere is not a folder"]),
    ],
    ids=lambda value: " ".join(value) if value and isinstance(value[0], str) and len(value[0]) < 12 else "",
)
def test_a_mistake_is_one_sentence(place: Path, arguments: list[str], words: list[str]) -> None:
    told = sentence(*arguments, at=place)
    assert all(word in told for word in words), told
    assert [p.name for p in place.iterdir()] == ["docs"], "what could not begin leaves nothing"


@pytest.mark.parametrize("arguments", [["run"], ["run", "docs", "--frm", "ingest"], ["rnu", "docs"], ["chat", "docs", "--k", "many"]], ids=" ".join)
def test_a_command_that_is_not_understood_is_explained(place: Path, arguments: list[str]) -> None:
    told = call(*arguments, at=place)
    assert told.code == 2 and "Usage" in told.err and "Error" in told.err
    assert "many" not in arguments or "Invalid value for '--k': a whole number is expected" in told.err


def test_a_folder_without_files_and_files_without_text_are_sentences(place: Path) -> None:
    (place / "empty").mkdir()
    assert "empty" in sentence("run", "empty", at=place)
    (place / "empty" / "short.txt").write_text("Hi.")
    assert "chunk.minimum" in call("run", "empty", "--to", "chunk", at=place).err


def test_a_config_with_a_mistake_is_named_with_its_place(place: Path) -> None:
    (place / "docs" / "groundling.yaml").write_text("chunk: {size: 300}\ntrian: {epochs: 1}\n")
    told = sentence("run", "docs", at=place)
    assert "docs/groundling.yaml" in told and 'no setting "trian"' in told and 'Did you mean "train"' in told
    (place / "docs" / "groundling.yaml").write_text("synthesize: {options: {distractor: 2}}\n")
    told = call("run", "docs", "--to", "synthesize", at=place)
    assert told.code == 2 and 'no option "distractor". Did you mean "distractors"' in told.err


def test_a_path_with_a_space_and_a_hash_is_a_path(place: Path) -> None:
    """The file of questions is there: what is missing is the model."""
    (place / "q #1").mkdir()
    (place / "q #1" / "q: a.jsonl").write_text('{"id":"1","question":"q?","answers":["a"],"answerable":true}\n')
    told = call("evaluate", "./none", "--documents", "docs", "--questions", "q #1/q: a.jsonl", at=place)
    assert told.code == 2 and 'base model "./none" does not exist' in told.err


def test_a_run_that_is_at_work_is_not_disturbed(place: Path) -> None:
    from groundling.workspace import Workspace

    with Workspace(place / "run").lock():
        assert "Another groundling run is at work" in sentence("run", "docs", "--out", "run", at=place)


# Beginning.


def test_init_writes_a_config_of_the_defaults_once(place: Path) -> None:
    told = call("init", "docs", at=place)
    assert told.code == 0 and "docs/groundling.yaml written" in told.out and "groundling run docs" in told.out
    assert config.load(place / "docs").config == config.Config()
    text = (place / "docs" / "groundling.yaml").read_text()
    assert "#" in text and "exists already" in sentence("init", "docs", at=place)
    checks = {check["what"]: check["says"] for check in json.loads(call("doctor", "docs", "--json", at=place).out)}
    assert "search" not in checks, "nobody asked for one"
    assert checks["recipe options"] == "none given: raft with its defaults"
    begun = text.index("# search:")
    (place / "docs" / "groundling.yaml").write_text(text[:begun] + re.sub("(?m)^# ", "", text[begun:]))
    written = config.load(place / "docs").config
    assert written == config.Config() and "search" in written.model_fields_set, "the comment is the section"


def test_show_prints_the_effective_config(place: Path) -> None:
    import yaml

    (place / "docs" / "groundling.yaml").write_text("chunk: {size: 300}\n")
    told = call("run", "docs", "--show", "--set", "chunk.overlap=20", at=place)
    assert told.code == 0 and not (place / "runs").exists(), "nothing is run"
    shown = yaml.safe_load(told.out)
    assert (shown["chunk"]["size"], shown["chunk"]["overlap"], shown["seed"]) == (300, 20, 42)
    assert config.parse(shown, "shown").chunk.size == 300


def test_show_of_a_run_folder_is_the_run_s_config(curated: Path) -> None:
    assert "size: 400" in call("run", "run", "--show", at=curated).out


@pytest.mark.parametrize("kind", [f"{k}s" for k in registry.FOLDERS])
def test_list_shows_every_plug_in_with_what_it_does(place: Path, kind: str) -> None:
    told = call("list", kind, at=place)
    assert told.code == 0
    lines = [line.split(maxsplit=1) for line in told.out.splitlines() if line[0] != " "]
    assert [line[0] for line in lines] == registry.names(kind[:-1]) and all(len(line[1]) > 20 for line in lines)
    assert kind != "filters" or len(told.out.splitlines()) == 2 * len(lines), "what it drops, and what for"


def test_doctor_says_what_is_there_and_what_is_wrong(place: Path) -> None:
    told = call("doctor", "docs", "--json", at=place)
    found = {c["what"]: c for c in json.loads(told.out)}
    assert found["python"]["ok"] and found["config"]["ok"] and found["documents"]["says"].startswith("2 files")
    assert found["teacher"]["ok"] and found["base model"]["ok"]
    assert (told.code == 0) == all(c["ok"] for c in found.values() if c["needed"])
    (place / "docs" / "groundling.yaml").write_text("chunk: {splitter: recursiv}\ntrain: {base: ./none}\nsynthesize: {teacher: gpt}\n")
    told = call("doctor", "docs", at=place)
    wrong = [line for line in told.out.splitlines() if line.startswith("NO ")]
    assert told.code == 2 and told.err == ""
    assert [w.split(":")[0] for w in wrong] == ["NO  splitter", "NO  base model", "NO  teacher"] and 'Did you mean "recursive"' in wrong[0]


def test_doctor_tells_of_a_config_that_does_not_load(place: Path) -> None:
    (place / "docs" / "groundling.yaml").write_text("chunk: {size: big}\n")
    told = call("doctor", "docs", at=place)
    assert told.code == 2 and "NO  config" in told.out and "chunk.size = 'big'" in told.out


def test_doctor_checks_the_config_with_settings_of_the_command_line(place: Path) -> None:
    told = call("doctor", "docs", "--json", "--set", "chunk.splitter=recursiv", "--set", "train.base=./none", at=place)
    wrong = [c["what"] for c in json.loads(told.out) if not c["ok"] and c["needed"]]
    assert told.code == 2 and {"splitter", "base model"} <= {*wrong} and "config" not in wrong
    told = call("doctor", "docs", "--set", "train.method=api", "--set", "chunk.overlap=1000", at=place)
    assert told.code == 2 and "NO  config: " in told.out and "chunk.overlap = 1000: it must be smaller" in told.out
    assert "no project is given" in sentence("doctor", "--set", "chunk.size=300", at=place)


def test_doctor_checks_the_recipe_s_options_too(place: Path) -> None:
    (place / "docs" / "groundling.yaml").write_text("synthesize: {options: {distractor: 2}}\n")
    told = call("doctor", "docs", at=place)
    assert told.code == 2 and 'Did you mean "distractors"' in told.out
    told = call("doctor", "docs", "--json", "--set", "synthesize.options={questions: 5, preset: raft-paper}", at=place)
    [line] = [check["says"] for check in json.loads(told.out) if check["what"] == "recipe options"]
    assert line == "questions 5, preset raft-paper; else raft with its defaults"


@pytest.mark.parametrize(
    ("wrong", "what", "told"),
    [
        ("synthesize.recipe=rafft", "recipe", 'there is no recipe "rafft"'),
        ("train.objective=sfft", "objective", 'there is no objective "sfft"'),
        ("train.options.beta=1", "training", 'there is no option "beta"'),
        ("synthesize.options.question=5", "recipe options", 'there is no option "question". Did you mean "questions"?'),
        ("index.retriever=bm", "retriever", 'there is no retriever "bm"'),
        ("curate.filters=[cites]", "filter", 'there is no filter "cites"'),
        ("curate.filters=[{near: {thresold: 1}}]", "filters", 'there is no option "thresold"'),
    ],
)
def test_doctor_tells_a_mistake_once(place: Path, wrong: str, what: str, told: str) -> None:
    """Also where there are rounds, whose check goes through the first run's settings too, and a search."""
    (place / "docs" / "groundling.yaml").write_text("search: {trials: 3}\nrounds: [{name: second}]\n")
    found = [c for c in json.loads(call("doctor", "docs", "--json", "--set", wrong, at=place).out) if not c["ok"] and c["needed"]]
    assert [(c["what"], c["says"].lower().count(told.lower())) for c in found] == [(what, 1)]


def test_nano_has_a_model_card(place: Path) -> None:
    told = call("nano", at=place)
    assert told.code == 0 and len(told.out) > 200


# A run, as far as curate.


def states(told: Told) -> dict[str, tuple[str, str]]:
    assert told.code == 0, told
    return {s["stage"]: (s["state"], s["why"]) for s in json.loads(told.out)}


def test_status_before_anything_is_missing_everywhere_and_makes_nothing(place: Path) -> None:
    told = call("status", "docs", "--json", at=place)
    assert states(told) == dict.fromkeys(STAGES, ("missing", ""))
    assert [p.name for p in place.iterdir()] == ["docs"]


def test_status_tells_what_is_done(curated: Path) -> None:
    told = states(call("status", "run", "--json", at=curated))
    assert [told[name][0] for name in STAGES] == ["done"] * 5 + ["missing"] * 2
    lines = call("status", "docs", "--out", "run", "--set", "chunk.size=400", at=curated).out.splitlines()
    assert [line.split()[:2] for line in lines[:2]] == [["1-documents", "done"], ["2-chunks", "done"]] and "2 kept" in lines[0]


@pytest.mark.parametrize(
    ("setting", "first", "why"),
    [
        ("chunk.overlap=30", 1, "chunk.overlap: 100 -> 30"),
        ("synthesize.options.distractors=2", 3, "synthesize.options.distractors: 4 -> 2"),
        ("curate.filters=[cited]", 4, "curate.filters: ['cited', 'duplicates', 'leaked'] -> ['cited']"),
        ("seed=7", 0, "seed changed"),
        ("train.rate=0.5", 5, ""),
        ("synthesize.max_failed=0.5", 5, ""),
        ("serve.port=9000", 5, ""),
    ],
)
def test_a_changed_setting_makes_stale_what_depends_on_it_and_is_named(curated: Path, setting: str, first: int, why: str) -> None:
    told = states(call("status", "run", "--json", "--set", setting, at=curated))
    expected = ["done"] * 5 + ["missing"] * 2
    expected[first:5] = ["stale"] * (5 - first)
    expected = expected[:first] + [("stale" if (n != 2 or setting[:5] != "synth") else "done") for n in range(first, 5)] + ["missing"] * 2
    assert [told[name][0] for name in STAGES] == expected
    assert first == 5 or told[STAGES[first]][1] == why


def test_a_changed_document_is_noticed(curated: Path, tmp_path: Path) -> None:
    shutil.copytree(curated, tmp_path, dirs_exist_ok=True)
    (tmp_path / "docs" / "new.md").write_text("# New\n\nThe canteen opens at 11:15 on weekdays.")
    told = states(call("status", "docs", "--out", "run", "--set", "chunk.size=400", "--json", at=tmp_path))
    assert told["ingest"] == ("stale", "files changed") and told["chunk"][0] == "stale"


def test_running_again_does_nothing_and_says_so(curated: Path, tmp_path: Path) -> None:
    shutil.copytree(curated, tmp_path, dirs_exist_ok=True)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "run").glob("[1-5]-*/*")}
    told = call("run", "docs", "--out", "run", "--to", "curate", "--set", "chunk.size=400", at=tmp_path)
    assert told.code == 0 and told.out.count("done before") == 5
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "run").glob("[1-5]-*/*")} == before


def test_the_run_s_folder_accounts_for_everything(curated: Path) -> None:
    previous = None
    for folder in ("1-documents", "2-chunks", "4-examples", "5-curated"):
        counts = json.loads((curated / "run" / folder / "record.json").read_text())["counts"]
        lines = {n: len((curated / "run" / folder / f"{n}.jsonl").read_text().splitlines()) for n in ("data", "dropped", "failed")}
        assert lines == {"data": counts["kept"], "dropped": sum(counts["dropped"].values()), "failed": sum(counts["failed"].values())}
        assert counts["in"] == sum(lines.values())
        if folder == "5-curated":
            assert counts["in"] == previous
        previous = counts["kept"]


def some_chunk(root: Path) -> dict:
    return json.loads((root / "run" / "2-chunks" / "data.jsonl").read_text().splitlines()[0])


def test_a_chunk_s_id_leads_to_its_document_and_to_its_examples(curated: Path) -> None:
    chunk = some_chunk(curated)
    told = call("trace", "run", chunk["id"], "--json", at=curated)
    found = json.loads(told.out)
    assert told.code == 0 and [d["id"] for d in found["document"]] == [chunk["document"]]
    assert [c["id"] for c in found["chunk"]] == [chunk["id"]] and found["chunk"][0]["text"] == chunk["text"]
    made = [json.loads(line) for line in (curated / "run" / "5-curated" / "data.jsonl").read_text().splitlines()]
    assert {e["id"] for e in found["example"]} == {e["id"] for e in made if e["unit"] == chunk["id"]} != set()
    assert chunk["path"] in call("trace", "run", chunk["id"], at=curated).out


def test_an_example_s_id_leads_back_to_its_chunk(curated: Path) -> None:
    made = json.loads((curated / "run" / "5-curated" / "data.jsonl").read_text().splitlines()[0])
    found = json.loads(call("trace", "run", made["id"], "--json", at=curated).out)
    assert [e["id"] for e in found["example"]] == [made["id"]]
    assert [c["id"] for c in found["chunk"]] == [made["unit"]] and [d["id"] for d in found["document"]] == [made["document"]]


def test_a_document_s_path_is_taken_for_its_id(curated: Path) -> None:
    by_path = json.loads(call("trace", "run", "scale.txt", "--json", at=curated).out)
    [document] = by_path["document"]
    assert document["path"] == "scale.txt" and by_path["chunk"] and by_path["example"]
    assert by_path == json.loads(call("trace", "run", document["id"], "--json", at=curated).out)
    assert "no document has that path" in sentence("trace", "run", "cale.txt", at=curated)


def test_an_id_that_nothing_has_is_a_sentence(curated: Path) -> None:
    assert 'has the id "abc"' in sentence("trace", "run", "abc", at=curated)


def test_a_run_made_stage_by_stage_is_a_run_folder_too(place: Path) -> None:
    for stage in ("ingest", "chunk"):
        assert call(stage, "docs", "--out", "run", at=place).code == 0
    told = states(call("status", "run", "--json", at=place))
    assert [told[name][0] for name in STAGES] == ["done"] * 2 + ["missing"] * 5
    chunk = some_chunk(place)
    assert json.loads(call("trace", "run", chunk["id"], "--json", at=place).out)["chunk"][0]["id"] == chunk["id"]


def test_a_refused_run_leaves_the_run_folder_s_config_as_it_was(curated: Path, tmp_path: Path) -> None:
    """Else the folder would be served with settings that its outputs were not made with."""
    shutil.copytree(curated, tmp_path, dirs_exist_ok=True)
    before = (tmp_path / "run" / "config.yaml").read_bytes()
    sentence("run", "docs", "--out", "run", "--set", "chunk.size=900", "--to", "trian", at=tmp_path)
    assert (tmp_path / "run" / "config.yaml").read_bytes() == before


def test_a_run_folder_whose_documents_went_away_is_a_sentence(curated: Path, tmp_path: Path) -> None:
    shutil.copytree(curated / "run", tmp_path / "run")
    kept = (tmp_path / "run" / "config.yaml").read_text().replace(str(curated / "docs"), str(tmp_path / "gone"))
    (tmp_path / "run" / "config.yaml").write_text(kept)
    assert "gone" in sentence("run", "run", "--to", "ingest", at=tmp_path)
