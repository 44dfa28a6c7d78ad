"""Pages of whole runs: at their end, made again later, of old runs, and of several together."""

import html
import pathlib
import re
import shutil

import numpy as np
import pytest
import small_clip
from pictures import drawn

import vp_jax
from vp_jax import cli, data, runs
from vp_jax.data.images.resize_rule import ResizeRule
from vp_jax.errors import UserError
from vp_jax.records import predictions_file
from vp_jax.report.comparison.compare import compare
from vp_jax.report.run_page import make_page
from vp_jax.report.significance import wilson

ROOT = pathlib.Path(__file__).parents[2]
SMALL_CLIP = pathlib.Path(small_clip.__file__)


def quick(**changes):
    config = cli.load_config("quickstart").copy_and_resolve_references()
    config.unlock()
    short = {"backbone.name": small_clip.NAME, "epochs": 1, "batch_size": 64, "task.shots": 16}
    config.update_from_flattened_dict({**short, "schedule.warmup_steps": 2, **changes})
    return config.lock()


@pytest.fixture(scope="module")
def prompted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report") / "häuser [1] (neu)"
    with drawn():
        result = runs.train(quick(), folder)
    return folder, result


@pytest.fixture(scope="module")
def probe(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report") / "probe"
    changes = {"tune": ("head",), "head.name": "linear"}
    return folder, runs.train(quick(**changes), folder)


def words(path):
    return html.unescape(re.sub(r"<[^>]*>", " ", path.read_text()))


def test_a_run_ends_with_its_page(prompted):
    folder, result = prompted
    told = words(folder / "report.html")
    low, high = wilson(round(500 * result["test_accuracy"]), 500)
    shares = (result["test_accuracy"], result["zero_shot_test_accuracy"], low, high)
    for share in shares:
        assert f"{100 * share:.1f} %" in told
    for part in (
        "The prompt",
        "Test images",
        "Confusions",
        "Where the model looks",
        "input gradient",
    ):
        assert part in told, part
    assert f"--workdir='{folder}'" in told and result["backbone_fingerprint"] in told
    assert (folder / "report.html").stat().st_size < 600_000


def test_what_was_answered_is_kept(prompted):
    folder, result = prompted
    kept = predictions_file.read(folder)
    test = data.load_task("digits", resize=ResizeRule(32)).test
    np.testing.assert_array_equal(kept.labels, test.labels)
    assert (kept.tuned.predictions == kept.labels).mean() == result["test_accuracy"]
    assert (kept.before.predictions == kept.labels).mean() == result["zero_shot_test_accuracy"]
    p = vp_jax.load(folder).probabilities(np.asarray(test.images[:30]))
    np.testing.assert_allclose(kept.tuned.confidence[:30], p.max(axis=1), rtol=1e-4)
    of_label = p[np.arange(30), test.labels[:30]]
    np.testing.assert_allclose(kept.tuned.of_label[:30], of_label, rtol=1e-4, atol=1e-7)


def test_a_page_made_again_says_the_same(prompted, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(prompted[0], folder)
    before = (folder / "report.html").read_text()
    assert make_page(folder) == folder / "report.html"
    again = (folder / "report.html").read_text()

    def without(text):
        text = re.sub(r"made on [\d: -]+", "", text.replace(str(prompted[0]), str(folder)))
        drawn = r"data:image[^\"]*|<pre>.*?</pre>|<svg.*?</svg>|\s"
        return re.sub(drawn, "", text, flags=re.DOTALL)

    assert without(again) == without(before)


@pytest.mark.slow
def test_an_old_run_is_tested_again_and_keeps_what_it_answered(prompted, tmp_path):
    folder = tmp_path / "old"
    shutil.copytree(prompted[0], folder)
    wanted = predictions_file.read(folder)
    (folder / predictions_file.PREDICTIONS).unlink()
    make_page(folder, read_data=False)
    told = words(folder / "report.html")
    assert "did not keep it" in told and "Confusions" not in told and "The prompt" in told
    make_page(folder)
    found = predictions_file.read(folder)
    for x, y in zip(found.tuned + found.before, wanted.tuned + wanted.before, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-7)
    assert "Confusions" in words(folder / "report.html")


def test_without_data_there_are_no_images(prompted, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(prompted[0], folder)
    make_page(folder, read_data=False)
    told = words(folder / "report.html")
    assert "were not read" in told and "Test images" not in told and "Confusions" in told


def test_what_is_no_finished_run_is_refused(prompted, tmp_path):
    with pytest.raises(UserError, match="holds no run of vp_jax"):
        make_page(tmp_path)
    (tmp_path / "config.json").write_text((prompted[0] / "config.json").read_text())
    with pytest.raises(UserError, match="has not ended"):
        make_page(tmp_path)
    with pytest.raises(UserError, match="has not ended"):
        compare([prompted[0], tmp_path], tmp_path / "out.html")


def test_two_runs_are_compared_image_by_image(prompted, probe, tmp_path):
    assert compare([prompted[0], probe[0]], tmp_path / "out.html") == ""
    told, page = words(tmp_path / "out.html"), (tmp_path / "out.html").read_text()
    one, other = (predictions_file.read(run[0]) for run in (prompted, probe))
    right, their_right = (x.tuned.predictions == x.labels for x in (one, other))
    only = int((right & ~their_right).sum()), int((their_right & ~right).sum())
    assert f"Only {prompted[0].name} is right: {only[0]}" in told
    assert f"Only {probe[0].name} is right: {only[1]}" in told
    assert "McNemar" in told and "data:image/png" in page
    assert "head.name" in told and "epochs" not in told.partition("Settings that differ")[2]
    compare([prompted[0], probe[0]], tmp_path / "bare.html", read_data=False)
    assert "data:image/png" not in (tmp_path / "bare.html").read_text()


def test_bad_comparisons_are_refused(prompted, tmp_path):
    for workdirs, message in (
        ([], "0 runs are given"),
        (["one"], "1 runs are given"),
        ([prompted[0]] * 2, "given twice"),
        (["nowhere", "there"], "holds no run"),
    ):
        with pytest.raises(UserError, match=message):
            compare(workdirs, tmp_path / "out.html")
    assert not (tmp_path / "out.html").exists()


@pytest.mark.slow(seconds=12)
def test_the_commands_say_where_the_page_is(prompted, probe, python, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(prompted[0], folder)
    (folder / "report.html").unlink()
    done = python(SMALL_CLIP, "vp_jax.report", f"--workdir={folder}", "--nodata", check=True)
    assert done.stdout.strip() == str(folder / "report.html")
    assert (folder / "report.html").exists()
    out = tmp_path / "both.html"
    command = (SMALL_CLIP, "vp_jax.compare", f"--out={out}", "--nodata", folder, probe[0])
    assert python(*command, check=True).stdout.strip() == str(out)
