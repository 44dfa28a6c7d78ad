"""The table of a grid as Markdown, CSV and a page."""

from __future__ import annotations

import html
import pathlib
import statistics
from collections.abc import Sequence

from experiments.grids.dots import PICTURE
from experiments.grids.measured import Rows, to_csv
from experiments.grids.trial import Row, Trial
from vp_jax.host import files

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem }
table { border-collapse: collapse; display: block; overflow-x: auto }
th, td { padding: .3rem .7rem; text-align: right; border-bottom: 1px solid #8884 }
th:first-child, td:first-child { text-align: left }
img { max-width: 100%; background: #fff }
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


def reached(row: Row, base: Row | None) -> float | None:
    """After which share of another row's updates this one is as good as that at its end.

    Both by the mean over seeds of the accuracy on val; infinite where it never is; None where that
    has not trained.
    """
    if base is None or not (curve := _mean(row.curves)) or not (whole := _mean(base.curves)):
        return None
    end = max(whole)
    steps = [step for step, value in curve.items() if value >= whole[end]]
    return min(steps, default=float("inf")) / max(end, 1)


def _mean(curves: Sequence[dict[int, float]]) -> dict[int, float]:
    steps = set.intersection(*(set(curve) for curve in curves)) if curves else set()
    return {s: statistics.mean(curve[s] for curve in curves) for s in sorted(steps)}


def cells(trials: Sequence[Trial], rows: Rows, base: str) -> tuple[list[str], list[list[str]]]:
    """Headers and rows: methods below each other, a column a task; bold is the best of a column.

    Then what a method trains: prompt, head or both, so that the part of each can be told.

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
        trains = {t.trains for t in trials if t.row == name}
        for column in columns:
            if column not in own:
                line.append("-")
                continue
            text = spread(own[column].test)
            line.append(f"**{text}**" if means[column, name] == best[column] else text)

        pairs = [(row, rows.get((column, base))) for column, row in own.items()]
        shares = [x for pair in pairs if (x := removed(*pair)) is not None]
        updates = [x for pair in pairs if (x := reached(*pair)) is not None]
        line.append(f"{100 * statistics.mean(shares):.0f} %" if shares else "-")
        line.append(_shares(updates) if updates else "-")
        line.append(" or ".join(sorted(trains)) or "-")
        line.append(_range([row.parameters for row in own.values()]))
        speeds = [row.images_per_second for row in own.values() if row.images_per_second]
        line.append(_range([round(speed) for speed in speeds]) if speeds else "-")
        body.append(line)
    more = (f"errors of {base} removed", f"after which share of its updates as good as {base}")
    return ["method", *columns, *more, "trains", "parameters", "images/s"], body


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
        "table.csv": to_csv(trials, rows),
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
        f'<img src="{PICTURE}" alt="the table as a picture">' if rows else "",
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


def _shares(values: Sequence[float]) -> str:
    """The least and the greatest in percent; `never` for what is infinite."""
    ends = dict.fromkeys(
        "never" if x == float("inf") else f"{100 * x:.0f} %" for x in (min(values), max(values))
    )
    return " to ".join(ends)


def _range(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
