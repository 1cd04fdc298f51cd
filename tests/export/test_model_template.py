"""A chat template in Ollama's language does what the template does, or is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from groundling.errors import ModelError
from groundling.export.chatform import parts, without_own_bos
from groundling.nano.model import CHAT_TEMPLATE

from .go_template import go

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
OWN_SYSTEM = "{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\\nBe \"good\".<|im_end|>\\n' }}{% endif %}" + CHATML
TRIMS = (
    "{% for m in messages %}{% if loop.first %}{{ bos_token }}{% endif %}{{ '[' + m['role'] + ']\\n\\n' + m['content'] | trim + '[/]' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '[assistant]\\n\\n' }}{% endif %}"
)
ALTERNATES = (
    "{{ bos_token }}{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('no') }}{% endif %}"
    "{{ '<turn>' + ('model' if m['role'] == 'assistant' else m['role']) + '\\n' + m['content'] + '</turn>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<turn>model\\n' }}{% endif %}"
)
SYSTEM_INSIDE = (
    "{% set s = messages[0]['content'] if messages[0]['role'] == 'system' else '' %}{% for m in messages if m['role'] != 'system' %}"
    "{% if m['role'] == 'user' %}{{ '[INST] ' + (s + '\\n\\n' if loop.first and s else '') + m['content'] + ' [/INST]' }}"
    "{% else %}{{ m['content'] + '</s>' }}{% endif %}{% endfor %}"
)
LAST_IS_OTHER = "{% for m in messages %}{{ m['role'] + ':' + m['content'] + ('' if loop.last else '|') }}{% endfor %}"
TALK = [
    {"role": "system", "content": "Answer {{ so }}."},
    {"role": "user", "content": 'Two\nlines and "quotes" \\n {% x %}'},
    {"role": "assistant", "content": "二十日"},
    {"role": "user", "content": "<|end|>?"},
]  # fmt: skip


def rendering(template: str) -> Callable[..., str]:
    """As transformers renders it."""
    from transformers.utils.chat_template_utils import render_jinja_template

    def render(messages, reply: bool) -> str:
        made = render_jinja_template([list(messages)], chat_template=template, add_generation_prompt=reply, bos_token="<s>", eos_token="</s>")
        return made[0][0]

    return render


@pytest.mark.parametrize("template", [CHAT_TEMPLATE, CHATML, OWN_SYSTEM, TRIMS], ids=["nano", "chatml", "own system", "trims"])
def test_the_go_template_says_what_the_chat_template_says(template: str) -> None:
    render, made = rendering(template), parts(rendering(template))
    for talk in (TALK, TALK[:2], TALK[1:], TALK[1:2], [TALK[0], {"role": "documents", "content": "[1]"}, TALK[1]]):
        assert go(made.go(), talk) == render(talk, True)
        assert TALK[1]["content"] in go(made.go(), talk)


def test_a_template_without_a_system_role_and_with_other_names(tmp_path) -> None:
    render, made = rendering(ALTERNATES), parts(rendering(ALTERNATES))
    assert set(made.roles) == {"user", "assistant"} and go(made.go(), TALK[1:]) == render(TALK[1:], True)
    assert go(made.go(), TALK[1:2]).startswith("<s><turn>user\n")
    assert go(without_own_bos(made, "<s>").go(), TALK[1:2]).startswith("<turn>user\n"), "the engine puts the mark there itself"
    assert "<s>" not in without_own_bos(parts(rendering(TRIMS)), "<s>").go()


@pytest.mark.parametrize("template", [SYSTEM_INSIDE, LAST_IS_OTHER], ids=["system inside", "last is other"])
def test_what_is_more_than_words_around_each_message_is_refused(template: str) -> None:
    with pytest.raises(ModelError, match="could not be put into Ollama's language .*Use --to merged or vllm"):
        parts(rendering(template))


def test_a_conversation_that_would_come_out_otherwise_is_refused() -> None:
    """The template takes white space off, which Go's cannot. A prompt of the run's own that ends with a line break shows it."""
    parts(rendering(TRIMS), [TALK])
    with pytest.raises(ModelError, match="more than to write something before and after each message: user"):
        parts(rendering(TRIMS), [[{"role": "user", "content": "### Answer\n"}]])
