"""Options of a plug-in, as the config gives them: strict, with the nearest name offered for an unknown one."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from .amiss import told as sentence
from .errors import ConfigError
from .registry import nearest


class Options(BaseModel):
    """Base of a plug-in's options: unknown ones are refused, defaults are checked too."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


O = TypeVar("O", bound=Options)  # noqa: E741


def checked(kind: type[O], given: dict[str, Any], where: str) -> O:
    """The options of `kind` with the values given. Raises ConfigError: one sentence that names the place, the option and the value."""
    try:
        return kind(**given)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            known = sorted(kind.model_fields)
            told = nearest(name, known) if known else " It has no options."
            raise ConfigError(f'{where}: there is no option "{name}".{told}') from None
        raise ConfigError(sentence(kind, first, where)) from None
