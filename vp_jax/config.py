"""The settings of a run, with the paper's protocol as their defaults.

Bahng et al. 2022, arXiv 2203.17274. Files in `configs/` start from `default()` and change what
they must; `--config.NAME=VALUE` overrides any setting.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict
from ml_collections.config_dict import FieldReference, placeholder

from vp_jax.errors import UserError
from vp_jax.former_settings import prompt_text


def default() -> ConfigDict:
    """CLIP ViT-B/32, padding of 30 pixels, CIFAR100: the paper's main experiment."""
    config = ConfigDict()
    config.seed = 0  # of everything random
    config.tune = ("prompt",)  # the parts that train, of prompt, head, backbone; (): zero-shot only

    config.backbone = ConfigDict()
    config.backbone.name = "clip_vit_b32"
    config.backbone.weights = placeholder(str)  # Hub id, file or folder; None: the name's own
    config.backbone.source = "vp_jax"  # of the modules: vp_jax, or scenic where it is installed
    config.backbone.dtype = "float32"  # that it computes in: float32, bfloat16
    config.backbone.remat = "none"  # elementwise, blocks: compute again instead of keeping
    config.backbone.sharding = "replicated"  # or fsdp: devices share a frozen one
    config.backbone.shards = 0  # of fsdp: devices that share one; 0: all of a process

    config.prompt = "normalize | pad(30)"  # stages with | between them: docs/prompts.md

    config.head = ConfigDict()
    config.head.name = "text"  # of a CLIP: text, linear; else linear or an output mapping
    config.head.base = "text"  # of residual, temperature: the head whose logits they change
    config.head.descriptions = placeholder(str)  # of descriptions: a JSON file of texts by class
    config.head.best_texts = 3  # of descriptions: how many of the texts of a class count
    config.head.sources = 3  # of mean_frequency, mean_iterative: source classes of each class
    config.head.templates = ("This is a photo of a {}",)  # the flag again for each of several
    config.head.table = ()  # of fixed: a source class for each class, or a mapping.csv
    config.head.many_to_one = False  # let classes share a source class
    config.head.smoothing = 1.0  # of bayesian, bayesian_plus: added to each source class's total
    config.head.top_share = 0.15  # of bayesian_plus: source classes counted, times the classes
    config.head.second_pass = False  # of refitted mappings: count again before an epoch, exactly
    config.head.text_backbone = "clip_vit_b32"  # of semantic: whose texts are compared
    config.head.text_weights = placeholder(str)  # of semantic: as backbone.weights
    config.head.init = "auto"  # of linear: text features for a CLIP, else random; text, random
    config.head.from_run = placeholder(str)  # workdir of a run whose trained head to begin with
    config.head.calibrate = any_type("auto")  # temperature fitted to val; True, False, auto: if any
    config.head.solver = "auto"  # of a linear probe: sklearn, optax, auto (by size), or sgd

    config.task = ConfigDict()
    config.task.name = "cifar100"
    config.task.data_dir = placeholder(str)  # of tfds (None: its default), or of the images
    config.task.splits = "official"  # or coop: the published splits of CoOp
    config.task.shots = 0  # training examples a class; 0: all
    config.task.download = True  # prepare the data when they are missing (needs TensorFlow)
    config.task.class_names = ()  # a,b or a .txt file with one a line, not the dataset's
    config.task.val_fraction = 0.1  # of the training data, stratified, held out to select by
    config.task.test_fraction = 0.2  # of a folder without a test split, held out for every seed
    config.task.skip_corrupt = False  # skip unreadable images instead of stopping
    config.task.pipeline = "auto"  # resident, cached, stream; auto: the first of these that fits
    config.task.cache_dir = placeholder(str)  # of decoded images; None: ~/.cache/vp_jax
    config.task.accept_changed_data = False  # go on with other images than the run began with
    config.task.workers = 0  # processes that prepare training batches of cached, stream; 0: threads

    config.augment = ConfigDict()
    config.augment.flip = False  # mirror half of the training images
    config.augment.crop_scale = 1.0  # least share of the area that random crops keep; 1: no crops
    config.augment.color_jitter = any_type(0.0)  # brightness, contrast, saturation; or 4 with hue
    config.augment.policy = ""  # randaugment, trivialaugment
    config.augment.randaugment_ops = 2  # operations on each image
    config.augment.randaugment_magnitude = 9  # of 30
    config.augment.mixup = 0.0  # alpha of the mixtures of two images and their labels; 0: none
    config.augment.cutmix = 0.0  # alpha of the boxes pasted from another image; 0: none

    config.penalties = ConfigDict()  # added to the loss: weights of what a prompt changes
    config.penalties.tv = 0.0  # total variation
    config.penalties.l2 = 0.0  # mean square
    config.penalties.visibility = 0.0  # change of luma, relative to the contrast around it
    config.penalties.margins = 0.0  # of class_wise: between the prompts of classes, on all images

    config.batch_size = 256  # of all devices together
    config.epochs = 1000
    config.start = ConfigDict()
    config.start.head = False  # fit a layer or a residual to the training images before the start
    config.start.scan = False  # try sizes, grey, inverted and blurred images first, forward only
    config.start.scan_images = 500  # of scan: training images, and as many of val
    config.start.from_run = placeholder(str)  # workdir of a run whose trained prompt to begin with
    config.optimizer = ConfigDict()
    config.optimizer.name = "sgd"  # any of optax
    config.optimizer.names = ConfigDict()
    config.optimizer.names.prompt = placeholder(str)  # None: name; settings are not for others
    config.optimizer.names.head = placeholder(str)
    config.optimizer.names.backbone = placeholder(str)
    config.optimizer.learning_rate = 40.0
    config.optimizer.learning_rates = ConfigDict()
    config.optimizer.learning_rates.prompt = placeholder(float)  # None: learning_rate
    config.optimizer.learning_rates.head = placeholder(float)
    config.optimizer.learning_rates.backbone = placeholder(float)
    config.optimizer.learning_rates.stages = ""  # of stages of the prompt: 'color=0.1, 2=5.0'
    config.optimizer.gradient = ConfigDict()
    config.optimizer.gradient.prompt = (
        ""  # done with it first: unit | clip(0.001); docs/learning.md
    )
    config.optimizer.gradient.head = ""
    config.optimizer.gradient.backbone = ""
    config.optimizer.momentum = 0.9  # of sgd
    config.optimizer.weight_decay = 0.0  # of prompts, and of matrices, not vectors, elsewhere
    config.optimizer.average = 0.0  # decay of a mean over steps, evaluated and saved; 0: the last
    config.optimizer.settings = ConfigDict()  # further arguments of the optax function
    config.schedule = ConfigDict()
    config.schedule.name = "warmup_cosine"  # restarts, drops, constant
    config.schedule.warmup_steps = 1000
    config.schedule.warmup_share = 0.25  # of the steps of a short run that are warm-up at most
    config.schedule.cycles = 4  # of restarts: cosines from the peak to zero in a run
    config.schedule.growth = 1.0  # of restarts: the length of a cycle, times that of the last one
    config.schedule.drop_at = (0.5, 0.72)  # of drops: shares of the run at which the rate drops
    config.schedule.drop = 0.1  # of drops: by which factor
    config.loss = ConfigDict()
    config.loss.label_smoothing = 0.0  # what all classes together have of a training label
    config.loss.teacher = placeholder(str)  # workdir of a finished run whose answers are learned
    config.loss.teacher_share = 0.5  # of the loss; the rest is of the labels
    config.loss.teacher_temperature = 1.0  # above 1: also what it holds for unlikely

    config.eval_every_epochs = 1
    config.select_on = "val"  # "test" is the paper's way: the best epoch on the test data
    config.patience = 0  # evaluations without a better one before stopping early; 0 never stops
    config.log_every_steps = 20  # within an epoch; its last step is always logged
    config.checkpoint_every_steps = 0  # besides every evaluation; 0: only then
    config.logger = ()  # who else follows the run: wandb, mlflow
    config.call_seconds = 1.0  # of training in one go; progress and SIGTERM wait for its end
    return config


def literal(text: str) -> object:
    """The value that somebody means who types a text: a Python literal, or else the text itself.

    >>> [literal(text) for text in ("-1e-3", "true", "None", "(0.9, 0.99)", "bfloat16")]
    [-0.001, True, None, (0.9, 0.99), 'bfloat16']
    """
    text = text.strip()
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    for read in (ast.literal_eval, float):  # float also reads inf and nan
        try:
            return read(text)
        except (SyntaxError, ValueError):
            pass
    return text


def any_type(value: object) -> FieldReference:
    """A setting that a value of another type may replace."""
    return FieldReference(value, field_type=object)


def from_json(settings: Any, where: object) -> ConfigDict:
    """Settings that were written as JSON, with the defaults of those that are newer than the file.

    Args:
      settings: what the JSON text held; lists stand for tuples.
      where: the file, for messages.

    Raises:
      UserError: it is no JSON object, or a setting has a value of another type than it takes.
    """
    if not isinstance(settings, dict):
        raise UserError(f"{where} holds no settings: it is a JSON {type(settings).__name__}")
    config = default()
    if isinstance(settings.get("prompt"), dict):  # of a version before the text
        settings = {**settings, "prompt": prompt_text(settings["prompt"])}
    _update(config, settings, where, "")
    return config


def _update(config: ConfigDict, settings: Mapping[str, Any], where: object, prefix: str) -> None:
    for key, value in settings.items():
        name, value = f"{prefix}{key}", _with_tuples(value)
        if key not in config:  # of a version or a command that has more of them
            if "." in key:
                raise UserError(f"{where} cannot be used: no setting has the name {name!r}")
            with config.unlocked():
                config[key] = value
        elif isinstance(config[key], ConfigDict):
            if not isinstance(value, dict):
                raise UserError(f"{where} cannot be used: {name} is {value!r}, and holds settings")
            _update(config[key], value, where, f"{name}.")
        else:
            try:
                if value is None and config[key] is not None:
                    raise TypeError("nothing is no value")
                config[key] = value
            except (TypeError, ValueError) as error:
                wanted = config.get_type(key).__name__
                raise UserError(
                    f"{where} cannot be used: {name} is {value!r}, and must be of type {wanted}"
                ) from error


def _with_tuples(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_with_tuples(v) for v in value)
    return {k: _with_tuples(v) for k, v in value.items()} if isinstance(value, dict) else value
