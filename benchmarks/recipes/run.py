"""Does each recipe improve the held-out metric that its page names? python benchmarks/recipes/run.py [RECIPE …] [--out DIR]

    RECIPE …      only these; the other lines of the table stay as they were measured before
    --sheets N    smaller or larger projects, to see that every part works; nothing is written then
    --dry         print the table, write nothing
    --out DIR     keep the projects and their runs here, each under its recipe's name; else they are thrown away

Each recipe makes its data with the rules or the fake teacher from the sheets of an invented maker of winches (`world.py`), of which three in ten
are held out, trains the built-in base model, and asks base and tuned model about the sheets held out. What is scored, is in `projects.py`.
Writes learnt.json beside this file and the table into docs/recipes/README.md. Some minutes of one processor core a recipe.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import projects
from measures import Figure, Line, measure

from groundling.errors import UserError
from groundling.llm import fake

HERE = Path(__file__).parent
RESULTS = HERE / "learnt.json"
PAGE = HERE.parents[1] / "docs" / "recipes" / "README.md"


def measured(name: str, folder: Path, url: str) -> list[dict[str, Any]]:
    """One recipe: its lines of the table as plain values. The time is that of all of them, and told with the first."""
    clock, processor = time.perf_counter(), time.process_time()
    print(f"{name} …", flush=True)
    lines, weights = measure(name, folder, url)
    minutes = {"minutes": (time.perf_counter() - clock) / 60, "processor_minutes": (time.process_time() - processor) / 60}
    plain = [{**line._asdict(), "base": line.base._asdict(), "tuned": line.tuned._asdict()} for line in lines]
    told = {"weights": weights, "date": time.strftime("%Y-%m-%d")}
    return [{"recipe": name, **one, **(minutes if n == 0 else {}), **told} for n, one in enumerate(plain)]


def table(rows: list[dict[str, Any]]) -> str:
    """The table as the page shows it."""
    lines = ["| recipe | metric | n | base | tuned | p | minutes | of one core |", "|---|---|---|---|---|---|---|---|"]
    for row in rows:
        line = Line(row["metric"], row["n"], Figure(**row["base"]), Figure(**row["tuned"]), row["p"], row["method"])
        p = "< 0.001" if line.p < 0.001 else f"{line.p:.3f}" if line.p < 0.1 else f"{line.p:.2f}"
        minutes = f"{row['minutes']:.1f} | {row['processor_minutes']:.1f}" if "minutes" in row else "the same | the same"
        lines.append(
            f"| [{row['recipe']}]({row['recipe']}.md) | `{line.metric}` | {line.n} | {_percent(line.base)} | {_percent(line.tuned)} | {p} "
            f"({line.method}) | {minutes} |"
        )
    return "\n".join(lines) + "\n"


def improved(row: dict[str, Any]) -> bool:
    """Whether the tuned model is above its base, and not by chance."""
    return bool(row["tuned"]["value"] > row["base"]["value"] and row["p"] < 0.05)


def _percent(figure: Figure) -> str:
    return f"{figure.value:.0%} [{100 * figure.low:.0f}, {100 * figure.high:.0f}]".replace("%", " %")


def page(found: dict[str, Any]) -> str:
    """What stands between the marks of the page: where and when, and the table. Lines of different weights or days say so."""
    rows = [row for name in projects.PROJECTS for row in found["rows"].get(name, [])]
    marks = sorted({(row["weights"], row["date"]) for row in rows})
    told = "; ".join(f"weights {weights} on {date}" for weights, date in marks)
    return f"Measured on {found['machine']}: {told}.\n\n{table(rows)}"


def written(rows: list[dict[str, Any]]) -> None:
    """The results and the page with a recipe's rows in them, others as they were."""
    found = json.loads(RESULTS.read_text("utf-8")) if RESULTS.is_file() else {"rows": {}}
    found["machine"] = f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"
    found["rows"][rows[0]["recipe"]] = rows
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    marked = re.compile(r"(<!-- learnt -->\n).*?(<!-- /learnt -->)", re.S)
    PAGE.write_text(marked.sub(lambda m: m[1] + page(found) + m[2], PAGE.read_text("utf-8")), "utf-8")


def main() -> None:
    given = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    given.add_argument("recipes", nargs="*", metavar="RECIPE", help=f"of {', '.join(projects.PROJECTS)}; all where none is named")
    given.add_argument("--sheets", type=int, default=0)
    given.add_argument("--dry", action="store_true")
    given.add_argument("--out", type=Path)
    options = given.parse_args()
    names = options.recipes or list(projects.PROJECTS)
    for name in names:
        if name not in projects.PROJECTS:
            given.error(f"there is no project for {name!r}: {', '.join(projects.PROJECTS)}")
        if options.out and (options.out / name).exists():
            given.error(f"{options.out / name} is there already; name another --out")
        if options.sheets:
            projects.PROJECTS[name] = projects.PROJECTS[name]._replace(sheets=options.sheets)
    rows = []
    with fake.running() as url, nullcontext(str(options.out)) if options.out else tempfile.TemporaryDirectory() as place:
        for name in names:
            try:
                found = measured(name, Path(place) / name, url)
            except UserError as error:
                raise SystemExit(f"{name}: {error}") from None
            print("\n" + table(found), flush=True)
            rows += found
            if not (options.dry or options.sheets):
                written(found)
    print(table(rows))
    if short := [f"{row['recipe']} ({row['metric']})" for row in rows if not improved(row)]:
        print(f"Not significantly improved: {', '.join(short)}.")


if __name__ == "__main__":
    main()
