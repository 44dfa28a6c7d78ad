"""Config files: found by name or path from any folder, and loaded; also settings of a run.

The package's own lie in `configs/` at the top of its source tree and travel with it, as
`vp_jax/configs` where it is installed.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import pathlib
from typing import TYPE_CHECKING

from vp_jax.config import default, from_json
from vp_jax.errors import UserError, brief, unknown
from vp_jax.host import files
from vp_jax.records.names import MADE_IN, MEMBERS, REPTILE

if TYPE_CHECKING:
    from ml_collections import ConfigDict

_ENDING = ".py"


def folder() -> pathlib.Path:
    """Where the configs of the package are, on this machine."""
    package = pathlib.Path(__file__).parent
    installed = package / "configs"
    return installed if installed.is_dir() else package.parent / "configs"


def names() -> list[str]:
    """The configs of the package, by name; those in a folder have its name before theirs."""
    top = folder()
    return sorted(
        file.relative_to(top).with_suffix("").as_posix() for file in top.rglob(f"*{_ENDING}")
    )


def find(text: str) -> pathlib.Path:
    """The file that `--config=TEXT` means.

    A file of that path, with or without its `.py`, comes first; else `quickstart`, `quickstart.py`
    and `configs/quickstart.py` are the package's own, whatever the current folder is, and so are
    `methods/low_rank` and the like.

    Raises:
      UserError: there is none; the message has the valid names, and where they are.
    """
    path = files.expanded(text)
    for candidate in (path, path.with_name(path.name + _ENDING) if path.name else path):
        if candidate.is_file():
            return candidate
    own = names()
    name = path.as_posix().removeprefix("configs/").removesuffix(_ENDING)
    if name in own:
        return folder() / f"{name}{_ENDING}"
    as_paths = path.suffix == _ENDING or path.parts[:1] == ("configs",) or len(path.parts) > 2
    valid = {f"configs/{own_name}{_ENDING}" if as_paths else own_name for own_name in own}
    neighbours = {path, path.parent} - {pathlib.Path()}
    valid |= {str(file) for place in neighbours for file in place.glob(f"*{_ENDING}")}
    raise UserError(
        f"{unknown('config file', text, valid)}; those of vp_jax are in {folder()} and found by "
        "name from anywhere, as in --config=quickstart; --help lists them"
    )


def load(text: str) -> ConfigDict:
    """The config that a file's `get_config()` returns, locked; or the settings of a run.

    Args:
      text: a name or path, as `find` takes it; or the `config.json` of a run, a sweep or a start,
        whose members and tasks are left out.

    Raises:
      UserError: no such file, or it fails, or it has no `get_config`.
    """
    from ml_collections import ConfigDict

    file = find(text)
    if file.suffix == ".json":
        return _settings_of_a_run(file).lock()
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise UserError(f"the config {text} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        config = module.get_config()
        if not isinstance(config, ConfigDict):
            raise TypeError(f"get_config returns {config!r}, not a ConfigDict")
    except UserError:
        raise
    except Exception as error:
        hint = ""
        if isinstance(error, AttributeError) and "'str' object" in f"{error}":
            hint = "; a prompt is one text, as in config.prompt = 'normalize | pad(30)'"
        raise UserError(
            f"the config {text} cannot be used: {type(error).__name__}: {error}{hint}"
        ) from error
    return config.lock()


def _settings_of_a_run(file: pathlib.Path) -> ConfigDict:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"the settings {file} cannot be read: {brief(error)}") from error
    if not isinstance(found, dict) or not {"tune", "task", "prompt"} <= found.keys():
        raise UserError(
            f"{file} does not hold the settings of a run: give the config.json of its workdir"
        )
    if MADE_IN in found:
        raise UserError(
            f"the run of {file} was made in Python, of parts that no settings can make again"
        )
    config = from_json({k: v for k, v in found.items() if k not in (MEMBERS, REPTILE)}, file)
    valid = list(default())
    for name in set(config) - set(valid):
        raise unknown(f"setting in {file}:", name, valid)
    return config


def help_text() -> str:
    """The configs of the package, a line each with what it is for, and where they are."""
    lines = [
        "configs, given as --config=NAME, or a file of your own, or the config.json of a run; "
        f"those in {folder()}:",
        "",
    ]
    for name in names():
        source = (folder() / f"{name}{_ENDING}").read_text(encoding="utf-8")
        about, *_ = (ast.get_docstring(ast.parse(source)) or "").splitlines() or [""]
        lines.append(f"  {name:28} {about}".rstrip())
    return "\n".join(lines)
