"""Written passages: every file is right, every example answers from its passage, and a wrong file is told so."""

import re
from collections import Counter
from importlib import resources

import pytest

from groundling.errors import InputError
from groundling.nano import articles, lexicon, reading
from groundling.seeds import rng

GOOD = """== The Lighthouse of {place}
The lighthouse was built in {year} to replace a beacon.
It is {n:20-60} metres tall and painted {c=white|red}.
- Opening hours: {time} to {time2}
? 1 | {year} | When was the tower at {place} constructed?
? 2 | {n} metres | How high is it? | What is its height?
! Who was its first keeper?
"""


def test_every_file_of_the_package_is_right() -> None:
    files = [f for f in (resources.files(articles.__package__) / "written").iterdir() if f.name.endswith(".txt")]
    wrong = [problem for f in files for problem in articles.parse(f.read_text("utf-8"), f.name)[1]]
    assert len(files) >= 60 and wrong == []


def test_a_fault_in_a_file_is_named() -> None:
    assert articles.parse(GOOD, "t")[1] == []
    for old, new, said in (
        ("{year} |", "{date} |", "does not stand in sentence 1"), ("? 2", "? 7", "no sentence 7"), ("{n:20-60}", "{n:60-20}", "empty range"),
        ("at {place} con", "at {place2} con", "names ['place2']"), ("{time2}", "{tim}", "unknown slot {tim}"), ("? 1 | {year} |", "? {year} |", "a question is"),
    ):  # fmt: skip
        assert said in "".join(articles.parse(GOOD.replace(old, new, 1), "t")[1]), said


def test_a_slot_has_one_value_wherever_it_stands() -> None:
    (article,), _ = articles.parse(GOOD, "t")
    for n in range(50):
        fill = articles.Filler(article, rng(0, n))
        place = fill(article.title).removeprefix("The Lighthouse of ")
        assert place in fill(article.asks[0].ways[0]) and fill(article.asks[1].answer) in fill(article.sentences[1])
        assert 20 <= int(fill("{n}")) <= 60 and fill.values["time"] != fill.values["time2"]


def test_every_answer_stands_in_its_quote_and_the_quote_in_one_passage() -> None:
    count: Counter[str] = Counter()
    for n in range(300):
        for e in reading.ask(rng(3, n), 1 + n % 4, 5):
            count[e.support] += 1
            if e.quotes:
                assert e.answer in e.quotes[0].text
                assert [e.quotes[0].text in p.text for p in e.passages].count(True) == 1 and e.quotes[0].text in e.passages[e.oracle].text
    assert count["cited"] > 800 and 0.1 < count["abstain"] / count.total() < 0.25


def test_held_out_passages_are_not_trained_on() -> None:
    trained, unseen = articles.articles(), articles.articles("unseen")
    assert trained and unseen and not {a.sentences for a in trained} & {a.sentences for a in unseen}


def test_the_same_seed_gives_the_same_examples() -> None:
    assert reading.ask(rng(4), 3, 5) == reading.ask(rng(4), 3, 5) != reading.ask(rng(5), 3, 5)


@pytest.mark.skipif(not (lexicon.FOLDER / "data.noun").exists(), reason="WordNet is not installed here (wordnet-base)")
def test_exercises_in_meaning_ask_with_words_that_the_passages_lack() -> None:
    assert "singer" in lexicon.others("vocalist") and "make" in lexicon.others("built")
    found = [e for n in range(60) for e in lexicon.definitions(rng(6, n), 2, 6)]
    cited = [e for e in found if e.quotes]
    assert len(cited) > 150 and 0.05 < 1 - len(cited) / len(found) < 0.3
    for e in cited:
        assert [e.quotes[0].text in p.text for p in e.passages].count(True) == 1
    swapped = [e for n in range(60) for e in lexicon.swapped(rng(7, n), 2, 6) if e.quotes]
    new = [set(re.findall(r"[a-z]{4,}", e.question)) - set(re.findall(r"[a-z]{4,}", e.passages[e.oracle].text)) for e in swapped]
    assert sum(map(bool, new)) > 0.9 * len(new) > 100


def test_making_without_wordnet_says_what_to_install(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(lexicon, "FOLDER", tmp_path)
    lexicon.lexicon.cache_clear()
    with pytest.raises(InputError, match="apt-get install wordnet-base"):
        lexicon.lexicon()


def test_a_short_exercise_is_a_few_sentences_and_mostly_answered() -> None:
    found = [e for n in range(300) for e in reading.short(rng(8, n), 2)]
    absent = sum(not e.quotes for e in found)
    assert len(found) > 350 and 0.08 < absent / len(found) < 0.3
    for e in found:
        assert len(e.passages) == 1
        assert all(q.text in e.passages[0].text and e.answer in q.text for q in e.quotes)
    assert sum(len(e.passages[0].text) for e in found) / len(found) < 400
