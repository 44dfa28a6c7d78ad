"""The datasets with domains: three of WILDS (Koh et al. 2021, arXiv 2012.07421).

Training on the training domains, validation and test on others; the splits from the training
domains, `id_val` and `id_test`, are scored beside the test. Sizes and metrics are those of WILDS.
"""

from __future__ import annotations

from vp_jax.data.tasks.tables.names import class_names
from vp_jax.data.tasks.task import Task

_CONVENTION = (
    "the official splits of WILDS (arXiv 2012.07421): val and test are from domains that train has "
    "not; {} from those that it has"
)

TASKS = (
    Task(
        name="camelyon17",
        tfds_name="vp_camelyon17",
        val="val",
        extra=("id_val",),
        class_names=class_names("camelyon17"),
        group_key="hospital",
        num_classes=2,
        sizes={"train": 302_436, "val": 34_904, "test": 85_054, "id_val": 33_560},
        download_size=10_658_709_504,
        licence="CC0 1.0",
        notes="tumour tissue in patches of 96 x 96 of lymph nodes; domains are hospitals",
        convention=_CONVENTION.format("id_val is"),
        manual="put camelyon17_v1.0.tar.gz of WILDS, or the folder camelyon17_v1.0 that is in it, "
        "into {manual_dir}",
        homepage="https://wilds.stanford.edu/datasets/#camelyon17",
    ),
    Task(
        name="fmow",
        tfds_name="vp_fmow",
        val="val",
        extra=("id_val", "id_test"),
        class_names=class_names("fmow"),
        metric="worst_group_accuracy",
        group_key="region",
        num_classes=62,
        sizes={
            "train": 76_863,
            "val": 19_915,
            "test": 22_108,
            "id_val": 11_483,
            "id_test": 11_327,
        },
        download_size=53_893_324_800,
        licence="FMoW Challenge Public License",
        notes="use of buildings and land, satellite images of 224 x 224; val and test are from "
        "later years than train, and the groups are regions of the world",
        convention=_CONVENTION.format("id_val and id_test are"),
        manual="put fmow_v1.1.tar.gz of WILDS, or the folder fmow_v1.1 that is in it, into "
        "{manual_dir}",
        homepage="https://wilds.stanford.edu/datasets/#fmow",
    ),
    Task(
        name="iwildcam",
        tfds_name="vp_iwildcam",
        val="val",
        extra=("id_val", "id_test"),
        class_names=class_names("iwildcam"),
        metric="macro_f1",
        group_key="location",
        num_classes=182,
        sizes={
            "train": 129_809,
            "val": 14_961,
            "test": 42_791,
            "id_val": 7_314,
            "id_test": 8_154,
        },
        download_size=11_957_420_032,
        licence="CDLA-Permissive 1.0",
        notes="animals before camera traps; domains are cameras",
        convention=_CONVENTION.format("id_val and id_test are"),
        manual="put iwildcam_v2.0.tar.gz of WILDS, or the folder iwildcam_v2.0 that is in it, into "
        "{manual_dir}",
        homepage="https://wilds.stanford.edu/datasets/#iwildcam",
    ),
)
