"""Middle frames of UCF101: the frame itself, labels, the three splits, and refusals."""

from __future__ import annotations

import collections
import sys

import fake_archives
import numpy as np
import pytest
import tensorflow_datasets as tfds

from vp_jax.data import tasks
from vp_jax.data.builders import middle_frame
from vp_jax.data.builders.ucf101 import CLASSES, Ucf101
from vp_jax.data.images.decode import decode_image
from vp_jax.errors import UserError

SHAPE = (48, 64)


def video(path, frames, codec="ffv1", pixels="bgr0", **options):
    """Writes an AVI of frames uint8 `[T, h, w, 3]`."""
    av = pytest.importorskip("av")
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], pixels
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path


def noise(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *SHAPE, 3), dtype=np.uint8)


def grey(count):
    """Frame i is of one grey level: 10 i."""
    return np.full((count, *SHAPE, 3), 10 * np.arange(count)[:, None, None, None], np.uint8)


def prepare(tmp_path, manual_dir, config=None):
    builder = Ucf101(data_dir=tmp_path / "data", config=config, file_format="array_record")
    download_config = tfds.download.DownloadConfig(manual_dir=manual_dir)
    builder.download_and_prepare(download_config=download_config)
    return builder


def contents(builder):
    splits, images = {}, {}
    for split in builder.info.splits:
        records = builder.as_data_source(split, decoders={"image": tfds.decode.SkipDecoding()})
        splits[split] = {r["file_name"].decode(): (int(r["label"]),) for r in records}
        images |= {r["file_name"].decode(): bytes(r["image"]) for r in records}
        assert len(records) == len(splits[split])
    return splits, images


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 8, 29, 30])
def test_frame_is_number_t_half(count, tmp_path):
    frames = noise(count)
    found = middle_frame.middle_frame(video(tmp_path / "v.avi", frames))
    assert found.shape == (*SHAPE, 3) and found.dtype == np.uint8
    np.testing.assert_array_equal(found, frames[count // 2])


@pytest.mark.parametrize("count", [7, 8, 25])
@pytest.mark.parametrize("options", [{}, {"bf": "2", "g": "12"}], ids=["I and P", "with B"])
def test_frame_of_lossy_video(count, options, tmp_path):
    """MPEG-4 as in UCF101; frames that are stored out of order are counted as they are shown."""
    path = video(tmp_path / "v.avi", grey(count), "mpeg4", "yuv420p", qscale="2", **options)
    found = middle_frame.middle_frame(path)
    assert abs(found.mean() - 10 * (count // 2)) < 5


def test_number_of_frames_in_the_header_is_not_believed(tmp_path):
    frames = noise(9)
    path = video(tmp_path / "v.avi", frames)
    content = bytearray(path.read_bytes())
    total, length = content.index(b"avih") + 8 + 16, content.index(b"strh") + 8 + 32
    for place in (total, length):
        assert int.from_bytes(content[place : place + 4], "little") == 9
        content[place : place + 4] = (1000).to_bytes(4, "little")
    path.write_bytes(content)
    np.testing.assert_array_equal(middle_frame.middle_frame(path), frames[4])


def test_long_video_is_not_held_in_memory_as_a_whole(tmp_path, monkeypatch):
    av = pytest.importorskip("av")
    path = video(tmp_path / "v.avi", grey(25))
    held = []

    class Kept(collections.deque):
        def append(self, frame):
            assert isinstance(frame, av.VideoFrame)
            super().append(frame)
            held.append(len(self))

    monkeypatch.setattr(collections, "deque", Kept)
    assert middle_frame.middle_frame(path)[0, 0, 0] == 10 * 12
    assert len(held) == 25 and max(held) == 13


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "InvalidData"), (b"no video", "InvalidData"), (None, "NotFound|No such file")],
)
def test_no_video(content, reason, tmp_path):
    pytest.importorskip("av")
    path = tmp_path / "v.avi"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=rf"the video .*v\.avi cannot be decoded .*({reason})"):
        middle_frame.middle_frame(path)


def test_video_without_pictures(tmp_path):
    av = pytest.importorskip("av")
    path = tmp_path / "v.avi"
    with av.open(path, "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
    with pytest.raises(UserError, match="it has no pictures"):
        middle_frame.middle_frame(path)


def test_without_pyav(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    monkeypatch.delitem(sys.modules, "av")
    monkeypatch.setattr(middle_frame.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install av"):
        middle_frame.middle_frame(tmp_path / "v.avi")
    files = fake_archives.UCF101_LISTS | {"UCF-101/YoYo/v_YoYo_g01_c01.avi": b""}
    fake_archives.make(files, tmp_path)
    with pytest.raises(UserError, match="pip install av"):
        prepare(tmp_path, tmp_path)


@pytest.mark.parametrize("config", [None, "split1", "split2", "split3"])
def test_ready_middle_frames(config, tmp_path):
    files = fake_archives.ucf101()
    fake_archives.make(files, tmp_path / "ucf101")
    builder = prepare(tmp_path, tmp_path, config)
    assert builder.builder_config.name == (config or "split1")
    splits, images = contents(builder)
    assert splits == fake_archives.UCF101_SPLITS[config or "split1"]
    for name, content in images.items():
        assert content == files[f"UCF-101-midframes/{fake_archives.MIDDLE_FRAMES[name]}"]


def test_videos(tmp_path):
    fake_archives.make(fake_archives.ucf101(), tmp_path)  # Frames are there too; videos come first.
    clips = {}
    for i, name in enumerate(fake_archives.MIDDLE_FRAMES):
        smooth = np.repeat(np.repeat(noise(6 + i, seed=i)[:, ::8, ::8], 8, 1), 8, 2)
        clips[name] = smooth
        video(tmp_path / "UCF-101" / name, smooth)
    splits, images = contents(prepare(tmp_path, tmp_path))
    assert splits == fake_archives.UCF101_SPLITS["split1"]
    assert set(images) == set(clips)
    for name, content in images.items():
        stored = decode_image(content).astype(int)
        distances = [np.abs(stored - frame).mean() for frame in clips[name].astype(int)]
        assert np.argmin(distances) == len(distances) // 2 and min(distances) < 2


def test_jpeg_is_close():
    image = np.repeat(np.repeat(noise(1)[0, ::8, ::8], 8, 0), 8, 1)
    stored = decode_image(middle_frame.jpeg(image)).astype(int)
    assert np.abs(stored - image).max() <= 6


def test_class_names():
    assert len(CLASSES) == len(set(CLASSES)) == 101
    assert [CLASSES.index(name) + 1 for name in ("HammerThrow", "Diving", "ThrowDiscus")] == [
        *(36, 26, 93)  # So numbered in THUMOS'14, which has the classes of UCF101.
    ]


def test_names_of_the_task_are_in_the_order_of_the_labels():
    def plain(name):
        return name.replace(" ", "").lower()

    names = tasks.get("ucf101").class_names
    assert [plain(name) for name in names] == [plain(name) for name in CLASSES]


@pytest.mark.parametrize(
    ("list_", "old", "new", "match"),
    [
        ("classInd", "35 Hammering\n36 HammerThrow", "35 HammerThrow\n36 Hammering", "line 2 of"),
        ("classInd", "37 HandstandPushups", "HandstandPushups", "line 4 of .*not a class with its"),
        ("classInd", "YoYo", "Yoga", "unknown class in line 5 of .*'Yoga'"),
        ("trainlist01", "avi 37", "avi 36", "line 2 of .*ends with 36, but the class of .* is 37"),
        ("trainlist01", "YoYo/v", "Yo/v", "unknown class in line 3 of .*'Yo'; did you mean 'YoYo'"),
        ("trainlist01", "YoYo/v", "v", "line 3 of .*not CLASS/VIDEO"),
        ("trainlist01", "v_YoYo_g08_c01", "v_YoYo_g09_c01", "1 of 3 videos are not in .*line 3 of"),
        ("testlist01", "v_HammerThrow_g01_c02.avi", "v_HammerThrow_g01_c02.avi x", "line 2 of"),
        (
            "testlist01",
            "HammerThrow/v_HammerThrow_g01_c02",
            "YoYo/v_YoYo_g01_c01",
            "names .* too",
        ),
    ],
)
def test_bad_lists(list_, old, new, match, tmp_path):
    files = fake_archives.ucf101()
    name = f"ucfTrainTestlist/{list_}.txt"
    assert files[name].count(old) == 1
    fake_archives.make(files | {name: files[name].replace(old, new)}, tmp_path)
    with pytest.raises(UserError, match=match):
        prepare(tmp_path, tmp_path)


def test_missing_files(tmp_path):
    files = fake_archives.ucf101()
    frames_only = {name: c for name, c in files.items() if name.startswith("UCF-101")}
    fake_archives.make(frames_only, tmp_path / "a")
    with pytest.raises(
        UserError, match="is no folder ucfTrainTestlist in .*\n.*unrar x UCF101.rar"
    ):
        prepare(tmp_path, tmp_path / "a")
    fake_archives.make(fake_archives.UCF101_LISTS, tmp_path / "b")
    with pytest.raises(
        UserError, match="no folder UCF-101 and no UCF-101-midframes in .*\n.*unrar"
    ):
        prepare(tmp_path, tmp_path / "b")
    del files["ucfTrainTestlist/testlist01.txt"]
    fake_archives.make(files, tmp_path / "c")
    with pytest.raises(UserError, match="the list .*testlist01.txt cannot be read"):
        prepare(tmp_path, tmp_path / "c")
    with pytest.raises(UserError, match="does not exist or is empty"):
        prepare(tmp_path, tmp_path / "d")
    files["ucfTrainTestlist/testlist01.txt"] = "\n"
    fake_archives.make(files, tmp_path / "e")
    with pytest.raises(UserError, match="testlist01.txt names no videos"):
        prepare(tmp_path, tmp_path / "e")
