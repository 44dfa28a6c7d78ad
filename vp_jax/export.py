"""Takes a trained prompt or head out of its workdir, as one file that anybody can apply.

    python -m vp_jax.export --workdir=runs/quickstart --to=bundle --out=digits.safetensors
    python -m vp_jax.predict --workdir=digits.safetensors images/

A bundle holds the prompt, the head or the texts of the classes, their names, how images are resized
and normalised, and which model they are for, with its fingerprint: not the frozen model itself,
which whoever uses it loads as the run did. `vp_jax.load(FILE)` is the classifier.
"""

from __future__ import annotations

from collections.abc import Sequence

from absl import flags

from vp_jax import cli
from vp_jax.errors import UserError, spell_settings
from vp_jax.host import files

flags.DEFINE_string("workdir", None, "folder of a training")
flags.DEFINE_enum("to", "bundle", ["bundle"], "what is written")
flags.DEFINE_string("out", None, "the file (default: bundle.safetensors in --workdir)")
flags.DEFINE_string("weights", None, "where the backbone's weights are now")
flags.DEFINE_string("license", "", "of what is written, for whoever uses it")

OWN_FLAGS = {"backbone.weights": "--weights"}
"""By the settings of the run that they replace."""
BUNDLE = "bundle.safetensors"


def main(argv: Sequence[str]) -> None:
    """Parses the flags, writes the file, says what it holds."""
    spell_settings(OWN_FLAGS, "settings of the run, in its config.json")
    cli.parse_flags(argv)
    given = flags.FLAGS
    if not given.workdir:
        raise UserError("no run given: add --workdir=runs/NAME")
    workdir = files.expanded(given.workdir)
    out = files.expanded(given.out) if given.out else workdir / BUNDLE

    from vp_jax.assembly.bundle import make_bundle
    from vp_jax.records import bundle_file

    bundle = make_bundle(workdir, given.weights, license=given.license)
    bundle_file.write(out, bundle)
    print(
        f"{out}: {out.stat().st_size:,} bytes, {len(bundle.class_names)} classes, prompt "
        f"{bundle.prompt!r}, for the backbone {bundle.backbone['fingerprint']}"
    )


if __name__ == "__main__":
    cli.run(main)
