"""Before a run: a config to edit, and the checks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from .. import config
from ..errors import ConfigError
from ..sections import Search
from ..workspace import write_atomic


def init(folder: Path) -> str:
    """Write groundling.yaml, every setting at its default with what it means. Raises ConfigError where there is one already."""
    if not folder.is_dir():
        raise ConfigError(f"{folder} is not a folder. Make it, put documents there, and run init again.")
    target = folder / "groundling.yaml"
    if target.exists():
        raise ConfigError(f"{target} exists already. Edit it, or delete it first.")
    write_atomic(target, commented(config.Config).encode())
    return f"{target} written. Next: groundling doctor {folder}, then groundling run {folder}"


# A section whose presence alone asks for something: with one of a search, plan and doctor tell of its trials.
_ASKED_FOR = (Search,)


def commented(model: type[config.Section], indent: int = 0) -> str:
    """A section as YAML, each field with its default and its description as a comment."""
    lines = []
    for name, field in model.model_fields.items():
        pad, default = "  " * indent, field.get_default(call_default_factory=True)
        if isinstance(default, config.Section):
            section = [f"{pad}{name}:  # {(type(default).__doc__ or '').strip()}", *commented(type(default), indent + 1).splitlines()]
            lines += ["", "\n".join(f"# {line}" if isinstance(default, _ASKED_FOR) else line for line in section)]
            continue
        if lines and "\n" in lines[-1]:  # what comes after a section is no part of it
            lines.append("")
        value = json.dumps(default, ensure_ascii=False)
        comment = f"  # {field.description}" if field.description else ""
        # What a preset or a size may choose is not set before somebody sets it.
        off = "# " if (field.json_schema_extra or {}).get("chosen") else ""
        lines.append(f"{pad}{off}{name}: {value}{comment}")
    return "\n".join(lines) + "\n"


def doctor(path: Path | None, as_json: bool, ask: bool = False, settings: Sequence[str] = ()) -> bool:
    """Check machine and project. Returns whether all is well enough to run. Raises ConfigError for settings of no project."""
    from ..doctor import checks
    from .standing import standing

    if settings and path is None:
        raise ConfigError("--set changes a project's setting, and no project is given: groundling doctor PATH --set section.key=value.")
    found = checks(path, ask, settings, standing)
    if as_json:
        print(json.dumps([c._asdict() for c in found], indent=1))
    else:
        for check in found:
            print(f"{'ok ' if check.ok else 'NO ' if check.needed else '-  '} {check.what}: {check.says}")
    return all(c.ok for c in found if c.needed)
