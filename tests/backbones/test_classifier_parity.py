"""Pretrained classifiers' architectures against timm: needs torch and timm.

`python experiments/parity_classifiers.py` prints the same numbers for more models.
"""

import pytest

TOLERANCE = 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "resnet20_cifar", "resnet56_cifar", "deit_ti16"])
def test_parity(name):
    for package in ("torch", "timm", "absl"):
        if package == "torch":
            pytest.importorskip(package)
            import clip_references

            clip_references.make_torchvision_importable()
        pytest.importorskip(package)
    import parity_classifiers

    rows = {row.precision: row for row in parity_classifiers.measure(name, batch=2)}
    assert rows.keys() == {"float32", "rounding", "float64"}
    for precision in ("float32", "float64"):
        assert rows[precision].features <= TOLERANCE, rows
        assert rows[precision].logits <= TOLERANCE, rows
    assert rows["float64"].gradient <= TOLERANCE, rows  # see experiments/parity.py on ReLUs
