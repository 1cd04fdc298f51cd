"""Invented names and values for nano's training text: nothing here exists, so nothing can be known by heart, only read."""

from __future__ import annotations

import random
from collections.abc import Callable

_ONSETS = "b br c ch d dr f fl g gl gr h j k kl kr l m n p pl pr r s sk sl st t tr v w z th sh qu y".split()
_VOWELS = "a e i o u ae ai ei ia io oa ou ee y".split()
_CODAS = ["", "", "", "l", "m", "n", "r", "s", "t", "k", "x", "nd", "rk", "sk", "st", "lm", "rn", "th", "ck", "ng"]
_ENDINGS = {
    "place": ["ville", "ton", "berg", "sund", "by", "field", "mouth", "stad", "holm", "ford", "", "", " Bay", " Falls", "burg", "wick"],
    "company": [" Ltd", " GmbH", " Inc.", " Oy", " AB", " Systems", " & Co", " Group", " Labs", " Works", "tech", "", ""],
    "country": ["ia", "land", "stan", "ania", "ovia", "mark"],
}
_FIRST = (
    "Anna Boris Clara David Elena Felix Greta Hugo Ida Jonas Katya Liam Maria Nils Olga Peter Rosa Samuel Tara Urs Vera Willem Yuki Zoe "
    "Amir Bea Carlos Dina Emil Farid Gita Hana Ivan Jana Kofi Lena Milan Nora Omar Priya Ravi Sofia Tomas Uma Viktor Wanda"
).split()
MONTHS = "January February March April May June July August September October November December".split()
WEEKDAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
_LISTS = {
    "weekday": WEEKDAYS,
    "month": MONTHS,
    "color": "red blue green yellow black white orange purple grey brown silver golden turquoise crimson pale-green dark-blue".split(),
    "material": (
        "oak|steel|aluminium|copper|glass|cotton|wool|leather|bamboo|concrete|granite|brass|rubber|ceramic|linen|silk|carbon fibre|"
        "stainless steel|recycled plastic|birch plywood|polycarbonate|cast iron|clay|nylon|titanium"
    ).split("|"),
    "role": (
        "chief engineer|office manager|head of sales|safety officer|line manager|project lead|finance director|team assistant|"
        "quality inspector|site supervisor|managing director|data protection officer|shift leader|purchasing manager|librarian|captain|"
        "product owner|warehouse clerk|legal counsel|payroll specialist"
    ).split("|"),
    "department": (
        "Finance|Human Resources|Customer Support|Logistics|Engineering|Legal|Marketing|Procurement|Quality|Research|Sales|IT|"
        "Facilities|Production|Compliance|Payroll|Field Service"
    ).split("|"),
    "language": "English German Finnish Polish Spanish Swahili Hindi Korean Latin Dutch Estonian Arabic Greek Thai Welsh".split(),
    "food": (
        "rice|barley soup|smoked fish|goat cheese|honey|lentils|rye bread|plum jam|mushrooms|dried apples|pumpkin seeds|beetroot|"
        "noodles|potatoes|walnuts|olives|cabbage|yoghurt"
    ).split("|"),
    "animal": "otter heron fox beetle owl salmon bat hedgehog moose crane lizard bee seal wolf frog hare sparrow goat".split(),
    "plant": "fern oak moss lily birch thistle clover pine reed lavender nettle willow heather juniper orchid".split(),
    "sport": "football rowing chess fencing handball cycling hockey tennis judo swimming badminton curling archery volleyball".split(),
    "subject": (
        "astronomy|plumbing|contract law|botany|statistics|welding|first aid|accounting|ancient history|music theory|soil science|"
        "machine design|public speaking|chemistry|geography|tax law|poetry|navigation|data analysis|weaving"
    ).split("|"),
    "thing": (
        "a brass key|the main valve|a paper form|the blue folder|a safety helmet|the spare battery|an access card|the filter basket|"
        "a signed receipt|the rear panel|a wooden box|the drain plug|a torch|the control unit|a water tank|the loading ramp|"
        "a hand pump|the emergency switch|a mirror|an iron gate|the upper deck|a stone bridge"
    ).split("|"),
    "format": "PDF CSV JSON XML Parquet Markdown DOCX PNG SVG ZIP TIFF HTML".split(),
}


# Syllables that would make an invented name rude.
_RUDE = ("fuck", "shit", "cock", "dick", "cunt", "fuk", "nig", "rape", "slut", "piss", "fag", "jap", "tit", "sex", "nazi")


def word(r: random.Random, syllables: int | None = None) -> str:
    """A pronounceable word that is in no dictionary, most of the time."""
    count = syllables or r.choice((1, 2, 2, 2, 3))
    made = "".join(r.choice(_ONSETS) + r.choice(_VOWELS) for _ in range(count)) + r.choice(_CODAS)
    return word(r, syllables) if any(rude in made for rude in _RUDE) else made


def name(r: random.Random) -> str:
    return word(r).capitalize()


def person(r: random.Random) -> str:
    first = r.choice(_FIRST) if r.random() < 0.6 else name(r)
    return f"{first} {name(r)}" if r.random() < 0.93 else f"Dr {first} {name(r)}"


def _model(r: random.Random) -> str:
    base = name(r)
    style = r.random()
    if style < 0.35:
        return f"{base} {r.choice((r.randrange(1, 10), r.randrange(10, 1000, 10), r.randrange(100, 9000, 50)))}"
    if style < 0.55:
        return f"{base} {r.choice(('Pro', 'Mini', 'Plus', 'XL', 'Lite', 'Air', 'One', 'S', 'Max'))}"
    if style < 0.7:
        return f"{r.choice('ABCDEFGHKLMPRSTVXZ')}{r.choice('ABCDEFGHKLMPRSTVXZ')}-{r.randrange(10, 999)}"
    return base


def _the(*nouns: str) -> Callable[[random.Random], str]:
    def make(r: random.Random) -> str:
        noun = r.choice(nouns)
        return f"the {name(r)} {noun}" if r.random() < 0.75 else f"the {noun} {r.choice(('of ', ''))}{name(r)}"

    return make


def _policy(r: random.Random) -> str:
    topic = "Travel Leave Expense Security Remote-Work Training Purchasing Parking Privacy Safety Overtime Equipment Visitor Return".split()
    first = r.choice(topic) if r.random() < 0.6 else name(r)
    year = f" {r.randrange(2015, 2031)}" if r.random() < 0.3 else ""
    return f"the {first} {r.choice(('Policy', 'Policy', 'Rules', 'Directive', 'Guideline'))}{year}"


_ENTITIES: dict[str, Callable[[random.Random], str]] = {
    "product": _model,
    "machine": lambda r: _model(r) if r.random() < 0.6 else _the("press", "pump", "mill", "boiler", "crane", "printer", "lathe")(r),
    "software": lambda r: name(r) + r.choice(["", " Studio", "Desk", " Server", "Sync", "Base", " Agent"]),
    "policy": _policy,
    "company": lambda r: name(r) + r.choice(_ENDINGS["company"]),
    "department": lambda r: f"the {r.choice(_LISTS['department'])} department" if r.random() < 0.5 else f"the {name(r)} team",
    "employee": person,
    "office": _the("office", "branch", "site"),
    "meeting": _the("meeting", "review", "workshop", "council"),
    "project": lambda r: f"Project {name(r)}" if r.random() < 0.6 else f"the {name(r)} project",
    "contract": _the("contract", "agreement", "framework"),
    "order": lambda r: f"order {r.choice('ABCDKLMR')}{r.randrange(1000, 99999)}",
    "event": _the("conference", "fair", "open day", "summit", "gala"),
    "course": _the("course", "seminar", "training"),
    "service": lambda r: f"{name(r)} {r.choice(('Care', 'Support', 'Cloud', 'Delivery', 'Rescue', 'Hosting'))}",
    "shipment": lambda r: f"shipment {r.choice('ABCDKLMR')}{r.choice('XYZ')}-{r.randrange(100, 9999)}",
    "building": _the("tower", "hall", "warehouse", "library", "station", "house"),
    "vehicle": _model,
    "price_plan": lambda r: f"the {r.choice(('Basic', 'Gold', 'Team', 'Starter', name(r), name(r)))} plan",
    "committee": _the("committee", "board", "working group"),
    "town": lambda r: name(r) + r.choice(_ENDINGS["place"]),
    "river": lambda r: f"the {name(r)}" if r.random() < 0.7 else f"the {name(r)} River",
    "mountain": lambda r: f"Mount {name(r)}",
    "island": lambda r: f"{name(r)} Island" if r.random() < 0.5 else name(r),
    "country": lambda r: name(r) + r.choice(_ENDINGS["country"]),
    "person": person,
    "scientist": person,
    "writer": person,
    "law": _the("Act", "Law", "Code"),
    "plant": lambda r: f"the {r.choice(('red', 'dwarf', 'common', 'mountain', 'bitter'))} {word(r)}",
    "animal": lambda r: f"the {r.choice(('spotted', 'grey', 'lesser', 'marsh', 'northern'))} {word(r)}",
    "disease": lambda r: f"{word(r)} {r.choice(('fever', 'disease', 'syndrome', 'rot'))}",
    "mineral": lambda r: word(r) + "ite",
    "book": lambda r: f'"{r.choice(("The", "A"))} {r.choice(("Silent", "Last", "Iron", "Hidden", "Long"))} {name(r)}"',
    "film": lambda r: f'"{name(r)} {r.choice(("Rising", "Road", "at Dawn", "Nights", "Returns"))}"',
    "song": lambda r: f'"{r.choice(("Song of", "Leaving", "Dear", "Back to"))} {name(r)}"',
    "team": lambda r: f"{name(r)} {r.choice(('United', 'Rovers', 'Lions', 'Athletic', 'Hawks'))}",
    "match": lambda r: f"the match between {name(r)} and {name(r)}",
    "school": _the("School", "Academy", "University", "College"),
    "museum": _the("Museum", "Gallery"),
    "bridge": _the("Bridge", "Viaduct"),
    "ship": lambda r: f"the {r.choice(('MS', 'SS', 'HMS', ''))} {name(r)}".replace("  ", " "),
    "festival": _the("Festival", "Carnival"),
    "battle": lambda r: f"the Battle of {name(r)}",
    "treaty": lambda r: f"the Treaty of {name(r)}",
    "religion": lambda r: name(r) + "ism",
    "language": lambda r: name(r) + r.choice(["ish", "ese", "an"]),
    "dish": lambda r: word(r) + r.choice([" stew", " cake", "", " soup"]),
    "star": lambda r: f"{name(r)} {r.choice(('Alpha', 'B', 'Prime', str(r.randrange(2, 99))))}",
    "experiment": _the("experiment", "trial", "test"),
    "theory": _the("theory", "principle", "theorem"),
    "train_line": _the("line", "Express", "railway"),
}
KINDS = sorted(_ENTITIES)


def entity(kind: str, r: random.Random) -> str:
    """A proper name of that kind, with its article where it needs one."""
    return _ENTITIES[kind](r)


def _number(r: random.Random) -> str:
    style = r.random()
    if style < 0.5:
        return str(r.randrange(2, 100))
    if style < 0.75:
        return str(r.randrange(100, 1000))
    value = r.randrange(1000, 90_000_000) if style > 0.93 else r.randrange(1000, 60_000)
    return f"{value:,}" if r.random() < 0.7 else str(value)


def _quantity(r: random.Random, units: str) -> str:
    value = r.choice((str(r.randrange(1, 20)), str(r.randrange(10, 1000)), f"{r.randrange(1, 90)}.{r.randrange(1, 10)}"))
    return f"{value} {r.choice(units.split('|'))}"


def _money(r: random.Random) -> str:
    whole = r.choice((r.randrange(1, 100), r.randrange(100, 1000), r.randrange(1000, 90000), r.randrange(10, 1000) * 10))
    amount = f"{whole:,}" + (f".{r.randrange(0, 100):02d}" if r.random() < 0.3 else "")
    style = r.random()
    if style < 0.35:
        return f"{r.choice('€$£')}{amount}"
    return f"{amount} {r.choice(('EUR', 'USD', 'euros', 'dollars', 'SEK', 'CHF', 'pounds', 'kroner'))}"


def _date(r: random.Random) -> str:
    day, month, year = r.randrange(1, 29), r.randrange(1, 13), r.randrange(1800, 2031) if r.random() < 0.3 else r.randrange(2015, 2031)
    return r.choice(
        (
            f"{day} {MONTHS[month - 1]} {year}",
            f"{day} {MONTHS[month - 1]}",
            f"{MONTHS[month - 1]} {day}, {year}",
            f"{year}-{month:02d}-{day:02d}",
            f"{MONTHS[month - 1]} {year}",
        )
    )


def _duration(r: random.Random) -> str:
    count = r.choice((r.randrange(2, 12), r.randrange(2, 12), r.randrange(10, 100)))
    words = "two three four five six seven eight nine ten twelve".split()
    shown = r.choice(words) if r.random() < 0.3 else str(count)
    return f"{shown} {r.choice('days weeks months years hours minutes working_days seconds'.split()).replace('_', ' ')}"


def _time(r: random.Random) -> str:
    hour, minute = r.randrange(0, 24), r.choice((0, 15, 30, 45))
    return f"{hour:02d}:{minute:02d}" if r.random() < 0.7 else f"{hour % 12 or 12} {'a.m.' if hour < 12 else 'p.m.'}"


def _code(r: random.Random) -> str:
    letters = "".join(r.choice("ABCDEFGHKLMNPRSTUVXZ") for _ in range(r.choice((1, 1, 2, 3))))
    return f"{letters}{r.choice(('', '-', ''))}{r.randrange(1, 10 ** r.choice((2, 3, 4)))}"


_VALUES: dict[str, Callable[[random.Random], str]] = {
    "year": lambda r: str(r.randrange(1200, 2000) if r.random() < 0.4 else r.randrange(1950, 2031)),
    "date": _date,
    "time": _time,
    "duration": _duration,
    "number": _number,
    "money": _money,
    "percent": lambda r: f"{r.randrange(1, 100)}{r.choice(('%', ' %', ' percent', '.5%'))}",
    "length": lambda r: _quantity(r, "m|km|cm|mm|metres|kilometres|miles|feet"),
    "weight": lambda r: _quantity(r, "kg|g|tonnes|kilograms|grams|pounds"),
    "temperature": lambda r: f"{r.choice(('', '', '-'))}{r.randrange(1, 120)}{r.choice((' °C', '°C', ' degrees', ' °F'))}",
    "volume": lambda r: _quantity(r, "litres|l|ml|cubic metres|gallons"),
    "speed": lambda r: _quantity(r, "km/h|m/s|mph|knots|rpm"),
    "power": lambda r: _quantity(r, "W|kW|watts|kWh|MW|V"),
    "area": lambda r: _quantity(r, "m²|square metres|hectares|km²|acres"),
    "person": person,
    "company": lambda r: entity("company", r),
    "place": lambda r: entity("town", r),
    "country": lambda r: entity("country", r),
    "code": _code,
    "email": lambda r: f"{word(r, 1)}.{word(r, 1)}@{word(r, 2)}.{r.choice(('com', 'org', 'example', 'eu'))}",
    "phone": lambda r: f"+{r.randrange(1, 99)} {r.randrange(10, 99)} {r.randrange(100, 999)} {r.randrange(1000, 9999)}",
    "version": lambda r: f"{r.randrange(1, 12)}.{r.randrange(0, 20)}" + (f".{r.randrange(0, 9)}" if r.random() < 0.5 else ""),
    "url": lambda r: f"{r.choice(('https://', ''))}{word(r, 2)}.{r.choice(('org', 'com', 'net'))}/{word(r, 1)}",
    "room": lambda r: r.choice((f"room {r.randrange(1, 600)}", f"room {r.choice('ABC')}{r.randrange(1, 50)}", f"the {name(r)} room")),
    "rating": lambda r: r.choice((f"{r.randrange(1, 6)} out of 5", f"{r.randrange(1, 6)} stars", f"{r.randrange(1, 10)}.{r.randrange(10)}")),
}
VALUE_TYPES = sorted({*_VALUES, *_LISTS})


def value(kind: str, r: random.Random) -> str:
    """A value of that type. Short word lists are stretched with an invented adjective now and then, so that none is learnt by heart."""
    if kind in _VALUES:
        return _VALUES[kind](r)
    chosen = r.choice(_LISTS[kind])
    if kind in ("material", "food", "plant", "animal", "subject") and r.random() < 0.35:
        return f"{word(r)} {chosen}"
    return chosen
