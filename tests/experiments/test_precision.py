"""The comparison of dtypes: its table, and a whole pair of short runs."""

import precision
import pytest


def test_the_table_has_every_run_and_the_differences():
    results = {
        "float32": [{"test_metric": 0.5}, {"test_metric": 0.75}],
        "bfloat16": [{"test_metric": 0.502}, {"test_metric": 0.744}],
    }
    assert precision.rows(results) == [
        ("float32", "50.00 %", "75.00 %", "62.50 %"),
        ("bfloat16", "50.20 %", "74.40 %", "62.30 %"),
        ("difference, points", "+0.20", "-0.60", "-0.20"),
    ]


@pytest.mark.slow
def test_it_trains_in_both(python, tmp_path):
    done = python(
        "experiments/precision.py",
        "--config=configs/quickstart.py",
        "--config.epochs=1",
        "--config.batch_size=256",
        "--seeds=3",
        f"--workdir={tmp_path}",
        check=True,
    )
    assert "digits, 500 test images, clip_tiny" in done.stdout
    assert "difference, points" in done.stdout and "bfloat16" in done.stdout
    results = [(tmp_path / f"{dtype}-3" / "result.json") for dtype in precision.DTYPES]
    assert all(path.exists() for path in results)
