"""Finds the files of a model on the Hugging Face Hub: in the local cache first, then by network.

Nothing is retried: without a network the error comes at once, and says what to do.
"""

from __future__ import annotations

import os
import pathlib
import re
from collections.abc import Collection, Iterable

from vp_jax.errors import UserError

WEIGHT_FILES = ("open_clip_model.safetensors", "model.safetensors")
TOKENIZER_FILES = ("tokenizer.json", "vocab.json", "merges.txt")
CONFIG_FILES = ("open_clip_config.json", "config.json")
SUFFIXES = (".safetensors", ".npz", ".pt", ".pth", ".pth.tar", ".th", ".ckpt", ".bin")
TIMEOUT = 5.0  # seconds, to reach the Hub


def is_repository(name: str | os.PathLike[str]) -> bool:
    """Whether a name reads like `owner/name`, and neither like a path nor like a weight file."""
    if isinstance(name, os.PathLike) or name.endswith(SUFFIXES) or name[:1] in tuple("./~"):
        return False
    return re.fullmatch(r"[\w.-]+/[\w.-]+", name) is not None


def find(repo: str, *, tokenizer: bool = True) -> pathlib.Path:
    """The weight file of a repository; its tokenizer and config files, if any, lie beside it.

    Args:
      repo: `owner/name`. The branch is `main`.
      tokenizer: whether the model needs one, so that weights in the cache do not suffice.

    Returns:
      Path of the first of `WEIGHT_FILES` that there is, in huggingface_hub's cache.

    Raises:
      UserError: it is neither in the cache nor to be had from the Hub.
    """
    check_home(repo)
    cached = _cached(repo)
    if cached and (not tokenizer or has_tokenizer(p.name for p in cached.parent.iterdir())):
        return cached
    import huggingface_hub

    try:
        info = huggingface_hub.HfApi().model_info(repo, timeout=TIMEOUT)
        names = {file.rfilename for file in info.siblings or ()}
    except huggingface_hub.errors.RepositoryNotFoundError as error:
        raise UserError(
            f"The Hugging Face Hub has no repository {repo}, or it is private: check the spelling, "
            "or log in with `hf auth login`."
        ) from error
    except Exception as error:  # of the HTTP library, which changed twice
        if cached:
            return cached
        raise UserError(_unreachable(repo, error, tokenizer)) from error
    weights = _choose(repo, names)
    try:
        for name in (*TOKENIZER_FILES, *CONFIG_FILES):
            if name in names:
                huggingface_hub.hf_hub_download(repo, name)
        return pathlib.Path(huggingface_hub.hf_hub_download(repo, weights))
    except Exception as error:
        raise UserError(_unreachable(repo, error, tokenizer)) from error


def check_home(repo: str, what: str = "the weights") -> None:
    """Refuses to keep what is fetched in a folder called `~` where the user has no home folder."""
    from huggingface_hub import constants

    place = constants.HF_HUB_CACHE
    if place.startswith("~"):
        raise UserError(
            f"{what} of {repo} are to be in {place}, and this user has no home folder: set "
            "HOME or HF_HOME=DIR, or give the path of what is on this machine"
        )


def _cached(repo: str) -> pathlib.Path | None:
    import huggingface_hub

    for name in WEIGHT_FILES:
        path = huggingface_hub.try_to_load_from_cache(repo, name)
        if isinstance(path, str):
            return pathlib.Path(path)
    return None


def has_tokenizer(names: Iterable[str]) -> bool:
    there = set(names)
    return "tokenizer.json" in there or {"vocab.json", "merges.txt"} <= there


def _choose(repo: str, names: Collection[str]) -> str:
    for name in WEIGHT_FILES:
        if name in names:
            return name
    there = ", ".join(sorted(n for n in names if n.endswith(SUFFIXES)))
    raise UserError(
        f"{repo} on the Hugging Face Hub has neither of {' and '.join(WEIGHT_FILES)}; its weight "
        f"files are: {there or 'none'}. Fetch one with `hf download {repo} FILE` and give its path "
        "as the weights."
    )


def _unreachable(repo: str, error: Exception, tokenizer: bool) -> str:
    from huggingface_hub import constants

    files, missing = [], " or ".join(WEIGHT_FILES)
    if repo.startswith("timm/") and repo.endswith(".openai"):  # its files are known
        files, missing = [WEIGHT_FILES[0], "tokenizer.json"], WEIGHT_FILES[0]
    elif not tokenizer:  # of a classifier
        files, missing = [WEIGHT_FILES[1]], WEIGHT_FILES[1]
    return "\n".join(
        [
            f"{missing} of {repo} is not in the Hugging Face cache ({constants.HF_HUB_CACHE}), and "
            f"cannot be fetched ({type(error).__name__}: {str(error).splitlines()[0][:200]}).",
            "Fetch it where there is a network, into the cache of this machine, with",
            "  " + " ".join(["hf download", repo, *files]),
            "or, with `--local-dir FOLDER` at its end, into a folder to copy here, and name that:",
            "  --config.backbone.weights=/path/to/folder   (command line)",
            '  weights="/path/to/folder"                   (Python)',
        ]
    )
