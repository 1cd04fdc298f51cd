"""What the runner does for every recipe: units that are no chunks, limits and targets over them, teachers that give nothing."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from types import ModuleType

import pytest

from groundling import config, registry
from groundling.errors import ConfigError, TooManyFailed
from groundling.llm.base import Request
from groundling.records import Example
from groundling.synthesize import Bench, barren, called, need_model, options_of, synthesize, units_of
from groundling.synthesize.clusters import Cluster, clusters, gather
from groundling.synthesize.recipes import qa
from groundling.workspace import Output, read_lines

from .recipe_world import HELD_OUT, Fake, Scripted, handbook, made, searcher

RECIPES = registry.names("recipe")
OVER_CLUSTERS = ["grounded", "qa"]


def bench(chunks, **more) -> Bench:
    return Bench(
        teacher=Fake(), search=searcher(chunks), chunks=chunks, seed=42, recipe="qa", drop=lambda *a: None, fail=lambda *a: None,
        split_of=lambda d: "held_out" if d in HELD_OUT else "train", **more,
    )  # fmt: skip


def over_chunks() -> list[str]:
    """The recipes whose units are made of chunks alone, not of another run's examples or of a file."""
    return [name for name in RECIPES if not any(hasattr(registry.load("recipe", name), other) for other in ("runs", "files"))]


@pytest.mark.parametrize("name", over_chunks())
def test_units_have_ids_of_their_own_and_a_place_to_be_shown(name: str) -> None:
    chunks, recipe = handbook(6), registry.load("recipe", name)
    found = units_of(name, chunks, bench(chunks), options_of(recipe, {}))
    assert found and len({u.id for u in found}) == len(found)
    assert all(u.document and u.path and u.title for u in found)
    assert called(name) in ("chunks", "clusters") and isinstance(recipe, ModuleType)


def test_a_cluster_s_neighbours_are_of_its_side_of_the_split_and_repeat_nothing() -> None:
    chunks = handbook(9, parts=3)
    twin = chunks[4]
    chunks.append(type(twin)(id="twin", document="d8", path="8.md", title="x", text=twin.text, start=9000, end=9000 + len(twin.text)))
    overlapping = type(twin)(id="over", document=twin.document, path=twin.path, title="x", text=twin.text[40:], start=twin.start + 40, end=twin.end)
    chunks.append(overlapping)
    at = bench(sorted(chunks, key=lambda c: c.id))
    for by in ("search", "document"):
        for cluster in clusters(chunks, 5, by):
            found = gather(cluster, at)
            assert found[0] is cluster.anchor and len(found) == 5
            assert len({c.document in HELD_OUT for c in found}) == 1
            spans = [(c.document, c.start, c.end) for c in found]
            assert not any(a is not b and a[0] == b[0] and a[1] < b[2] and b[1] < a[2] for a in spans for b in spans)
            assert len({c.text for c in found}) == 5


def test_nothing_is_searched_for_before_a_cluster_s_turn_comes() -> None:
    def search(query: str, k: int) -> list:
        raise AssertionError("searched")

    chunks = handbook(4)
    assert units_of("qa", chunks, bench(chunks)._replace(search=search), qa.Options(multi_hop=1.0))
    assert gather(Cluster(chunks[0]), bench(chunks)._replace(search=search)) == [chunks[0]]


@pytest.mark.parametrize("name", OVER_CLUSTERS)
def test_limit_and_target_count_clusters(tmp_path: Path, name: str) -> None:
    whole, out = made(tmp_path, name, handbook(8))
    every = out.notes["units"]["of"]
    some, out = made(tmp_path, name, handbook(8), section={"limit": 5})
    assert out.notes["units"] == {"of": every, "used": 5, "limit": 5} and {e.id for e in some} < {e.id for e in whole}
    assert sum(out.notes["units_with_rows"].values()) == 5
    exact, out = made(tmp_path, name, handbook(8), section={"target": 17})
    assert len(exact) == 17 and out.notes["target"]["reached"] and {e.id for e in exact} < {e.id for e in whole}


@pytest.mark.parametrize("name", OVER_CLUSTERS)
def test_an_interrupted_run_goes_on_by_the_ids_of_its_units(tmp_path: Path, name: str) -> None:
    """What was finished comes last, so that new calls go out at once; the result is the same, byte for byte."""
    chunks, recipe = handbook(5), registry.load("recipe", name)
    made(tmp_path / "calm", name, chunks)
    out, told, teacher = Output(tmp_path / "again"), [], Fake()
    at = bench(chunks)._replace(recipe=name, teacher=teacher, drop=out.drop, fail=out.fail)
    units = units_of(name, chunks, at, options_of(recipe, {}))
    old = {u.id for u in units[:4]}
    at = at._replace(finished=old, finish=told.append)
    # One lane for the old units runs from the start; with as many lanes as units are new, all of those are begun beside its first.
    asyncio.run(synthesize(config.Synthesize(recipe=name), at, units, out))
    out.close()
    assert (tmp_path / "again" / "data.jsonl").read_bytes() == (tmp_path / "calm" / "data.jsonl").read_bytes()
    assert sorted(told) == sorted(u.id for u in units), "each is told as finished, once"


@pytest.mark.parametrize("name", OVER_CLUSTERS)
def test_the_teacher_of_rules_is_refused_with_what_to_change(name: str) -> None:
    with pytest.raises(
        ConfigError, match=rf'The recipe {name} needs a language model, and synthesize.teacher is "template".*Set it to a name under models'
    ):
        need_model(name, "template", {})
    need_model(name, "gpt", {})
    need_model("raft", "template", {})


@pytest.mark.parametrize("name", OVER_CLUSTERS)
def test_the_page_of_a_recipe_has_every_option_and_the_list_has_two_lines(name: str) -> None:
    recipe = registry.load("recipe", name)
    page = (Path(__file__).parents[2] / "docs" / "recipes" / f"{name}.md").read_text("utf-8")
    listed = set(re.findall(r"^\| `(\w+)` \| ", page, re.MULTILINE))
    assert listed == set(recipe.Options.model_fields)
    for option, field in recipe.Options.model_fields.items():
        default = field.get_default(call_default_factory=True)
        assert isinstance(default, dict | list) or f"| `{option}` | {str(default).lower() if isinstance(default, bool) else default} |" in page, (
            option
        )
    makes, rest = registry.explained("recipe", name)
    assert makes.startswith("Makes: ") and rest.startswith("Costs: ") and "Use when: " in rest


def refusals(request: Request) -> str:
    return "I'm sorry, but I can't help with that."


@pytest.mark.parametrize(("name", "task"), [("qa", "pairs"), ("grounded", "dialogues")])
@pytest.mark.parametrize("said", [refusals, {"pairs": [], "dialogues": []}])
def test_a_teacher_that_always_refuses_is_given_up_early(tmp_path: Path, name: str, task: str, said: object) -> None:
    teacher = Scripted(**{task: said})
    teacher.parallel = 4
    with pytest.raises(TooManyFailed, match=f"None of the first {barren.FIRST} units gave an example.*set synthesize.teacher to another model"):
        made(tmp_path, name, handbook(100), teacher)
    units = {str(r.inputs) for r in teacher.requests}
    assert barren.FIRST <= len(units) < 3 * barren.FIRST, "of 200 units few were asked about"
    if said is refusals:
        assert (tmp_path / "failed.jsonl").read_text().count("sorry") >= barren.FIRST


def test_one_good_unit_among_the_first_is_enough_to_go_on(tmp_path: Path) -> None:
    def said(request: Request) -> object:
        return Fake().say(request) if "Part 1 of Kotka\n" in request.inputs["passages"][0] else {"pairs": []}

    rows, out = made(tmp_path, "qa", handbook(40), Scripted(pairs=said), multi_hop=0.0)
    assert rows and out.notes["units"]["used"] == 80


def test_who_says_so_goes_on_all_the_same(tmp_path: Path) -> None:
    _, out = made(tmp_path, "qa", handbook(20), Scripted(pairs=refusals), section={"max_failed": 1.0}, multi_hop=0.0)
    assert out.failed.total() == 40 and out.kept == 0


def test_rules_are_not_given_up_for_chunks_of_which_they_know_nothing(tmp_path: Path) -> None:
    from groundling.llm.template import Template

    chunks = [type(c)(id=c.id, document=c.document, path=c.path, title="", text=f"Nothing {c.id} to see.", start=0, end=9) for c in handbook(30)]
    rows, out = made(tmp_path, "raft", chunks, Template())
    assert rows == [] and out.notes["units"]["used"] == 60


def test_old_lines_without_the_new_fields_are_read(tmp_path: Path) -> None:
    rows, _ = made(tmp_path, "qa", handbook(3))
    line = (tmp_path / "data.jsonl").read_text().splitlines()[0].replace(f',"kind":"{rows[0].kind}","history":[]', "")
    assert "history" not in line and "kind" not in line
    (tmp_path / "old.jsonl").write_text(line + "\n")
    [old] = read_lines(tmp_path / "old.jsonl", Example)
    assert (old.kind, old.history) == ("", []) and old.id == rows[0].id
