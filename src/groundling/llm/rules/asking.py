"""A question for a span of an English sentence, by its grammar: what the `template` teacher asks. No model.

A sentence is cut into what leads in, the main clause, and what comes after the span. Where subject and verb are found, the wh-word goes to the
front and the verb turns ("Submit the claim within 21 days" -> "Within how many days should I submit the claim?"). A sentence whose grammar is not
understood is not asked about: a teacher that asks nonsense teaches it.
"""

from __future__ import annotations

import re
from random import Random
from typing import NamedTuple

from ..sentences import ABBREVIATION
from .english import AUXILIARIES, BELOW, DETERMINERS, JOINTS, NOT_SUBJECT, PREPOSITIONS, PRONOUNS, document_of, lower, noun_phrase
from .measured import measurable, measured
from .otherwords import forms, known_verbs
from .wh import Asked, Clause, phrase, who

_BE = frozenset("is are was were".split())
_MODIFIER = re.compile(
    r"\b(?:at least|at most|up to|no more than|no less than|about|around|exactly|only|over|less than|more than|nearly|almost)\s*$",
    re.I,
)
_HELD = re.compile(r"\b(within|by|on|at|in|for|after|before|until|from|to|with|of|every|since|per|under|over|above|below|into)\s+(?:the\s+)?$", re.I)
_LEAD = re.compile(
    r"^((?:if|when|after|before|for|in|on|at|from|since|until|under|during|with|without|by|as|once|because|although|while|beyond)\b[^,;:.]{2,90}), ",
    re.I,
)
_LABEL = re.compile(r"^(?:Fixed|New|Note|Notes|Important|Changed|Added|Example|Tip|Warning|Please note)\s*[:–—-]\s+", re.I)
_MARKS = re.compile(r"[*_`#|\"“”]")
_LATER = re.compile(r"\s*(?:after|before|ahead|later|from|until|since)\b")  # "nine months after the position has been filled"
_LONGEST = 26  # words


def question(asked: Asked, pre: str, post: str, title: str, r: Random) -> str | None:
    """A question for what stood between `pre` and `post`; None where the grammar is not understood."""
    clause = _clause(pre, post)
    if clause is None or not _stands(asked, clause.pre) or (asked.name == "long" and _LATER.match(post)):
        return None
    if _unlike(asked, clause):
        return None
    fronted = _fronted(asked, clause, title)
    style = r.random()
    found = None
    if style < 0.08 and (typed := _keywords(asked, clause)):
        return _whole_words(typed)
    if asked.name != "place" and (fronted is None or style < 0.22):
        found = _inside(asked, clause)
    found = found or fronted
    return _whole_words(_sound(found)) if found else None


def _clause(pre: str, post: str) -> Clause | None:
    """The clause of the span, without labels and what hangs on behind; None where it is not whole."""
    pre = _LABEL.sub("", _MARKS.sub("", _one_word(pre))).lstrip()
    post = _MARKS.sub("", _one_word(post))
    if pre[:1].islower():
        return None  # a sentence whose beginning is missing
    pre = re.split(r"[;]\s+|\.\s+", pre)[-1]
    if pre.count("(") != pre.count(")") or re.search(r"[:–—]|\s-\s", pre) or re.match(r"[\w°%]", post):
        return None
    modifier = _MODIFIER.search(pre)
    pre = _MODIFIER.sub("", pre) if modifier else pre
    if re.search(r"[−±+~<>=/×-]\s*$|\bworth\s*$", pre):
        return None
    lead = ""
    if found := _LEAD.match(pre):
        lead, pre = found[1], pre[found.end() :]
    pre = re.sub(r"\s*\([^()]*\)", "", pre)
    if "," in pre or pre.split()[-1:] in (["and"], ["or"], ["than"], ["between"]) or re.search(r"\bbetween\b.*\band\s*$", pre):
        return None  # one of several, in a list or a clause of its own
    said = " ".join(pre.split()) + (" " if pre[-1:].isspace() else "")
    return Clause(lead, said, _tail(post, not pre.strip()), modifier[0].strip() if modifier else "")


_POINT = "\u2024"  # stands for the point of an abbreviation while a sentence is taken apart


def _one_word(text: str) -> str:
    """The text with the points of its abbreviations hidden: "Mr. Horak" is not the end of a sentence."""
    return re.sub(r"\S+\.(?=\s|$)", lambda found: found[0].replace(".", _POINT) if ABBREVIATION.search(found[0]) else found[0], text)


def _whole_words(text: str | None) -> str | None:
    return text.replace(_POINT, ".") if text else None


def _stands(asked: Asked, pre: str) -> bool:
    """Whether the span is a phrase of its own behind `pre`, and no part of a name ("148 Katto 250 scales", "ribbon type R-110")."""
    last = pre.split()[-1:] or [""]
    if asked.name in ("many", "code") and last[0][:1].isupper() and last[0] not in pre.split()[:1]:
        return False
    if asked.name == "quoted":
        return last[0] in ("called", "named", "is", "are", "was")
    return asked.name != "code" or last[0].lower() in PREPOSITIONS | AUXILIARIES or last[0] in known_verbs()


def _tail(post: str, whole: bool) -> str:
    """What belongs to the clause after the span: phrases without a verb, up to the first mark or joint; `whole` where the span begins the clause."""
    post = re.split(r"[,;:(){}\[\]–—!?…]|\.(?!\d)", post, maxsplit=1)[0]
    kept: list[str] = []
    for word in post.split():
        if word != "May" and word.lower() in (BELOW if whole else JOINTS | AUXILIARIES):
            break
        kept.append(word)
    if "between" in kept:
        del kept[kept.index("between") :]  # whose other end stands behind a joint
    while kept and kept != ["off"] and kept[-1].lower() in PREPOSITIONS | DETERMINERS:
        kept.pop()
    return " ".join(kept)


def _unlike(asked: Asked, clause: Clause) -> bool:
    """Whether no question of this sort can be asked: of a condition how long it is, of "it" how often it does something."""
    words = clause.pre.split()
    if asked.name == "often" and not {"it", "they", "them", "this", "that", "these", "those"}.isdisjoint(w.lower() for w in words):
        return True
    verb = _verb(words)
    return bool(verb and verb.helper.lower() in _BE and not verb.rest and not measurable(asked, " ".join(words[: verb.at]), clause.post))


_HAVE = {"has": "does", "have": "do", "had": "did"}  # where it is no auxiliary: "the week has 37.5 hours"


class _Verb(NamedTuple):
    at: int
    helper: str  # is, can, does, did; empty for an imperative
    rest: tuple[str, ...]


def _verb(words: list[str]) -> _Verb | None:
    """The finite verb of a clause that begins with its subject, with the helper that turns in a question."""
    for n, word in enumerate(words[:11]):
        small = word.lower()
        after = words[n + 1] if n + 1 < len(words) else ""
        before = words[n - 1].lower() if n else ""
        if small in _HAVE and n and not re.fullmatch(r"(?:not )?\w+ed|been|had|to|\w+en", after):
            return _Verb(n, _HAVE[small], ("have", *words[n + 1 :]))
        if small in AUXILIARIES and n:
            return _Verb(n, word, tuple(words[n + 1 :]))
        if n == 0 or before in DETERMINERS | PREPOSITIONS or before in ("to", "and", "or", "of") or before.endswith("'s"):
            continue
        found = known_verbs().get(word)
        if found is None or not word.islower():
            continue
        base, form = found
        if word in forms("nouns that stand for no other") and known_verbs().get(after, ("", ""))[1] == "base":
            continue  # a noun: "new locks cost"
        head = next((words[i - 1].lower() for i, w in enumerate(words[:n]) if i and w.lower() in PREPOSITIONS), before)
        plural = head in ("you", "we", "they", "people", "staff") or (head.endswith("s") and not head.endswith(("ss", "us")))
        if form == "third" and not plural:
            return _Verb(n, "does", (base, *words[n + 1 :]))
        if form == "base" and plural:
            return _Verb(n, "do", (base, *words[n + 1 :]))
        if form == "past" and not any(w.lower() in AUXILIARIES for w in words[n + 1 :]) and (n + 1 == len(words) or words[n + 1].lower() != "by"):
            return _Verb(n, "did", (base, *words[n + 1 :]))
    return None


def _imperative(words: list[str]) -> bool:
    found = known_verbs().get(words[0].lower()) if words else None
    if not found or words[0].lower() in ("last", "lower", "total", "average", "present", "mean"):
        return False  # or an adjective: "Last winter we shovelled 31 roofs"
    return found[1] == "base" and words[0][0].isupper() and (words + [""])[1].lower() not in AUXILIARIES


def _fronted(asked: Asked, clause: Clause, title: str) -> str | None:
    """The question with its wh-phrase in front."""
    held = _HELD.search(clause.pre)
    body = (clause.pre[: held.start()] if held else clause.pre).strip()
    words = body.split()
    wh = phrase(asked, held[1].lower() if held else "", clause)
    if wh is None:
        return None
    if not words:
        return _subject(asked, clause) if not held else None
    wh, clause, part = _with_tail(asked, wh, clause)
    if attributive(clause.post) or (held and _of_noun(held[1].lower(), words)):
        return None
    lead = f" {lower(clause.lead)}" if clause.lead else ""
    named = ""
    if any(word.lower() in ("it", "they", "them") for word in words) or words[0].lower() in ("its", "their"):
        if not title:
            return None  # nobody could tell what is meant
        named = f" ({document_of(title)})"
    if _imperative(words) and asked.name != "whom" and not _nested(tuple(words)):
        said = re.sub(r"\byour\b", "my", f"{words[0].lower()} {' '.join(words[1:])}")
        return " ".join(f"{wh} should I {said} {clause.post}{lead}{named}".split())
    verb = _verb(words)
    if verb is None:
        return None
    subject = " ".join(words[: verb.at])
    if not noun_phrase(subject) or _nested(verb.rest) or re.search(r"\b(?:only|nobody|none|no one|one|two|three|four|five|six)$", subject, re.I):
        return None
    if verb.rest[:1] == ("not",):
        return None
    if asked.name == "whom" and verb.helper.lower() not in _BE | {"has", "have", "can", "must", "may", "will", "should"}:
        return None
    if not held and _half(verb):
        return None
    if verb.helper.lower() in _BE and not (held or verb.rest):
        said = measured(asked, subject, clause.post, part)
        wh, clause = said or wh, clause._replace(post=clause.post.removeprefix(said.removeprefix("How ")).strip() if said else clause.post)
    if not verb.rest and held is None and verb.helper.lower() not in _BE and asked.name in ("date", "time"):
        return None
    return " ".join(f"{wh} {verb.helper} {lower(subject)} {' '.join(verb.rest)} {clause.post}{lead}{named}".split())


def _with_tail(asked: Asked, wh: str, clause: Clause) -> tuple[str, Clause, bool]:
    """The wh-phrase with what belongs to it behind the span ("days in advance", "50 % of the salary"), what is left, and whether it is a part."""
    if asked.unit and (ahead := re.match(r"(?:in advance|ahead|beforehand)\b", clause.post)):
        wh, clause = f"{wh} {ahead[0]}", clause._replace(post=clause.post[ahead.end() :].strip())
    if clause.post.startswith("of "):
        return f"{wh} {clause.post}", clause._replace(post=""), True
    return wh, clause, False


def _of_noun(held: str, words: list[str]) -> bool:
    """Whether the span hangs on the noun before it: "a derailleur with 27 speeds", "roofs under 5 degrees"."""
    return held in ("of", "with") or (held in ("under", "over", "above", "below") and words[-1] not in known_verbs() and words[-1] not in AUXILIARIES)


def _nested(rest: tuple[str, ...]) -> bool:
    """Whether the span may belong to another verb than the one that turns: to one in a clause below, or to the second of two."""
    words = [w.lower() for w in rest]
    second = any(a == "and" and (b in known_verbs() or b in AUXILIARIES) for a, b in zip(words, words[1:], strict=False))
    return second or any(w in BELOW for w in words)


def _half(verb: _Verb) -> bool:
    """Whether what stands before the span is not whole without it ("a further 3 %"), or has a number already ("is €53 for trips over 10 hours")."""
    further = verb.rest[-1:] and verb.rest[-1] in ("further", "extra", "additional", "another", "other", "next", "first", "last")
    return bool(further) or (verb.helper.lower() in _BE and any(c.isdigit() for word in verb.rest for c in word))


def attributive(post: str) -> bool:
    """Whether the span belongs to the noun behind it ("the 5 m antenna cable"), and so is no phrase of its own."""
    first = post.split(" ", 1)[0].lower() if post else ""
    alone = PREPOSITIONS | DETERMINERS | JOINTS | {"long", "old", "high", "wide", "deep", "later", "ago"}
    return bool(first) and first not in alone


def _subject(asked: Asked, clause: Clause) -> str | None:
    """The span is the subject: "35 people work in Turku" -> "How many people work in Turku?"."""
    words = clause.post.split()
    if asked.name not in ("many", "long", "percent", "name", "whom", "money") or not words:
        return None
    verbs = [n for n, w in enumerate(words) if w in AUXILIARIES or w in known_verbs()]
    if not verbs or (verbs[0] and words[0] != "of"):
        return None
    return f"{asked.front if not asked.unit else f'How many {asked.unit}'} {clause.post}"


def _inside(asked: Asked, clause: Clause) -> str | None:
    """The sentence as it stands, with the wh-phrase in the span's place: how one asks back. Only where nothing but a phrase follows."""
    words = clause.pre.split()
    if len(words) < 3 or attributive(clause.post) or _nested(tuple(words)) or clause.lead or not (_verb(words) or _imperative(words)):
        return None
    sides = " ".join(words).split(" and ", 1)
    if len(sides) > 1 and all(AUXILIARIES.intersection(side.lower().split()) for side in sides):
        return None  # two clauses
    if words[0].lower() in PRONOUNS | NOT_SUBJECT or re.search(r"\b(?:between|from)\b", clause.pre):
        return None
    wh = f"how many {asked.unit}" if asked.unit else asked.inside
    if asked.name == "name":
        held = _HELD.search(clause.pre)
        wh = "whom" if held and who(clause, held[1].lower()) else ""
    if asked.name == "date" and re.search(r"\bin\s*$", clause.pre):
        wh = "which month"  # "in May 2025"
    return " ".join(f"{clause.pre} {clause.modifier} {wh} {clause.post}".split()) if wh else None


def _keywords(asked: Asked, clause: Clause) -> str | None:
    """A few words, as typed into a search field: no capital at its beginning and no mark."""
    small = AUXILIARIES | PREPOSITIONS | DETERMINERS | PRONOUNS | JOINTS | {"be", "been"}
    words = [w.strip(",") for w in f"{clause.lead} {clause.pre} {clause.post}".split() if w.lower().strip(",") not in small]
    whole = clause.pre.split()
    spoken = whole and (_verb(whole) or _imperative(whole)) and not (_nested(tuple(whole)) or attributive(clause.post))
    left = {"one", "every"}.intersection([*whole, *clause.post.split()])
    if left or not spoken or not 3 <= len(words) <= 9 or whole[0].lower() in NOT_SUBJECT:
        return None
    wh = f"how many {asked.unit}" if asked.unit else asked.front.lower().removeprefix("at ").removeprefix("in ").replace("who or what", "who")
    return " ".join([lower(words[0]), *words[1:], wh])


def _sound(text: str) -> str | None:
    """The question, if it reads like one: not too short or long, one wh-phrase, nothing left open."""
    text = re.sub(r"\s+([,.;:])", r"\1", re.sub(r"\s+", " ", text)).strip(" .,;:-–—")
    words = text.lower().split()
    if not 3 <= len(words) <= _LONGEST or words[-1] in (DETERMINERS | {"and", "or", "between", "than", "of", "the"}):
        return None
    if any(a == b for a, b in zip(words, words[1:], strict=False)) or text.count("(") != text.count(")"):
        return None
    return f"{text[:1].upper()}{text[1:]}?"
