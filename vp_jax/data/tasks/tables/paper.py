"""The twelve datasets of Bahng et al. 2022 (arXiv 2203.17274) without domains.

Where a dataset has a validation split of its own, it joins the training pool: every task then holds
out its validation examples by the same seeded rule, and none has more labelled data for model
selection than another. Mean accuracy per class is the measure of Kornblith et al. 2019 (arXiv
1805.08974, table 1) and of CLIP (arXiv 2103.00020, table 9) for flowers and pets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vp_jax.data.tasks.tables.names import DIGITS, class_names
from vp_jax.data.tasks.task import Coop, Task

CLEVR_FEWEST = 3
"""Objects in a CLEVR image: 3 to 10."""


def clevr_count(objects: Mapping[str, Sequence[Any]]) -> int:
    """The label of a CLEVR image: how many objects it has, from 3 on; negative if fewer."""
    return len(objects["color"]) - CLEVR_FEWEST


TASKS = (
    Task(
        name="cifar100",
        tfds_name="cifar100",
        class_names=class_names("cifar100"),
        num_classes=100,
        sizes={"train": 50_000, "test": 10_000},
        download_size=168_513_733,
        licence="none stated",
        notes="images of 32 x 32, 100 fine classes",
        homepage="https://www.cs.toronto.edu/~kriz/cifar.html",
    ),
    Task(
        name="cifar10",
        tfds_name="cifar10",
        class_names=class_names("cifar10"),
        num_classes=10,
        sizes={"train": 50_000, "test": 10_000},
        download_size=170_052_171,
        licence="none stated",
        notes="images of 32 x 32",
        homepage="https://www.cs.toronto.edu/~kriz/cifar.html",
    ),
    Task(
        name="flowers102",
        tfds_name="oxford_flowers102",
        train="train+validation",
        class_names=class_names("flowers102"),
        metric="mean_per_class",
        num_classes=102,
        sizes={"train": 2_040, "test": 6_149},
        download_size=344_878_000,
        licence="none stated",
        notes="kinds of flowers, photographs",
        convention="the authors' train and val splits are one pool, as with CLIP (table 9)",
        homepage="https://www.robots.ox.ac.uk/~vgg/data/flowers/102/",
        coop=Coop(
            "oxford_flowers", "jpg", "split_zhou_OxfordFlowers.json", 102, (4_093, 1_633, 2_463)
        ),
    ),
    Task(
        name="food101",
        tfds_name="food101",
        test="validation",
        class_names=class_names("food101"),
        num_classes=101,
        sizes={"train": 75_750, "test": 25_250},
        download_size=4_996_278_331,
        licence="research use (Foodspotting's terms)",
        notes="dishes, photographs; the training labels are noisy by design",
        convention="tfds calls the authors' test split validation; it is the test here, as with "
        "CLIP (table 9)",
        homepage="https://data.vision.ee.ethz.ch/cvl/datasets_extra/food-101/",
        coop=Coop("food-101", "images", "split_zhou_Food101.json", 101, (50_500, 20_200, 30_300)),
    ),
    Task(
        name="eurosat",
        tfds_name="eurosat/rgb",
        train="train[:80%]",
        test="train[80%:]",
        class_names=class_names("eurosat"),
        num_classes=10,
        sizes={"train": 21_600, "test": 5_400},
        download_size=94_280_567,
        licence="MIT",
        notes="land use, Sentinel-2 images of 64 x 64",
        convention="the dataset has one split only: the percentages of VTAB (arXiv 1910.04867), "
        "whose training (60 %) and validation (20 %) parts are one pool; the last 20 % is the test",
        homepage="https://github.com/phelber/eurosat",
        coop=Coop("eurosat", "2750", "split_zhou_EuroSAT.json", 10, (13_500, 5_400, 8_100)),
    ),
    Task(
        name="sun397",
        tfds_name="sun397/standard-part1-120k",
        class_names=class_names("sun397"),
        num_classes=397,
        sizes={"train": 19_850, "test": 19_850},
        download_size=39_095_590_629,
        licence="none stated",
        notes="scenes, photographs, shrunk by tfds to at most 120,000 pixels",
        convention="the first of the ten partitions of the authors, 50 images of each class for "
        "training and 50 for the test, as with CLIP (table 9) and CoOp; tfds's sun397/tfds, which "
        "VTAB takes, is another split of all 108,753 images",
        homepage="https://vision.princeton.edu/projects/2010/SUN/",
        coop=Coop("sun397", "SUN397", "split_zhou_SUN397.json", 397, (15_880, 3_970, 19_850)),
    ),
    Task(
        name="ucf101",
        tfds_name="vp_ucf101/split1",
        class_names=class_names("ucf101"),
        num_classes=101,
        sizes={"train": 9_537, "test": 3_783},
        download_size=6_960_514_058,
        licence="none stated",
        notes="human actions, the middle frame of each video",
        convention="the first of the three splits of the authors; frame T // 2 of T stands for the "
        "video, as with CLIP (section A.1) and CoOp",
        manual="put the videos, UCF101.rar unpacked by unrar x as UCF-101, and the splits, "
        "UCF101TrainTestSplits-RecognitionTask.zip unpacked as ucfTrainTestlist, both from "
        "https://www.crcv.ucf.edu/data/UCF101.php, into {manual_dir}",
        homepage="https://www.crcv.ucf.edu/data/UCF101.php",
        coop=Coop(
            "ucf101", "UCF-101-midframes", "split_zhou_UCF101.json", 101, (7_639, 1_898, 3_783)
        ),
    ),
    Task(
        name="svhn",
        tfds_name="svhn_cropped",
        class_names=DIGITS,
        num_classes=10,
        sizes={"train": 73_257, "test": 26_032},
        download_size=1_575_594_780,
        licence="non-commercial use only",
        notes="digits of house numbers, images of 32 x 32; the split `extra` is not used",
        homepage="http://ufldl.stanford.edu/housenumbers/",
    ),
    Task(
        name="oxford_pets",
        tfds_name="oxford_iiit_pet",
        class_names=class_names("oxford_pets"),
        metric="mean_per_class",
        num_classes=37,
        sizes={"train": 3_680, "test": 3_669},
        download_size=811_092_049,
        licence="CC BY-SA 4.0",
        notes="breeds of cats and dogs, photographs",
        homepage="https://www.robots.ox.ac.uk/~vgg/data/pets/",
        coop=Coop("oxford_pets", "images", "split_zhou_OxfordPets.json", 37, (2_944, 736, 3_669)),
    ),
    Task(
        name="dtd",
        tfds_name="dtd",
        train="train+validation",
        class_names=class_names("dtd"),
        num_classes=47,
        sizes={"train": 3_760, "test": 1_880},
        download_size=625_239_812,
        licence="research use",
        notes="textures, photographs",
        convention="the first of the ten partitions of the authors, whose train and val splits are "
        "one pool, as with CLIP (table 9)",
        homepage="https://www.robots.ox.ac.uk/~vgg/data/dtd/",
        coop=Coop(
            "dtd", "images", "split_zhou_DescribableTextures.json", 47, (2_820, 1_128, 1_692)
        ),
    ),
    Task(
        name="resisc45",
        tfds_name="resisc45",
        train="train[:80%]",
        test="train[80%:]",
        class_names=class_names("resisc45"),
        num_classes=45,
        sizes={"train": 25_200, "test": 6_300},
        download_size=427_389_445,
        licence="CC BY-NC 4.0, as TorchGeo states",
        notes="land use, aerial images of 256 x 256",
        convention="the dataset has one split only: the percentages of VTAB (arXiv 1910.04867), "
        "whose training (60 %) and validation (20 %) parts are one pool; the last 20 % is the test",
        manual="unpack NWPU-RESISC45.rar (https://1drv.ms/u/s!AmgKYzARBl5ca3HNaHIlzp_IXjs) or the "
        "NWPU-RESISC45.zip of https://huggingface.co/datasets/torchgeo/resisc45 in {manual_dir}, "
        "so that {manual_dir}/NWPU-RESISC45 holds one folder a class",
        homepage="https://arxiv.org/abs/1703.00121",
    ),
    Task(
        name="clevr",
        tfds_name="clevr",
        test="validation",
        class_names=tuple(f"{count} objects" for count in range(3, 11)),
        label_key="objects",
        label_of=clevr_count,
        num_classes=8,
        sizes={"train": 70_000, "test": 15_000},
        download_size=19_021_600_724,
        licence="CC BY 4.0",
        notes="how many objects a rendered scene has, 3 to 10: VTAB's clevr/count_all",
        convention="the test split has no labels: the validation split is the test, as with VTAB "
        "(arXiv 1910.04867); VTAB holds its validation out of train too, and so is train one pool",
        homepage="https://cs.stanford.edu/people/jcjohns/clevr/",
    ),
)
