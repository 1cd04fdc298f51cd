"""LangChain's `llm.batch`, as the published RAFT recipe calls its teacher: everything in one list, concurrency left as it comes."""

from __future__ import annotations

from _timed import PROMPTS, URL, timed
from langchain_openai import ChatOpenAI

llm = ChatOpenAI(base_url=URL, api_key="none", model="fake", max_tokens=256)
timed(lambda: sum(bool(reply.content) for reply in llm.batch(PROMPTS)))
