"""Documents as passages are looked up in them for `doctor`: each is folded once, however many questions there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

from ..misnamed import Names
from ..records import Document
from ..synthesize.places import even

_SHORTEST = 12  # letters below which a match of letters alone proves nothing, as the evaluation has it


class Shelf:
    """Documents as passages are looked up in them: with even white space, and by their letters and digits alone."""

    def __init__(self, documents: Sequence[Document]) -> None:
        self.documents = documents
        self.names = Names([d.path for d in documents])
        self.size = sum(len(d.text) for d in documents)
        self._ids = {d.id: n for n, d in enumerate(documents)}
        self.even, self.letters, self.squashed = (cache(self._of(form)) for form in (even, _letters, squashed))

    def _of(self, form: Callable[[str], str]) -> Callable[[int | None], str]:
        """A document in a form, by its number; None is all of them."""

        def text(number: int | None) -> str:
            return form(self.documents[number].text) if number is not None else "\n".join(form(d.text) for d in self.documents)

        return text

    def find(self, name: str) -> list[int]:
        """The documents that a name can mean: by path, by the end of it, or by id."""
        by_id = self._ids.get(name.strip())
        return self.names.find(name) or ([] if by_id is None else [by_id])

    def holds(self, number: int | None, passage: str, by_letters: bool) -> bool:
        """Whether a passage stands in a document (None: in any) word for word; `by_letters` as the evaluation looks it up, which suits PDF files."""
        if even(passage) in self.even(number):
            return True
        wanted = _letters(passage)
        return by_letters and len(wanted) >= _SHORTEST and wanted in self.letters(number)

    def elsewhere(self, passage: str, by_letters: bool) -> str:
        """The path of the first document that holds a passage; "" where none does."""
        return next((d.path for n, d in enumerate(self.documents) if self.holds(n, passage, by_letters)), "")


def squashed(text: str) -> str:
    return "".join(text.split()).casefold()


def _letters(text: str) -> str:
    """Letters and digits only, folded, as `evaluate.cases` compares them; each character that a text has is folded once."""
    from ..evaluate.cases import letters

    return text.translate({ord(c): letters(c) for c in set(text)})
