"""Whole runs by several processes and devices end as by one, also when they are interrupted."""

import json
import os
import pathlib
import signal
import socket
import time

import forked
import numpy as np
import pytest
from small_clip import DRAWN

from vp_jax.records.checkpoints.manager import Checkpoints

pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).parents[2]
SMALL_CLIP = ROOT / "tests" / "runs" / "small_clip.py"
TRAIN = (
    *(SMALL_CLIP, "vp_jax.train", "--config=configs/quickstart.py"),
    *("--config.backbone.name=clip_small", "--config.task.shots=8", "--config.epochs=6"),
    *("--config.schedule.warmup_steps=5", "--config.log_every_steps=2"),
    "--config.checkpoint_every_steps=3",  # not where epochs of 5 end
)
STEPS = 6 * 5
TIMES = ("images_per_second", "wall_seconds")
CALIBRATION = ("temperature", "test_calibration_error", "test_calibration_error_before")


def free_port():
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


def by_flags(processes):
    """What each process gets to find the others: arguments and environment."""
    address = f"--coordinator=localhost:{free_port()}"
    return [
        ((address, f"--processes={processes}", f"--process_id={i}"), {}) for i in range(processes)
    ]


def by_slurm(processes):
    """The same where SLURM has started them on one node."""
    shared = {
        "SLURM_JOB_ID": str(free_port()),  # JAX takes the port from it
        "SLURM_STEP_NODELIST": "localhost",
        "SLURM_NTASKS": str(processes),
    }
    own = [{"SLURM_PROCID": str(i), "SLURM_LOCALID": str(i)} for i in range(processes)]
    return [((), shared | more) for more in own]


def launch(folder, processes=1, devices=1, found=by_flags, more=(), command=TRAIN, drawn=False):
    """Starts all processes of a command; each with its devices."""
    count = f"--xla_force_host_platform_device_count={devices}"
    places = found(processes) if processes > 1 else [((), {})]
    soon = ("--heartbeat_seconds=15",) if processes > 1 else ()
    flags = {"XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {count}"}
    if drawn:
        flags[DRAWN] = "1"
    given = (*command, f"--workdir={folder}", *more, *soon)
    return [
        forked.start([*given, *arguments], ROOT, {**os.environ, **flags, **environment})
        for arguments, environment in places
    ]


def finish(processes):
    """Waits for all; their exit statuses and what they said."""
    try:
        said = [process.communicate(timeout=300) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [process.returncode for process in processes], said


def complete(processes):
    """Waits for processes that must succeed; what they said."""
    statuses, said = finish(processes)
    assert set(statuses) == {0}, "".join(err[-2000:] for _, err in said)
    return said


def saved_steps(folder):
    return sorted(int(p.name) for p in (folder / "checkpoints").glob("*") if p.name.isdigit())


def wait_for_checkpoint(folder, processes):
    """Until they have saved a step that was not there before."""
    deadline, before = time.monotonic() + 200, saved_steps(folder)[-1:]
    while saved_steps(folder)[-1:] == before:
        for process in processes:
            assert process.poll() is None, process.stderr.read()[-3000:]
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.002)


def outcome(folder):
    """All arrays of the last checkpoint, the result without times, the rows of metrics."""
    checkpoints = Checkpoints(folder / "checkpoints")
    arrays = checkpoints.arrays(STEPS)
    checkpoints.close()
    result = json.loads((folder / "result.json").read_text())
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return arrays, {k: v for k, v in result.items() if k not in TIMES}, rows


def assert_close(one, two):
    """Arrays, losses and metrics to 1e-5; what counts examples exactly."""
    for name, array in one[0].items():
        np.testing.assert_allclose(two[0][name], array, rtol=1e-5, atol=1e-5, err_msg=name)
    numbers = dict.fromkeys(("test_loss", *CALIBRATION), 0)
    assert {**one[1], **numbers} == {**two[1], **numbers}
    assert one[1]["test_loss"] == pytest.approx(two[1]["test_loss"], rel=1e-5)
    for name in CALIBRATION:  # rounded, so that a last digit may differ
        assert one[1][name] == pytest.approx(two[1][name], rel=2e-3, abs=2e-6)
    assert [list(row) for row in one[2]] == [list(row) for row in two[2]]
    for a, b in zip(one[2], two[2], strict=True):
        assert a == pytest.approx(b, rel=1e-4)
        for name in a:
            if name.endswith("accuracy"):
                assert a[name] == b[name]


def assert_identical(one, two):
    for name, array in one[0].items():
        np.testing.assert_array_equal(two[0][name], array, err_msg=name)
    assert one[1:] == two[1:]


def files(folder):
    """All files but those whose names hold times or sizes; of checkpoints their folders only."""
    inside = {p.relative_to(folder).parts for p in folder.rglob("*") if p.is_file()}
    return {parts[:2] if parts[0] == "checkpoints" else parts[:1] for parts in inside}


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("processes") / "alone"
    complete(launch(folder, drawn=True))
    return folder


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("processes") / "two"
    return folder, complete(launch(folder, 2, drawn=True))


def test_two_processes_end_as_one(alone, two):
    folder, said = two
    assert_close(outcome(alone), outcome(folder))
    assert files(folder) == files(alone)
    of_main, of_one = (len(list((x / "tensorboard").iterdir())) for x in (folder, alone))
    assert of_main == of_one
    assert "test accuracy with prompt" in said[0][0] and "training: 100%" in said[0][1]
    assert "accuracy" not in "".join(said[1]) and "training" not in "".join(said[1])


@pytest.mark.parametrize(("processes", "devices"), [(4, 1), (2, 2)], ids=["4", "2x2"])
def test_any_number_of_processes_ends_as_one(alone, tmp_path, processes, devices):
    complete(launch(tmp_path / "run", processes, devices, drawn=True))
    assert_close(outcome(alone), outcome(tmp_path / "run"))
    assert files(tmp_path / "run") == files(alone)


@pytest.mark.parametrize(
    ("devices", "more"),
    [(2, ()), (8, ()), (8, ("--config.backbone.sharding=fsdp",))],
    ids=["2", "8", "8_fsdp"],
)
def test_any_number_of_devices_ends_as_one(alone, tmp_path, devices, more):
    complete(launch(tmp_path / "run", devices=devices, more=more))
    assert_close(outcome(alone), outcome(tmp_path / "run"))


def test_killed_and_stopped_by_a_signal_all_are_started_again_and_end_the_same(two, tmp_path):
    """Process 0 is killed, at which they meet; then the other one; then one gets a signal."""
    folder = tmp_path / "run"
    for killed, found in ((0, by_flags), (1, by_slurm)):
        processes = launch(folder, 2, found=found)
        wait_for_checkpoint(folder, processes)
        processes[killed].kill()
        statuses, said = finish(processes)  # The other finds it gone, and ends by itself.
        assert 0 not in statuses and not (folder / "result.json").exists()
        assert killed == 0 or "going on from step" in said[0][1]
    processes = launch(folder, 2)
    wait_for_checkpoint(folder, processes)
    processes[1].send_signal(signal.SIGTERM)
    statuses, said = finish(processes)
    assert statuses == [143, 143], "".join(err[-2000:] for _, err in said)
    step = saved_steps(folder)[-1]
    assert step < STEPS and f"saved step {step} of {STEPS}" in said[0][1]
    assert "stopped by a signal to another process" in said[0][0]
    assert "stopped by SIGTERM" in said[1][0]
    said = complete(launch(folder, 2, found=by_slurm))
    assert f"going on from step {step} of {STEPS}" in said[0][1]
    assert_identical(outcome(two[0]), outcome(folder))


def test_a_linear_probe_of_two_processes(tmp_path):
    probe = ("--config.tune=head", "--config.head.name=linear")
    for name, processes in (("one", 1), ("two", 2)):
        complete(launch(tmp_path / name, processes, more=probe))
    results = [json.loads((tmp_path / n / "result.json").read_text()) for n in ("one", "two")]
    assert results[0]["test_accuracy"] == results[1]["test_accuracy"]
    assert results[0]["val_accuracy"] == results[1]["val_accuracy"]
    assert files(tmp_path / "one") == files(tmp_path / "two")


def test_two_processes_evaluate_as_one(alone):
    said = complete(launch(alone, 2, command=(SMALL_CLIP, "vp_jax.evaluate")))
    result = json.loads((alone / "result.json").read_text())
    assert f"{100 * result['test_accuracy']:.1f} %" in said[0][0]
    assert "%" not in said[1][0]
