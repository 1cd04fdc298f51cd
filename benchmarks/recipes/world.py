"""What the recipes are measured on: sheets of an invented maker of winches, drawn by a seed, and questions, answers and instructions about them.

Each sheet is a document. Every statement is made from a form and a value, so what is asked about it and what is right are known by construction.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any, NamedTuple

_SYLLABLES = ("bar", "brun", "dal", "esk", "fal", "gar", "hol", "kat", "lund", "mar", "nor", "osk", "rav", "sel", "tor", "ulv", "vik", "yst")
_PEOPLE = ("Aino Berg", "Bela Roth", "Carla Nunes", "Dag Holm", "Eva Kord", "Finn Lauer", "Greta Moe", "Hugo Sand", "Ida Torn", "Jan Wiese")
_PLACES = ("Aldvik", "Borholm", "Kelmar", "Dunsund", "Estby", "Falkum", "Gronau", "Havnes")


class Form(NamedTuple):
    """A relation: how a sheet states it, how a person asks for it, what it is called, and the unit or kind of its value."""

    say: str
    ask: str
    name: str
    value: str


FORMS = (
    Form("The {e} weighs {v}.", "How heavy is the {e}?", "weight", "kg"),
    Form("A new {e} costs {v}.", "What is the price of the {e}?", "price", "EUR"),
    Form("The rope of the {e} measures {v}.", "How long is the rope of the {e}?", "rope", "metres"),
    Form("The {e} can lift up to {v}.", "How much can the {e} lift?", "load", "kg"),
    Form("The warranty of the {e} runs for {v}.", "How long is the {e} guaranteed?", "warranty", "years"),
    Form("The {e} must be greased every {v}.", "How often does the {e} need grease?", "greasing", "weeks"),
    Form("The motor of the {e} takes {v}.", "What power does the motor of the {e} need?", "power", "kW"),
    Form("The {e} was designed by {v}.", "Whose design is the {e}?", "designer", "person"),
    Form("The {e} has been sold since {v}.", "From what day on could one buy the {e}?", "first sale", "date"),
    Form("The {e} is delivered within {v}.", "How fast does the {e} arrive?", "delivery", "days"),
    Form("The brake of the {e} is tested after {v}.", "When does the brake of the {e} need a test?", "brake test", "hours"),
    Form("Spare parts for the {e} are kept in {v}.", "Where are spare parts for the {e} kept?", "spare parts", "place"),
)  # fmt: skip
_MONTHS = ("January", "March", "April", "May", "June", "August", "October", "November")


class Fact(NamedTuple):
    """A statement of a sheet. `answer` stands in `sentence` word for word."""

    form: Form
    entity: str
    answer: str

    @property
    def sentence(self) -> str:
        return self.form.say.format(e=self.entity, v=self.answer)

    @property
    def question(self) -> str:
        return self.form.ask.format(e=self.entity)


class Sheet(NamedTuple):
    """A document: a winch and what is stated of it."""

    entity: str
    facts: list[Fact]

    @property
    def file(self) -> str:
        return f"{self.entity.lower().replace(' ', '-')}.md"

    @property
    def text(self) -> str:
        return f"# {self.entity}\n\n{' '.join(f.sentence for f in self.facts)}\n"


def _value(kind: str, r: random.Random) -> str:
    if kind == "person":
        return r.choice(_PEOPLE)
    if kind == "place":
        return r.choice(_PLACES)
    if kind == "date":
        return f"{r.randint(1, 28)} {r.choice(_MONTHS)} {r.randint(1996, 2025)}"
    low, high = {"EUR": (120, 9800), "kg": (12, 990), "metres": (12, 240), "kW": (2, 45), "hours": (20, 900)}.get(kind, (2, 40))
    return f"{r.randint(low, high)} {kind}"


def sheets(count: int, each: int = 4, seed: int = 1) -> list[Sheet]:
    """So many sheets with `each` statements. No name comes twice; the same seed gives the same sheets."""
    r, found, names = random.Random(seed), [], set()
    while len(found) < count:
        name = "".join(r.choice(_SYLLABLES) for _ in range(3)).capitalize() + " winch"
        if name in names:
            continue
        names.add(name)
        found.append(Sheet(name, [Fact(form, name, _value(form.value, r)) for form in r.sample(FORMS, each)]))
    return found


def write(folder: Path, made: list[Sheet]) -> None:
    """Each sheet as a file of its own."""
    folder.mkdir(parents=True)
    for sheet in made:
        (folder / sheet.file).write_text(sheet.text, "utf-8")


def asked(made: list[Sheet]) -> list[dict[str, str]]:
    """Questions as people put them, with answers in whole sentences: an instruction set whose answers have a form of their own."""
    return [{"instruction": f.question, "output": f.sentence} for sheet in made for f in sheet.facts]


def questions(made: list[Sheet]) -> list[dict[str, Any]]:
    """Questions as people put them, each with the sentence that answers it; and of each sheet one that it does not answer."""
    rows: list[dict[str, Any]] = []
    for sheet in made:
        for n, f in enumerate(sheet.facts):
            rows.append({"id": f"{sheet.file}-{n}", "question": f.question, "answers": [f.answer], "answerable": True,
                         "document": sheet.file, "passage": f.sentence})  # fmt: skip
        other = next(form for form in FORMS if form not in {f.form for f in sheet.facts})
        rows.append({"id": sheet.file, "question": other.ask.format(e=sheet.entity), "answers": [], "answerable": False, "document": sheet.file})
    return rows


def notes(made: list[Sheet], seed: int = 1) -> list[dict[str, str]]:
    """Instructions with the texts that do what they ask: the seeds of backtranslation."""
    r = random.Random(seed)
    found = []
    for sheet in made:
        two = r.sample(sheet.facts, 2)
        found.append({
            "instruction": f"Write a note for customers about the {sheet.entity}: its {two[0].form.name} and its {two[1].form.name}.",
            "output": " ".join(f.sentence for f in two),
        })  # fmt: skip
    return found


def write_json(path: Path, rows: list[Any]) -> None:
    path.write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n", "utf-8")
