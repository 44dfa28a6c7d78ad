"""The benchmark for accelerators: its search for the best batch, and all of it at a tiny size."""

import re
import time

import accelerator
import pytest

SCALE = accelerator.Scale((), batch=4, largest=64, images=64, seconds=0.0, classes=2, sides=(16,))


@pytest.fixture
def rates(monkeypatch):
    """Lets a batch take the images/s that a dictionary says; others do not fit into memory."""

    def set_rates(by_batch):
        def make(batch):
            if batch not in by_batch:
                raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate")
            return accelerator.Way(lambda: by_batch[batch], flops=7.0)

        return make

    def measured(way, seconds, rounds):
        return float(way.train()), way.flops

    monkeypatch.setattr(accelerator, "measured", measured)
    return set_rates


def test_batches_grow_until_memory_ends(rates):
    assert accelerator.best(rates({4: 10, 8: 20}), SCALE, 1) == (8, 20.0, 7.0, "memory")


def test_batches_grow_until_speed_stops(rates):
    make = rates({4: 10, 8: 20, 16: 20.1, 32: 90})
    assert accelerator.best(make, SCALE, 1) == (16, 20.1, 7.0, "speed")
    make = rates({4: 10, 8: 20, 16: 15, 32: 90})
    assert accelerator.best(make, SCALE, 1) == (8, 20.0, 7.0, "speed")


def test_batches_grow_to_the_largest(rates):
    assert accelerator.best(rates({4 * 2**i: 2**i for i in range(9)}), SCALE, 1)[0] == 64


def test_other_errors_are_not_taken_for_the_end_of_memory(rates):
    with pytest.raises(RuntimeError, match="Out of memory"):
        accelerator.best(rates({}), SCALE, 1)

    def broken(batch):
        if batch > 4:
            raise RuntimeError("no such kernel")
        return accelerator.Way(lambda: 1, 1.0)

    with pytest.raises(RuntimeError, match="no such kernel"):
        accelerator.best(broken, SCALE, 1)


def test_a_measurement_is_images_over_time():
    calls = []
    way = accelerator.Way(lambda: calls.append(time.sleep(0.002)) or 5, flops=7.0)
    rate, flops = accelerator.measured(way, 0.01, 3)
    assert len(calls) > 3 and 0 < rate < 5 / 0.002 and flops == 7.0


def test_the_table_compares_with_pytorch_and_the_best_peak():
    ours = accelerator.Found(64, 2000.0, 1e9, "speed", 1e13, "bfloat16 peak: 10", "a card")
    theirs = ours._replace(rate=1000.0, peak=2e13, product="bfloat16 peak: 20")
    text = accelerator.report({("m", accelerator.OURS): ours, ("m", accelerator.TORCH): theirs})
    peak, _, _, _, first, second = text.splitlines()
    assert peak == "bfloat16 peak: 20"
    assert first.split()[2:] == ["64", "2,000.00", "2", "10.0%", "2.00", "speed"]
    assert second.split()[2:] == ["64", "1,000.00", "1", "5.0%", "1.00", "speed"]


@pytest.mark.slow
def test_all_of_it(python):
    done = python("experiments/benchmarks/accelerator.py", "--tiny", "--rounds=1", check=True)
    assert "bfloat16 peak: " in done.stdout
    for model in ("clip_tiny", "resnet20_cifar"):
        assert re.search(rf"^{model} +vp_jax +[48]  .*%", done.stdout, re.MULTILINE)
