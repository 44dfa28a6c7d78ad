"""The command lines as users call them: interruptions, mistakes and what is left behind."""

import json
import os
import pathlib
import re
import shutil
import signal
import time

import numpy as np
import pytest
import safetensors.numpy

from vp_jax import backbones
from vp_jax.records.checkpoints.manager import Checkpoints

pytestmark = pytest.mark.usefixtures("all_cores")

ROOT = pathlib.Path(__file__).parents[1]
PACKAGED = pathlib.Path(backbones.__file__).parent / "clip_tiny_weights"
TRAIN = ("-m", "vp_jax.train", "--config=configs/quickstart.py")
SMALL_CLIP = ROOT / "tests" / "runs" / "small_clip.py"
SHORT = (
    *("--config.task.shots=32", "--config.epochs=3", "--config.batch_size=16"),
    *("--config.schedule.warmup_steps=5", "--config.log_every_steps=7"),
)
SMALL = (
    *(SMALL_CLIP, "vp_jax.train", "--config=configs/quickstart.py"),
    *("--config.backbone.name=clip_small", *SHORT),
)
OFTEN = "--config.checkpoint_every_steps=3"
STEPS = 3 * 20


def wait_for(condition, process, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.stderr.read()[-3000:]
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.002)


def saved_steps(folder):
    return sorted(int(p.name) for p in (folder / "checkpoints").glob("*") if p.name.isdigit())


def final_arrays(folder):
    """All arrays of the last checkpoint: prompt, momentum, step, random state."""
    checkpoints = Checkpoints(folder / "checkpoints")
    found = checkpoints.arrays(STEPS)
    checkpoints.close()
    return found


def without_times(folder):
    result = json.loads((folder / "result.json").read_text())
    return {k: v for k, v in result.items() if k not in ("images_per_second", "wall_seconds")}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, start):
    folder = tmp_path_factory.mktemp("commands") / "uninterrupted"
    process = start(*SMALL, f"--workdir={folder}")
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err[-3000:]
    return folder, out, err


@pytest.mark.slow
def test_the_terminal_shows_progress_and_a_table(uninterrupted):
    folder, out, err = uninterrupted
    for word in ("images/s", "loss=", "accuracy=", "val="):
        assert word in err
    for word in ("zero-shot test accuracy", "test accuracy with prompt", "gain", str(folder)):
        assert word in out
    assert "Traceback" not in out + err


@pytest.mark.slow(seconds=40)
def test_killed_again_and_again_it_ends_as_if_nothing_had_happened(uninterrupted, start, tmp_path):
    whole, *_ = uninterrupted
    folder = tmp_path / "run"
    command = (*SMALL, OFTEN, f"--workdir={folder}")
    metrics = folder / "metrics.jsonl"

    def is_saving():
        return any("tmp" in p.name for p in (folder / "checkpoints").glob("*"))

    def has_rows(number):
        return lambda: metrics.exists() and metrics.read_text().count("\n") >= number

    moments = (
        lambda: (folder / "config.json").exists(),  # before the first step
        lambda: len(saved_steps(folder)) >= 1 and is_saving(),  # while a checkpoint is written
        has_rows(7),  # right after a row of metrics
        lambda: STEPS in saved_steps(folder),  # when training is over, before the test
    )
    for reached in moments:
        process = start(*command)
        wait_for(reached, process)
        process.kill()
        process.communicate()
        assert not (folder / "result.json").exists()
    process = start(*command)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err[-3000:]
    assert f"going on from step {STEPS} of {STEPS}" in err

    assert without_times(folder) == without_times(whole)
    assert metrics.read_text() == (whole / "metrics.jsonl").read_text()
    one, two = final_arrays(whole), final_arrays(folder)
    assert one.keys() == two.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(array, two[name], err_msg=name)


REFITTED = """
import pathlib, sys
sys.path.insert(0, str(pathlib.Path("tests/runs").resolve()))
import own_backbone
import small_clip
from vp_jax import runs
small_clip.undraw()
settings = own_backbone.quick(**{
    "head.name": "iterative", "tune": ("prompt", "backbone"), "optimizer.learning_rate": 0.1,
    "optimizer.name": "adam", "epochs": 6, "checkpoint_every_steps": 1, "augment.flip": True,
})
runs.train(settings, sys.argv[1], own_backbone.make())
"""


@pytest.mark.slow(seconds=30)
def test_a_refitted_mapping_survives_being_killed(python, start, tmp_path):
    whole, folder, script = (tmp_path / name for name in ("whole", "cut", "refitted.py"))
    script.write_text(REFITTED)
    python(script, whole, check=True)
    for step in (5, 30, 90):  # within the first epoch and later ones of 19 steps
        process = start(script, folder)
        wait_for(lambda step=step: max(saved_steps(folder), default=0) >= step, process)
        process.kill()
        process.communicate()
    python(script, folder, check=True)
    assert without_times(folder) == without_times(whole)
    for name in ("mapping.csv", "metrics.jsonl"):
        assert (folder / name).read_text() == (whole / name).read_text()


CLIP_ON_DIGITS = (
    *("--config.backbone.name=clip_small", "--config.task.name=digits", "--config.batch_size=64"),
    *("--config.epochs=1", "--config.head.templates=('{}',)"),
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--config=configs/zero_shot.py",), ("zero-shot test accuracy (TP)", "result.json: ")),
        (("--config=configs/linear_probe.py",), ("test accuracy with head", "9")),
        (("--config=configs/finetune.py",), ("test accuracy with backbone and head", "curves.png")),
        (
            (
                *("--config=configs/clip_pad.py", "--config.tune=prompt,head"),
                # 40, which is right for a prompt, makes a head diverge once the warm-up is over.
                "--config.optimizer.learning_rates.head=0.01",
                "--config.prompt=normalize | pad(4)",
            ),
            ("prompt.png", "gain"),
        ),
    ],
    ids=["TP", "LP", "FT", "VP_head"],
)
def test_baselines_on_the_command_line(arguments, words, python, tmp_path):
    command = (
        SMALL_CLIP,
        "vp_jax.train",
        *arguments,
        *CLIP_ON_DIGITS,
        f"--workdir={tmp_path / 'run'}",
    )
    out = python(*command, env={"VP_JAX_TEST_DRAWN": "1"}, check=True).stdout
    for word in words:
        assert word in out
    evaluate = (SMALL_CLIP, "vp_jax.evaluate", f"--workdir={tmp_path / 'run'}")
    evaluated = python(*evaluate, check=True).stdout
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert f"{100 * result['test_accuracy']:.1f} %" in evaluated
    for name in re.findall(r"\w+\.png", out):
        assert (tmp_path / "run" / name).exists()


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_polite_interruption_saves_and_says_so(uninterrupted, start, tmp_path, number, status):
    folder = tmp_path / "run"
    process = start(*SMALL, f"--workdir={folder}")
    metrics = folder / "metrics.jsonl"
    wait_for(lambda: metrics.exists() and "train/loss" in metrics.read_text(), process)
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    assert process.returncode == status, err[-3000:]
    assert "Traceback" not in err
    step = saved_steps(folder)[-1]
    assert "stopped by SIG" in out and f"goes on from the last checkpoint, of step {step}" in out
    assert f"saved step {step} of {STEPS}" in err

    process = start(*SMALL, f"--workdir={folder}")
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0 and f"going on from step {step}" in err
    assert without_times(folder) == without_times(uninterrupted[0])


@pytest.mark.slow
def test_a_damaged_newest_checkpoint_costs_steps_but_not_the_result(uninterrupted, start, tmp_path):
    folder = tmp_path / "run"
    process = start(*SMALL, OFTEN, f"--workdir={folder}")
    wait_for(lambda: len(saved_steps(folder)) >= 3, process)
    process.kill()
    process.communicate()
    newest = saved_steps(folder)[-1]
    for file in (folder / "checkpoints" / str(newest) / "state").rglob("d/*"):
        file.write_bytes(file.read_bytes()[:-9])
    process = start(*SMALL, OFTEN, f"--workdir={folder}")
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err[-3000:]
    assert f"checkpoint {newest} in" in err and "damaged" in err
    assert without_times(folder) == without_times(uninterrupted[0])


@pytest.mark.slow
def test_evaluate_prints_both_accuracies(uninterrupted, python):
    folder, *_ = uninterrupted
    result = without_times(folder)
    done = python(SMALL_CLIP, "vp_jax.evaluate", f"--workdir={folder}", check=True)
    assert f"{100 * result['zero_shot_test_accuracy']:.1f} %" in done.stdout
    assert f"{100 * result['test_accuracy']:.1f} %" in done.stdout
    assert "zero-shot (TP)" in done.stdout and "visual prompt (VP)" in done.stdout


def broken_weights(folder, kind):
    """A copy of the packaged weights with something wrong."""
    folder.mkdir()
    shutil.copy(PACKAGED / "tokenizer.json", folder)
    file = folder / "model.safetensors"
    whole = (PACKAGED / "model.safetensors").read_bytes()
    tensors = safetensors.numpy.load(whole)
    if kind == "truncated":
        file.write_bytes(whole[: len(whole) // 2])
        return folder
    if kind == "nan":
        tensors["visual.proj"][3, 4] = np.nan
    if kind == "missing":
        del tensors["visual.ln_post.weight"], tensors["ln_final.bias"]
    safetensors.numpy.save_file(tensors, file)
    return folder


MISTAKES = {
    "unknown task": (["--config.task.name=digitz"], ["unknown task 'digitz'", "'digits'"]),
    "unknown backbone": (["--config.backbone.name=clip_tinny"], ["'clip_tinny'", "'clip_tiny'"]),
    "unknown stage": (
        ["--config.prompt=normalize | padd(4)"],
        [
            "--config.prompt: unknown stage 'padd'",
            "'pad'",
            "\n    normalize | padd(4)\n",
            " ^^^^\n",
        ],
    ),
    "a setting of earlier versions": (
        ["--config.prompt.size=10", "--noconfig.prompt.bounded", "--config.prompt.init=zeros"],
        [
            "prompt.size and prompt.bounded and prompt.init are no settings: a prompt is one text",
            """--config.prompt="normalize | pad(10, init='zeros')\"""",
        ],
    ),
    "unknown setting": (["--config.promt=3"], ["setting 'promt'", "'prompt'"]),
    "unknown part": (["--config.tune=prompt,hed"], ["part", "'hed'"]),
    "unknown flag": (["--wrkdir=x"], ["wrkdir", "workdir"]),
    "stray argument": (["train"], ["'train'", "--config.NAME=VALUE"]),
    "wrong type": (["--config.batch_size=big"], ["--config.batch_size=big"]),
    "a number as text": (["--config.task.class_names=5"], ["task.class_names is (5,)", "texts"]),
    "a number as part": (["--config.tune=3"], ["part", "'3'"]),
    "too large": (
        ["--config.prompt=normalize | pad(17)"],
        ["pad(17)", "height 32", "largest", "16"],
    ),
    "class count": (["--config.task.class_names=('a','b')"], ["10 classes", "2 class names"]),
    "class names file": (["--config.task.class_names=/no/names.txt"], ["/no/names.txt"]),
    "no weights": (["--config.backbone.weights=/no/weights"], ["/no/weights", "Weights are a"]),
    "no weights of the hub": (
        ["--config.backbone.name=clip_vit_b32", "--config.prompt=normalize | pad(30)"],
        ["open_clip_model.safetensors", "hf download", "--config.backbone.weights="],
    ),
    "no data": (
        ["--config.task.name=cifar100"],
        ["'cifar100'", "download_and_prepare", "--config.task.data_dir="],
    ),
    "workdir not writable": (["--workdir=/proc/vp_jax"], ["/proc/vp_jax", "--workdir"]),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_message_and_status_2(name, python, tmp_path):
    arguments, words = MISTAKES[name]
    workdir = [] if any("--workdir" in a for a in arguments) else [f"--workdir={tmp_path / 'run'}"]
    done = python(*TRAIN, *workdir, *arguments)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("error: ") == 1 and "Traceback" not in done.stderr + done.stdout
    for word in words:
        assert word in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("truncated", ["not a whole safetensors file", "fetch it again"]),
        ("nan", ["not finite", "visual.proj"]),
        ("missing", ["2 tensors are missing", "visual.ln_post.weight", "ln_final.bias"]),
    ],
)
def test_broken_weights(kind, words, python, tmp_path):
    weights = broken_weights(tmp_path / "weights", kind)
    run = tmp_path / "run"
    done = python(*TRAIN, f"--workdir={run}", f"--config.backbone.weights={weights}")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr
    assert not run.exists()


@pytest.mark.slow
def test_the_workdir_of_another_run_is_left_alone(uninterrupted, python):
    folder, *_ = uninterrupted
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    done = python(*SMALL, f"--workdir={folder}", "--config.seed=7")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "seed is 0 there and 7 here" in done.stderr and str(folder) in done.stderr
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before


@pytest.mark.slow
def test_a_full_disk_is_one_message_and_the_run_goes_on_when_there_is_space(
    python, start, small_disk, tmp_path
):
    """With the embedded model, whose steps leave the disk idle between two checkpoints."""
    command = (*TRAIN, *SHORT, OFTEN)
    python(*command, f"--workdir={tmp_path / 'whole'}", check=True)
    with small_disk("2m") as disk:
        run = disk / "run"
        process = start(*command, f"--workdir={run}")
        wait_for(lambda: len(saved_steps(run)) >= 2, process)
        os.kill(process.pid, signal.SIGSTOP)
        free = os.statvfs(disk)
        (disk / "ballast").write_bytes(b"x" * (free.f_bavail * free.f_bsize))
        os.kill(process.pid, signal.SIGCONT)
        _, err = process.communicate(timeout=120)
        assert process.returncode == 2, err[-3000:]
        assert "the disk is full" in err and "same command again" in err
        assert "Traceback" not in err
        kept = saved_steps(run)
        assert kept
        (disk / "ballast").unlink()
        done = python(*command, f"--workdir={run}")
        assert done.returncode == 0, done.stderr[-3000:]
        assert f"going on from step {kept[-1]}" in done.stderr
        assert without_times(run) == without_times(tmp_path / "whole")


@pytest.mark.slow
def test_a_setting_in_front_of_the_config_file(python):
    done = python("-m", "vp_jax.train", "--config.seed=1", "--config=configs/quickstart.py")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "--config.seed=1 must stand behind --config=FILE" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("module", ["vp_jax.train", "vp_jax.evaluate"])
def test_help_helps(module, python):
    done = python("-m", module, "--help", check=True)
    assert f"python -m {module} --" in done.stdout and "--workdir" in done.stdout
    if module == "vp_jax.train":
        assert "normalize | pad(30)" in done.stdout and "optimizer.learning_rate" in done.stdout
