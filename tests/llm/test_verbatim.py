"""While a quote is open, only what stands in the passages can be written; whatever the model would rather say."""

import random

import pytest

from groundling.answer import Answerer, Asked
from groundling.grounding import FORMATS
from groundling.llm.base import Request, Verbatim, call_key
from groundling.llm.local import Local
from groundling.llm.verbatim import KeepVerbatim, _Row, table
from groundling.records import Passage

BEGIN, END = "##begin_quote##", "##end_quote##"
TEXTS = ["Leave\nStaff have 25 days. In Finland 30 days – ok.", "有給休暇は二十日です。次の行。", "| Katla | 480 EUR |\n- naïve café, 12 %"]


@pytest.fixture(scope="module")
def tokenizer():
    from groundling.llm.local import load_tokenizer
    from groundling.llm.open import resolve

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


def test_a_model_with_random_weights_quotes_verbatim_all_the_same(tiny_model) -> None:
    import torch

    model = Local(tiny_model)
    ids = [*model.encode([{"role": "user", "content": "?"}]), model.tokenizer.convert_tokens_to_ids(BEGIN)]
    quotes = []
    for seed in range(8):
        torch.manual_seed(seed)
        keep = KeepVerbatim(model.table, len(ids) - 1, [Verbatim(begin=BEGIN, end=END, texts=TEXTS)])  # the opening mark counts as written
        out = model.network.generate(torch.tensor([ids]), max_new_tokens=40, do_sample=True, logits_processor=[keep], pad_token_id=0)
        quotes.append(model.tokenizer.decode(out[0][len(ids) :]).split(END)[0])
    assert all(any(quote in text for text in TEXTS) for quote in quotes) and max(map(len, quotes)) > 3, quotes


def test_an_answerer_asks_for_verbatim_quotes_where_the_format_has_them(tiny_model) -> None:
    passages = [Passage(id="0", title="T", text="One.")]
    asked = Asked("?", passages)
    assert Answerer(Local(tiny_model), FORMATS["raft"]).request(asked).verbatim == Verbatim(begin=BEGIN, end=END, texts=["One."])
    assert Answerer(Local(tiny_model), FORMATS["two-turn"]).request(asked).verbatim is None


def test_the_rule_is_part_of_the_key() -> None:
    free = Request(messages=[{"role": "user", "content": "?"}])
    bound = Request(messages=free.messages, verbatim=Verbatim(begin="a", end="b", texts=["c"]))
    assert call_key("m", free) != call_key("m", bound)
