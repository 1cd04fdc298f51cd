from __future__ import annotations

import subprocess
import sys

import pytest

from groundling import config
from groundling.errors import InputError
from groundling.index import build, open_index
from groundling.index.words import terms
from groundling.records import Chunk

TEXTS = [
    ("Fire safety > Drills", "There are two drills a year, in April without warning and in October."),
    ("Katto 200 > Error codes", "E-14 means that the plate moved. E-15 means that the battery is worn."),
    ("Katto K200", "The scale weighs 6.8 kg and costs 1,500 euro."),
    ("Гарантия", "Срок гарантии на весы составляет пять лет со дня покупки."),
    ("保証", "製品の保証期間は購入日から三年間です。"),
    ("Leave", "Employees have 25 days of leave."),
    ("Leave", "Employees have 25 days of leave."),
]
OPTIONS = config.Index()


def chunks(texts=TEXTS) -> list[Chunk]:
    return [Chunk(id=f"{n:012d}", document="d", path="d.md", title=title, text=text, start=0, end=len(text)) for n, (title, text) in enumerate(texts)]


@pytest.fixture
def search(tmp_path):
    build(chunks(), OPTIONS, tmp_path / "3-index")
    return open_index(chunks(), OPTIONS, tmp_path / "3-index")


@pytest.mark.parametrize(
    ("query", "best"),
    [
        ("When is the drill?", 0), ("fire", 0), ("E-14", 1), ("e14", 1), ("What does code E-15 say?", 1), ("batteries", 1),
        ("K200", 2), ("k-200", 2),
        ("１，５００", 2), ("1500 euro", 2), ("6.8 kg", 2), ("Какая гарантия?", 3),
        ("купить весы: покупка", 3), ("保証期間はいつまで", 4), ("三年", 4),
    ],
)  # fmt: skip
def test_the_right_chunk_comes_first(search, query, best):
    assert search(query, 3)[0].chunk == chunks()[best]


@pytest.mark.parametrize("query", ["", "xyzzy", "?!", "the of and", "電話"])
def test_no_known_word_gives_nothing(search, query):
    assert search(query, 3) == []


def test_equal_scores_keep_the_order_of_the_chunks_and_k_is_a_limit(search):
    hits = search("leave for employees", 100)
    assert [h.chunk.id for h in hits] == ["000000000005", "000000000006"] and hits[0].score == hits[1].score > 0
    assert [h.chunk.id for h in search("leave", 1)] == ["000000000005"] and search("leave", 0) == []


def test_the_files_are_the_same_in_every_process_and_hold_no_pickle(tmp_path):
    script = "import sys; sys.path.insert(0, sys.argv[2]); from pathlib import Path; import test_bm25 as t; "
    script += "t.build(t.chunks(), t.OPTIONS, Path(sys.argv[1]))"
    for seed in "12":
        environment = {"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)}
        subprocess.run([sys.executable, "-c", script, str(tmp_path / seed), str(__file__).rsplit("/", 1)[0]], check=True, env=environment)
    one, two = ({p.name: p.read_bytes() for p in sorted((tmp_path / seed).iterdir())} for seed in "12")
    assert one == two
    assert {name.rsplit(".", 1)[1] for name in one} == {"json", "npy"}


def test_an_index_of_other_chunks_is_refused(tmp_path):
    build(chunks(), OPTIONS, tmp_path)
    with pytest.raises(InputError, match="made of other chunks"):
        open_index(chunks()[:-1], OPTIONS, tmp_path)


@pytest.mark.parametrize("name", ["index.json", "data.csc.index.npy", "vocab.index.json"])
@pytest.mark.parametrize("harm", ["missing", "cut"])
def test_a_damaged_index_is_a_sentence(tmp_path, name, harm):
    build(chunks(), OPTIONS, tmp_path)
    if harm == "missing":
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:20])
    with pytest.raises(InputError, match="groundling index"):
        open_index(chunks(), OPTIONS, tmp_path)


def test_no_chunks_and_chunks_without_words(tmp_path):
    with pytest.raises(InputError, match="no chunks to index"):
        build([], OPTIONS, tmp_path)
    empty = chunks([("—", "… – !")])
    build(empty, OPTIONS, tmp_path)
    assert open_index(empty, OPTIONS, tmp_path)("anything", 3) == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("batteries", "battery"), ("charging", "charged"), ("charges", "charge"), ("stopped", "stops"), ("Kaltiojärvi", "kaltiojarvi"),
        ("company’s", "company"), ("Ｋ２００", "k200"), ("ёлка", "елка"), ("гарантия", "гарантии"), ("весов", "весы"),
    ],
)  # fmt: skip
def test_forms_of_a_word_meet(one, other):
    assert terms(one) == terms(other) != []


def test_terms():
    assert terms("The E-14 of 2026-01-22 at 3.2 kPa, night-shift") == [
        "e14",
        "e",
        "14",
        "2026-01-22",
        "2026",
        "01",
        "22",
        "3.2",
        "kpa",
        "night",
        "shift",
    ]
    assert terms("価格は") == ["価格", "格は"] and terms("県") == ["県"]
    assert terms("Who is it?") == ["who", "is", "it"], "nothing but stop words: better than nothing"
