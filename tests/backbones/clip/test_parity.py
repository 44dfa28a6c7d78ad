"""Released architectures against open_clip and transformers: needs torch and both of them.

`python experiments/parity.py` prints the same numbers for more models.
"""

import pytest

from vp_jax.backbones.clip.sizes import SIZES

TOLERANCE = 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("name", ["clip_vit_b32", "clip_rn50"])
def test_parity(name):
    for package in ("torch", "open_clip", "transformers", "absl"):
        if package == "torch":
            pytest.importorskip(package)
            import clip_references

            clip_references.make_torchvision_importable()
        pytest.importorskip(package)
    import parity

    rows = [
        row for row in parity.measure(name, SIZES[name], batch=2) if row.precision != "rounding"
    ]
    assert {row.reference for row in rows} == (
        {"open_clip", "transformers"} if "vit" in name else {"open_clip"}
    )
    for row in rows:
        assert row.images <= TOLERANCE, row
        assert row.texts <= TOLERANCE, row
        if "vit" in name or row.precision == "float64":  # see experiments/parity.py on ReLUs
            assert row.gradient <= TOLERANCE, row
