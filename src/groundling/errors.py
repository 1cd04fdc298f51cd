"""The errors that groundling raises on purpose:

* GroundlingError
  + UserError            the user can mend it: one sentence, exit code 2
    - ConfigError        the configuration, or a setting on the command line
    - InputError         a document, a question file, a data file
    - ModelError         a model path, its template, its tokenizer, an endpoint's refusal
    - MachineError       disk, memory, port, a missing extra
      · TooLarge           a training that does not fit into the memory
    - BudgetError          the next call could pass budget_usd or budget_tokens; what was paid for is kept
    - SearchError        the search endpoint of an agent
    - StaleError         something finished would have to be thrown away; say --redo STAGE
    - TooManyFailed      more of a stage's inputs failed than `max_failed` allows
  + BarNotMet            a required score was not reached: exit code 3
  + Interrupted          the person pressed Ctrl-C while a model was asked: exit code 130

Everything else is a fault of our own and keeps its traceback (exit code 1).
"""

from __future__ import annotations


class GroundlingError(Exception):
    """Base of all errors below. The text is a sentence for its reader: what, where, what to do next."""

    exit_code = 1


class UserError(GroundlingError):
    exit_code = 2


class ConfigError(UserError):
    pass


class InputError(UserError):
    pass


class ModelError(UserError):
    pass


class MachineError(UserError):
    pass


class TooLarge(MachineError):
    pass


class BudgetError(UserError):
    pass


class SearchError(UserError):
    pass


class StaleError(UserError):
    pass


class TooManyFailed(UserError):
    pass


class BarNotMet(GroundlingError):
    exit_code = 3


class Interrupted(GroundlingError):
    exit_code = 130
