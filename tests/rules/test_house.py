"""The plan of the house, held by static analysis: no code is run but `--help`."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import groundling
from groundling import config, grounding, registry

ROOT = Path(groundling.__file__).parent
REPOSITORY = Path(__file__).parents[2]
STAGES = ["ingest", "chunk", "index", "synthesize", "curate", "train", "evaluate", "serve"]
# runs.py is the other half of the map: it opens what the stages left (the index, the model, the service).
KNOW_STAGES = {"groundling.pipeline", "groundling.curating", "groundling.runs", "groundling.verify", "groundling.cli", "groundling.doctor"}
FILES = sorted(ROOT.rglob("*.py"))
BY_HAND: dict[str, str] = {}  # files over 300 lines, each with the reason that it cannot be shorter. Empty, and it should stay so.


def module_of(path: Path) -> str:
    parts = ["groundling", *path.relative_to(ROOT).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in FILES}


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def statements(tree: ast.AST, checking: bool = False) -> Iterator[ast.Import | ast.ImportFrom]:
    """Every import at the top and inside functions; those under `if TYPE_CHECKING:` only where asked for: they never run."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test) and not checking:
            for other in node.orelse:
                yield from statements(other)
        else:
            yield from statements(node, checking)


def imported(module: str, tree: ast.AST, checking: bool = False) -> set[str]:
    """The modules that a module names in its imports, of groundling or not.

    `from package import name` is the submodule where there is one of that name, else the package itself. That importing `a.b` also runs
    `a/__init__.py` is left out: a package may then import its own parts without being in a circle with each.
    """
    found = set()
    for node in statements(tree, checking):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
            continue
        base = node.module or ""
        if node.level:
            package = module if MODULES[module].name == "__init__.py" else module.rpartition(".")[0]
            for _ in range(node.level - 1):
                package = package.rpartition(".")[0]
            base = f"{package}.{base}" if base else package
        for alias in node.names:
            inner = f"{base}.{alias.name}"
            found.add(inner if inner in MODULES else base)
    return found


GRAPH = {m: {i for i in imported(m, parsed(p)) if i in MODULES} - {m} for m, p in MODULES.items()}


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Every group of modules that reach each other (Tarjan)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(m: str) -> None:
        index[m] = low[m] = len(index)
        stack.append(m)
        for other in sorted(graph[m]):
            if other not in index:
                visit(other)
                low[m] = min(low[m], low[other])
            elif other in stack:
                low[m] = min(low[m], index[other])
        if low[m] == index[m]:
            group = [stack.pop()]
            while group[-1] != m:
                group.append(stack.pop())
            found.append(sorted(group))

    for m in sorted(graph):
        if m not in index:
            visit(m)
    return [group for group in found if len(group) > 1]


def stage_of(module: str) -> str | None:
    part = module.split(".")[1] if "." in module else ""
    return part if part in STAGES else None


def is_command(module: str) -> bool:
    return module.startswith("groundling.commands")


def test_the_analysis_sees_what_is_there() -> None:
    assert len(MODULES) > 60 and "groundling.pipeline" in MODULES
    assert {"groundling.chunk", "groundling.train", "groundling.llm.journal", "groundling.errors"} <= GRAPH["groundling.pipeline"]
    assert "groundling.llm.base" in GRAPH["groundling.llm.local"], "relative imports"
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set()}) == [["a", "b", "c"]]


def test_no_import_goes_in_a_circle() -> None:
    assert circles(GRAPH) == []


def test_not_even_for_a_type() -> None:
    graph = {m: {i for i in imported(m, parsed(p), checking=True) if i in MODULES} - {m} for m, p in MODULES.items()}
    assert circles(graph) == []


def test_no_stage_imports_another_stage() -> None:
    crossing = [(m, i) for m, others in GRAPH.items() for i in others if stage_of(m) and stage_of(i) and stage_of(i) != stage_of(m)]
    assert crossing == []


def test_only_the_map_and_the_commands_know_the_stages() -> None:
    knowing = {m for m, others in GRAPH.items() if not stage_of(m) and any(stage_of(i) for i in others) and not is_command(m)}
    assert knowing <= KNOW_STAGES, knowing - KNOW_STAGES


def test_the_command_line_stands_on_top_and_errors_at_the_bottom() -> None:
    assert [m for m, others in GRAPH.items() if "groundling.cli" in others] == ["groundling.__main__"], "python -m groundling"
    calling = {m for m, others in GRAPH.items() if any(is_command(i) for i in others) and not is_command(m)}
    assert calling == {"groundling.cli"}
    above = {m for m, others in GRAPH.items() if "groundling.pipeline" in others}
    assert {m for m in above if not is_command(m)} == {"groundling.cli"}
    for leaf in ("groundling.errors", "groundling.misread", "groundling.amiss", "groundling.seeds", "groundling.records"):
        assert GRAPH[leaf] == set(), leaf
    assert GRAPH["groundling.grounding"] == {"groundling.records"}
    assert GRAPH["groundling.config"] <= {f"groundling.{name}" for name in ("amiss", "errors", "misread", "registry", "sections")}
    assert GRAPH["groundling.sections"] <= {"groundling.published", "groundling.values"}
    assert not GRAPH["groundling.published"] | GRAPH["groundling.values"], "tables of values know nothing"


def test_only_the_workspace_knows_the_folders_of_a_run() -> None:
    """Numbered folders may be named in a sentence for the reader, nowhere else."""
    folder = re.compile(r"^[1-7]-(?:documents|chunks|index|examples|curated|model|scores)$")
    found = [
        (module, node.value)
        for module, path in MODULES.items()
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and folder.match(node.value) and module != "groundling.workspace"
    ]
    assert found == []


HEAVY = {
    "torch", "transformers", "numpy", "trl", "peft", "datasets", "accelerate", "fastapi", "uvicorn", "matplotlib", "bm25s", "bs4", "docx",
    "pydantic", "yaml", "msgspec",
}  # fmt: skip


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nsys.argv = ['groundling', '--help']\nfrom groundling.cli import main\ntry:\n    main()\nexcept SystemExit as e:\n    print('EXIT', e.code)\n"
        "print('LOADED', *sorted({m.split('.')[0] for m in sys.modules}))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": str(ROOT.parent), "COLUMNS": "120"})
    assert told.stderr == ""
    page, _, loaded = told.stdout.partition("LOADED ")
    assert all(re.search(rf"^\W*{command}\b", page, re.M) for command in ("run", "chunk", "status", "list")), page
    assert re.findall(r"^EXIT (.*)$", page, re.M) in ([], ["0"], ["None"])
    assert "groundling" in loaded.split() and "typer" in loaded.split()
    assert HEAVY & set(loaded.split()) == set()


def test_importing_the_package_loads_nothing_but_python_s_own() -> None:
    code = "import sys; before = set(sys.modules); import groundling; print(*sorted({m.split('.')[0] for m in set(sys.modules) - before}))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": str(ROOT.parent)})
    assert set(told.stdout.split()) - set(sys.stdlib_module_names) == {"groundling"}, told.stderr


def test_the_base_install_imports_no_extra_at_the_top() -> None:
    """torch and its friends, the server and the PDF reader are imported inside what needs them."""
    extras = {
        "torch",
        "transformers",
        "trl",
        "peft",
        "datasets",
        "accelerate",
        "safetensors",
        "tokenizers",
        "pypdfium2",
        "sentence_transformers",
        "faiss",
        "optuna",
    }
    allowed = {"groundling.nano.pretrain"}  # the script that makes nano: never imported by the program
    found = []
    for module, path in MODULES.items():
        for node in parsed(path).body:
            if isinstance(node, (ast.Import, ast.ImportFrom)) and not getattr(node, "level", 0) and module not in allowed:
                names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
                found += [(module, n) for n in names if n.split(".")[0] in extras]
    assert found == []
    assert [m for m, others in GRAPH.items() if others & allowed and not m.startswith("groundling.nano")] == []


FORBIDDEN = {"pickle", "cPickle", "dill", "shelve", "marshal", "fitz", "pymupdf", "litellm"}


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_a_file_keeps_the_rules(path: Path) -> None:
    tree = parsed(path)
    assert {name.split(".")[0] for name in imported(module_of(path), tree, checking=True)} & FORBIDDEN == set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            caught = {ast.unparse(t) for t in (node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]) if t} or {"bare"}
            if caught & {"bare", "Exception", "BaseException"}:
                assert any(isinstance(n, ast.Raise) for n in ast.walk(node)), f"line {node.lineno}: {caught} is swallowed"
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in ("eval", "exec", "torch.load", "os.system"), f"line {node.lineno}: {called}"
            assert called != "yaml.load" or "Safe" in ast.unparse(node), f"line {node.lineno}: yaml.load with a loader that is not safe"
            assert all(k.arg not in ("trust_remote_code", "shell") for k in node.keywords), f"line {node.lineno}"
    assert "trust_remote_code" not in path.read_text("utf-8")
    lines = len(path.read_text("utf-8").splitlines())
    assert lines <= 300 or path.relative_to(ROOT).as_posix() in BY_HAND, f"{lines} lines: split it by what it does"
    if path.stat().st_size:
        assert ast.get_docstring(tree), "a module says what it is for"


PLUG_INS = [(kind, name) for kind in registry.FOLDERS for name in registry.names(kind)]


@pytest.mark.parametrize(("kind", "name"), PLUG_INS, ids=[f"{k} {n}" for k, n in PLUG_INS])
def test_every_plug_in_says_what_it_does(kind: str, name: str) -> None:
    path = ROOT / registry.FOLDERS[kind].replace(".", "/") / f"{name}.py"
    said = ast.get_docstring(parsed(path)) or ""
    assert len(said.split("\n\n")[0]) > 20 and said[0].isupper()


EXAMPLES = sorted((REPOSITORY / "examples").rglob("groundling.yaml"))


def test_there_is_an_example() -> None:
    assert EXAMPLES


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.parent.relative_to(REPOSITORY).as_posix())
def test_an_example_s_config_loads_and_names_what_exists(path: Path) -> None:
    project = config.load(path)
    assert any(project.documents.rglob("*"))
    c = project.config
    named = [
        ("splitter", c.chunk.splitter),
        ("retriever", c.index.retriever),
        ("recipe", c.synthesize.recipe),
        ("objective", c.train.objective),
    ]
    named += [("filter", f) for f in c.curate.filters] + [("metric", m) for m in c.evaluate.metrics]
    assert [pair for pair in named if pair not in PLUG_INS] == []
    from groundling.synthesize import options_of

    options_of(registry.load("recipe", c.synthesize.recipe), c.synthesize.options)
    if project.questions:
        from groundling.records import Question
        from groundling.workspace import read_lines

        questions = list(read_lines(project.questions, Question))
        assert questions and len({q.id for q in questions}) == len(questions)
        assert all(q.answers for q in questions if q.answerable)
        absent = [q.document for q in questions if q.document and not (project.documents / q.document).is_file()]
        assert absent == []


def test_the_prompts_that_models_were_taught_are_unchanged() -> None:
    assert {name: grounding.fingerprint(name) for name in grounding.FORMATS} == {
        "raft": "raft/1:930c2e66fe84c18c",
        "two-turn": "two-turn/1:0f436708797132d9",
        "ja": "ja/1:da7ffef395d77918",
        "backward": "backward/1:d5f3682322e62e52",
        "labels": "labels/1:fdd91481540a18b2",
        "instruct": "instruct/1:535348e947e3f233",
        "step": "step/1:9f326f252438513b",
    }
