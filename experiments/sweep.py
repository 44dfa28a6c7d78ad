"""Learning rates and seeds on the digits, all prompts trained at once.

    python experiments/sweep.py
    python experiments/sweep.py --rates=5,10,20 --seeds=3 --epochs=60

The quickstart's model and task, with every combination of a learning rate and a seed. The seed also
chooses which training images are held out for validation, so the range over seeds is that of whole
runs. Prints a row a learning rate and writes `sweep_rates.png` into --workdir, where every run is
kept; a second call goes on where the first stopped.
"""

from __future__ import annotations

import pathlib
import statistics
from collections.abc import Mapping, Sequence

from absl import app, flags, logging

from vp_jax import cli
from vp_jax.errors import UserError
from vp_jax.host import files
from vp_jax.host.memory import keep_freed_memory
from vp_jax.many import grid, train_many
from vp_jax.report import style, table
from vp_jax.report.save import save_png
from vp_jax.runs import Result

RATE = "optimizer.learning_rate"


def by_rate(members: Sequence[Result]) -> dict[float, list[Result]]:
    """The members of every learning rate, without those whose loss was not finite."""
    found: dict[float, list[Result]] = {}
    for member in members:
        of_rate = found.setdefault(member["settings"][RATE], [])
        if "failed_step" not in member:
            of_rate.append(member)
    return found


def rates_table(rates: Mapping[float, Sequence[Result]]) -> str:
    """A row a learning rate: means over seeds of validation and test accuracy, and their range."""
    rows = []
    for rate, members in rates.items():
        cells = []
        for name in ("val_accuracy", "test_accuracy"):
            values = [100 * member[name] for member in members]
            cells.append(
                f"{statistics.mean(values):.1f} ({min(values):.1f} to {max(values):.1f})"
                if values
                else "-"
            )
        rows.append((f"{rate:g}", len(members), *cells))
    return table(rows, ("learning rate", "seeds", "validation, %", "test, %"))


def draw(path: pathlib.Path, rates: Mapping[float, Sequence[Result]]) -> None:
    """Writes a PNG: test accuracy against the learning rate, a dot a seed, a line through means."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    figure = Figure(figsize=(7, 4), dpi=style.DPI, layout="constrained")
    axes = figure.subplots()
    means = {}
    for rate, members in rates.items():
        values = [member["test_accuracy"] for member in members]
        axes.plot([rate] * len(values), values, "o", color=style.BLUE, ms=4, alpha=0.6)
        if values:
            means[rate] = statistics.mean(values)
    axes.plot(list(means), list(means.values()), color=style.ORANGE, lw=1.6)
    axes.set_xscale("log")
    axes.set_xlabel("learning rate", fontsize=style.TEXT)
    axes.set_ylabel("test accuracy", fontsize=style.TEXT)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.grid(True, color=style.LINE, lw=0.6)
    save_png(path, figure)


def main(argv: list[str]) -> None:
    """Trains all prompts, prints the table, draws the picture."""
    del argv
    keep_freed_memory()
    logging.set_verbosity(logging.WARNING)
    workdir = files.expanded(flags.FLAGS.workdir)
    config = cli.load_config("configs/quickstart.py").copy_and_resolve_references()
    config.epochs = flags.FLAGS.epochs
    rates = sorted(float(rate) for rate in flags.FLAGS.rates)
    try:
        result = train_many(config, grid({RATE: rates, "seed": range(flags.FLAGS.seeds)}), workdir)
    except UserError as error:
        raise app.UsageError(str(error)) from error
    found = by_rate(result["members"])
    print(rates_table(found))
    together = result["ensemble"]
    print(f"all {together['members']} prompts together: {together['test_accuracy']:.1%} on test")
    draw(workdir / "sweep_rates.png", found)


if __name__ == "__main__":
    flags.DEFINE_list("rates", ["2.5", "5", "10", "20", "40"], "learning rates")
    flags.DEFINE_integer("seeds", 2, "seeds 0, 1, ... of each")
    flags.DEFINE_integer("epochs", 10, "of every prompt")
    flags.DEFINE_string("workdir", "runs/sweep", "folder of all runs")
    app.run(main)
