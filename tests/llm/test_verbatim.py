"""While a quote is open, only what stands in the passages can be written; whatever the model would rather say."""

import random

import pytest

from groundling.answer import Answerer, Asked
from groundling.grounding import FORMATS
from groundling.llm.base import Request, Verbatim, call_key
from groundling.llm.local import Local
from groundling.llm.verbatim import KeepVerbatim, _ends, _Place, _Row, table
from groundling.records import Passage

BEGIN, END = "##begin_quote##", "##end_quote##"
TEXTS = ["Leave\nStaff have 25 days. In Finland 30 days – ok.", "有給休暇は二十日です。次の行。", "| Katla | 480 EUR |\n- naïve café, 12 %"]


@pytest.fixture(scope="module")
def tokenizer():
    from groundling.llm.local import load_tokenizer
    from groundling.llm.weights import resolve

    return load_tokenizer(resolve("nano"))


def walk(tokenizer, seed: int) -> str:
    """Open a quote and write allowed tokens at random until it is closed; what was written after the opening mark."""
    known, r = table(tokenizer), random.Random(seed)
    row = _Row(Verbatim(begin=BEGIN, end=END, texts=TEXTS), known)
    for token in tokenizer.encode(BEGIN, add_special_tokens=False):
        row.push(known.pieces[token])
    written = b""
    while row.places is not None:
        token = r.choice(sorted(row.allowed()))
        written += known.pieces[token]
        row.push(known.pieces[token])
    return known.plain(written).decode()


def test_any_walk_through_allowed_tokens_is_a_verbatim_quote_with_its_passage(tokenizer) -> None:
    seen = set()
    for seed in range(200):
        quote, number = walk(tokenizer, seed).rsplit(f"{END} [", 1)
        assert quote and quote in TEXTS[int(number[:-1])], quote
        seen.add(int(number[:-1]))
    assert seen == {0, 1, 2}


@pytest.mark.parametrize("quote", ["Staff have 25 days.", "有給休暇は二十日です。", "naïve café, 12 %", "| Katla | 480 EUR |"])
def test_every_real_quote_can_be_written(tokenizer, quote: str) -> None:
    known = table(tokenizer)
    row = _Row(Verbatim(begin=BEGIN, end=END, texts=TEXTS), known)
    number = next(n for n, t in enumerate(TEXTS) if quote in t)
    for token in tokenizer.encode(BEGIN, add_special_tokens=False):
        row.push(known.pieces[token])
    opening = len(tokenizer.encode(BEGIN, add_special_tokens=False))
    for token in tokenizer.encode(f"{BEGIN}{quote}{END} [{number}]", add_special_tokens=False)[opening:]:
        assert token in row.allowed()
        row.push(known.pieces[token])
    assert row.places is None, "after the number all is free again"


@pytest.mark.parametrize(
    "text", ["Staff have 25 days. In 2.5 hours", "One line\nanother", "| Katla | 480 EUR |", "有給休暇は二十日です。次", "He said “go.” Then"]
)
def test_a_quote_ends_where_a_sentence_a_line_or_a_cell_does(tokenizer, text: str) -> None:
    known = table(tokenizer)
    written = text.encode()
    ends = {text.encode()[:at].decode() for at in range(1, len(written)) if _ends(_Place(written, at, False), known)}
    expected = {"Staff have 25 days.", "One line", "| Katla", "| Katla | 480 EUR", "有給休暇は二十日です。", "He said “go.”"}
    assert {e.strip() for e in ends} == {e for e in expected if text.startswith(e)}
    assert _ends(_Place(written, len(written), False), known)


def test_text_without_marks_may_be_quoted_to_a_words_end_after_a_while(tokenizer) -> None:
    text, known = b"word " * 200, table(tokenizer)
    assert not _ends(_Place(text, 104, False), known)
    assert _ends(_Place(text, 504, False), known) and not _ends(_Place(text, 502, False), known)


def ending(tokenizer, *written: str | bytes) -> bool:
    """Whether a reply may end after these pieces."""
    known = table(tokenizer)
    row = _Row(
        Verbatim(begin=BEGIN, end=END, texts=["The Katla holds 480 litres, naïve café. Цена пластиковой пилы. 二十日です"], answer="<ANSWER>:"), known
    )
    for piece in written:
        for part in [piece] if isinstance(piece, bytes) else [known.pieces[t] for t in tokenizer.encode(piece, add_special_tokens=False)]:
            row.push(part)
    return row.may_end()


def test_a_reply_ends_neither_before_its_answer_nor_within_a_word_of_it(tokenizer) -> None:
    assert ending(tokenizer, "Any free words") and ending(tokenizer, "<ANSWER>: Not in the documents.")
    assert not ending(tokenizer, "<ANSWER>:") and not ending(tokenizer, "<ANSWER>: ")
    quote = f"{BEGIN}The Katla holds 480 litres, naïve café.{END} [0]"
    assert not ending(tokenizer, quote) and not ending(tokenizer, f"{quote}\n") and ending(tokenizer, f"{quote}\nSo it is 480.")
    for answer, whole in (("48", False), ("480", True), ("480 litre", False), ("480 litres", True), ("пластиков", False), ("пластиковой", True),
                          ("二十", True), ("four hundred", True), ("liter", True)):  # fmt: skip
        assert ending(tokenizer, f"{quote}\n<ANSWER>: {answer}") == whole, answer
    assert not ending(tokenizer, f"{quote}\n<ANSWER>: na", "ï".encode()[:1]) and not ending(tokenizer, "free", "日".encode()[:2])


def test_no_half_character_is_written(tiny_model) -> None:
    import torch

    model = Local(tiny_model)
    known, end = model.table, model.tokenizer.eos_token_id
    rule = Verbatim(begin=BEGIN, end=END, texts=["One."], answer="<ANSWER>:")
    keep = KeepVerbatim(known, 0, [rule], end)
    half = known.ids["日".encode()[:1]]
    free = keep(torch.tensor([[known.ids[b"a"]]]), torch.zeros(1, len(known.pieces)))
    assert free[0, end] == 0 and free[0, half] == 0 and free[0, known.ids["日".encode()[1:2]]] == float("-inf")
    bound = keep(torch.tensor([[known.ids[b"a"], half]]), torch.zeros(1, len(known.pieces)))
    assert bound[0, end] == bound[0, known.ids[b"a"]] == float("-inf") and bound[0, known.ids["日".encode()[1:2]]] == 0


def test_a_model_with_random_weights_quotes_verbatim_all_the_same(tiny_model) -> None:
    import torch

    model = Local(tiny_model)
    ids = [*model.encode([{"role": "user", "content": "?"}]), model.tokenizer.convert_tokens_to_ids(BEGIN)]
    quotes = []
    for seed in range(8):
        torch.manual_seed(seed)
        keep = KeepVerbatim(
            model.table, len(ids) - 1, [Verbatim(begin=BEGIN, end=END, texts=TEXTS)], model.tokenizer.eos_token_id
        )  # the opening mark counts as written
        out = model.network.generate(torch.tensor([ids]), max_new_tokens=40, do_sample=True, logits_processor=[keep], pad_token_id=0)
        quotes.append(model.tokenizer.decode(out[0][len(ids) :]).split(END)[0])
    assert all(any(quote in text for text in TEXTS) for quote in quotes) and max(map(len, quotes)) > 3, quotes


def test_an_answerer_asks_for_verbatim_quotes_where_the_format_has_them(tiny_model) -> None:
    passages = [Passage(id="0", title="T", text="One.")]
    asked = Asked("?", passages)
    assert Answerer(Local(tiny_model), FORMATS["raft"]).request(asked).verbatim == Verbatim(begin=BEGIN, end=END, texts=["One."], answer="<ANSWER>:")
    assert Answerer(Local(tiny_model), FORMATS["two-turn"]).request(asked).verbatim is None


def test_the_rule_is_part_of_the_key() -> None:
    free = Request(messages=[{"role": "user", "content": "?"}])
    bound = Request(messages=free.messages, verbatim=Verbatim(begin="a", end="b", texts=["c"]))
    assert call_key("m", free) != call_key("m", bound)
