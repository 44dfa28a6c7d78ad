"""A bundle on the Hugging Face Hub."""

from __future__ import annotations

import pathlib

from vp_jax.backbones.weights import hub
from vp_jax.errors import UserError, brief
from vp_jax.host.quiet import quiet
from vp_jax.records import bundle_file


def pull(repository: str) -> pathlib.Path:
    """The newest bundle of a repository, in huggingface_hub's cache.

    Without a network it is the one that was fetched before.

    Args:
      repository: `owner/name`; the branch is `main`.

    Raises:
      UserError: there is no such repository, it holds no bundle, or it cannot be reached.
    """
    import huggingface_hub
    from huggingface_hub import errors

    hub.check_home(repository, "the bundle")
    found = None
    try:
        fetch = huggingface_hub.hf_hub_download  # which is imported here, and its log set up
        with quiet("huggingface_hub"):
            found = fetch(repository, bundle_file.NAME, etag_timeout=hub.TIMEOUT)
    except errors.LocalEntryNotFoundError as error:  # Those below are its kin.
        reason = f"the Hub cannot be reached ({brief(error)})"
    except errors.RepositoryNotFoundError:
        reason = "the Hub has none of this name, or it is private (log in with `hf auth login`)"
    except errors.EntryNotFoundError:
        reason = f"it has no {bundle_file.NAME}, which vp_jax.export writes"
    except Exception as error:  # of the HTTP library, which changed twice
        reason = f"it cannot be fetched ({brief(error)})"
    if found is None:
        raise UserError(
            f"there is no run or bundle {repository} on this machine, and as a repository of the "
            f"Hugging Face Hub it cannot be used: {reason}"
        )
    return pathlib.Path(found)
