from __future__ import annotations

import pytest

ENGLISH = "The café in Kaltiojärvi opens at 9 – not before.\nSecond line.\n"
RUSSIAN = "Весы измеряют снеговую нагрузку на крышу здания.\nГарантия составляет пять лет со дня покупки.\n" * 5
JAPANESE = "製品の保証期間は購入日から三年間です。\n電池の寿命は約五年です。設置場所を選んでください。\n" * 5


@pytest.mark.parametrize(
    ("text", "encoding"),
    [(t, e) for t in (ENGLISH, RUSSIAN, JAPANESE) for e in ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32")]
    + [
        (ENGLISH, "cp1252"),
        (ENGLISH.replace("–", "-"), "latin-1"),
        (RUSSIAN, "cp1251"),
        (RUSSIAN, "koi8-r"),
        (JAPANESE, "cp932"),
        (JAPANESE, "euc-jp"),
    ],
)
def test_encodings(root, read, text, encoding):
    (root / "a.txt").write_bytes(text.encode(encoding))
    assert read().documents[0].text == text


def test_a_few_broken_bytes_show_and_do_not_spoil_the_rest(root, read):
    (root / "cut.log").write_bytes((RUSSIAN * 3).encode()[:-3])
    text = read().documents[0].text
    assert text.startswith(RUSSIAN) and text.endswith("\ufffd")


def test_line_ends_and_normal_form(root, read):
    (root / "a.txt").write_bytes("one\r\ntwo\rthree\n\tcafe\u0301  x \u00a0 y\f\n".encode())
    assert read().documents[0].text == "one\ntwo\nthree\n\tcaf\u00e9  x \u00a0 y\f\n"


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.txt", b"", "empty file"),
        ("a.md", b"", "empty file"),
        ("a.html", b"", "empty file"),
        ("a.txt", b" \n\t \r\n", "no text"),
        ("a.html", b"<html><body><script>x()</script></body></html>", "no text"),
        ("a.txt", bytes(range(256)) * 40, "not text"),
        ("a.md", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(range(200)) * 9, "not text"),
        ("a.log", b"\x01\x02\x03\x04 few words \x05\x06\x07", "not text"),
        ("a.txt", b"text\x00text and more of it \x00", "not text"),
    ],
)
def test_what_is_no_text_fails_with_its_reason(root, read, name, data, reason):
    (root / name).write_bytes(data)
    (root / "good.txt").write_text("good")
    assert read().counts["failed"] == {reason: 1}


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("travel_policy-2026.txt", "Travel policy 2026"),
        ("2026-01-22 product council.txt", "2026-01-22 product council"),
        ("quick-start.txt", "Quick start"),
        ("гарантия.txt", "Гарантия"),
        ("README.FIRST.log", "README.FIRST"),
    ],
)
def test_title_of_plain_text_is_its_name(root, read, name, title):
    (root / name).write_text("x\n")
    assert read().documents[0].title == title


@pytest.mark.parametrize(
    ("source", "title", "text"),
    [
        ("---\ntitle: From the front\ntags: [a]\n---\n\n# Head\n\nBody\n", "From the front", "# Head\n\nBody\n"),
        ("---\ndate: 2024-13-45\n---\n\n# Head\n", "date: 2024-13-45", "---\ndate: 2024-13-45\n---\n\n# Head\n"),
        ("---\nwhen: !!timestamp soon\n---\n\n# Head\n", "when: !!timestamp soon", "---\nwhen: !!timestamp soon\n---\n\n# Head\n"),
        ("---\nopen: !!bool perhaps\n---\n\n# Head\n", "open: !!bool perhaps", "---\nopen: !!bool perhaps\n---\n\n# Head\n"),
        ("---\ntags: [a]\n---\n# Head\n", "Head", "# Head\n"),
        ("---\nNo mapping here\n---\nBody\n", "No mapping here", "---\nNo mapping here\n---\nBody\n"),
        ("intro\n\n## The *real* [head](x.md) ##\n", "The real head", "intro\n\n## The *real* [head](x.md) ##\n"),
        ("```\n# comment\n```\n\n# Head\n", "Head", "```\n# comment\n```\n\n# Head\n"),
        ("Set in lines\n============\n\nBody", "Set in lines", "Set in lines\n============\n\nBody"),
        ("no heading, #no tag\n", "Some notes", "no heading, #no tag\n"),
    ],
)
def test_markdown(root, read, source, title, text):
    (root / "some_notes.md").write_text(source)
    document = read().documents[0]
    assert (document.title, document.text) == (title, text)
