"""Commands where something usual is missing: a home, a cache, an output, letters, a platform."""

import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import matplotlib
import pytest

from vp_jax import heads, runs
from vp_jax.backbones.weights import files as weight_files
from vp_jax.backbones.weights import hub
from vp_jax.data import pipelines, tasks
from vp_jax.data.images import cache
from vp_jax.data.sources import class_names, source
from vp_jax.ensemble import ensemble_predictions
from vp_jax.errors import UserError
from vp_jax.host import files, streams, user_cache
from vp_jax.host.compilation_cache import FOLDER, LEAST_SECONDS, NEVER, keep_compiled_programs

ROOT = pathlib.Path(__file__).parents[1]
LIST = ("-m", "vp_jax.data", "list")
HELP = ("-m", "vp_jax.train", "--help")
TINY = (
    *("-m", "vp_jax.train", "--config=quickstart", "--config.epochs=1"),
    *("--config.task.shots=2", "--config.batch_size=4"),
)
NAMES = "零,één,$b_,ß,e,f,g,h,i,j"
NO_ENTRY = """
import pwd
def missing(*_):
    raise KeyError("no entry")
pwd.getpwuid = missing
"""
SLURM = {
    **{"SLURM_JOB_ID": "7", "SLURM_STEP_NODELIST": "localhost", "SLURM_NTASKS": "4"},
    **{"SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_STEP_NUM_NODES": "1"},
}


@pytest.fixture
def homeless(tmp_path, monkeypatch):
    """The environment of a user of whom the system knows no home folder."""
    place = tmp_path / "site"
    place.mkdir()
    (place / "sitecustomize.py").write_text(NO_ENTRY)
    unset = ("HOME", "VP_JAX_CACHE", "XDG_CACHE_HOME", FOLDER)
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    return environment | {"PYTHONPATH": f"{ROOT}{os.pathsep}{place}"}


@pytest.fixture(autouse=True)
def unwarned(monkeypatch):
    monkeypatch.setattr(user_cache, "_warned", set())


def run(*arguments, env=None, redirect="", timeout=300):
    """Runs `python ARGUMENTS REDIRECT` by a shell in the repository."""
    return subprocess.run(
        ["bash", "-c", f'"$@" {redirect}', "bash", sys.executable, *arguments],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def is_one_sentence(done):
    lines = [line for line in done.stderr.splitlines() if not line.startswith("warning: ")]
    return done.returncode == 2 and len(lines) == 1 and lines[0].startswith("error: ")


def test_paths_begin_at_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert files.expanded("~/a") == tmp_path / "a"
    assert files.expanded("~nobody_of_that_name/a") == pathlib.Path("~nobody_of_that_name/a")
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", lambda uid: {}[uid])
    assert files.expanded("a/~/b") == pathlib.Path("a/~/b")
    for path in ("~", "~/a"):
        with pytest.raises(UserError, match="below a home folder, and this user has none"):
            files.expanded(path)


def test_without_a_home_nothing_is_cached_and_that_is_said_once(monkeypatch, capsys):
    for name in ("HOME", "VP_JAX_CACHE", "XDG_CACHE_HOME", "TFDS_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", lambda uid: {}[uid])
    assert user_cache.find("programs") is None
    assert cache.folder_for("resident") is None and cache.folder_for("auto") is None
    assert capsys.readouterr().err.count("warning: nothing can be kept in ~/.cache/vp_jax") == 1
    with pytest.raises(UserError, match="set HOME, or name another folder with VP_JAX_CACHE"):
        cache.folder_for("cached")
    with pytest.raises(UserError, match="set HOME, or name the folder .* TFDS_DATA_DIR"):
        source.read(tasks.get("digits"), None)
    assert pipelines.choose("auto", 2, 1, None, False).pipeline == "stream"


def test_every_path_may_begin_at_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("VP_JAX_CACHE", "~/cache")
    assert cache.default_folder() == tmp_path / "cache" / "images"
    assert source.default_root("~/data") == tmp_path / "data"
    with pytest.raises(UserError, match=re.escape(str(tmp_path / "w.npz"))):
        weight_files.find("~/w.npz")
    with pytest.raises(UserError, match=re.escape(str(tmp_path / "run"))):
        runs.evaluate("~/run")
    with pytest.raises(UserError, match=re.escape(str(tmp_path / "run"))):
        ensemble_predictions(["~/run"])
    (tmp_path / "mapping.csv").write_text("source class,target class,weight\na,b,1\n")
    assert heads.read_table("~/mapping.csv", ["a"], ["b"]) == [0]
    (tmp_path / "names.txt").write_text("\n".join("abcdefghij"))
    task = tasks.get("digits")
    assert class_names.resolve(task, source.read(task, None), "~/names.txt")[-1] == "j"


def test_weights_of_the_hub_without_a_home(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", "~/.cache/huggingface/hub")
    with pytest.raises(UserError, match="set HOME or HF_HOME"):
        hub.find("timm/vit_base_patch16_224")


@pytest.mark.slow
def test_commands_without_a_home(homeless):
    for command in (LIST, HELP):
        done = run(*command, env=homeless)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
    done = run(*TINY, "--workdir=~/run", env=homeless)
    assert is_one_sentence(done) and "~/run is below a home folder" in done.stderr


def test_programs_are_not_kept_where_they_cannot_be(tmp_path, monkeypatch, capsys, small_disk):
    monkeypatch.delenv(FOLDER, raising=False)
    (tmp_path / "file").write_text("")
    keep_compiled_programs(tmp_path / "file" / "programs")
    assert FOLDER not in os.environ
    assert capsys.readouterr().err.count("warning: nothing can be kept in ") == 1
    monkeypatch.setenv(FOLDER, str(tmp_path / "file"))
    keep_compiled_programs(None)
    assert FOLDER not in os.environ
    with small_disk("64k") as folder:
        keep_compiled_programs(folder / "programs")  # what is there already is still read
        assert os.environ[FOLDER] == str(folder / "programs")
        assert os.environ[LEAST_SECONDS] == NEVER
    assert "No space left" in capsys.readouterr().err


@pytest.mark.slow(seconds=4)
def test_standard_streams_that_are_closed_full_or_left():
    for redirect in ("<&- >&- 2>&-", "| head -n 1"):
        done = run(*LIST, redirect=f"{redirect}; exit ${{PIPESTATUS[0]}}")
        assert done.returncode == 0, (redirect, done.stderr)
        assert done.stderr == ""
    assert "vp_jax" not in run(*HELP, redirect="| head -n 1").stderr
    done = run(*LIST, redirect="> /dev/full")
    assert is_one_sentence(done) and "the output of this command" in done.stderr


def test_a_closed_descriptor_is_not_given_to_a_file(tmp_path):
    program = """if True:
        import os, sys
        from vp_jax.host import streams
        streams.mend()
        file = open(sys.argv[1], "w")
        assert file.fileno() > 2
        os.write(2, b"of a library in C++")
        print("lost", file=sys.stderr)
        file.write("kept")
    """
    done = run("-c", program, str(tmp_path / "file"), redirect="2>&-")
    assert done.returncode == 0 and (tmp_path / "file").read_text() == "kept"


def test_streams_of_another_kind_stay_as_they_are(capsys):
    before = sys.stdout
    assert streams._mended(sys.stdout, 77) is before


@pytest.mark.parametrize("environment", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C"}])
def test_letters_that_an_output_has_not(environment):
    wrong = ("-m", "vp_jax.train", "--config=quïckstart")
    done = run(*wrong, env={**os.environ, **environment})
    assert is_one_sentence(done) and re.search(r"qu(ï|\\xef)ckstart", done.stderr)
    program = "from vp_jax.host import streams; streams.mend(); print('零 \\udcff')"
    done = run("-c", program, env={**os.environ, **environment})
    assert done.returncode == 0 and "\\udcff" in done.stdout


def test_a_path_that_a_locale_cannot_read():
    environment = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = run(*TINY, "--workdir=rün", env={**os.environ, **environment})
    assert is_one_sentence(done) and "PYTHONUTF8=1" in done.stderr


@pytest.mark.slow
def test_an_absent_platform_is_one_sentence(tmp_path):
    absent = {**os.environ, "JAX_PLATFORMS": "cuda_of_nobody"}
    train = (*TINY, f"--workdir={tmp_path / 'run'}")
    many = ("-m", "vp_jax.train_many", *TINY[2:], "--vary=seed=0,1")
    for command in (train, (*many, f"--workdir={tmp_path / 'many'}")):
        done = run(*command, env=absent)
        assert is_one_sentence(done), done.stderr
        assert "JAX_PLATFORMS=cuda_of_nobody" in done.stderr
    assert run(*LIST, env=absent).returncode == 0


@pytest.mark.slow
def test_a_run_without_outputs_and_its_evaluation_without_cache_and_letters(tmp_path):
    (tmp_path / "file").write_text("")
    workdir = "--workdir=~/rün 零"
    fonts = matplotlib.get_configdir()  # of which a new home has none
    environment = {**os.environ, "HOME": str(tmp_path), "MPLCONFIGDIR": fonts}
    names = f"--config.task.class_names={NAMES}"
    done = run(*TINY, names, workdir, env=environment, redirect=">&- 2>&-")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "rün 零" / "result.json").exists()
    evaluate = ("-m", "vp_jax.evaluate", workdir)
    absent = environment | {"JAX_PLATFORMS": "cuda_of_nobody"}
    assert is_one_sentence(run(*evaluate, env=absent))
    del environment[FOLDER]
    environment |= {"VP_JAX_CACHE": str(tmp_path / "file"), "PYTHONIOENCODING": "ascii"}
    done = run(*evaluate, env=environment)
    assert done.returncode == 0, done.stderr
    assert "visual prompt" in done.stdout and "Traceback" not in done.stderr
    assert done.stderr.count("warning: ") == 1 and "ersistent compilation" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_process_that_waits_for_others_says_so_and_can_be_stopped(number, tmp_path):
    process = subprocess.Popen(
        [sys.executable, *TINY, f"--workdir={tmp_path / 'run'}"],
        cwd=ROOT,
        env={**os.environ, **SLURM, "SLURM_JOB_ID": str(7 + number)},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stderr.readline()
        assert "process 0 of 4 waits for the others on localhost" in line, line
        assert "SLURM_NTASKS=4" in line and "--processes=1" in line
        process.send_signal(number)
        begun = time.monotonic()
        out, err = process.communicate(timeout=60)
        assert time.monotonic() - begun < 20
        assert f"stopped by {number.name}" in out + err and "Traceback" not in err
    finally:
        process.kill()
