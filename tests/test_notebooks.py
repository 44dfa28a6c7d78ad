"""The notebooks run from their first cell to their last, as a newcomer runs them."""

import json
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SHORT = {
    "quickstart": {"epochs": 1, "workdir": "runs/quickstart"},
    "your_own_images": {"epochs": 1},
    "write_a_prompt": {"epochs": 1, "designs": ["waves"]},
    "export_and_serve": {"epochs": 1},
}
"""What each is run with, of its own parameters."""


def cells(path, kind):
    book = json.loads(path.read_text())
    return [cell for cell in book["cells"] if cell["cell_type"] == kind]


def shortened(path):
    """The notebook with short parameters, each in the line that sets it."""
    import nbformat

    book = nbformat.read(path, as_version=4)
    (parameters,) = (c for c in book.cells if "parameters" in c.metadata.get("tags", ()))
    for name, value in SHORT[path.stem].items():
        line = re.compile(rf"^{name} = [^#\n]*", re.MULTILINE)
        assert len(line.findall(parameters.source)) == 1, name
        parameters.source = line.sub(f"{name} = {value!r}  ", parameters.source)
    return book


def test_all_of_them_are_tested():
    assert {path.stem for path in NOTEBOOKS} == set(SHORT)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_they_begin_with_a_badge_and_an_installation_and_hold_no_output(path):
    first, *_ = json.loads(path.read_text())["cells"]
    assert first["cell_type"] == "markdown" and "colab-badge.svg" in first["source"][0]
    install, *others = cells(path, "code")
    text = "".join(install["source"])
    assert "%pip install" in text and 'find_spec("vp_jax") is None' in text
    for cell in (install, *others):
        assert cell["outputs"] == [] and cell["execution_count"] is None
    assert path.stat().st_size < 20_000


@pytest.mark.slow(seconds=30)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs(path, tmp_path, monkeypatch):
    nbclient = pytest.importorskip("nbclient", reason="of the extra 'test'")
    pytest.importorskip("ipykernel", reason="of the extra 'test'")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "1")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
    book = shortened(path)
    client = nbclient.NotebookClient(
        book, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert not code[0].outputs  # nothing was installed
    texts = "".join(x.get("text", "") for cell in code for x in cell.outputs)
    assert "Traceback" not in texts and "error:" not in texts, texts[-2000:]
    assert "%" in texts and list(tmp_path.glob("runs/*/result.json"))
