"""Where things go and what is not allowed where: questions about the sentences of house rules. For the `template` teacher.

"Bikes go into the cellar." -> "Where do bikes go?"; "No smoking on the balcony." -> "Where is smoking not allowed?". Only where the phrase at the
sentence's end names a place (a room, a container, a part of a house or a device), and nothing else is said: no list, no condition, no second verb.
"""

from __future__ import annotations

import re
from random import Random

from . import asking
from .english import AUXILIARIES, DETERMINERS, JOINTS, PRONOUNS
from .otherwords import nouns
from .wh import Asked

_SPOTS = (
    "attic balcony basement basin basket bathroom bench bin board booth box building bucket cabinet cafeteria canteen cellar chute closet "
    "container cooler "
    "corner corridor counter courtyard cupboard desk dishwasher door doors drawer drum dustbin entrance fence floor foyer freezer fridge front "
    "garage garden gate hall "
    "hallway hook hooks kitchen laundry letterbox library lift list lobby locker lockers lounge mailbox office pantry porch rack racks "
    "reception refrigerator roof room "
    "rooms safe saw sauna shed shelf shelves shower sink socket staircase stairs stairwell stairway store storeroom street studio table "
    "terrace toilet tray trolley wall "
    "wardrobe warehouse workshop yard entrances bins cupboards boxes containers hallways corridors terraces balconies benches noticeboard skip "
    "car van"
).split()
_SPOT = rf"(?:{'|'.join(_SPOTS)})"
_HOLDS = "into|in|onto|on|at|to|behind|under|beside|next to|near|outside|inside|above|below|against|opposite"
_DETERMINED = "the|a|an|your|our|its|their|each|every"
_WORD = rf"(?!(?:{_HOLDS}|{_DETERMINED}|of|for|with|from|by|and|or)\b)[\w-]+"
_PHRASE = re.compile(
    rf"(?:back )?(?:{_HOLDS}) (?:(?:{_DETERMINED}) )(?:{_WORD} ){{0,3}}?{_SPOT}"
    rf"(?: (?:of|behind|in|at|beside|near|next to|under|on|by) (?:{_DETERMINED}) (?:[\w-]+ ){{0,2}}?[\w-]+)?$"
)
_BANNED = re.compile(rf"(?:[-*•] |\d{{1,2}}[.)] )?No ((?:[a-z-]+ )?[a-z-]+) ((?:{_HOLDS}) (?:{_DETERMINED}) (?:{_WORD} ){{0,2}}?{_SPOT})[.!]?")
_LIST = re.compile(r"^(?:[-*•] |\d{1,2}[.)] )+")
_NOT_PLAIN = JOINTS - {"and"} | {"not", "never", "only", "down", "from"}
_MOST = 16  # words
# What is put somewhere, or is somewhere. With another verb a phrase may say more than where: "apply to the office", "look at the list".
_PUTS = frozenset(
    "put place leave keep park store return bring take throw hang lay carry drop collect empty wash clean wear eat smoke sign dispose sort use stack "
    "find load fold dry wait register lock chain post deposit hand".split()
)
_IS = re.compile(
    r"\b(?:go|goes|stay|stays|belong|belongs|stand|stands|hang|hangs|live|lives|lie|lies|sit|sits|sign|wait|meet|eat|park|"
    r"(?:is|are|must be|should be|may be|can be) (?:[a-z]+ly )?(?:stored|kept|parked|left|put|placed|returned|hung|found|located|thrown|"
    r"collected|washed|sorted|taken|"
    r"brought|dried|posted|locked|allowed|served|displayed|held))\b"
)


def place(sentence: str, title: str, r: Random) -> tuple[str, str] | None:
    """A question about where, and its answer, which stands in the sentence; None where the sentence is no plain rule about a place."""
    if banned := _BANNED.fullmatch(sentence.strip()):
        return _not_allowed(banned[1], banned[2])
    said = _LIST.sub("", sentence).rstrip(".! ")
    found = _PHRASE.search(said)
    if not found or re.search(r"[,;:()–—|\"“”*]", said) or len(said.split()) > _MOST:
        return None
    before = said[: found.start()]
    words = before.split()
    if not words or words[0].lower() in PRONOUNS | {"never", "nobody", "do", "please", "all"} or not _moves(words, before):
        return None
    if any(w.lower() in _NOT_PLAIN for w in words) or re.search(r"\b(?:in|at|on|of|from|with|to) \S+ ?$", before):
        return None
    question = asking.question(Asked("place", "where", "Where"), before, "", title, r)
    return (question, found[0]) if question else None


def _moves(words: list[str], before: str) -> bool:
    """Whether what goes before the place is an instruction to put something there, or says that something is there."""
    return (words[0].lower() in _PUTS and words[0][0].isupper()) if len(words) > 1 and not _IS.search(before) else bool(_IS.search(before))


def _not_allowed(what: str, where: str) -> tuple[str, str] | None:
    """ "No food at the benches": what is banned is one plain noun or an activity."""
    last = what.split()[-1]
    if not (last in nouns() or last.endswith("ing")) or any(word in AUXILIARIES | DETERMINERS | JOINTS for word in what.split()):
        return None
    be = "are" if re.search(r"(?<![su])s$", last) else "is"
    return f"Where {be} {what} not allowed?", where
