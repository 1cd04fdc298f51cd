"""A chat template as Go's template language, which Ollama reads. Not the template's text is translated but what it does: it is rendered on probes,
taken apart into what stands around each role's content, and the parts must render every further probe to the same letter."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ..errors import ModelError
from ..grounding import Message

Render = Callable[[Sequence[Message], bool], str]
ROLES = ("system", "user", "assistant", "documents")
_MARK = "\ue000{}\ue001"  # private characters, which no template looks at


class Around(NamedTuple):
    """What a template writes before and after the content of a role."""

    before: str
    after: str


class Parts(NamedTuple):
    """A template as its parts. `bare` stands first where no system message does (some templates put one of their own there)."""

    begin: str
    bare: str
    roles: dict[str, Around]
    reply: str

    def render(self, messages: Sequence[Message], reply: bool) -> str:
        """What the parts make of a conversation. Raises KeyError for a role that is not among them."""
        begin = self.begin if messages[0]["role"] == "system" else self.bare
        shown = "".join(f"{self.roles[m['role']].before}{m['content']}{self.roles[m['role']].after}" for m in messages)
        return begin + shown + (self.reply if reply else "")

    def go(self) -> str:
        """As a template of Go's text/template over Ollama's `.Messages`. Texts are quoted, so that nothing of them is taken for an action."""
        lines = ["{{- range $n, $m := .Messages }}"]
        if self.begin or self.bare:
            first = f'{{{{ if eq $m.Role "system" }}}}{_said(self.begin)}{{{{ else }}}}{_said(self.bare)}{{{{ end }}}}'
            first = _said(self.bare) if self.begin == self.bare else first
            lines.append(f"{{{{- if eq $n 0 }}}}{first}{{{{ end }}}}")
        for number, (role, around) in enumerate(self.roles.items()):
            test = "else if" if number else "if"
            lines.append(f'{{{{- {test} eq $m.Role "{role}" }}}}{_said(around.before)}{{{{ $m.Content }}}}{_said(around.after)}')
        return "\n".join([*lines, "{{- end }}", f"{{{{- end }}}}{_said(self.reply)}"])


def _said(text: str) -> str:
    return f"{{{{ {json.dumps(text, ensure_ascii=False)} }}}}" if text else ""


def rendering(tokenizer: Any) -> Render:
    """The tokenizer's own template."""

    def render(messages: Sequence[Message], reply: bool) -> str:
        text: str = tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=reply)
        return text

    return render


def parts(render: Render, also: Sequence[Sequence[Message]] = ()) -> Parts:
    """The parts of a template. `also` are conversations that must come out right too. Raises ModelError where no such parts do what it does."""
    from jinja2.exceptions import TemplateError

    try:
        found = _taken_apart(render)
        wrong = next((m for m in [*_probes(found), *also] if any(render(m, r) != found.render(m, r) for r in (False, True))), None)
    except (TemplateError, ValueError, KeyError, TypeError) as error:
        raise ModelError(_sentence(str(error).splitlines()[0] if str(error) else type(error).__name__)) from error
    if wrong is not None:
        raise ModelError(_sentence("it does more than to write something before and after each message: " + " ".join(m["role"] for m in wrong)))
    return found


def _sentence(why: str) -> str:
    return f"The chat template could not be put into Ollama's language ({why}). Use --to merged or vllm, which take the template as it is."


def _taken_apart(render: Render) -> Parts:
    """What a longer conversation adds to a shorter one stands around its last message."""
    user, said = _message("user"), _message("assistant")
    first = _around(_added(render, [user, said], [user]), said)
    again = _around(_added(render, [user, said, user], [user, said]), user)
    bare = _without_end(render([user], False), again, user)
    reply = _added_text(render([user], True), render([user], False))
    roles = {"user": again, "assistant": first}
    for role in ("system", "documents"):
        if (made := _role(render, role, user, again)) is not None:
            roles[role] = made._replace(before=made.before.removeprefix(bare))
    begin = "" if "system" in roles and _role(render, "system", user, again) == roles["system"] else bare
    return Parts(begin, bare, {role: roles[role] for role in ROLES if role in roles}, reply)


def _role(render: Render, role: str, user: Message, around: Around) -> Around | None:
    """What stands around a message before the first question; None where the template refuses the role or does not show it."""
    from jinja2.exceptions import TemplateError

    other = _message(role)
    try:
        text = render([other, user], False)
    except TemplateError:
        return None
    if other["content"] not in text:
        return None
    return _around(_without_end(text, around, user), other)


def _message(role: str) -> Message:
    return {"role": role, "content": _MARK.format(role)}


def _added(render: Render, longer: Sequence[Message], shorter: Sequence[Message]) -> str:
    return _added_text(render(longer, False), render(shorter, False))


def _added_text(longer: str, shorter: str) -> str:
    if not longer.startswith(shorter):
        raise ValueError("what it writes for a message depends on what follows")
    return longer[len(shorter) :]


def _around(text: str, message: Message) -> Around:
    before, mark, after = text.partition(message["content"])
    if not mark:
        raise ValueError(f"it does not show what {message['role']} says")
    return Around(before, after)


def _without_end(text: str, around: Around, message: Message) -> str:
    end = f"{around.before}{message['content']}{around.after}"
    if not text.endswith(end):
        raise ValueError("a message after the first is written otherwise than it is there")
    return text[: -len(end)]


def _probes(found: Parts) -> list[list[Message]]:
    """Conversations of every shape, with contents that a template might treat in a way of its own."""
    words = ("One.", "Two\nlines", '{"a": [1, "b"]}', "{{ x }} {% y %}", "日本語", "<|x|> & <b>", "`")
    shapes = ["u", "uau", "uauau"]
    shapes += [f"s{shape}" for shape in shapes] if "system" in found.roles else []
    shapes += ["sdu", "sduau", "du"] if {"system", "documents"} <= found.roles.keys() else []
    names = {role[0]: role for role in ROLES}
    made = []
    for shape in shapes:
        for start in range(0, len(words), 3):
            made.append([{"role": names[letter], "content": words[(start + n) % len(words)]} for n, letter in enumerate(shape)])
    return made


def without_own_bos(made: Parts, bos: str) -> Parts:
    """The parts without the mark of the beginning, where the engine puts one there itself."""
    roles = {role: around._replace(before=around.before.removeprefix(bos)) for role, around in made.roles.items()}
    return made._replace(begin=made.begin.removeprefix(bos), bare=made.bare.removeprefix(bos), roles=roles)
