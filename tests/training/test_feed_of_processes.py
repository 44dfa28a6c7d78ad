"""Two processes with two devices each: every one makes its own rows, together the same batches."""

import os
import socket
import subprocess
import sys

import pytest

WORKER = """
import os, sys
process, port = int(sys.argv[1]), sys.argv[2]
os.environ["JAX_PLATFORMS"] = "cpu"
import jax, numpy as np
jax.config.update("jax_cpu_collectives_implementation", "gloo")
jax.distributed.initialize(f"localhost:{port}", 2, process)
from vp_jax import data
from vp_jax.data.splits.batches import train_indices
from vp_jax.data.images.images import DecodedImages, Rows
from vp_jax.data.splits.split import Split, TaskData
from vp_jax.training.evaluation import make_evaluate
from vp_jax.training.feed import make_feed
from vp_jax.step.sharding import make_mesh, put, replicated

assert jax.process_count() == 2 and jax.device_count() == 4 and jax.local_device_count() == 2
rng = np.random.default_rng(0)
images = rng.integers(0, 256, (90, 4, 4, 3), np.uint8)
labels = rng.integers(0, 5, 90).astype(np.int32)
touched = set()

def decode(row):
    touched.add(row)
    return images[row]

def split(base, name, rows):
    return Split(name, Rows(base, rows), labels[rows])

mesh = make_mesh()
everywhere = replicated(mesh)
parts = put({"w": np.random.default_rng(1).normal(size=(48, 5)).astype("float32")}, everywhere)
gather = jax.jit(lambda x: x, out_shardings=everywhere)

def forward(parts, x, *, rng=None, prompted=None, features=None):
    return x.reshape(len(x), -1).astype("float32") @ parts["w"]

for pipeline, base in (("resident", images), ("stream", DecodedImages(decode, images.shape))):
    order = np.random.default_rng(2).permutation(90)
    parts_of = zip(("train", "val", "test"), np.split(order, [50, 57]))
    splits = [split(base, name, rows) for name, rows in parts_of]
    task = TaskData(data.tasks.get("digits"), tuple("abcde"), *splits, pipeline=pipeline)
    feed = make_feed(task, 8, 3, mesh)
    fetch = jax.jit(feed.fetch, out_shardings=everywhere)
    if pipeline == "resident":
        epoch = feed.make_epochs(task.train)(1)
        batches = [jax.tree.map(lambda x: x[step], epoch) for step in (0, 4)]
    else:
        batches = list(feed.train_batches(task.train, 7, 12))[::4]
        assert 0 < len(touched) < 50, len(touched)
    for step, batch in zip((7, 11), batches):
        batch = fetch(feed.store, batch)
        indices, mask = train_indices(step, 50, 8, 3)
        keep = np.asarray(batch.mask)
        assert keep.sum() == mask.sum() == 8
        np.testing.assert_array_equal(np.asarray(batch.image)[keep], images[order[:50]][indices])
        np.testing.assert_array_equal(np.asarray(batch.label)[keep], labels[order[:50]][indices])
    found = make_evaluate(forward, jax.random.key(0), task, feed, mesh)(parts, task.test)
    test = order[57:]
    expected = (images[test].reshape(33, -1).astype("float32") @ np.asarray(parts["w"])).argmax(-1)
    np.testing.assert_array_equal(found.predictions, expected)
    assert found.accuracy == (expected == labels[test]).mean()
print("both are right")
"""


@pytest.mark.slow
def test_the_same_batches_and_accuracy_in_two_processes(cpu_devices):
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(number), str(port)],
            env={**os.environ, **cpu_devices(2)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    try:
        for process in processes:
            out, err = process.communicate(timeout=200)
            assert process.returncode == 0, err[-3000:]
            assert "both are right" in out
    finally:
        for process in processes:
            process.kill()
