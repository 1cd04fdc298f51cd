"""Search by an embedding model: a real one, tiny and random. What its vectors mean is nothing; what is done with them is the same."""

from __future__ import annotations

import json
from pathlib import Path

import numpy
import pytest

from groundling import config
from groundling.errors import ConfigError, InputError, ModelError
from groundling.index import build, open_index
from groundling.index.retrievers import dense
from groundling.records import Chunk

TEXTS = [
    ("Leave", "Employees have 25 days of leave."), ("Scale", "The scale weighs 12 kg."), ("", "Trains are booked second class."),
    ("Rates", "The daily rate is 40 euros and it is paid with the wages of the month."), ("Leave", "Employees have 25 days of leave."),
]  # fmt: skip


def chunks(texts=TEXTS) -> list[Chunk]:
    return [Chunk(id=f"{n:012d}", document="d", path="d.md", title=title, text=text, start=0, end=len(text)) for n, (title, text) in enumerate(texts)]


def encoder(folder: Path, seed: int = 7, positions: int = 34) -> Path:
    """A Bert of 16 columns and one layer with seeded random weights, and a tokenizer of the words above."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    words = sorted({w for title, text in TEXTS for w in f"query passage : . {title} {text}".lower().replace(".", " .").split()})
    tokenizer = Tokenizer(models.WordLevel({w: n for n, w in enumerate(["[PAD]", "[UNK]", *words])}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(folder)
    torch.manual_seed(seed)
    shape = BertConfig(
        vocab_size=len(words) + 2, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=positions, initializer_range=0.5,
    )  # fmt: skip
    BertModel(shape, add_pooling_layer=False).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> config.Index:
    return config.Index(retriever="dense", model=str(encoder(tmp_path_factory.mktemp("encoder"))))


def test_the_nearest_vectors_come_first_and_equal_ones_in_the_order_of_the_chunks(options: config.Index, tmp_path: Path) -> None:
    assert build(chunks(), options, tmp_path) == {}
    search = open_index(chunks(), options, tmp_path)
    hits = search("Employees have 25 days of leave", 5)
    scores = [h.score for h in hits]
    assert len(hits) == 5 and scores == sorted(scores, reverse=True) and all(-1.001 <= s <= 1.001 for s in scores)
    order = [h.chunk.id for h in hits]
    assert order.index("000000000004") == order.index("000000000000") + 1, "equal texts"
    # by hand: cosine of mean-pooled vectors, each text alone, with its prefix
    embedder = dense.Embedder(options)
    alone = numpy.stack([embedder._vectors([f"passage: {t}\n{x}" if t else f"passage: {x}"])[0] for t, x in TEXTS])
    asked = embedder._vectors(["query: Employees have 25 days of leave"])[0]
    assert numpy.allclose(numpy.load(tmp_path / "vectors.npy"), alone, atol=1e-5), "padding beside longer texts changes nothing"
    assert numpy.allclose(sorted(alone @ asked, reverse=True), scores, atol=1e-5)


def test_the_mean_is_over_the_tokens_of_the_text(options: config.Index) -> None:
    import torch

    embedder = dense.Embedder(options)
    tokenizer, network = embedder._loaded
    with torch.inference_mode():
        states = network(**tokenizer(["query: the scale"], return_tensors="pt")).last_hidden_state[0].mean(0).numpy()
    assert numpy.allclose(embedder.query("the scale"), states / numpy.linalg.norm(states), atol=1e-6)
    assert not numpy.allclose(embedder.query("the scale"), embedder.passages(chunks([("", "the scale")]))[0][0], atol=1e-3), "prefixes differ"


def test_k_is_a_limit_and_an_empty_query_finds_nothing(options: config.Index, tmp_path: Path) -> None:
    build(chunks(), options, tmp_path)
    search = open_index(chunks(), options, tmp_path)
    assert len(search("leave", 2)) == 2 and len(search("leave", 99)) == 5 and search(" ", 3) == search("leave", 0) == []


def test_chunks_too_long_for_the_model_are_counted(options: config.Index, tmp_path: Path) -> None:
    long = chunks([*TEXTS, ("Long", "The scale weighs 12 kg. " * 9)])
    noted = build(long, options, tmp_path)
    assert noted["cut"]["chunks"] == 1 and noted["cut"]["why"].startswith("1 of 6 chunks are longer than the 32 tokens")
    assert len(open_index(long, options, tmp_path)("scale", 9)) == 6


def test_the_same_chunks_give_the_same_files(options: config.Index, tmp_path: Path) -> None:
    for name in "ab":
        build(chunks(), options, tmp_path / name)
    one, two = ({p.name: p.read_bytes() for p in (tmp_path / name).iterdir()} for name in "ab")
    assert one == two and set(one) == {"index.json", "vectors.npy"}


def test_an_index_of_other_chunks_another_model_or_other_prefixes_is_refused(options: config.Index, tmp_path: Path) -> None:
    build(chunks(), options, tmp_path / "index")
    other = options.model_copy(update={"model": str(encoder(tmp_path / "other", seed=8))})
    prefixed = options.model_copy(update={"query_prefix": ""})
    for some, used in ((chunks()[:-1], options), (chunks(), other), (chunks(), prefixed)):
        with pytest.raises(InputError, match=r"made of other chunks, or by another model.*groundling index"):
            open_index(some, used, tmp_path / "index")


@pytest.mark.parametrize("name", ["index.json", "vectors.npy"])
@pytest.mark.parametrize("harm", ["missing", "cut"])
def test_a_damaged_index_is_a_sentence(options: config.Index, tmp_path: Path, name: str, harm: str) -> None:
    build(chunks(), options, tmp_path)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).unlink() if harm == "missing" else (tmp_path / name).write_bytes(whole[:20])
    with pytest.raises(InputError, match="groundling index") as caught:
        open_index(chunks(), options, tmp_path)
    assert "\n" not in str(caught.value)


def test_no_model_or_none_that_loads_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"needs index\.model"):
        build(chunks(), config.Index(retriever="dense"), tmp_path / "index")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(ModelError, match=r"index\.model.*could not be loaded"):
        build(chunks(), config.Index(retriever="dense", model=str(tmp_path / "model")), tmp_path / "index")


def test_a_run_uses_the_model_beside_its_config_and_another_one_makes_the_index_stale(tmp_path: Path) -> None:
    from groundling.pipeline import run_stages, states
    from groundling.runs import open_run

    project = tmp_path / "project"
    (project / "docs").mkdir(parents=True)
    for n, (title, text) in enumerate(TEXTS[:4]):
        (project / "docs" / f"{n}.md").write_text(f"# {title}\n\n{text}\n", "utf-8")
    encoder(project / "encoder")
    (project / "groundling.yaml").write_text("documents: docs\nindex: {retriever: dense, model: ./encoder}\n", "utf-8")
    run = open_run(project, tmp_path / "run", [], print)
    run_stages(run, "ingest", "curate")
    assert len(run.search("leave", 3)) == 3
    again = open_run(tmp_path / "run", None, [], print)
    assert [s.state for s in states(again)[:5]] == ["done"] * 5 and len(again.search("leave", 3)) == 3
    encoder(project / "encoder", seed=9)
    found = {s.name: s for s in states(again)}
    assert found["chunk"].state == "done" and found["index"].state == "stale" and "model changed" in found["index"].why


def test_a_model_that_is_not_there_is_a_sentence_before_anything_runs_and_doctor_s_word(tmp_path: Path) -> None:
    from groundling import doctor
    from groundling.pipeline import run_stages
    from groundling.runs import open_run

    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("# Scale\n\nThe scale weighs 12 kg.\n", "utf-8")
    (tmp_path / "groundling.yaml").write_text("documents: docs\nindex: {retriever: dense, model: ./nope}\n", "utf-8")
    said: list[str] = []
    with pytest.raises(ModelError, match=r"index\.model = './nope' is no folder"):
        run_stages(open_run(tmp_path, tmp_path / "run", [], said.append), "ingest", "curate")
    assert said == []
    [check] = [c for c in doctor.project(tmp_path) if c.what == "retriever"]
    assert not check.ok and "index.model" in check.says


def test_without_a_model_only_the_retriever_is_the_index_s_identity() -> None:
    assert config.Index().identity() == {"retriever": "bm25"}
    assert set(config.Index(retriever="dense", model="m").identity()) == {"retriever", "model", "query_prefix", "passage_prefix"}
