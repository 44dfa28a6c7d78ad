"""The table of a grid as Markdown, CSV and a page."""

from __future__ import annotations

import csv
import html
import io
import pathlib
import statistics
from collections.abc import Mapping, Sequence

from experiments.grids.trial import Row, Trial
from vp_jax.host import files

Rows = Mapping[tuple[str, str], Row]
"""By column and row of the table."""

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem }
table { border-collapse: collapse; display: block; overflow-x: auto }
th, td { padding: .3rem .7rem; text-align: right; border-bottom: 1px solid #8884 }
th:first-child, td:first-child { text-align: left }
b { color: #b45309 } code { overflow-wrap: anywhere }
:root { color-scheme: light dark }
"""


def spread(values: Sequence[float]) -> str:
    """Mean and, of several, standard deviation, in percent."""
    mean = f"{100 * statistics.mean(values):.1f}"
    return mean if len(values) < 2 else f"{mean} ± {100 * statistics.stdev(values):.1f}"


def removed(row: Row, base: Row | None) -> float | None:
    """The share of the errors of another row that is gone; None where that has none."""
    if base is None or statistics.mean(base.test) == 1:
        return None
    return 1 - (1 - statistics.mean(row.test)) / (1 - statistics.mean(base.test))


def cells(trials: Sequence[Trial], rows: Rows, base: str) -> tuple[list[str], list[list[str]]]:
    """Headers and rows: methods below each other, a column a task; bold is the best of a column.

    Args:
      trials: of the grid, in order.
      rows: what is finished of it.
      base: the row whose errors the last column counts.
    """
    columns = list(dict.fromkeys(trial.column for trial in trials))
    names = list(dict.fromkeys(trial.row for trial in trials))
    means = {place: statistics.mean(row.test) for place, row in rows.items()}
    best = {c: max((m for (own, _), m in means.items() if own == c), default=0) for c in columns}
    body = []
    for name in names:
        own = {c: rows[c, name] for c in columns if (c, name) in rows}
        if not own:
            continue
        line = [name]
        for column in columns:
            if column not in own:
                line.append("-")
                continue
            text = spread(own[column].test)
            line.append(f"**{text}**" if means[column, name] == best[column] else text)
        shares = [removed(row, rows.get((column, base))) for column, row in own.items()]
        known = [share for share in shares if share is not None]
        line.append(f"{100 * statistics.mean(known):.0f} %" if known else "-")
        line.append(_range([row.parameters for row in own.values()]))
        body.append(line)
    return ["method", *columns, f"errors of {base} removed", "parameters"], body


def write(
    folder: pathlib.Path, trials: Sequence[Trial], rows: Rows, base: str, about: str
) -> list[pathlib.Path]:
    """Writes `table.md`, `table.csv` and `report.html`; returns their paths.

    Args:
      folder: for them.
      trials, rows, base: as for `cells`.
      about: how they were made: command, versions, machine.
    """
    headers, body = cells(trials, rows, base)
    left_out = [
        f"{trial.column}, {trial.row}: {failure}"
        for trial in trials
        for failure in (
            rows[trial.column, trial.row].failed
            if (trial.column, trial.row) in rows
            else ["no result"]
        )
    ]
    texts = {
        "table.md": _markdown(headers, body, about, left_out),
        "table.csv": _csv(trials, rows),
        "report.html": _page(headers, body, trials, rows, about, left_out),
    }
    for name, text in texts.items():
        files.write(folder / name, lambda file, text=text: file.write(text.encode()))
    return [folder / name for name in texts]


def _markdown(
    headers: Sequence[str], body: Sequence[Sequence[str]], about: str, left_out: Sequence[str]
) -> str:
    lines = [headers, ["---"] + ["---:"] * (len(headers) - 1), *body]
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    missing = "".join(f"- {line}\n" for line in left_out)
    return f"{text}\n\n{about}\n" + (f"\nNot in it:\n\n{missing}" if missing else "")


def _csv(trials: Sequence[Trial], rows: Rows) -> str:
    """A line a run that counts, and one a choice that was tried and is not shown."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        ("column", "row", "choice", "shown", "seed", "val", "test", "parameters", "images/s")
    )
    for trial in trials:
        row = rows.get((trial.column, trial.row))
        if row is None:
            continue
        speed = "" if row.images_per_second is None else f"{row.images_per_second:.1f}"
        for seed, val, test in zip(row.seeds, row.val, row.test, strict=True):
            place = (trial.column, trial.row, dict(row.choice), "yes", seed)
            writer.writerow((*place, val, test, row.parameters, speed))
        for choice, val in row.tried:
            if choice != row.choice:
                writer.writerow((trial.column, trial.row, dict(choice), "no", "", val, "", "", ""))
    return out.getvalue()


def _page(
    headers: Sequence[str],
    body: Sequence[Sequence[str]],
    trials: Sequence[Trial],
    rows: Rows,
    about: str,
    left_out: Sequence[str],
) -> str:
    def line(texts: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{_bold(text)}</{tag}>" for text in texts) + "</tr>"

    tried = [
        (trial.column, trial.row, str(dict(choice)), f"{100 * val:.1f}")
        for trial in trials
        if (row := rows.get((trial.column, trial.row))) is not None
        for choice, val in row.tried
        if len(row.tried) > 1
    ]
    parts = [
        f"<table>{line(headers, 'th')}{''.join(line(texts, 'td') for texts in body)}</table>",
        f"<p><code>{html.escape(about)}</code></p>",
    ]
    if left_out:
        items = "".join(f"<li>{html.escape(text)}</li>" for text in left_out)
        parts.append(f"<h2>Not in it</h2><ul>{items}</ul>")
    if tried:
        lines = "".join(line(texts, "td") for texts in tried)
        head = line(("task", "method", "choice", "val, %"), "th")
        parts.append(f"<h2>What was tried</h2><table>{head}{lines}</table>")
    title = "Test accuracy, %"
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style><body><h1>{title}</h1>{''.join(parts)}</body></html>\n"
    )


def _bold(text: str) -> str:
    inner = text.removeprefix("**").removesuffix("**")
    return html.escape(inner) if inner == text else f"<b>{html.escape(inner)}</b>"


def _range(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
