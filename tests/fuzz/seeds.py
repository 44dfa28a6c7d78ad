"""Small whole files of every kind that is read, to be damaged."""

from __future__ import annotations

import functools
import io
import json
import tarfile
import zipfile

import numpy as np
from PIL import Image, TiffImagePlugin


def _picture(mode: str = "RGB", size: tuple[int, int] = (9, 7)) -> Image.Image:
    rng = np.random.default_rng(size[0])
    if mode in ("I;16", "I", "F"):
        kind = {"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]
        most = 1 if mode == "F" else 60000
        return Image.fromarray((rng.random(size[::-1]) * most).astype(kind))
    image = Image.fromarray(rng.integers(0, 256, (*size[::-1], 3), dtype=np.uint8))
    return image.convert(mode)


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    """An image file."""
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


@functools.cache
def images() -> list[bytes]:
    """Image files of all formats, modes and compressions that Pillow writes."""
    exif = Image.Exif()
    exif[0x0112] = 6
    made = [
        *(encoded(_picture(m), "PNG") for m in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")),
        *(encoded(_picture(m), "JPEG") for m in ("L", "RGB", "CMYK")),
        encoded(_picture(), "JPEG", progressive=True, exif=exif),
        encoded(_picture(size=(40, 30)), "JPEG", subsampling=2, restart_marker_blocks=1),
        *(encoded(_picture(m), "TIFF") for m in ("1", "L", "RGB", "CMYK", "I;16", "I", "F")),
        *(
            encoded(_picture(), "TIFF", compression=c)
            for c in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg")
        ),
        encoded(_picture(), "TIFF", tiffinfo=_tiff_tags()),
        *(encoded(_picture(m), "BMP") for m in ("1", "L", "RGB", "RGBA")),
        *(encoded(_picture(m), "PPM") for m in ("1", "L", "RGB", "I;16")),
        b"P2\n3 2\n100\n0 50 100\n1 2 3\n",
        b"P5\n2 2\n4095\n" + bytes(8),
        encoded(_picture("P"), "GIF"),
        encoded(_picture("P"), "GIF", save_all=True, append_images=[_picture("P", (9, 7))] * 2),
        encoded(_picture(), "WEBP"),
        encoded(_picture("RGBA"), "WEBP", lossless=True),
        encoded(_picture(), "WEBP", save_all=True, append_images=[_picture(size=(9, 7))]),
        encoded(_picture(), "TGA"),
        encoded(_picture(), "TGA", compression="tga_rle"),
        encoded(_picture(size=(32, 32)), "JPEG2000"),
    ]
    return made


def _tiff_tags() -> TiffImagePlugin.ImageFileDirectory_v2:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[274], tags[280], tags[281] = 3, 0, 255  # orientation, smallest and largest sample
    return tags


IMAGE_WORDS = (
    *(b"IHDR", b"IDAT", b"PLTE", b"tRNS", b"sBIT", b"IEND", b"acTL", b"fdAT", b"eXIf"),
    *(b"\xff\xd8", b"\xff\xc0", b"\xff\xc2", b"\xff\xda", b"\xff\xe1", b"\xff\xee", b"Exif\0\0"),
    *(b"II*\0", b"MM\0*", b"RIFF", b"WEBP", b"VP8X", b"ANIM", b"ALPH", b"GIF89a", b"\x21\xff"),
    *(b"P6\n", b"P5\n65535\n", b"\0\0\0\x0cjP  ", b"jp2c", b"\xff\x4f\xff\x51"),
)

TABLES = (
    b"path,label\na/0.png,a\na/1.png,a\na/2.png,a\nb/0.png,b\nb/1.png,b\nb/2.png,b\n",
    b"image;class;split\r\na/0.png;a;train\r\na/1.png;a;val\r\nb/0.png;b;train\r\n"
    b"b/1.png;b;test\r\na/2.png;a;test\r\n",
    b'\xef\xbb\xbffilename\tlabel\tclass_name\n"a/0.png"\t0\tcat\na/1.png\t0\tcat\n'
    b"b/0.png\t1\tdog\nb/1.png\t1\tdog\n",
    b"a/0.png,0\na/1.png,0\na/2.png,0\nb/0.png,01\nb/1.png,1\nb/2.png,1\n",
    b"image_id,breed\n0,cat\n1,dog\n",
)
TABLE_WORDS = (
    *(b",", b";", b"\t", b"\n", b"\r", b'"', b"\0", b"\xef\xbb\xbf", b"\xff\xfe", b"\xc3\xa9"),
    *(b"path,", b"label", b"split", b"class_name", b"filename", b"../", b"/etc/passwd", b"nan"),
    *(b"a/0.png,a\n", b"\xe2\x80\x8b", b"9" * 40, b"x" * 200_000, b'"\n' * 50, b"\\", b"train"),
)

NAMES = (
    *(b"cat\ndog\n", b"a: cat\nb: dog\n", b"a\tcat\nb\tdog\n", b"a,cat\nb,dog\n"),
    b"0 cat\n1 dog\n",
)


def picture_file(number: int) -> bytes:
    """A small PNG file, another one for each number."""
    return encoded(_picture(size=(5 + number % 2, 6)), "PNG")


@functools.cache
def zips() -> list[bytes]:
    """Zip files of images by class and by split."""
    made = []
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        for folders in (("a", "b"), ("top/train/a", "top/train/b", "top/test/a", "top/test/b")):
            buffer = io.BytesIO()
            with zipfile.ZipFile(buffer, "w", method) as archive:
                archive.writestr("classes.txt", "a: cat\nb: dog\n")
                for folder in folders:
                    archive.writestr(f"{folder}/", "")
                    for number in range(3):
                        archive.writestr(f"{folder}/{number}.png", picture_file(number))
            made.append(buffer.getvalue())
    return made


@functools.cache
def tars() -> list[bytes]:
    """Tar files of images by class and by split, compressed and not."""
    made = []
    for mode in ("w:", "w:gz", "w:bz2", "w:xz"):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode=mode) as archive:
            for folder in ("train/a", "train/b", "test/a", "test/b"):
                for number in range(3):
                    info = tarfile.TarInfo(f"{folder}/{number}.png")
                    info.size = len(picture_file(number))
                    archive.addfile(info, io.BytesIO(picture_file(number)))
            link = tarfile.TarInfo("train/a/link.png")
            link.type, link.linkname = tarfile.SYMTYPE, "0.png"
            archive.addfile(link)
        made.append(buffer.getvalue())
    return made


ARCHIVE_WORDS = (
    *(b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"),
    *(b"ustar\0", b"ustar  \0", b"././@LongLink", b"\x1f\x8b\x08", b"BZh9", b"\xfd7zXZ\0"),
    *(b"train/", b"test/", b"../", b"/", b"0000000", b"77777777777", b"\x80\0\0\0\xff"),
)


@functools.cache
def arrays() -> list[bytes]:
    """`.npz` files of images, of several types and compressions."""
    rng = np.random.default_rng(0)
    made = []
    for kind, save in ((np.uint8, np.savez), (np.uint8, np.savez_compressed), (float, np.savez)):
        for shape in ((6, 6, 3), (6, 6), (36,)):
            content = {
                "train_data": (rng.random((8, *shape)) * 255).astype(kind),
                "train_target": np.arange(8) % 2,
                "test_data": (rng.random((4, *shape)) * 255).astype(kind),
                "test_target": np.arange(4) % 2,
                "class_names": np.array(["cat", "dog"]),
            }
            buffer = io.BytesIO()
            save(buffer, **content)
            made.append(buffer.getvalue())
    return made


ARRAY_WORDS = (
    *(b"'descr': '|u1'", b"'descr': '|O'", b"'<f8'", b"'<f2'", b"'<i8'", b"'|b1'", b"'<U9'"),
    *(b"'fortran_order': True", b"(8,)", b"(0, 6, 6)", b"(-1, 6)", b"(1000000000000,)"),
    *(b"\x93NUMPY\x01\0", b"\x93NUMPY\x03\0", b"[('a', '|u1')]", b"'<M8[s]'", b"'>u2'", b"'c16'"),
)


@functools.cache
def resnet_tensors() -> dict[str, np.ndarray]:
    """A CIFAR ResNet-20 of random numbers, in PyTorch's names."""
    rng = np.random.default_rng(0)
    tensors: dict[str, np.ndarray] = {}

    def convolution(name: str, out: int, into: int) -> None:
        tensors[f"{name}.weight"] = rng.normal(size=(out, into, 3, 3)).astype(np.float32)

    def normalisation(name: str, width: int) -> None:
        for part in ("weight", "bias", "running_mean", "running_var"):
            tensors[f"{name}.{part}"] = rng.random(width).astype(np.float32)

    convolution("conv1", 16, 3)
    normalisation("bn1", 16)
    into = 16
    for stage, width in enumerate((16, 32, 64), 1):
        for block in range(3):
            prefix = f"layer{stage}.{block}"
            convolution(f"{prefix}.conv1", width, into)
            normalisation(f"{prefix}.bn1", width)
            convolution(f"{prefix}.conv2", width, width)
            normalisation(f"{prefix}.bn2", width)
            into = width
    tensors["linear.weight"] = rng.normal(size=(10, 64)).astype(np.float32)
    tensors["linear.bias"] = rng.normal(size=10).astype(np.float32)
    return tensors


@functools.cache
def safetensors_file() -> bytes:
    """The ResNet-20 as safetensors."""
    import safetensors.numpy

    return safetensors.numpy.save(resnet_tensors(), metadata={"made": "at random"})


@functools.cache
def weights_npz() -> bytes:
    """The ResNet-20 as `.npz`."""
    buffer = io.BytesIO()
    np.savez(buffer, **resnet_tensors())
    return buffer.getvalue()


WEIGHT_WORDS = (
    *(b'"dtype":"F32"', b'"dtype":"BF16"', b'"shape":[]', b'"shape":[16,3,3,3]', b"null", b"{}"),
    *(b'"data_offsets":[0,0]', b"module.", b"__metadata__", b"[[[[[[", b'"' * 40, b"\\ud800"),
)


def settings() -> dict:
    """The settings of a run as its `config.json` holds them."""
    from vp_jax import config

    return json.loads(config.default().to_json())
