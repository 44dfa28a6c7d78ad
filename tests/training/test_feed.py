"""The three pipelines give the same batches, of any number of devices, from any position."""

import sys

import jax
import numpy as np
import pytest
from PIL import Image

from vp_jax import data
from vp_jax.data.images.preprocess import ResizeRule, preprocess
from vp_jax.data.splits.batches import train_indices
from vp_jax.step.sharding import make_mesh
from vp_jax.training.feed import make_feed

RULE = ResizeRule(16)
BATCH, SEED = 8, 3
PIPELINES = ("resident", "cached", "stream")


def make_photos(root, sizes, count=31, classes=2):
    rng = np.random.default_rng(0)
    for i in range(count):
        folder = root / f"class_{i % classes}"
        folder.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (*sizes[i % len(sizes)], 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:03}.png")
    return root


@pytest.fixture(scope="module", params=["photographs", "small", "mixed"])
def folder(request, tmp_path_factory):
    sizes = {
        "photographs": [(40, 30), (30, 44), (64, 64)],
        "small": [(12, 12)],
        "mixed": [(12, 12), (12, 12), (30, 20)],
    }
    return make_photos(tmp_path_factory.mktemp("photos") / "x", sizes[request.param])


def load(folder, pipeline, cache_dir):
    task = data.load_task(
        "folder",
        resize=RULE,
        data_dir=folder,
        pipeline=pipeline,
        cache_dir=cache_dir,
        seed=SEED,
        progress=False,
    )
    assert task.pipeline == pipeline
    return task


def pixels(feed, batch):
    """What the model sees: the images after the step's own resize."""
    fetched = jax.jit(feed.fetch)(feed.store, batch)
    return np.asarray(preprocess(fetched.image, RULE)), np.asarray(fetched.label), fetched.mask


def train_batches(feed, split, start, stop):
    steps = data.steps_per_epoch(len(split), BATCH)
    if hasattr(feed, "train_batches"):
        yield from feed.train_batches(split, start, stop)
        return
    epochs = feed.make_epochs(split)
    for step in range(start, stop):
        yield jax.tree.map(lambda x, at=step % steps: x[at], epochs(step // steps))


def assert_same(one, two):
    for a, b in zip(one, two, strict=True):
        for x, y in zip(a, b, strict=True):
            np.testing.assert_array_equal(x, y)


def test_the_same_batches_in_training(folder, tmp_path):
    seen = {}
    for pipeline in PIPELINES:
        task = load(folder, pipeline, tmp_path)
        feed = make_feed(task, BATCH, SEED, make_mesh())
        steps = 2 * data.steps_per_epoch(len(task.train), BATCH)
        batches = list(train_batches(feed, task.train, 0, steps))
        assert len(batches) == steps
        seen[pipeline] = [pixels(feed, batch) for batch in batches]
    for pipeline in PIPELINES[1:]:
        assert_same(seen["resident"], seen[pipeline])
    for step, (images, labels, mask) in enumerate(seen["resident"]):
        indices, expected = train_indices(step, len(task.train), BATCH, SEED)
        np.testing.assert_array_equal(mask, expected)
        np.testing.assert_array_equal(labels, task.train.labels[indices])
        wanted = preprocess(task.train.images[indices], RULE)
        np.testing.assert_array_equal(images, wanted)


def test_the_same_batches_in_evaluation(folder, tmp_path):
    seen = {}
    for pipeline in PIPELINES:
        task = load(folder, pipeline, tmp_path)
        feed = make_feed(task, 5, SEED, make_mesh())
        seen[pipeline] = [
            pixels(feed, batch) for s in task.splits for batch in feed.eval_batches(s)
        ]
    assert sum(mask.sum() for *_, mask in seen["resident"]) == 31
    for pipeline in PIPELINES[1:]:
        assert_same(seen["resident"], seen[pipeline])


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_any_position_can_be_gone_on_from(folder, tmp_path, pipeline):
    task = load(folder, pipeline, tmp_path)
    feed = make_feed(task, BATCH, SEED, make_mesh())
    whole = [pixels(feed, batch) for batch in train_batches(feed, task.train, 0, 7)]
    for start in (1, 5):
        rest = [pixels(feed, batch) for batch in train_batches(feed, task.train, start, 7)]
        assert_same(whole[start:], rest)


@pytest.mark.slow(seconds=4)
def test_worker_processes_give_the_same_batches(tmp_path):
    folder = make_photos(tmp_path / "x", [(40, 30), (30, 44)])
    task = load(folder, "stream", tmp_path / "cache")
    threads = make_feed(task, BATCH, SEED, make_mesh())
    workers = make_feed(task, BATCH, SEED, make_mesh(), workers=2)
    assert_same(
        [pixels(threads, b) for b in threads.train_batches(task.train, 0, 5)],
        [pixels(workers, b) for b in workers.train_batches(task.train, 0, 5)],
    )


def test_a_corrupt_image_in_a_stream_is_named(tmp_path):
    folder = make_photos(tmp_path / "x", [(40, 30)])
    damaged = sorted(folder.rglob("*.png"))[4]
    damaged.write_bytes(damaged.read_bytes()[:100])
    task = load(folder, "stream", tmp_path / "cache")
    feed = make_feed(task, 31, SEED, make_mesh())
    with pytest.raises(ValueError, match=f"(?s){damaged.name}.*skip_corrupt"):
        for split in task.splits:
            list(feed.eval_batches(split))


DEVICES = """
import sys, jax, numpy as np
from vp_jax import data
from vp_jax.data.images.images import Rows
from vp_jax.data.splits.split import Split, TaskData
from vp_jax.training.evaluation import make_evaluate
from vp_jax.training.feed import make_feed
from vp_jax.step.sharding import make_mesh, put, replicated

rng = np.random.default_rng(0)
images = rng.integers(0, 256, (2500, 4, 4, 3), np.uint8)
labels = rng.integers(0, 5, 2500).astype(np.int32)

def split(name, rows):
    return Split(name, Rows(images, rows), labels[rows])

mesh = make_mesh()
assert jax.device_count() == int(sys.argv[1])
order = rng.permutation(2500)
for pipeline in ("resident", "stream"):
    splits = [split(n, r) for n, r in zip(("train", "val", "test"), np.split(order, [300, 493]))]
    task = TaskData(data.tasks.get("digits"), tuple("abcde"), *splits, pipeline=pipeline)
    feed = make_feed(task, 256, 0, mesh)

    def forward(parts, x, **_):
        return x.reshape(len(x), -1).astype("float32") @ parts["w"]

    parts = put({"w": np.random.default_rng(1).normal(size=(48, 5)).astype("float32")},
                replicated(mesh))
    evaluate = make_evaluate(forward, jax.random.key(0), task, feed, mesh)
    found = evaluate(parts, task.test)
    test = order[493:]
    assert len(test) == 2007
    pixels = images[test].reshape(2007, -1).astype("float32")
    expected = (pixels @ np.asarray(parts["w"])).argmax(-1)
    np.testing.assert_array_equal(found.predictions, expected)
    assert found.accuracy == (expected == labels[test]).sum() / 2007, found.accuracy
    print(pipeline, repr(found.accuracy))
"""


@pytest.mark.slow(seconds=4)
def test_accuracy_is_exact_on_1_and_on_8_devices(monkeypatch, capsys, python, cpu_devices):
    """2,007 images in batches of 256: the last is partial, and 8 devices do not divide its rest."""
    monkeypatch.setattr(sys, "argv", ["-c", "1"])
    exec(DEVICES, {})
    alone = capsys.readouterr().out
    done = python("-c", DEVICES, "8", env=cpu_devices(8), check=True)
    assert done.stdout == alone and "resident" in alone and "stream" in alone
