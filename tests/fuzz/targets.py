"""What reads a damaged file: each target makes one case of a number and puts it to the package."""

from __future__ import annotations

import contextlib
import json
import pathlib
import sys
from collections.abc import Callable
from typing import NamedTuple

import jax
import mutations
import numpy as np
import seeds
from absl import flags
from mutations import Rng, mutate, mutate_text, pick

from vp_jax import backbones, cli, config, heads, prompts, runs
from vp_jax.assembly import settings, setup
from vp_jax.data.images.decode import decode_image
from vp_jax.data.images.preprocess import ResizeRule
from vp_jax.data.load import load_task
from vp_jax.errors import UserError
from vp_jax.records import workdir
from vp_jax.records.names import CONFIG

SIDE = 8


class Target(NamedTuple):
    """A kind of input.

    Attributes:
      name: of the kind, for people.
      attempt: makes a case from random numbers, in an empty folder, and reads it.
      memory: bytes that reading one may take.
    """

    name: str
    attempt: Callable[[Rng, pathlib.Path], None]
    memory: int


def _image(rng: Rng, folder: pathlib.Path) -> None:
    del folder
    every = seeds.images()
    content = pick(rng, every)
    if content.startswith(b"\x89PNG") and rng.random() < 0.5:
        content = mutations.mutate_png(rng, content)
    else:
        content = mutate(rng, content, seeds.IMAGE_WORDS, every)
    pixels = decode_image(content, upright=bool(rng.integers(2)))
    assert pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3, pixels.shape


def _load(rng: Rng, path: pathlib.Path, task: str = "folder") -> None:
    pipeline = pick(rng, ("resident", "resident", "stream"))
    skip = bool(rng.integers(2))
    data = load_task(
        task,
        data_dir=path,
        resize=ResizeRule(SIDE),
        progress=False,
        skip_corrupt=skip,
        pipeline=pipeline,
        val_fraction=0.3,
    )
    for split in data.splits:
        for images in (split.images[i] for i in range(len(split))):
            assert images.dtype == np.uint8
        assert (split.labels >= 0).all() and (split.labels < len(data.class_names)).all()
    assert all(name.strip() for name in data.class_names)


def _images(folder: pathlib.Path) -> None:
    for name in "ab":
        (folder / name).mkdir()
        for number in range(3):
            (folder / name / f"{number}.png").write_bytes(seeds.picture_file(number))


def _table(rng: Rng, folder: pathlib.Path) -> None:
    _images(folder)
    path = folder / "table.csv"
    path.write_bytes(mutate_text(rng, pick(rng, seeds.TABLES), seeds.TABLE_WORDS, seeds.TABLES))
    if rng.random() < 0.3:
        names = mutate_text(rng, pick(rng, seeds.NAMES), seeds.TABLE_WORDS, seeds.NAMES)
        (folder / "classes.txt").write_bytes(names)
    _load(rng, path)


def _class_names(rng: Rng, folder: pathlib.Path) -> None:
    _images(folder)
    names = mutate_text(rng, pick(rng, seeds.NAMES), seeds.TABLE_WORDS, seeds.NAMES)
    (folder / "classes.txt").write_bytes(names)
    _load(rng, folder)


def _archive(rng: Rng, folder: pathlib.Path) -> None:
    if rng.random() < 0.5:
        kind, every = "zip", seeds.zips()
        mutate_inside = mutations.mutate_zip
    else:
        kind, every = "tar", seeds.tars()
        mutate_inside = mutations.mutate_tar
    content = pick(rng, every)
    if rng.random() < 0.5:
        content = mutate_inside(rng, content)
    else:
        content = mutate(rng, content, seeds.ARCHIVE_WORDS, every)
    path = folder / f"images.{kind}"
    path.write_bytes(content)
    _load(rng, path)


def _arrays(rng: Rng, folder: pathlib.Path) -> None:
    content = pick(rng, seeds.arrays())
    if rng.random() < 0.6:
        content = mutations.mutate_zip(rng, content, seeds.ARRAY_WORDS)
    else:
        content = mutate(rng, content, seeds.ARRAY_WORDS, seeds.arrays())
    path = folder / "images.npz"
    path.write_bytes(content)
    _load(rng, path, "npz")


def _weights(rng: Rng, folder: pathlib.Path) -> None:
    if rng.random() < 0.7:
        kind, content = "safetensors", seeds.safetensors_file()
        change = mutations.mutate_safetensors
    else:
        kind, content = "npz", seeds.weights_npz()
        change = mutations.mutate_zip
    content = (
        change(rng, content) if rng.random() < 0.7 else mutate(rng, content, seeds.WEIGHT_WORDS)
    )
    path = folder / f"weights.{kind}"
    path.write_bytes(content)
    backbones.load("resnet20_cifar", path)


def _mapping(rng: Rng, folder: pathlib.Path) -> None:
    table = b"source class,target class,weight\ntabby,cat,1.0\nbeagle,dog,1.0\n"
    path = folder / "mapping.csv"
    path.write_bytes(mutate_text(rng, table, (*seeds.TABLE_WORDS, b"weight", b"1e999", b"inf")))
    heads.read_table(path, ("tabby", "beagle", "boxer"), ("cat", "dog"))


def _records(rng: Rng, folder: pathlib.Path) -> None:
    """The files of a run, read as `evaluate` and a resumed training read them."""
    values = seeds.settings()
    for _ in range(int(rng.integers(1, 4))):
        values = mutations.mutate_json(rng, values)
    content = json.dumps(values).encode()
    if rng.random() < 0.3:
        content = mutate_text(
            rng, content, (b"null", b"NaN", b"Infinity", b"[[[[", b"}", b"\\ud800")
        )
    (folder / CONFIG).write_bytes(content)
    settings.check_settings(folder, config.default())
    setup.check(settings.read_config(folder))


WHOLE = ("0", "1", "-1", "2", "3", "17", "1000", "2147483648", "9223372036854775808", "1" * 30)
FRACTIONS = ("0", "1", "-1", "0.5", "1e-30", "1e30", "1e400", "nan", "inf", "-inf", ".1", "1e")
VALUES = (
    *("", "0", "1", "-1", "2", "3", "0.5", "1e30", "nan", "inf", "-inf", "9" * 30, "1_000"),
    *("True", "false", "None", "()", "[]", "{}", "('a', 'b')", "('a', 1)", "(((", "'", '"', ","),
    *("prompt", "head", "prompt,head", "text", "linear", "pad", "sgd", "adam", "val", "test"),
    *("a photo of a {}", "{} {}", "{0}", "{x}", "{", "~", "/", "..", "a,b", "auto", "0x10"),
    *("digits", "folder", "cifar100", "bfloat16", "fsdp", "resident", "randaugment", "uniform"),
    *("\u6f22\u5b57", "\ud800", "x" * 5000),
)


def _prompt(rng: Rng, folder: pathlib.Path) -> None:
    """A prompt as text; what is read must read the same again, and fit images or be refused."""
    del folder
    content = pick(rng, RUN_VALUES["prompt"]).encode()
    content = mutate_text(rng, content, PROMPT_WORDS, [pick(rng, PROMPT_WORDS)])
    prompt = prompts.parse(content.decode(errors=pick(rng, ("replace", "surrogateescape"))))
    assert str(prompts.parse(str(prompt))) == str(prompt)
    prompt.init(jax.random.key(0), (SIDE, SIDE, 3))


PROMPT_WORDS = (
    *(b"|", b"(", b")", b"((", b",", b"=", b"'", b'"', b"#", b"-", b"**", b"*", b"[", b"lambda: "),
    *(
        b"pad",
        b"clip",
        b"normalize",
        b"shrink",
        b"full",
        b"init='zeros'",
        b"within(",
        b"ensemble(",
        b"cluster(",
        b"within(pad(1) | clip, 8)",
        b"size=",
        b"mean=",
        b"()",
    ),
    *(
        b"None",
        b"True",
        b"1e999",
        b"10" * 40,
        b"0x8",
        b"1_0",
        b"(1, 2, 3)",
        b"\0",
        b"\\",
        b"\n",
        b"{}",
    ),
)


def _command_line(rng: Rng, folder: pathlib.Path) -> None:
    """Settings as they are typed behind a command, in a config that may be damaged too."""
    path = folder / "mine.py"
    source = b"""from vp_jax import config as base

def get_config():
    config = base.default()
    config.backbone.name = "clip_tiny"
    config.task.name = "digits"
    config.prompt = "normalize | pad(4)"
    config.optimizer.learning_rate = 10.0
    return config
"""
    if rng.random() < 0.3:
        words = (b"config", b"=", b"None", b"()", b"'x'", b"\t", b"1", b".", b"(", b"return")
        source = mutate_text(rng, source, words)
    path.write_bytes(source)
    names = cli.setting_names(config.default())
    arguments = []
    for _ in range(int(rng.integers(1, 4))):
        name = pick(rng, names)
        if rng.random() < 0.2:
            name = mutate_text(rng, name.encode(), (b".", b"=", b" ")).decode(errors="replace")
        arguments.append(f"--config.{name}={_value(rng, name)}")
    default = config.default
    try:
        with _command(["train", f"--config={path}", *arguments]) as argv:
            settings, _ = cli.parse_config(argv)
    finally:
        config.default = default  # A damaged config may have put another in its place.
    setup.check(settings)


def _value(rng: Rng, name: str) -> str:
    """Mostly one of the setting's type."""
    now = workdir.flatten(config.default().to_dict()).get(name)
    if isinstance(now, bool) or rng.random() < 0.2:
        return pick(rng, (*VALUES, "True", "False"))
    if isinstance(now, int | float):
        return pick(rng, WHOLE if isinstance(now, int) else FRACTIONS)
    return pick(rng, VALUES)


@contextlib.contextmanager
def _command(argv: list[str]):
    """As if a command had just been started with these arguments."""
    values = flags.FLAGS
    before, defined = sys.argv, dict(values._flags())
    values._flags().pop("config", None)
    sys.argv = argv  # config_flags looks for its settings there
    try:
        cli.define_config_flag()
        yield argv
    finally:
        sys.argv = before
        for name in list(values):
            delattr(values, name)
        values._flags().update(defined)


RUN_VALUES = {
    "seed": (0, 1, 2**32 - 1),
    "tune": (("prompt",), ("head",), ("prompt", "head"), (), ("prompt", "head", "backbone")),
    "prompt": (
        *("normalize | pad(1)", "pad(4)", "pad(9)", "normalize | random_patch(8)", "normalize"),
        *("fixed_patch(5, top=1, left=7)", "fixed_patch(2, 7) | clip", "pad(2, init='zeros')"),
        *(
            "normalize | pad(3, init='uniform', scale=1e-30)",
            "full(scale=1e30)",
            "normalize | clip",
        ),
        *("shrink(5) | pad(1)", "shrink(8) | full | clip", "pad(1) | shrink(3)", "pad(2) | pad("),
        *("ensemble(pad(1), 2)", "cluster(full | pad(2), 3)", "masked(full, patch=2)"),
        *("class_wise(pad(1), 10)", "generator(64, init='uniform')"),
        *("within(pad(1) | clip, 8)", "within(within(full, 2), 3, norm='l2') | pad(2)"),
    ),
    "head.name": ("first_k", "linear", "random", "frequency", "iterative", "bayesian_plus")
    + ("fully_connected", "semantic", "text", "fixed"),
    "head.smoothing": (1.0, 0.0, 1e30),
    "head.top_share": (0.15, 1e-9, 1.0),
    "head.second_pass": (False, True),
    "head.many_to_one": (False, True),
    "head.solver": ("auto", "sgd", "optax", "sklearn"),
    "task.shots": (0, 1, 2, 1000),
    "task.val_fraction": (0.1, 0.001, 0.5, 0.999),
    "task.pipeline": ("auto", "resident", "cached", "stream"),
    "augment.flip": (False, True),
    "augment.crop_scale": (1.0, 0.5, 1e-6),
    "augment.mixup": (0.0, 0.2, 1e-9, 1e9),
    "augment.cutmix": (0.0, 1.0),
    "augment.policy": ("", "randaugment", "trivialaugment"),
    "batch_size": (1, 3, 16, 64, 10_000),
    "epochs": (1, 2, 3),
    "optimizer.name": ("sgd", "adam", "lamb", "lion", "adafactor", "noisy_sgd", "lbfgs"),
    "optimizer.learning_rate": (1.0, 1e-30, 1e30),
    "optimizer.weight_decay": (0.0, 0.1, 1e30),
    "schedule.name": ("warmup_cosine", "constant"),
    "schedule.warmup_steps": (0, 1, 5, 1000, 2**31),
    "eval_every_epochs": (1, 2, 1000),
    "select_on": ("val", "test"),
    "patience": (0, 1),
    "log_every_steps": (1, 7, 10**9),
    "checkpoint_every_steps": (0, 1, 10**9),
    "call_seconds": (1.0, 1e-9, 1e9),
}


def _run(rng: Rng, folder: pathlib.Path) -> None:
    """A whole short run with settings at random."""
    rows = np.random.default_rng(0)
    arrays = {}
    for split, count in (("train", 24), ("test", 12)):
        arrays[f"{split}_data"] = rows.integers(0, 256, (count, 8, 8, 3)).astype(np.uint8)
        arrays[f"{split}_target"] = np.arange(count) % 3
    np.savez(folder / "data.npz", class_names=np.array(["cat", "dog", "cow"]), **arrays)
    settings = config.default()
    changes = {"epochs": 1, "batch_size": 8, "head.name": "first_k", "prompt": "normalize | pad(2)"}
    for _ in range(int(rng.integers(1, 6))):
        name = pick(rng, list(RUN_VALUES))
        changes[name] = pick(rng, RUN_VALUES[name])
    changes |= {"task.name": "npz", "task.data_dir": str(folder / "data.npz")}
    changes |= {"optimizer.learning_rate": changes.get("optimizer.learning_rate", 1.0)}
    settings.update_from_flattened_dict({**changes, "task.cache_dir": str(folder / "cache")})
    result = runs.train(settings, folder / "run", backbone=_own_backbone())
    assert 0 <= result["test_accuracy"] <= 1
    again = runs.evaluate(folder / "run", backbone=_own_backbone())
    assert again["test_accuracy"] == result["test_accuracy"]


def _own_backbone():
    import jax
    import jax.numpy as jnp

    first, second = jax.random.split(jax.random.key(0))
    params = {
        "first": jax.random.normal(first, (SIDE * SIDE * 3, 16)) / 8,
        "second": jax.random.normal(second, (16, 5)),
    }
    return backbones.from_fn(
        lambda p, x: jnp.tanh(x.reshape(len(x), -1) @ p["first"]),
        params,
        classify=lambda p, x: x @ p["second"],
        image_size=SIDE,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        name="own",
        source_classes=tuple("abcde"),
    )


TARGETS = (
    Target("image files", _image, 2 << 30),
    Target("CSV files", _table, 1 << 29),
    Target("class names", _class_names, 1 << 29),
    Target("archives", _archive, 1 << 29),
    Target("arrays (.npz)", _arrays, 1 << 29),
    Target("weights", _weights, 1 << 29),
    Target("mapping tables", _mapping, 1 << 29),
    Target("prompts", _prompt, 1 << 29),
    Target("records of runs", _records, 1 << 29),
    Target("command lines and configs", _command_line, 1 << 29),
    Target("whole runs", _run, 1 << 30),
)
"""From the quickest to the slowest, about."""

REFUSED = UserError
"""What a bad input may end in."""
