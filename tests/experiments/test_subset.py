"""The first images of every class, out of an archive."""

import io
import tarfile

import subset


def test_subset_takes_the_first_of_every_class(tmp_path):
    archive = tmp_path / "all.tar.xz"
    with tarfile.open(archive, "w:xz") as file:
        for split in ("train", "test", "extra"):
            for label in ("cat", "dog"):
                for number in range(5):
                    info = tarfile.TarInfo(f"./{split}/{label}/{number}.jpg")
                    info.size = 1
                    file.addfile(info, io.BytesIO(str(number).encode()))
    out = tmp_path / "out"
    assert subset.copy_first(archive, out, {"train": 3, "test": 2}) == 10
    found = {str(p.relative_to(out)): p.read_text() for p in out.rglob("*") if p.is_file()}
    assert found == {
        f"{split}/{label}/{i}.jpg": str(i)
        for split, count in (("train", 3), ("test", 2))
        for label in ("cat", "dog")
        for i in range(count)
    }
