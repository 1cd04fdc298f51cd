"""One strict, typed file: what is misspelt is refused with the nearest name, in one sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel, ValidationError

from groundling import config
from groundling.commands.starting import commented
from groundling.config import Config, Section
from groundling.errors import ConfigError
from groundling.misread import read


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "hand book"
    root.mkdir()
    (root / "a.md").write_text("# A")
    return root


def write(folder: Path, text: str) -> Path:
    (folder / "groundling.yaml").write_text(text, "utf-8")
    return folder


def refused(path: Path, settings: list[str] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        config.load(path, settings)
    told = str(caught.value)
    assert "\n" not in told and told.endswith((".", "?")), told
    return told


def test_a_folder_of_documents_is_a_project_with_every_default(folder: Path) -> None:
    project = config.load(folder)
    assert project.config == Config() and project.name == "hand book"
    assert project.documents == folder and project.file is None and project.questions is None


def test_file_and_folder_name_the_same_project(folder: Path) -> None:
    write(folder, "name: book\nchunk: {size: 300}\n")
    by_folder, by_file = config.load(folder), config.load(folder / "groundling.yaml")
    assert by_folder == by_file and by_file.config.chunk.size == 300 and by_file.name == "book"


def test_an_empty_file_is_all_defaults(folder: Path) -> None:
    assert config.load(write(folder, "# nothing yet\n")).config == Config()


def test_a_config_that_is_a_folder_is_not_passed_over(folder: Path) -> None:
    (folder / "groundling.yaml").mkdir()
    assert "groundling.yaml is a folder. A config is a file" in refused(folder)


def test_documents_are_relative_to_the_config(folder: Path) -> None:
    (folder / "texts").mkdir()
    assert config.load(write(folder, "documents: texts")).documents == folder / "texts"
    assert "nowhere is not a folder" in refused(write(folder, "documents: nowhere"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("chunks: {size: 300}", 'there is no setting "chunks". Did you mean "chunk"?'),
        ("chunk: {siez: 300}", 'there is no setting "chunk.siez". Did you mean "size"?'),
        ("chunk: {size: big}", "chunk.size = 'big': it must be a whole number from 50 on, for example 1000."),
        ("chunk: {size: 3}", "chunk.size = 3: it must be a whole number from 50 on, for example 1000."),
        ("chunk: {1: 2}", "chunk: the names in it are words, and 1 is none."),
        ("chunk: [1, 2]", "chunk = [1, 2]: it must be a section of settings, for example chunk: {splitter: recursive}"),
        ("chunk: size 500", "chunk = 'size 500': it must be a section of settings, for example chunk: {size: 1000}, or --set chunk.size=1000."),
        ("synthesize: {options: 5}", "synthesize.options = 5: it must be names, each with its value, for example {questions: 3}."),
        ("models: {gpt: }", "models.gpt has no value: it must be a section of settings, for example gpt: {base_url: 'http://localhost:8000/v1',"),
        ("models: {gpt: sk-a-long-secret}", "models.gpt: it must be a section of settings, for example gpt: {base_url:"),
        ("models: [a]", "models = ['a']: it must be names of your own, each with its section, for example {mine: {base_url:"),
        ("rounds: {name: x}", "rounds = {'name': 'x'}: it must be a list of sections, for example [{name: second}]."),
        ("rounds: [{train: 3}]", "rounds (item 1).train = 3: it must be names, each with its value, for example {epochs: 1}."),
        ("chunk: {size: 300, overlap: 300}", "chunk.overlap = 300: it must be smaller than chunk.size = 300, or a chunk would hold nothing new."),
        ("chunk: {size: 90}", "chunk.overlap = 100: it must be smaller than chunk.size = 90"),
        ("chunk: {size: null}", "chunk.size has no value: it must be a whole number from 50 on, for example 1000. Leave it out for its default."),
        (
            "train: {format: rafft}",
            "train.format = 'rafft': it must be one of raft, two-turn, ja, backward, labels, instruct or step. Did you mean raft?",
        ),
        (
            "train: {targets: q_proj}",
            "train.targets = 'q_proj': it must be all-linear or a list of words, which is not empty, for example all-linear.",
        ),
        ("train: {report_to: wandb}", "with some of tensorboard, trackio, wandb, mlflow, for example [wandb]."),
        ("train: {rate: fast}", "train.rate = 'fast': it must be a number above 0, for example 0.001."),
        ("serve: {port: 99999}", "serve.port = 99999: it must be a whole number from 0 to 65535, for example 8080."),
        ("held_out: 1", "held_out = 1: it must be a number from 0 to below 1, for example 0.2."),
        ("version: 2", "version = 2: it must be 1."),
        ("name: a/b", "name = 'a/b': it must be a name that a folder may have, without / and \\."),
        ("evaluate: {k: 0}", "evaluate.k (item 1) = 0: it must be a whole number from 1 on."),
        ("evaluate: {k: three}", "evaluate.k = 'three': it must be a list of whole numbers, for example [1, 3, 5]."),
        ("evaluate: {metrics: f1}", "evaluate.metrics = 'f1': it must be a list of words, for example [f1]."),
        ("evaluate: {metrics: [f1, 2]}", 'evaluate.metrics (item 2) = 2: it must be text, for example in quotes: "2".'),
        ("evaluate: {without: 3}", "evaluate.without = 3: it must be true or false, for example true."),
        (
            "curate: {filters: }",
            "curate.filters has no value: it must be a list, for example [cited, duplicates, leaked]. Leave it out for its default.",
        ),
        ("just words", "a configuration is a mapping of sections, not text"),
        ("- a\n- b", "a configuration is a mapping of sections, not a list"),
        ("chunk: {size: 3", "is not readable YAML"),
        ("a: b: c", "is not readable YAML"),
        ("5: x", "setting names are words"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_value(folder: Path, text: str, told: str) -> None:
    said = refused(write(folder, text))
    assert told in said and "groundling.yaml" in said


def test_a_section_with_nothing_in_it_is_as_by_default(folder: Path) -> None:
    empty = [name for name, field in Config.model_fields.items() if isinstance(field.get_default(call_default_factory=True), (Section, dict, list))]
    assert {"chunk", "train", "search", "models", "rounds"} <= {*empty}
    found = config.load(write(folder, "".join(f"{name}:\n" for name in empty))).config
    assert found == Config() and "search" not in found.model_fields_set, "nor was a search asked for"
    assert config.load(write(folder, "train: {preset: rag-sft, options: }\nsynthesize: {options: }")).config.train.preset == "rag-sft"
    assert config.load(folder, ["chunk=", "train.rank=8"]).config.train.rank == 8


def test_one_number_is_a_list_of_one(folder: Path) -> None:
    assert config.load(folder, ["evaluate.k=3"]).config == config.load(folder, ["evaluate.k=[3]"]).config
    assert config.load(folder, ["evaluate.k=3"]).config.evaluate.k == [3]


def _fields(model: type[BaseModel], at: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        inner = type(field.get_default(call_default_factory=True))
        yield from _fields(inner, f"{at}{name}.") if issubclass(inner, Section) else [f"{at}{name}"]


@pytest.mark.parametrize("value", ["{a: [1]}", "[[1]]", "-9", "true", "null", "x y"])
def test_no_wrong_value_is_told_in_pydantic_s_words(folder: Path, value: str) -> None:
    for key in [*_fields(Config), "chunk", "train", "models.gpt", "models.gpt.base_url", "models.gpt.price_in", "rounds"]:
        try:
            config.load(folder, [f"{key}={value}"])
        except ConfigError as error:
            assert not re.search(r"input should|valid (dict|list|int|str|bool|num)|instance of|unable to|\bNone\b|literal|pattern", str(error)), error
            assert re.search(r"it must be|is not a folder|is missing|not written as|filter is a name|there is no setting|smaller", str(error)), error


TABS = {
    "rate:\t\t1e-3": "line 1, column 6", "a:\n  {b: 1,\tc: 2}": "line 2, column 9", "a:\tb: 1": "line 1, column 3",
    "-\tx: 1": "line 1, column 2", "b\t: 2": "line 1, column 2", "a: 1 \t# c": "line 1, column 6",
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "place", "guess"),
    [
        ("chunk:\n\tsize: 300", "line 2, column 1", "a tab stands before the text"),
        ("seed: 1\nchunk\n  # its size\n  size: 300", "line 2, column 1", "a colon is missing"),
        ("name book\nseed: 3", "line 1, column 10", "a colon is missing"),
        ("seed: 3\nname book", "line 2, column 1", "a colon is missing"),
        ("seed:1\nname: x", "line 1, column 7", "a space is missing behind the colon"),
        ("seed: 1\nname: 'book\nversion: 1", "line 2, column 7", "a quote is opened here and never closed"),
        ("name: 'it's'", "line 1, column 11", "a quote is missing or there is one too many"),
        ("name: a: b", "line 1, column 8", "the line's second colon"),
        ("seed: 1\nchunk: {size: 300\n", "line 2, column 8", "a bracket is opened here and never closed"),
        ("ingest:\n  include: *.md", "line 2, column 12", "a value may not begin with *. Put it into quotes"),
        ("name: @me", "line 1, column 7", "a value may not begin with @. Put it into quotes"),
        ('documents: "C:\\docs"', "line 1, column 16", "a backslash has a meaning of its own"),
        ("chunk:\n  size: 300\n overlap: 3", "line 3, column 2", "indented otherwise than those that it belongs to"),
        ("seed: 3\n  name: x", "line 2, column 7", "indented below a setting that has a value already"),
        ("seed: 1\n---\nseed: 2", "line 2, column 1", "begins a second document"),
        ("name: x\nseed: \x01", "line 2", "a control character"),
        ("name: 2024-13-45", "line 1, column 7", "it is read as a date and cannot be one"),
        ("name: !!timestamp x", "line 1, column 7", "it is read as a date and cannot be one"),
        ("seed: !!int x", "line 1, column 7", "it is read as a whole number and cannot be one"),
        ("seed: !!int ''", "line 1, column 7", "it is read as a whole number and cannot be one"),
        ("seed: 1\nchunk: {size: " + "1" * 5000 + "}", "line 2, column 15", "it is read as a whole number and cannot be one"),
        ("seed: !!float x", "line 1, column 7", "it is read as a number and cannot be one"),
        ("seed: !!bool x", "line 1, column 7", "it is read as true or false and cannot be one"),
        ('name: "\\U00110000"', "one of its values", "a letter is written by its number, and none has that number"),
        ("seed: " + "[" * 3000, "one of its lines", "too many brackets or sections are opened within each other"),
        *((text, place, "a tab stands there. Use spaces in its place") for text, place in TABS.items()),
        ("train:\n  rate: 1\nseed: 2\ntrain:\n  epochs: 2", "line 4, column 1", '"train" is written twice in one section'),
        ("chunk: {size: 1, 'size': 2}", "line 1, column 18", '"size" is written twice in one section'),
        ("models:\n  sk-12345: 1\n  sk-12345: 2", "line 3, column 3", "a name is written twice in one section"),
    ],
    ids=lambda value: value[:30],
)
def test_yaml_that_is_not_readable_is_told_with_its_place_and_what_is_likely_wrong(folder: Path, text: str, place: str, guess: str) -> None:
    said = refused(write(folder, text))
    assert f"groundling.yaml, {place}, is not readable YAML: " in said and guess in said
    for jargon in ("while parsing", "while scanning", "block", "mapping values", "token", "<", 'in "', "\t"):
        assert jargon not in said


def test_text_of_a_file_that_is_not_readable_is_not_repeated(folder: Path) -> None:
    for wrong in ("models: {gpt: {key_env: sk-secret-1, model: *x}", "seed: !!int sk-secret-1", "sk-secret-1: 1\nsk-secret-1: 2"):
        assert "sk-secret" not in refused(write(folder, wrong))


def test_keys_that_a_merge_brings_beside_a_section_s_own_are_no_repetition() -> None:
    """Nor where what is merged has merged before: PyYAML puts merged keys among a section's own, and may do so before that section is read."""
    text = "x: {y: &a {<<: &b {k: 1, n: 2}, k: 3}}\nz: {<<: *a, n: 4}\nt: [{k: 1}, {k: 2}]"
    assert read(text) == {"x": {"y": {"k": 3, "n": 2}}, "z": {"k": 3, "n": 4}, "t": [{"k": 1}, {"k": 2}]}


def test_the_configs_of_the_examples_load() -> None:
    files = [*(Path(__file__).parents[1] / "examples").rglob("*.yaml")]
    assert len([config.load(file) for file in files]) > 3


def test_a_run_s_own_config_that_is_not_readable_is_a_sentence(folder: Path) -> None:
    from groundling.runs import open_run

    (folder / "config.yaml").write_text("seed: 1\nname 'x", "utf-8")
    (folder / "run.json").write_text('{"base": "."}')
    with pytest.raises(ConfigError, match=r"config.yaml, line 2, column 1, is not readable YAML: a colon is missing"):
        open_run(folder, None, [], print)


def test_a_file_that_is_no_text_is_a_sentence(folder: Path) -> None:
    (folder / "groundling.yaml").write_bytes(b"seed: 1\n\xff\xfe\x00")
    assert "groundling.yaml, line 2, is not readable YAML: a letter is not in UTF-8" in refused(folder)


@pytest.mark.parametrize("text", ["just words", "- a\n- b"])
def test_a_file_that_is_no_mapping_is_a_sentence_with_settings_too(folder: Path, text: str) -> None:
    assert "a configuration is a mapping of sections" in refused(write(folder, text), ["chunk.size=300"])


def test_a_path_that_is_not_there_or_is_a_single_document(folder: Path) -> None:
    assert "does not exist" in refused(folder / "none")
    assert "a.md is a single file" in refused(folder / "a.md")


def test_the_home_of_nobody_is_a_sentence() -> None:
    assert "~no such user" in refused(Path("~no such user/x"))


def test_settings_override_the_file_and_leave_the_rest(folder: Path) -> None:
    write(folder, "seed: 7\nchunk: {size: 300, overlap: 10}\n")
    c = config.load(folder, ["chunk.size=400", "evaluate.k=[2, 4]", "evaluate.without=false", "name=x=y"]).config
    assert (c.seed, c.chunk.size, c.chunk.overlap, c.evaluate.k, c.evaluate.without, c.name) == (7, 400, 10, [2, 4], False, "x=y")


def test_a_setting_inside_options_is_reached(folder: Path) -> None:
    write(folder, "synthesize: {options: {distractors: 2}}")
    options = config.load(folder, ["synthesize.options.hard=0.5"]).config.synthesize.options
    assert options == {"distractors": 2, "hard": 0.5}


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("chunk.size", "write it as section.key=value"),
        ("=5", "write it as section.key=value"),
        ("chunk.siez=5", 'Did you mean "size"?'),
        ("chunk.size=big", "chunk.size = 'big'"),
        ("chunk.size=[1", "the value is not readable: a bracket is opened here and never closed"),
        ("chunk.overlap=1000", "chunk.overlap = 1000: it must be smaller than chunk.size = 1000"),
        ("chunk=5", "chunk = 5"),
        ("chunk.size.more=5", "chunk.size"),
        ("seed.x=5", "seed"),
        (".=5", "--set"),
    ],
)
def test_a_bad_setting_is_a_sentence(folder: Path, setting: str, told: str) -> None:
    assert told in refused(folder, [setting])


def test_questions_are_those_named_or_those_beside(folder: Path) -> None:
    assert config.load(folder).questions is None
    (folder / "questions.jsonl").write_text("")
    assert config.load(folder).questions == folder / "questions.jsonl"
    (folder / "mine.jsonl").write_text("")
    assert config.load(folder, ["evaluate.questions=mine.jsonl"]).questions == folder / "mine.jsonl"
    with pytest.raises(ConfigError, match=r"none.jsonl, which is not a file"):
        _ = config.load(folder, ["evaluate.questions=none.jsonl"]).questions


ENDPOINT = "models: {gpt: {base_url: 'http://h/v1', model: m"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("models: {gpt: {model: m}}", "models.gpt.base_url is missing. An endpoint needs base_url and model"),
        (ENDPOINT + ", modle: x}}", 'there is no setting "models.gpt.modle". Did you mean "model"?'),
        (ENDPOINT + ", max_parallel: 0}}", "models.gpt.max_parallel = 0"),
        (ENDPOINT + ", structured: maybe}}", "models.gpt.structured = 'maybe'"),
        ("budget_usd: -1", "budget_usd = -1"),
    ],
)
def test_an_endpoint_s_settings_are_checked(folder: Path, text: str, told: str) -> None:
    assert told in refused(write(folder, text))


@pytest.mark.parametrize(
    "key", ["gsk_abcDEFghiJKL0123456789mn", "hf_abcdefghijklmnopQRSTUVWXYZabcdef", "0a1b2c3d" * 4, "a1b2c3d4" * 4, "AIzaSyD0123456789abcdefghijklmn"]
)
def test_a_key_that_could_be_a_variable_s_name_is_refused_too(folder: Path, key: str) -> None:
    told = refused(write(folder, ENDPOINT + f", key_env: '{key}'}}}}"))
    assert key not in told and "environment variable" in told


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "MyCompanyOpenAIKey2", "team_2_key_for_groundling_of_2024", "SK_LIVE_KEY_0123456789ABCDEF", ""])
def test_names_of_variables_are_taken(folder: Path, name: str) -> None:
    write(folder, ENDPOINT + f", key_env: '{name}'}}}}")
    assert config.load(folder).config.models["gpt"].key_env == name


@pytest.mark.parametrize("text", [ENDPOINT + ", key_env: sk-secret-1}}", "models: {gpt: {base_url: 'http://me:sk-secret-1@h/v1', model: m}}"])
def test_a_key_written_into_the_config_is_refused_and_not_repeated(folder: Path, text: str) -> None:
    told = refused(write(folder, text))
    assert "sk-secret-1" not in told and "environment variable" in told


def test_an_endpoint_may_be_set_on_the_command_line(folder: Path) -> None:
    found = config.load(folder, ["models.gpt.base_url=http://h/v1", "models.gpt.model=m", "models.gpt.max_parallel=3"]).config.models["gpt"]
    assert (found.base_url, found.model, found.max_parallel, found.retries) == ("http://h/v1", "m", 3, 8)
    assert set(found.identity()) == {"base_url", "model", "structured", "extra"}


def sections() -> list[type[Section]]:
    return [Config, *(type(f.default) for f in Config.model_fields.values() if isinstance(f.default, Section))]


@pytest.mark.parametrize("section", sections(), ids=lambda s: s.__name__)
def test_every_setting_has_a_default_and_unknown_ones_are_refused(section: type[Section]) -> None:
    section()
    with pytest.raises(ValidationError, match="Extra inputs"):
        section(**{"no_such_setting": 1})
    with pytest.raises(ValidationError, match="frozen"):
        setattr(section(), next(iter(section.model_fields)), 0)


def test_where_a_thing_runs_does_not_enter_its_identity() -> None:
    where = {f"{s.__name__.lower()}.{name}" for s in sections() for name, f in s.model_fields.items() if (f.json_schema_extra or {}).get("where")}
    assert where == {
        "ingest.max_failed", "synthesize.max_failed", "evaluate.max_failed", "train.save_steps", "train.disk_gb", "train.report_to", "train.suffix", "train.devices",
        "train.packing", "train.attention", "train.kernels", "search.trials", "search.minutes", "serve.host", "serve.port",
        "config.documents", "evaluate.questions", "config.budget_usd", "config.budget_tokens", "config.models",
    }  # fmt: skip
    c = Config()
    assert c.train.model_copy(update={"save_steps": 3}).identity() == c.train.identity()
    assert c.train.model_copy(update={"rate": 0.5}).identity() != c.train.identity()
    assert "port" not in c.serve.identity() and c.serve.identity()["k"] == 3


def test_the_commented_config_is_the_defaults_and_explains_them() -> None:
    text = commented(Config)
    assert config.parse(yaml.safe_load(text), "text") == Config()
    told = [f.description for s in sections() for f in s.model_fields.values() if f.description]
    assert len(told) > 20 and [d for d in told if d not in text] == []


@pytest.mark.parametrize("name", ["../../elsewhere", "..", ".", "a/b", "a\\b"])
def test_a_run_s_name_is_no_path(name: str) -> None:
    with pytest.raises(ConfigError, match="name = "):
        config.parse({"name": name}, "c")
    assert config.parse({"name": "handbook 2.1 (日本)"}, "c").name and config.parse({"name": ".docs"}, "c").name
