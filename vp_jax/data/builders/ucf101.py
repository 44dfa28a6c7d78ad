"""The middle frames of UCF101 as a TensorFlow Datasets builder."""

from __future__ import annotations

import io
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import tensorflow_datasets as tfds

from vp_jax.data.builders import middle_frame
from vp_jax.data.builders.manual_files import manual_folder, missing
from vp_jax.errors import UserError, unknown

_NAMES = """
ApplyEyeMakeup ApplyLipstick Archery BabyCrawling BalanceBeam BandMarching BaseballPitch
Basketball BasketballDunk BenchPress Biking Billiards BlowDryHair BlowingCandles
BodyWeightSquats Bowling BoxingPunchingBag BoxingSpeedBag BreastStroke BrushingTeeth
CleanAndJerk CliffDiving CricketBowling CricketShot CuttingInKitchen Diving Drumming Fencing
FieldHockeyPenalty FloorGymnastics FrisbeeCatch FrontCrawl GolfSwing Haircut Hammering
HammerThrow HandstandPushups HandstandWalking HeadMassage HighJump HorseRace HorseRiding
HulaHoop IceDancing JavelinThrow JugglingBalls JumpingJack JumpRope Kayaking Knitting LongJump
Lunges MilitaryParade Mixing MoppingFloor Nunchucks ParallelBars PizzaTossing PlayingCello
PlayingDaf PlayingDhol PlayingFlute PlayingGuitar PlayingPiano PlayingSitar PlayingTabla
PlayingViolin PoleVault PommelHorse PullUps Punch PushUps Rafting RockClimbingIndoor
RopeClimbing Rowing SalsaSpin ShavingBeard Shotput SkateBoarding Skiing Skijet SkyDiving
SoccerJuggling SoccerPenalty StillRings SumoWrestling Surfing Swing TableTennisShot TaiChi
TennisSwing ThrowDiscus TrampolineJumping Typing UnevenBars VolleyballSpiking WalkingWithDog
WallPushups WritingOnBoard YoYo
"""

CLASSES = tuple(_NAMES.split())
"""In the order of the authors' `classInd.txt`, which counts from 1."""

LISTS, VIDEOS, FRAMES = "ucfTrainTestlist", "UCF-101", "UCF-101-midframes"

_SUFFIXES = {VIDEOS: (".avi",), FRAMES: (".jpg", ".jpeg", ".png")}


class Video(NamedTuple):
    """A line of a list: where it stands, for messages, the video's path, and its label."""

    where: str
    path: str
    label: int


class Ucf101(tfds.core.GeneratorBasedBuilder):
    """What is done in a video? Frame T // 2 of its T frames stands for it.

    The frames of the videos are stored as JPEG of quality 95: the videos are lossy themselves, a
    lossless format needs three times the space, and tfds prepares a split of that size only with
    TensorFlow. Frames in CoOp's layout are taken as they are, if there are no videos.
    """

    name = "vp_ucf101"
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": "Middle frames as JPEG."}
    BUILDER_CONFIGS: ClassVar[list[tfds.core.BuilderConfig]] = [
        tfds.core.BuilderConfig(
            name=f"split{number}", description=f"Number {number} of the authors' three splits."
        )
        for number in (1, 2, 3)
    ]
    DEFAULT_BUILDER_CONFIG_NAME = "split1"
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Put what UCF101.rar and UCF101TrainTestSplits-RecognitionTask.zip of "
        "https://www.crcv.ucf.edu/data/UCF101.php are extracted into (`unrar x UCF101.rar`, "
        f"`unzip`), the folders {VIDEOS} and {LISTS}, into the folder of files fetched by hand "
        f"(manual_dir); instead of {VIDEOS} it may be {FRAMES}, as CoOp publishes it."
    )

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="The middle frames of 13,320 videos of 101 human actions, 320 x 240.",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(),
                    "label": tfds.features.ClassLabel(names=list(CLASSES)),
                    "file_name": tfds.features.Text(),
                }
            ),
            supervised_keys=("image", "label"),
            homepage="https://www.crcv.ucf.edu/data/UCF101.php",
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[str, dict[str, Any]]]]:
        manual = manual_folder(dl_manager, self.MANUAL_DOWNLOAD_INSTRUCTIONS)
        lists = self._find(manual, (LISTS,))
        content = self._find(manual, (VIDEOS, FRAMES))
        if content.name == VIDEOS:
            middle_frame.check_installed()
        _check_classes(lists / "classInd.txt")
        files = _files(content)
        number = self.builder_config.name.removeprefix("split")
        splits = {}
        for split in ("train", "test"):
            videos = _read(lists / f"{split}list0{number}.txt")
            _check_there(videos, files, content)
            splits[split] = self._generate_examples(videos, files)
        return splits

    def _generate_examples(
        self, videos: Sequence[Video], files: Mapping[tuple[str, str], pathlib.Path]
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        for video in videos:
            path = files[_key(video.path)]
            is_video = path.suffix.lower() in _SUFFIXES[VIDEOS]
            content = (
                middle_frame.jpeg(middle_frame.middle_frame(path))
                if is_video
                else path.read_bytes()
            )
            example = {"image": io.BytesIO(content), "label": video.label, "file_name": video.path}
            yield video.path, example

    def _find(self, manual: pathlib.Path, names: Sequence[str]) -> pathlib.Path:
        """The first of these folders that is there, or is in the folder `ucf101`, as with CoOp."""
        for name in names:
            for folder in (manual / name, manual / "ucf101" / name):
                if folder.is_dir():
                    return folder
        what = f"there is no folder {' and no '.join(names)} in {manual}"
        raise missing(what, self.MANUAL_DOWNLOAD_INSTRUCTIONS)


def _check_classes(file: pathlib.Path) -> None:
    """Refuses class numbers that are not those of `CLASSES`."""
    for where, words in _lines(file):
        if len(words) != 2 or words[0] != str(_label(words[1], where) + 1):
            raise UserError(
                f"{where} is {' '.join(words)!r}, not a class with its number in the authors' list"
            )


def _read(file: pathlib.Path) -> list[Video]:
    """The videos of a list; the class's number behind a path is checked, if it is there."""
    videos: dict[tuple[str, str], Video] = {}
    for where, words in _lines(file):
        path = words[0]
        if path.count("/") != 1 or len(words) > 2:
            raise UserError(f"{where} is {' '.join(words)!r}, not CLASS/VIDEO or CLASS/VIDEO N")
        label = _label(path.partition("/")[0], where)
        if words[1:] not in ([], [str(label + 1)]):
            raise UserError(f"{where} ends with {words[1]}, but the class of {path} is {label + 1}")
        if _key(path) in videos:
            raise UserError(f"{where} names {path}, which a line before names too")
        videos[_key(path)] = Video(where, path, label)
    if not videos:
        raise UserError(f"{file} names no videos")
    return list(videos.values())


def _lines(file: pathlib.Path) -> Iterator[tuple[str, list[str]]]:
    """The lines of a text file that are not empty: where they stand, and their words."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as e:
        raise UserError(f"the list {file} cannot be read: {e}") from e
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield f"line {number} of {file}", line.split()


def _label(name: str, where: str) -> int:
    if name not in CLASSES:
        raise unknown(f"class in {where}:", name, CLASSES)
    return CLASSES.index(name)


def _files(folder: pathlib.Path) -> dict[tuple[str, str], pathlib.Path]:
    """The videos or frames in the folders of the classes."""
    return {
        _key(f"{entry.parent.name}/{entry.name}"): entry
        for entry in sorted(folder.glob("*/*"))
        if entry.suffix.lower() in _SUFFIXES[folder.name]
    }


def _key(path: str) -> tuple[str, str]:
    """What tells a video from the others, in the authors' and in CoOp's way to write it.

    The latter parts the words of a class by `_`, and whether HandStand or Handstand differs even
    between the authors' own files.
    """
    folder, _, file = path.partition("/")
    return folder.replace("_", "").lower(), os.path.splitext(file)[0].lower()


def _check_there(
    videos: Sequence[Video], files: Mapping[tuple[str, str], pathlib.Path], folder: pathlib.Path
) -> None:
    absent = [video for video in videos if _key(video.path) not in files]
    if absent:
        raise UserError(
            f"{len(absent):,} of {len(videos):,} videos are not in {folder}; the first is "
            f"{absent[0].path}, which {absent[0].where} names: extract the archive again"
        )
