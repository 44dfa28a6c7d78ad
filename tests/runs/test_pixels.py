"""What a backbone sees at the end of the whole way: PIL's pixels, resized and cropped once."""

import dataclasses

import jax
import numpy as np
import pytest
from own_backbone import quick
from pixel_recorder import CLASSES, Recorder, expected, have_levels, to_levels, write_folder

from vp_jax import backbones, data, many, prompts, runs
from vp_jax.data.images.preprocess import ResizeRule
from vp_jax.data.splits.split import Split
from vp_jax.ensemble import ensemble_predictions
from vp_jax.errors import UserError
from vp_jax.prompts.by_resize import by_resize
from vp_jax.report.pictures import run_pictures
from vp_jax.step.forward import make_outputs
from vp_jax.step.sharding import make_mesh
from vp_jax.training.feed import make_feed

PIPELINES = ("resident", "cached", "stream")
RULES = [
    ResizeRule(16),
    ResizeRule(16, method="bilinear"),
    ResizeRule(16, 20),
    ResizeRule(16, 20, "bilinear"),
]
MIXED = [(16, 16), (20, 20), (9, 12), (40, 33), (50, 17), (12, 70)]
SIZES = {
    "smaller": [(9, 12)],
    "one pixel": [(1, 1)],
    "the final size": [(16, 16)],
    "between": [(17, 19)],
    "the intermediate size": [(20, 20)],
    "larger": [(41, 33)],
    "tall": [(50, 17)],
    "wide": [(12, 70)],
    "tall and small": [(42, 6)],
    "wide and small": [(5, 51)],
    "mixed": MIXED,
    "the final size and others": [(16, 16), (16, 16), (17, 16)],
}

TELLING = ("one pixel", "the final size", "tall", "mixed")
"""Sizes that are tried with every rule; the others with the one that does most."""


def name_of(rule):
    return f"{rule.short_side}-{rule.image_size}-{rule.method}"


def pixels_of(rule):
    """A backbone whose features are the pixels it sees."""
    return backbones.from_fn(
        lambda _, x: x.reshape(len(x), -1),
        {"unused": np.zeros(1, np.float32)},
        image_size=rule.image_size,
        mean=(0, 0, 0),
        std=(1, 1, 1),
        resize_size=rule.resize_size,
        resize_method=rule.method,
    )


def seen_of(task, rule, prompt="pad(1)", batch_size=7):
    """All that the backbone sees of a task, in order of the splits: levels, labels.

    Images are prompted by zeros where the prompt shrinks them, else unprompted.
    """
    feed, chain = make_feed(task, batch_size, 0, make_mesh()), prompts.parse(prompt)
    parts = {"backbone": {"visual": {}}}
    if by_resize(chain)[0]:
        parts["prompt"] = chain.init(jax.random.key(0), (rule.image_size, rule.image_size, 3))
    outputs = make_outputs(pixels_of(rule), chain, "features", resized=task.resized)
    step = jax.jit(lambda store, batch: outputs(parts, feed.fetch(store, batch).image))
    levels, labels = [], []
    for split in task.splits:
        for batch in feed.eval_batches(split):
            kept = np.asarray(batch.mask)
            levels.append(to_levels(step(feed.store, batch))[kept])
            labels.append(np.asarray(batch.label)[kept])
    return np.concatenate(levels), np.concatenate(labels)


def unprompted(task):
    """The task with the images that a model sees without its prompt."""
    each = {name: getattr(task, name).unprompted() for name in ("train", "val", "test")}
    return dataclasses.replace(task, **each)


def as_set(levels, labels):
    return sorted((int(b), a.tobytes()) for a, b in zip(levels, labels, strict=True))


def check_pipelines(images, rule, cache_dir, name, path, twice=()):
    wanted = as_set(expected(images, rule), [label for label, _ in images])
    for pipeline in (*PIPELINES, *twice):
        task = data.load_task(
            name,
            resize=rule,
            data_dir=path,
            pipeline=pipeline,
            cache_dir=cache_dir,
            class_names=CLASSES,
            progress=False,
        )
        assert as_set(*seen_of(task, rule)) == wanted, pipeline


@pytest.mark.parametrize(
    ("sizes", "rule"),
    [
        pytest.param(sizes, rule, id=f"{sizes}-{name_of(rule)}")
        for sizes in SIZES
        for rule in (RULES if sizes in TELLING else RULES[-1:])
    ],
)
def test_images_of_a_folder(sizes, rule, tmp_path):
    """The second time by `cached` they come from the disk."""
    images = write_folder(tmp_path / "x", SIZES[sizes], 12)
    check_pipelines(images, rule, tmp_path / "cache", "folder", tmp_path / "x", ["cached"])


@pytest.mark.parametrize("rule", RULES, ids=name_of)
@pytest.mark.parametrize("sizes", ["smaller", "the final size", "mixed"])
def test_images_that_a_prompt_shrinks(sizes, rule, tmp_path):
    """Stored pixels are resampled once, to the size of the prompt; without it, to the model's."""
    images = write_folder(tmp_path / "x", SIZES[sizes], 12)
    labels = [label for label, _ in images]
    small = rule.shrunk(11)
    inside = np.s_[:, 2:13, 2:13]  # the room of 5 pixels is 2 before and 3 behind
    for pipeline in (*PIPELINES, "cached"):
        task = data.load_task(
            "folder",
            resize=small,
            whole=rule,
            data_dir=tmp_path / "x",
            pipeline=pipeline,
            cache_dir=tmp_path / "cache",
            class_names=CLASSES,
            progress=False,
        )
        seen, found = seen_of(task, rule, "shrink(11) | pad(2, init='zeros')")
        seen = seen.reshape(len(seen), rule.image_size, rule.image_size, 3)
        assert as_set(seen[inside], found) == as_set(expected(images, small), labels), pipeline
        seen[inside] = 0
        assert not seen.any()
        levels, found = seen_of(unprompted(task), rule)
        assert as_set(levels, found) == as_set(expected(images, rule), labels), pipeline


@pytest.mark.parametrize("sizes", ["smaller", "the final size", "the intermediate size", "larger"])
def test_arrays_that_say_their_size(sizes, tmp_path):
    ((height, width),) = SIZES[sizes]
    pixels = np.random.default_rng(0).integers(0, 256, (12, height, width, 3), np.uint8)
    labels = np.arange(12) % 2
    np.savez(
        tmp_path / "x.npz",
        train_data=pixels[:8],
        train_target=labels[:8],
        test_data=pixels[8:],
        test_target=labels[8:],
    )
    images = list(zip(labels, pixels, strict=True))
    check_pipelines(images, RULES[3], tmp_path / "cache", "npz", tmp_path / "x.npz")


@pytest.mark.parametrize(
    "rule", [ResizeRule(224, 256, "bilinear"), ResizeRule(224, 248)], ids=["torchvision", "deit"]
)
@pytest.mark.parametrize(
    "sizes",
    [[(224, 224)], [(227, 227)], [(256, 256)], [(248, 248), (224, 224), (300, 210), (190, 333)]],
    ids=["224", "227", "256", "mixed"],
)
def test_the_sizes_of_imagenet_models(sizes, rule, tmp_path):
    images = write_folder(tmp_path / "x", sizes, 8)
    check_pipelines(images, rule, tmp_path / "cache", "folder", tmp_path / "x")


# Whole runs.

RULE = ResizeRule(16, 20, "bilinear")
COUNT = 42
INSIDE = np.s_[:, 2:-2, 2:-2]  # of all prompts


def settings(photos, pipeline, **changes):
    own = {
        "task.name": "folder",
        "task.data_dir": str(photos),
        "task.pipeline": pipeline,
        "task.cache_dir": str(photos.with_name("cache")),
        "head.name": "iterative",
        "prompt": "normalize | pad(1)",
        "batch_size": 8,
        "epochs": 1,
        "schedule.warmup_steps": 1,
    }
    return quick(**{**own, **changes})


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Of six sizes; the first of them is that in which all reach the model."""
    root = tmp_path_factory.mktemp("photos") / "x"
    return root, write_folder(root, MIXED, COUNT)


def distinct(levels):
    return {image.tobytes() for image in levels}


def check_seen(recorder, images, rule=RULE):
    """Every image was seen as it is without a prompt, and nothing else but prompts around them."""
    seen, wanted = recorder.take(), expected(images, rule)
    inside = to_levels(seen[INSIDE])
    assert distinct(inside) == distinct(wanted[INSIDE])
    assert distinct(wanted) <= distinct(to_levels(seen[have_levels(seen)]))


def check_part_seen(recorder, images):
    """As many images as were looked at were seen as they are, prompts around them aside."""
    inside = distinct(to_levels(recorder.take()[INSIDE]))
    assert inside and inside <= distinct(expected(images, RULE)[INSIDE])


@pytest.mark.slow
@pytest.mark.parametrize("pipeline", PIPELINES)
def test_a_run_its_mapping_its_pictures_its_evaluation(photos, pipeline, tmp_path, monkeypatch):
    root, images = photos
    recorder, drawn = Recorder(RULE), []
    monkeypatch.setattr(run_pictures, "examples", lambda _, *more: drawn.append(more))
    result = runs.train(settings(root, pipeline), tmp_path / "run", recorder.backbone)
    assert result["pipeline"] == pipeline
    check_seen(recorder, images)
    ((before, after, *_),) = drawn
    wanted = distinct(expected(images, RULE))
    assert len(before) == 2 and distinct(to_levels(before)) < wanted
    np.testing.assert_array_equal(before[INSIDE], after[INSIDE])

    again = runs.evaluate(tmp_path / "run", backbone=recorder.backbone)
    assert again["test_accuracy"] == result["test_accuracy"]
    check_part_seen(recorder, images)
    ensemble_predictions([tmp_path / "run"], recorder.backbone)
    check_part_seen(recorder, images)


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_features_of_a_linear_probe(photos, pipeline, tmp_path):
    root, images = photos
    recorder = Recorder(RULE)
    changes = {"tune": ("head",), "head.name": "linear"}
    runs.train(settings(root, pipeline, **changes), tmp_path / "run", recorder.backbone)
    check_seen(recorder, images)


@pytest.mark.slow
@pytest.mark.parametrize("pipeline", PIPELINES)
def test_a_run_whose_prompt_shrinks_the_images(photos, pipeline, tmp_path, monkeypatch):
    """Prompted they are small ones in the middle; unprompted they are whole, as without it."""
    root, images = photos
    small, whole = expected(images, RULE.shrunk(12)), expected(images, RULE)
    recorder, drawn = Recorder(RULE), []
    monkeypatch.setattr(run_pictures, "examples", lambda _, *more: drawn.append(more))
    config = settings(root, pipeline, prompt="shrink(12) | pad(2, init='zeros')")

    def check():
        seen, middle = recorder.take(), np.s_[:, 2:-2, 2:-2]
        is_whole = have_levels(seen) & seen[:, 0].any(axis=(1, 2))
        zero_border = ~seen[:, 0].any(axis=(1, 2))
        unprompted = distinct(to_levels(seen[is_whole])) if is_whole.any() else set()
        prompted = distinct(to_levels(seen[~is_whole | zero_border][middle]))
        assert unprompted <= distinct(whole) and prompted <= distinct(small)
        return unprompted, prompted

    result = runs.train(config, tmp_path / "run", recorder.backbone)
    assert result["pipeline"] == pipeline
    assert result["prompt"] == "shrink(12) | pad(2, init='zeros') | normalize"
    unprompted, prompted = check()
    assert unprompted == distinct(whole) and prompted == distinct(small)
    ((before, after, *_),) = drawn
    assert distinct(to_levels(before)) < distinct(whole)
    assert distinct(to_levels(after[:, 2:-2, 2:-2])) < distinct(small)

    again = runs.evaluate(tmp_path / "run", backbone=recorder.backbone)
    assert again["test_accuracy"] == result["test_accuracy"]
    assert again["zero_shot_test_accuracy"] == result["zero_shot_test_accuracy"]
    assert all(check())
    ensemble_predictions([tmp_path / "run"], recorder.backbone)
    check()


@pytest.mark.slow(seconds=4)
def test_many_prompts_at_once_that_shrink_the_images(photos, tmp_path):
    root, images = photos
    recorder = Recorder(RULE)
    members = [{"prompt": f"shrink(12) | pad({size}, init='zeros')"} for size in (1, 2)]
    config = settings(root, "resident", **{"head.name": "frequency"})
    many.train_many(config, members, tmp_path / "sweep", recorder.backbone)
    seen = recorder.take()
    wanted = distinct(expected(images, RULE)), distinct(expected(images, RULE.shrunk(12)))
    is_whole = have_levels(seen) & seen[:, 0].any(axis=(1, 2))
    assert distinct(to_levels(seen[is_whole])) == wanted[0]
    assert distinct(to_levels(seen[~is_whole][:, 2:-2, 2:-2])) == wanted[1]


def test_small_images_in_a_stream(tmp_path):
    """They are decoded one by one, and then have the size of the model; elsewhere they keep it."""
    images = write_folder(tmp_path / "x", [(9, 12)], 20)
    recorder = Recorder(RULE)
    config = settings(tmp_path / "x", "stream")
    runs.train(config, tmp_path / "run", recorder.backbone)
    check_seen(recorder, images)


@pytest.mark.slow
def test_many_prompts_at_once(photos, tmp_path):
    root, images = photos
    recorder = Recorder(RULE)
    members = [{"seed": 0}, {"seed": 1, "prompt": "normalize | pad(2)"}]
    config = settings(root, "resident", **{"head.name": "frequency"})
    many.train_many(config, members, tmp_path / "sweep", recorder.backbone)
    check_seen(recorder, images)


# What images have been through is known of them.


def test_every_selection_knows_what_its_images_have_been_through(photos, tmp_path):
    root, _ = photos
    (tmp_path / "small").mkdir()
    write_folder(tmp_path / "small" / "x", [(9, 12)], 20)

    def load(path, pipeline):
        return data.load_task("folder", resize=RULE, data_dir=path, pipeline=pipeline)

    for pipeline in PIPELINES:
        task = load(root, pipeline)
        for splits in (task.splits, task.reseed(1).splits, [task.train.take([1]).take([0])]):
            assert {split.resized for split in splits} == {RULE}
    assert load(tmp_path / "small" / "x", "resident").resized is None
    assert load(tmp_path / "small" / "x", "stream").resized == RULE


def test_images_made_for_another_rule_are_refused(photos):
    root, _ = photos
    task = data.load_task("folder", resize=ResizeRule(16), data_dir=root)
    with pytest.raises(UserError, match=r"resized by ResizeRule\(.*16.*takes those of .*20"):
        make_outputs(pixels_of(RULE), prompts.parse("pad(1)"), "features", resized=task.resized)
    other = Split("other", task.test.images, task.test.labels)
    with pytest.raises(UserError, match="'train' were resized by .*'other' by None"):
        dataclasses.replace(task, extra={"other": other})


def test_a_rule_is_equal_to_one_that_does_the_same():
    assert ResizeRule(16) == ResizeRule(16, 16) != ResizeRule(16, 20)
    assert len({ResizeRule(16), ResizeRule(16, 16)}) == 1
