import pytest
from evaluate_world import CHUNKS, DOCUMENTS, QUESTIONS, TEXTS, search

from groundling.config import Evaluate
from groundling.errors import InputError
from groundling.evaluate import cases
from groundling.evaluate.cases import Books
from groundling.records import Chunk, Document, Question

BOOKS = Books(DOCUMENTS, CHUNKS, search, frozenset({"d-leave"}))


def question(**values):
    return Question(**{"id": "q", "question": "?", "answers": ["25 days"], "answerable": True, **values})


@pytest.mark.parametrize(("passage", "text", "wanted"), [
    ("two three", "one two three", [(4, 13)]),
    ("two three", "two three, two three", [(0, 9), (11, 20)]),
    ("two  three", "one two\n three", [(4, 14)]),
    ("The efficient office-building", "x The efﬁcient office-\nbuilding.", [(2, 31)]),
    ("nine", "no", []), ("", "text", []), ("  ", "text", []), ("a-b", "a b", []),
])  # fmt: skip
def test_locate(passage, text, wanted):
    assert cases.locate(passage, text) == wanted


def test_gold_by_path_by_file_name_and_without_document():
    for name in ("hr/leave.txt", "leave.txt", "./hr/leave.txt", None):
        found = cases.gold(question(document=name, passage="25 days of leave"), DOCUMENTS)
        assert (found.document.id, found.spans, found.status) == ("d-leave", [(11, 27)], cases.LOCATED)


def test_of_two_files_of_a_name_the_one_that_holds_the_passage_is_meant():
    twins = [Document(id=d, path=f"{d}/a.txt", title="", text=t) for d, t in (("x", "nothing here"), ("y", "25 days of leave"))]
    assert cases.gold(question(document="a.txt", passage="25 days of leave"), twins).document.id == "y"


def test_gold_that_cannot_be_located_says_why():
    assert cases.gold(question(document="other.txt", passage="x"), DOCUMENTS).status == cases.NO_DOCUMENT
    assert cases.gold(question(document="leave.txt"), DOCUMENTS).status == cases.NO_PASSAGE
    lost = cases.gold(question(document="leave.txt", passage="No such sentence at all."), DOCUMENTS)
    assert lost.status == cases.NOT_FOUND and lost.document.id == "d-leave"


def chunk(start, end, document="d-leave"):
    return Chunk(id="c", document=document, path="", title="", text=TEXTS["leave"][start:end], start=start, end=end)


def test_relevant_needs_half_of_the_shorter_and_the_answer():
    found = cases.gold(question(document="leave.txt", passage="Staff have 25 days of leave."), DOCUMENTS)  # 0…28
    said = ["25 days"]
    assert cases.is_relevant(chunk(0, 28), found, said) and cases.is_relevant(chunk(0, 59), found, said)
    assert cases.is_relevant(chunk(4, 18), found, said)  # half of the gold, with the answer
    assert not cases.is_relevant(chunk(15, 28), found, said)  # the answer is cut
    assert cases.is_relevant(chunk(14, 28), found, ["thirty"])  # the passage does not say the answer in these words: half is enough
    assert not cases.is_relevant(chunk(15, 59), found, ["thirty"])  # less than half
    assert not cases.is_relevant(chunk(0, 28, "d-office"), found, said)
    assert not cases.is_relevant(chunk(29, 59), found, said)


def test_an_answer_elsewhere_in_the_chunk_does_not_count():
    text = "Lunch costs 40 euros. Rates differ much. The rate is 40 euros."
    document = Document(id="d", path="d.txt", title="", text=text)
    found = cases.gold(question(document="d.txt", passage="Rates differ much. The rate is 40 euros."), [document])
    head = Chunk(id="c", document="d", path="", title="", text=text[:53], start=0, end=53)  # ends before the answer
    assert not cases.is_relevant(head, found, ["40 euros"]) and cases.is_relevant(head, found, ["fifty"])


def test_build_all_settings():
    asked = cases.settings(Evaluate(k=[2, 1]))
    assert asked == ["none", "k=1", "k=2", "given"]
    built = cases.build(QUESTIONS, BOOKS, asked)
    assert built.gold == {cases.LOCATED: 3, "unanswerable": 1, cases.NOT_FOUND: 1}
    assert [len(built.cases[s]) for s in asked] == [5, 5, 5, 4]  # the unanswerable one is never given a passage
    assert [c.relevant for c in built.cases["k=1"]] == [[0], [0], [0], [], None]
    assert [c.relevant for c in built.cases["none"]] == [[], [], [], [], None] and not built.cases["none"][0].asked.passages
    assert [c.seen for c in built.cases["k=1"]] == [True, False, False, None, False]
    given = built.cases["given"][1]
    assert (given.relevant, given.asked.passages[0].title, given.asked.passages[0].text) == ([0], "Travel", "The daily rate is 40 euros.")


def test_each_k_is_searched_as_serving_would():
    ks = []
    built = cases.build(QUESTIONS[:1], Books(DOCUMENTS, CHUNKS, lambda q, k: ks.append(k) or search(q, k)), ["k=1", "k=3"])
    assert ks == [1, 3] and built.cases["k=1"][0].seen is None


def test_gold_that_no_chunk_holds_is_counted():
    halves = [chunk(0, 15), chunk(15, 59)]
    assert cases.build(QUESTIONS[:1], BOOKS._replace(chunks=halves), ["none"]).gold == {cases.SPLIT: 1}


def test_the_headline_speaks_of_the_setting_named_else_of_the_middle_one():
    assert cases.headline(Evaluate()) == "k=3" and cases.headline(Evaluate(k=[])) == "given"
    assert cases.headline(Evaluate(headline=1)) == "k=1"
    with pytest.raises(ValueError, match="headline is 2, which is none of k"):
        Evaluate(headline=2)
    with pytest.raises(InputError, match="asks nothing"):
        cases.settings(Evaluate(k=[], without=False, given=False))


@pytest.mark.parametrize(("questions", "words"), [
    ([], "no question"), ([question(), question()], '2 questions have the id "q"'), ([question(answers=[" "])], "names no answer"),
])  # fmt: skip
def test_questions_that_cannot_be_scored(questions, words):
    with pytest.raises(InputError, match=words):
        cases.check(questions)
