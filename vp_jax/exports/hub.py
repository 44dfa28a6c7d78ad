"""A folder for the Hugging Face Hub: bundle, pictures, model card; sent there on request."""

from __future__ import annotations

import pathlib
import shutil

from vp_jax.errors import UserError, brief
from vp_jax.exports.model_card import EXAMPLES, PROMPT, model_card
from vp_jax.exports.wanted import Wanted
from vp_jax.host import files
from vp_jax.records import bundle_file
from vp_jax.records.bundle_file import Bundle
from vp_jax.report.pictures.run_pictures import draw_prompt

CARD = "README.md"


def write(wanted: Wanted, out: pathlib.Path) -> str:
    """Writes the folder of a repository, and sends it there if that is wanted.

    `vp_jax.load("owner/name")` is then the classifier. Nothing else that lies in the folder is
    sent. Who may write there is what huggingface_hub knows of this user, by `hf auth login` or
    HF_TOKEN; no token is read or kept here.

    Returns:
      A line that says what was written, and one of where it was sent.

    Raises:
      UserError: there is no run, or the Hub refuses the folder.
    """
    bundle = wanted.bundle()
    bundle_file.write(out / bundle_file.NAME, bundle)
    pictures = _pictures(wanted, bundle, out)
    card = model_card(bundle, wanted.repository, pictures)
    files.write(out / CARD, lambda file: file.write(card.encode()))
    names = (bundle_file.NAME, CARD, *pictures)
    text = f"{out}: {', '.join(names)}"
    if EXAMPLES in pictures:
        text += f" ({EXAMPLES} shows images of the data: --examples=False leaves it out)"
    if not wanted.push:
        return text
    return f"{text}\nsent to {push(out, names, wanted.repository, wanted.private)}"


def push(
    folder: pathlib.Path, names: tuple[str, ...], repository: str, private: bool = False
) -> str:
    """Sends files of a folder to a repository, which is made where there is none.

    Returns:
      Its address.

    Raises:
      UserError: the Hub refuses them or cannot be reached.
    """
    import huggingface_hub

    try:
        api = huggingface_hub.HfApi()
        address = api.create_repo(repository, private=private or None, exist_ok=True)
        is_public = private and not api.model_info(repository).private
        if is_public:
            raise UserError("it is there already, and public")
        api.upload_folder(
            repo_id=repository,
            folder_path=folder,
            allow_patterns=list(names),
            commit_message="A bundle of vp_jax",
        )
    except Exception as error:  # of the HTTP library, which changed twice
        raise UserError(
            f"{folder} is there, but cannot be sent to {repository} on the Hugging Face Hub "
            f"({brief(error)}): log in with `hf auth login` as somebody who may write there, and "
            "give the same command again"
        ) from error
    return str(address)


def _pictures(wanted: Wanted, bundle: Bundle, out: pathlib.Path) -> tuple[str, ...]:
    """Puts the pictures of the run into the folder; that of a bundle's prompt is drawn."""
    place, found = wanted.place, []
    for name in (PROMPT, EXAMPLES):
        (out / name).unlink(missing_ok=True)  # of an earlier export
        if (place / name).is_file() and (name != EXAMPLES or wanted.examples):
            shutil.copyfile(place / name, out / name)
            found.append(name)
    if PROMPT not in found and any(name.startswith("prompt.") for name in bundle.arrays):
        draw_prompt(wanted.classifier(), out)
        found.insert(0, PROMPT)
    return tuple(found)
