"""Datasets beyond the paper's, as far as tfds has them.

Mean accuracy per class is the measure of Kornblith et al. 2019 (arXiv 1805.08974, table 1) and of
CLIP (arXiv 2103.00020, table 9) for Caltech-101.
"""

from __future__ import annotations

from vp_jax.data.tasks.tables import imagenet_subsets
from vp_jax.data.tasks.tables.names import class_names
from vp_jax.data.tasks.task import Coop, Task

CORRUPTIONS = (
    *("brightness", "contrast", "defocus_blur", "elastic", "fog", "frost", "frosted_glass_blur"),
    *("gaussian_blur", "gaussian_noise", "impulse_noise", "jpeg_compression", "motion_blur"),
    *("pixelate", "saturate", "shot_noise", "snow", "spatter", "speckle_noise", "zoom_blur"),
)
"""Of cifar10_corrupted; each at the severities 1 to 5."""

_IMAGENET_NAMES = class_names("imagenet")
_TEST_ONLY = (
    "there are no training images: the task can only be tested on, with config.tune=() (zero-shot)"
)

TASKS = (
    Task(
        name="gtsrb",
        tfds_name="visual_domain_decathlon/gtsrb",
        test="validation",
        class_names=class_names("gtsrb"),
        num_classes=43,
        sizes={"train": 31_367, "test": 7_842},
        download_size=429_854_759,
        licence="none stated",
        notes="traffic signs, shrunk to a short side of 72 pixels. The class names take it that "
        "the Decathlon numbers the signs as GTSRB does, which tfds does not say: look at some "
        "images before you trust a zero-shot accuracy",
        convention="tfds has it only as a part of the Visual Domain Decathlon, whose test labels "
        "are secret: its validation split is the test, so numbers do not compare with GTSRB's own "
        "12,630 test images",
        homepage="https://www.robots.ox.ac.uk/~vgg/decathlon/",
    ),
    Task(
        name="stanford_cars",
        tfds_name="cars196",
        class_names=class_names("stanford_cars"),
        num_classes=196,
        sizes={"train": 8_144, "test": 8_041},
        download_size=1_957_136_468,
        licence="non-commercial research",
        notes="makes and models of cars, photographs; the authors' server has been reported gone, "
        "and then only CoOp's layout can be read",
        homepage="https://ai.stanford.edu/~jkrause/cars/car_dataset.html",
        coop=Coop("stanford_cars", "", "split_zhou_StanfordCars.json", 196, (6_509, 1_635, 8_041)),
    ),
    Task(
        name="imagenet",
        tfds_name="imagenet2012",
        test="validation",
        class_names=_IMAGENET_NAMES,
        num_classes=1_000,
        sizes={"train": 1_281_167, "test": 50_000},
        download_size=154_642_401_280,
        licence="non-commercial research (ImageNet's terms)",
        notes="ILSVRC 2012",
        convention="the test labels are secret: the validation split is the test, as everywhere",
        manual="put ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar, to be had from "
        "https://image-net.org/download-images after registration, into {manual_dir}",
        homepage="https://image-net.org/",
    ),
    Task(
        name="caltech101",
        tfds_name="caltech101",
        class_names=class_names("caltech101"),
        metric="mean_per_class",
        num_classes=102,
        sizes={"train": 3_059, "test": 6_085},
        download_size=137_414_764,
        licence="CC BY 4.0",
        notes="objects, 101 classes and a class of background",
        convention="there is no official split: tfds draws 30 files of each class for training and "
        "tests on the others, as the field does; one of the files drawn is no image",
        homepage="https://doi.org/10.22002/D1.20086",
        coop=Coop(
            "caltech-101",
            "101_ObjectCategories",
            "split_zhou_Caltech101.json",
            100,
            (4_128, 1_649, 2_465),
        ),
    ),
    Task(
        name="cifar10_corrupted",
        tfds_name="cifar10_corrupted/brightness_1",
        train_tfds_name="cifar10",
        class_names=class_names("cifar10"),
        num_classes=10,
        sizes={"train": 50_000, "test": 10_000},
        download_size=2_918_471_680 + 170_052_171,
        licence="CC BY 4.0",
        notes="the test images of cifar10, corrupted (CIFAR-10-C); name one of 19 corruptions and "
        "a severity of 1 to 5, as in cifar10_corrupted/gaussian_noise_5; without, brightness_1",
        convention="there is only a test split: training is on cifar10's training images, clean, "
        "as with Hendrycks and Dietterich 2019 (arXiv 1903.12261)",
        homepage="https://github.com/hendrycks/robustness",
    ),
    Task(
        name="imagenet_r",
        tfds_name="imagenet_r",
        train=None,
        class_names=tuple(_IMAGENET_NAMES[i] for i in imagenet_subsets.IMAGENET_R),
        label_of=imagenet_subsets.imagenet_r_label,
        num_classes=200,
        sizes={"test": 30_000},
        download_size=2_191_079_936,
        licence="MIT",
        notes="renditions (art, cartoons, toys, ...) of 200 classes of ImageNet",
        convention=f"among its 200 classes, as with its authors (arXiv 2006.16241); {_TEST_ONLY}",
        homepage="https://github.com/hendrycks/imagenet-r",
    ),
    Task(
        name="imagenet_a",
        tfds_name="imagenet_a",
        train=None,
        class_names=tuple(_IMAGENET_NAMES[i] for i in imagenet_subsets.IMAGENET_A),
        label_of=imagenet_subsets.imagenet_a_label,
        num_classes=200,
        sizes={"test": 7_500},
        download_size=687_552_512,
        licence="MIT",
        notes="photographs of 200 classes of ImageNet that a ResNet-50 gets wrong",
        convention=f"among its 200 classes, as with its authors (arXiv 1907.07174); {_TEST_ONLY}",
        homepage="https://github.com/hendrycks/natural-adv-examples",
    ),
    Task(
        name="imagenet_sketch",
        tfds_name="imagenet_sketch",
        train=None,
        class_names=_IMAGENET_NAMES,
        num_classes=1_000,
        sizes={"test": 50_889},
        download_size=7_593_573_012,
        licence="MIT",
        notes="sketches of the 1,000 classes of ImageNet",
        convention=_TEST_ONLY,
        homepage="https://github.com/HaohanWang/ImageNet-Sketch",
    ),
)
