"""Cells of tables: asked for as a colleague would ask, by what the value, the column and the row are; and not at all where no such question is known."""

from __future__ import annotations

import pytest

from groundling.llm.rules.facts import facts


def asked(head: str, *rows: str, title: str = "") -> dict[str, set[str]]:
    """The spoken questions by the answer, over titles that draw different styles."""
    text = "\n".join([f"| {head} |", "|" + "---|" * (head.count("|") + 1), *(f"| {row} |" for row in rows)])
    found: dict[str, set[str]] = {}
    for n in range(40):
        for fact in facts(text, f"{title} > {n}"):
            if fact.question.endswith("?"):
                found.setdefault(fact.answer, set()).add(fact.question.replace(f" ({title})", ""))
    return found


@pytest.mark.parametrize(
    ("head", "rows", "answer", "wanted"),
    [
        (
            "Day | Pool | Sauna",
            ["Monday | 7:00–20:00 | 15:00–19:00", "Tuesday | 8:00–20:00 | closed"],
            "15:00–19:00",
            "When is the sauna open on Monday?",
        ),
        (
            "Day | Pool | Sauna",
            ["Monday | 7:00–20:00 | 15:00–19:00", "Tuesday | 8:00–20:00 | closed"],
            "closed",
            "When is the sauna open on Tuesday?",
        ),
        ("Room | Monday | Friday", ["Library | 9–17 | 10–14"], "10–14", "When is the library open on Friday?"),
        ("Item | Price", ["Wheel hire | 6 EUR per hour", "Apron | 9 EUR"], "6 EUR per hour", "How much does the wheel hire cost?"),
        ("Item | Price", ["Wheel hire | 6 EUR", "Apron | free of charge"], "free of charge", "How much does the apron cost?"),
        ("Visitor | Price", ["Adult | 12 EUR", "Child | 6 EUR"], "12 EUR", "How much does an adult pay?"),
        ("Ticket | Children", ["Day pass | 4 EUR"], "4 EUR", "How much do children pay for the day pass?"),
        (" | Mon | Sat", ["Workshop | 8:00-16:00 | 9:00-12:00"], "9:00-12:00", "When is the workshop open on Saturday?"),
        ("Department | Head", ["Sales | Mia Falk"], "Mia Falk", "Who is the head of sales?"),
        ("Plan | Monthly fee | Text messages", ["Basic | 8 EUR | none", "Duty | 29 EUR | 60"], "29 EUR", "How much is the monthly fee for Duty?"),
        ("Plan | Monthly fee | Text messages", ["Basic | 8 EUR | none", "Duty | 29 EUR | 60"], "60", "How many text messages come with Duty?"),
        ("Membership | Yearly fee", ["Standard | 90 EUR", "Studio key | 99 EUR"], "90 EUR", "How much is the yearly fee for Standard?"),
        ("Role | Name | Phone", ["Head teacher | Ingrid Moe | +47 555 20 101"], "Ingrid Moe", "Who is the head teacher?"),
        ("Role | Name | Phone", ["Head teacher | Ingrid Moe | +47 555 20 101"], "+47 555 20 101", "What is the head teacher's phone number?"),
        ("Class | Class teacher | Substitute", ["4a | Jon Lie | Eva Aas"], "Eva Aas", "Who is the substitute for 4a?"),
        ("Name | Role | Ext.", ["Ada Berg | Accountant | 214"], "Accountant", "What is Ada Berg's role?"),
        ("Name | Role | Ext.", ["Ada Berg | Accountant | 214"], "214", "What is the extension of Ada Berg?"),
        ("Property | Value", ["Noise level | 42 dB", "Tank capacity | 3.8 l"], "3.8 l", "What is the tank capacity?"),
        (
            "Interval | Battery life",
            ["10 minutes | 2 years", "30 minutes | 5 years"],
            "5 years",
            "What is the battery life at an interval of 30 minutes?",
        ),
        (" | Katto 200 | Katto 250", ["Weight | 8 kg | 15 kg"], "15 kg", "What is the weight of the Katto 250?"),
        ("Region | Allowance", ["Finland, Sweden | €42"], "€42", "What is the allowance in Finland and Sweden?"),
        ("Action | Guest | Member", ["Book a room | no | yes", "Invite guests | no | yes"], "yes", "Can a member invite guests?"),
        ("Room | Projector | Dogs allowed | Seats", ["Birch | yes | no | 12"], "yes", "Does Birch have a projector?"),
        ("Room | Projector | Dogs allowed | Seats", ["Birch | yes | no | 12"], "no", "Are dogs allowed in Birch?"),
        ("Room | Projector | Dogs allowed | Seats", ["Birch | yes | no | 12"], "12", "How many seats does Birch have?"),
        ("Machine | Training needed | Location", ["Table saw | yes | hall 2", "Lathe | no | hall 1"], "no", "Is training needed for the lathe?"),
        ("Machine | Training needed | Location", ["Table saw | yes | hall 2", "Lathe | no | hall 1"], "hall 2", "Where is the table saw?"),
        ("Course | Weekday | Time", ["Diving | Friday | 19:00"], "Friday", "On which day is Diving?"),
        ("Error code | Meaning", ["401 | key missing"], "key missing", "What does code 401 mean?"),
    ],
)
def test_a_cell_is_asked_for_as_a_colleague_would(head: str, rows: list[str], answer: str, wanted: str) -> None:
    found = asked(head, *rows, title="Opening times")
    assert wanted in found.get(answer, ()), found


@pytest.mark.parametrize(
    ("head", "row", "cell"),
    [
        ("Item | Notes", "Apron | includes a bag", "includes a bag"),
        ("Matter | Supplier", "Orders | Torvald Ek", "Torvald Ek"),  # who acts for the supplier is no supplier
        ("Day | Call-out, first hour", "Sunday | 150 %", "150 %"),
        ("Day | Each further hour", "Sunday | 150 %", "150 %"),
        ("Place | Type", "Reception | foam", "foam"),  # the row says where the thing is, and not what it is
        ("Code | Model", "E01 | 200", "200"),
        ("Days | Who pays", "2 – 3 | the firm", "the firm"),
        ("Product | Warranty sign", "Lamp | yes", "yes"),
        ("Class | Where it may live", "Open | anywhere", "anywhere"),
        ("Item | Value", "Backup battery | 36 hours", "36 hours"),
        ("Item | Value", "Other bidders | four", "four"),
        ("Task | Status", "Order new chairs | open", "open"),
        ("Chemical | Storage", "Acetone | steel cabinet", "steel cabinet"),  # no age
        ("Source, tonnes | 2025", "Purchased materials | 398", "398"),
        ("Action | Guest", "Invite guests | 5 people", "5 people"),
        ("Right | Guest", "Invite guests | no", "no"),
    ],
)
def test_nothing_is_asked_where_no_natural_question_is_known(head: str, row: str, cell: str) -> None:
    assert cell not in asked(head, row)


def test_no_question_points_at_the_table_or_its_columns() -> None:
    heads = ["Item | Price | Notes | Size | Ready", "Room | Seats | Chair | Remark | Heated", "Step | Who | When | Where | How long"]
    rows = ["Lamp | 4 EUR | blue | 4 cm | yes", "Kide | 12 | Ada Berg | old | no", "1 | Ada Berg | May 2026 | hall | 4 days"]
    found = [q for head in heads for row in rows for qs in asked(head, row, title="T").values() for q in qs]
    assert found and not [q for q in found if any(w in q for w in ("under “", "table", "stands", "noted", "is given for"))]


def test_lines_of_minutes_are_asked_for_by_what_people_did() -> None:
    text = "Present: Anna Berg, Karim Haddad\nMinutes: Ulla Strand\nNext meeting: 16 April 2026, Turku\nDefibrillator: in the hallway\nDinner: at most €65\n"
    found = {f.answer: f.question for f in facts(text, "Board")}
    assert found == {
        "Anna Berg, Karim Haddad": "Who was present (Board)?", "Ulla Strand": "Who took the minutes (Board)?",
        "16 April 2026, Turku": "When is the next meeting (Board)?", "in the hallway": "Where is the defibrillator (Board)?",
    }  # fmt: skip
