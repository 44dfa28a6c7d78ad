"""Takes what was trained out of its workdir, in a form that others can use.

    python -m vp_jax.export --workdir=runs/quickstart --to=bundle --out=digits.safetensors
    python -m vp_jax.export --workdir=runs/quickstart --to=stablehlo --out=digits

`bundle`: prompt, head or texts, class names and how images are prepared in one file, without the
frozen model; `vp_jax.load(FILE)` is the classifier. `png`: a prompt that covers pixels, as an image
to lay over others, with the accuracy that its 8 bits have. `stablehlo`: the whole classifier with
the model, a program that needs JAX alone. `onnx`: the same for ONNX runtimes. `hub`: a folder with
bundle, pictures and a model card; --push sends it to the Hugging Face Hub, by the login of
`hf auth login` or HF_TOKEN.

--workdir may also be a bundle, or owner/name of one on the Hub.
"""

from __future__ import annotations

import pathlib
import re
from collections.abc import Sequence

from absl import flags

from vp_jax import cli
from vp_jax.errors import UserError
from vp_jax.host import files

DEFAULT_NAMES = {
    "bundle": "bundle.safetensors",
    "png": "overlay.png",
    "stablehlo": "stablehlo",
    "onnx": "classifier.onnx",
    "hub": "hub",
}
"""What is written where no --out says it, by format."""
FOLDERS = ("stablehlo", "hub")
"""The formats that are folders."""
USED_BY = {
    "data_dir": ("png",),
    "license": ("bundle", "stablehlo", "onnx", "hub"),
    "image_size": ("stablehlo", "onnx"),
    "weights_apart": ("stablehlo",),
    "examples": ("hub",),
    "repo": ("hub",),
    "push": ("hub",),
    "private": ("hub",),
}
"""The formats that a flag is for, where it is not for all."""

flags.DEFINE_string("workdir", None, "folder of a training, a bundle, or owner/name on the Hub")
flags.DEFINE_enum("to", "bundle", list(DEFAULT_NAMES), "what is written")
flags.DEFINE_string(
    "out", None, "the file or folder (default: a name in --workdir, or beside a bundle)"
)
flags.DEFINE_string("weights", None, "where the backbone's weights are now")
flags.DEFINE_string("data_dir", None, "png: where the data are now, to measure the accuracy")
flags.DEFINE_string("license", "", "of what is written, for whoever uses it, such as cc-by-4.0")
flags.DEFINE_string(
    "image_size", None, "stablehlo, onnx: HEIGHTxWIDTH of images that are resized inside"
)
flags.DEFINE_bool("weights_apart", False, "stablehlo: weights in a file beside the program")
flags.DEFINE_bool("examples", True, "hub: a picture with eight images of the test data too")
flags.DEFINE_string("repo", "", "hub: owner/name that the folder is for")
flags.DEFINE_bool("push", False, "hub: send the folder to --repo")
flags.DEFINE_bool("private", False, "hub: a repository that is made is private")

OWN_FLAGS = {"backbone.weights": "--weights", "task.data_dir": "--data_dir"}
"""By the settings of the run that they replace."""


def main(argv: Sequence[str]) -> None:
    """Parses the flags, writes, says what it was."""
    cli.parse_run_flags(argv, OWN_FLAGS)
    given = flags.FLAGS
    _check_use(given.to)
    size = _size(given.image_size)

    from vp_jax.exports.formats import FORMATS
    from vp_jax.exports.wanted import Wanted

    wanted = Wanted(
        given=given.workdir,
        weights=given.weights,
        data_dir=given.data_dir,
        license=given.license,
        image_size=size,
        weights_apart=given.weights_apart,
        examples=given.examples,
        repository=given.repo,
        push=given.push,
        private=given.private,
    )
    out = files.expanded(given.out) if given.out else wanted.beside(DEFAULT_NAMES[given.to])
    _check_out(given.to, out, wanted.place)
    print(FORMATS[given.to](wanted, out))


def _check_use(to: str) -> None:
    """Refuses flags that say nothing to a format."""
    for name, formats in USED_BY.items():
        if to not in formats and flags.FLAGS[name].value != flags.FLAGS[name].default:
            raise UserError(f"--{name} is for --to={' and --to='.join(formats)}, not --to={to}")
    if flags.FLAGS.push and not flags.FLAGS.repo:
        raise UserError("--push needs --repo=OWNER/NAME, where the folder is sent to")


def _check_out(to: str, out: pathlib.Path, place: pathlib.Path) -> None:
    """Refuses a file where a folder is to be, or a folder where a file is, or the run itself."""
    if to in FOLDERS:
        if out.is_file():
            raise UserError(f"{out} is a file, and --to={to} writes a folder: give another --out")
        if out.exists() and place.exists() and out.samefile(place):
            raise UserError(f"{out} is the run's own folder: give another --out")
    elif out.is_dir():
        raise UserError(
            f"{out} is a folder, and --to={to} writes a file: give --out={out / DEFAULT_NAMES[to]}"
        )
    elif out.exists() and place.exists() and out.samefile(place) and to != "bundle":
        raise UserError(f"{out} is the bundle itself: give another --out")


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    found = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text)
    if found is None:
        raise UserError(f"--image_size is {text!r}: give HEIGHTxWIDTH in pixels, as in 480x640")
    return int(found[1]), int(found[2])


if __name__ == "__main__":
    cli.run(main)
