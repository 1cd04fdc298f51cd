"""A search agent: it decides, searches, summarises, answers, and checks its answer; each step is one call with a JSON schema.

    agent = Agent(model, of_index(search))
    trajectory = await agent.ask("Which of the two scales is heavier?")

It is given what it searches with and whom it asks, as values, and knows no stage. Source: ReST meets ReAct (arXiv 2312.10003).
"""

from __future__ import annotations

from .find import Find, JsonSearch, of_index
from .machine import Agent, Settings
from .steps import STEPS
from .trajectory import Lookup, Sample, Step, Trajectory

__all__ = ["STEPS", "Agent", "Find", "JsonSearch", "Lookup", "Sample", "Settings", "Step", "Trajectory", "of_index"]
