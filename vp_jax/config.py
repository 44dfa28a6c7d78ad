"""The settings of a run, with the paper's protocol as their defaults.

Bahng et al. 2022, arXiv 2203.17274. Files in `configs/` start from `default()` and change what
they must; `--config.NAME=VALUE` overrides any setting.
"""

from __future__ import annotations

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder


def default() -> ConfigDict:
    """CLIP ViT-B/32, padding of 30 pixels, CIFAR100: the paper's main experiment."""
    config = ConfigDict()
    config.seed = 0  # of everything random
    config.tune = ("prompt",)  # the parts that train; () evaluates the zero-shot model only

    config.backbone = ConfigDict()
    config.backbone.name = "clip_vit_b32"
    config.backbone.weights = placeholder(str)  # Hub id, file or folder; None: the name's own

    config.prompt = ConfigDict()
    config.prompt.name = "pad"  # pad, fixed_patch, random_patch
    config.prompt.size = 30  # pixels
    config.prompt.top = 0  # of fixed_patch: first row
    config.prompt.left = 0  # of fixed_patch: first column
    config.prompt.init = "normal"  # normal, zeros, uniform
    config.prompt.scale = 1.0  # of the initial values
    config.prompt.space = "normalized"  # after mean and std (the paper), or "pixel" before
    config.prompt.bounded = False  # in pixel space: keep prompted images in [0, 1]

    config.head = ConfigDict()
    config.head.name = "text"
    config.head.templates = ("This is a photo of a {}",)  # several average: "('{}', 'a {}')"

    config.task = ConfigDict()
    config.task.name = "cifar100"
    config.task.data_dir = placeholder(str)  # of tfds; None: its default
    config.task.download = True  # prepare the data when they are missing (needs TensorFlow)
    config.task.class_names = ()  # "('a', 'b')", or a .txt file with one a line, not the dataset's
    config.task.val_fraction = 0.1  # of the training data, stratified, held out to select by
    config.task.skip_corrupt = False  # skip unreadable images instead of stopping

    config.batch_size = 256  # of all devices together
    config.epochs = 1000
    config.optimizer = ConfigDict()
    config.optimizer.name = "sgd"  # any of optax
    config.optimizer.learning_rate = 40.0
    config.optimizer.momentum = 0.9  # of sgd
    config.optimizer.weight_decay = 0.0
    config.optimizer.settings = ConfigDict()  # further arguments of the optax function
    config.schedule = ConfigDict()
    config.schedule.name = "warmup_cosine"  # or constant
    config.schedule.warmup_steps = 1000

    config.eval_every_epochs = 1
    config.select_on = "val"  # "test" is the paper's way: the best epoch on the test data
    config.patience = 0  # evaluations without a better one before stopping early; 0 never stops
    config.log_every_steps = 20  # within an epoch; its last step is always logged
    config.checkpoint_every_steps = 0  # besides every evaluation; 0: only then
    return config
