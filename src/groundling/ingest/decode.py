"""Bytes to text: byte order mark, UTF-16 without one, UTF-8, then a guess among the old code pages."""

from __future__ import annotations

import codecs
from pathlib import Path

from .base import Unreadable

BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
        (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))  # fmt: skip
# Bytes that no text holds in number. Tab, line ends, form feed and escape (terminal logs) are text.
CONTROLS = bytes(b for b in range(32) if b not in b"\t\n\v\f\r\x1a\x1b")
OLD = ["cp1252", "cp1250", "cp1251", "koi8_r", "cp866", "cp1253", "cp932", "euc_jp", "gb18030", "big5", "euc_kr"]
SAMPLE = 65536


def read_text(path: Path) -> str:
    """The text of a file, not yet cleaned. Raises Unreadable for an empty file and for one that is not text, OSError as it comes."""
    return decode(read_bytes(path), path.name)


def read_bytes(path: Path) -> bytes:
    """A file's bytes. Raises Unreadable where there are none."""
    data = path.read_bytes()
    if not data:
        raise Unreadable("empty file", f"{path.name} holds no bytes. Copy it again, or delete it.")
    return data


def decode(data: bytes, name: str, declared: str | None = None) -> str:
    """Bytes as text. `declared` is the encoding that the file itself names. Raises Unreadable("not text")."""
    for bom, encoding in BOMS:
        if data.startswith(bom):
            return _strict(data, encoding) or _refuse(name)
    if b"\0" in data:
        return _wide(data) or _refuse(name)
    if len(data.translate(None, CONTROLS)) < 0.995 * len(data):
        _refuse(name)
    text = _strict(data, declared) if declared else None
    return text or _strict(data, "utf-8") or _damaged(data) or _old(data)


def _refuse(name: str) -> str:
    raise Unreadable("not text", f"{name} is named like a text but holds binary data. Rename it, or leave it out with ingest.exclude.")


def _strict(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        return None


def _wide(data: bytes) -> str | None:
    """UTF-16 without a mark: the byte order that gives more spaces and line ends, if nothing in it is a control character."""
    sample = data[:SAMPLE].replace(b"\0", b"")
    ascii_only = sum(31 < b < 127 or b in b"\t\r\n" for b in sample) > 0.9 * len(sample)
    if len(data) % 2 or (ascii_only and data.count(0) < 0.25 * len(data)):  # the latter is plain text with stray zeros
        return None
    best, most = "", 0.0
    for encoding in ("utf-16-le", "utf-16-be"):
        text = data[:SAMPLE].decode(encoding, "replace")
        seen = sum(text.count(c) for c in " \n。、") / len(text)
        if seen > max(most, 0.005) and not any((ord(c) < 32 and c not in "\t\n\v\f\r") or c == "\ufffd" for c in text[:-1]):
            best, most = encoding, seen
    return _strict(data, best) if best else None


def _damaged(data: bytes) -> str | None:
    """UTF-8 with a few broken bytes (a cut log): each is shown as U+FFFD. None where it was never UTF-8."""
    text = data.decode("utf-8", "replace")
    beyond = len(text) - len(text.encode("ascii", "ignore"))
    return text if text.count("\ufffd") * 20 < beyond else None


def _old(data: bytes) -> str:
    """A one-byte or East Asian code page. Few high bytes mean a Western text; the guesser is only sure where there are many."""
    sample = data[:SAMPLE]
    high = sum(b > 127 for b in sample) / max(1, len(sample.translate(None, b" \t\r\n")))
    if high > 0.15:
        from charset_normalizer import from_bytes

        guess = from_bytes(sample, cp_isolation=OLD).best()
        text = _strict(data, guess.encoding) if guess else None
        if text:
            return text
    return _strict(data, "cp1252") or data.decode("latin-1")
