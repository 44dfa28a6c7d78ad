"""What a finished run is to its user: images in, named classes with their probabilities out."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from vp_jax import data, heads, prompts
from vp_jax.backbones import Backbone
from vp_jax.data.images.given import pixels, single_images
from vp_jax.data.images.host_preprocess import preprocess_one
from vp_jax.data.images.prepared import Prepared, prepare, stacked
from vp_jax.data.images.preprocess import preprocess
from vp_jax.data.images.resize_rule import ResizeRule
from vp_jax.errors import UserError
from vp_jax.host.in_order import map_in_order
from vp_jax.step.forward import (
    NO_LABEL,
    OF_PROMPT,
    Forward,
    Parts,
    make_forward,
    make_outputs,
    make_seen,
    resize_rule,
    seen_rule,
)
from vp_jax.step.fsdp import gather_on_use
from vp_jax.step.sharding import AS_PLACED, by_example, put, replicated

if TYPE_CHECKING:
    from vp_jax.data.images.given import GivenImage, GivenImages

Program = Callable[[Parts, Any, jax.Array, Any], jax.Array]
"""From parts, uint8 images, a key, and features where they are known, to an array with an axis of
images."""


class Prediction(NamedTuple):
    """The most likely class of an image.

    Attributes:
      name: of the class.
      probability: in [0, 1].
      label: its number, from 0.
    """

    name: str
    probability: float
    label: int


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Classifier:
    """A frozen backbone with a trained prompt and a head, as `load` makes it of a run.

    Images are one or several: arrays, uint8 `[h, w, 3]` or `[B, h, w, 3]` of any size, RGB; paths
    of image files, their contents as bytes, or images of Pillow; or a list of these, of any sizes.
    They are decoded, resized and cropped as in training. What comes out has no axis of images where
    a single one was given. Wrong images are a `UserError`.

    Batches are padded, and shared by all devices. The programs are compiled at the first call, once
    for `batch_size` images and once for every power of two below it that fewer images fill.

    Attributes:
      class_names: in the order of the labels.
      prompt: what acts on the images, `init` and `apply`; its text is `str(prompt)`.
      head: what makes logits of the backbone's output.
      backbone: the pretrained model; where its weights were trained too, `parts` has them.
      parts: parameters by part, on the devices: `"backbone"`, `"head"`, and `"prompt"` where one
        was trained.
      mesh: the devices.
      key: places random patches, anew for every batch, the same at every call.
      batch_size: images at a time, a multiple of the number of devices.
      upright: whether photographs in files are turned as their EXIF orientation says.
      temperature: by which logits are divided for probabilities, so that these say how often it is
        right; 1 where the run has fitted none.
    """

    class_names: tuple[str, ...]
    prompt: prompts.Chain
    head: heads.Head
    backbone: Backbone
    parts: Parts
    mesh: Mesh
    key: jax.Array
    batch_size: int
    upright: bool = False
    temperature: float = 1.0

    def __repr__(self) -> str:
        prompt = f"prompt {str(self.prompt)!r}" if "prompt" in self.parts else "no prompt"
        return (
            f"Classifier({len(self.class_names)} classes, {prompt}, backbone {self.backbone.name})"
        )

    def probabilities(self, images: GivenImages) -> np.ndarray:
        """The probabilities of all classes, float32 `[N, K]`; of a single image `[K]`."""
        return self._map(self.probability_program, self.parts, images)

    def predict(self, images: GivenImages) -> Prediction | list[Prediction]:
        """The most likely class of each image, in a list; of a single image the class itself."""
        found = self.probabilities(images)
        predictions = [
            Prediction(self.class_names[label], float(row[label]), label)
            for row in np.atleast_2d(found)
            for label in [int(row.argmax())]
        ]
        return predictions[0] if found.ndim == 1 else predictions

    def prompted(self, images: GivenImages) -> np.ndarray:
        """What the backbone sees of the images, float32 `[N, S, S, 3]`, in RGB.

        Resized, cropped, with the prompt, and the backbone's normalisation undone: 0 is black and 1
        is white. A prompt may lead beyond them unless its text says `clip`. One that makes several
        images of each gives `[N, V, S, S, 3]`.
        """
        if "prompt" not in self.parts:
            return self.unprompted(images)
        return self._map(self.picture_program, self.seeing, images)

    def unprompted(self, images: GivenImages) -> np.ndarray:
        """The same without the prompt: images in [0, 1], resized and cropped."""
        given, is_single = single_images(images)
        rule = resize_rule(self.backbone)
        whole = [preprocess_one(pixels(x, i, self.upright), rule) for i, x in enumerate(given)]
        found = np.asarray(preprocess(np.stack(whole), None))
        return found[0] if is_single else found

    def stream(self, images: Iterable[GivenImage]) -> Iterator[np.ndarray | UserError]:
        """The probabilities of each of many images, float32 `[K]`, in order, as they come.

        Images are read, resized and computed in batches while the ones before are handed out, so
        that any number of them takes the memory of a few batches. Of an image that cannot be read
        the error comes in its place.

        Args:
          images: single ones, read as they are needed.
        """
        return self._stream(self.probability_program, self.parts, images)

    def examples(self, split: data.Split) -> tuple[np.ndarray, np.ndarray]:
        """The images of a small split, resized or not, without the prompt and with it;
        the first of those that a prompt makes, where it makes several."""
        see, key = jax.jit(self._pictures_of(split.resized)), jax.random.fold_in(self.key, 0)
        before = np.asarray(see({}, jnp.asarray(split.unprompted().images), key, None))
        if "prompt" not in self.parts:
            return before, before
        features = None if split.features is None else jnp.asarray(split.features)
        after = np.asarray(see(self.seeing, jnp.asarray(split.images), key, features))
        return before, after[:, 0] if after.ndim == 5 else after

    def picture(self) -> np.ndarray:
        """The prompt as `prompts.to_image` draws it, uint8 `[S, S, 3]`.

        Raises:
          UserError: there is none, or it is not finite.
        """
        if "prompt" not in self.parts:
            raise UserError("no prompt was trained, so there is none to draw")
        shape = (self.backbone.image_size, self.backbone.image_size, 3)
        known: dict[str, Any] = {"label": np.full(1, NO_LABEL)}
        if self._asks_for_features:  # those of the grey image that it is drawn on
            statistics = self.backbone.mean, self.backbone.std
            grey = prompts.normalize(*statistics).apply({}, np.full((1, *shape), 0.5, np.float32))
            known["features"] = jax.jit(self.backbone.apply)(self.parts["backbone"], grey)
        if "centroids" in self.parts:
            known["centroids"] = self.parts["centroids"]["means"]
        return prompts.to_image(self.prompt, jax.device_get(self.parts["prompt"]), shape, **known)

    def logits(self, resized: ResizeRule | None) -> Forward:
        """The pure function from `parts` and uint8 images to logits, float32 `[B, K]`.

        Args:
          resized: the rule that the images have been through, `rule` or another backbone's, which
            is refused; None where the function is to resize and crop them.
        """
        outputs = make_outputs(self.backbone, self.prompt, self.head.takes, resized=resized)
        return make_forward(gather_on_use(outputs, self.mesh), self.head, self.prompt.combine)

    @property
    def rule(self) -> ResizeRule:
        """How images become those that the prompt acts on."""
        return seen_rule(self.backbone, self.prompt)

    @property
    def _asks_for_features(self) -> bool:
        return "features" in self.prompt.keywords.names

    @property
    def seeing(self) -> Parts:
        """The parts by which images are prompted, for `picture_program`."""
        names = (*OF_PROMPT, *(("backbone",) if self._asks_for_features else ()))
        return {name: self.parts[name] for name in names if name in self.parts}

    @functools.cached_property
    def probability_program(self) -> Program:
        """From `parts` and images by `rules` to the probabilities of all classes, for `run`."""
        probabilities = to_probabilities(self.logits(self.rule), self.temperature)
        return self._compiled(
            lambda parts, images, key, features: probabilities(
                parts, images, rng=key, features=features
            )
        )

    @functools.cached_property
    def _to_features(self) -> Program:
        """Of whole images, where the prompt asks for them and makes the images smaller."""
        whole = resize_rule(self.backbone)
        outputs = make_outputs(self.backbone, prompts.parse(""), "features", resized=whole)
        outputs = gather_on_use(outputs, self.mesh)
        return self._compiled(lambda parts, images, key, _: outputs(parts, images))

    @functools.cached_property
    def picture_program(self) -> Program:
        """From `seeing` and images by `rules` to what the backbone sees, for `run`."""
        return self._compiled(self._pictures_of(self.rule))

    def _pictures_of(self, resized: ResizeRule | None) -> Program:
        see = make_seen(self.backbone, self.prompt, resized=resized)
        mean, std = (np.array(x, np.float32) for x in (self.backbone.mean, self.backbone.std))

        def pictures(parts: Parts, images: Any, key: jax.Array, features: Any) -> jax.Array:
            shown = see(parts, images, rng=key, features=features) * std + mean
            return shown.swapaxes(0, 1) if shown.ndim == 5 else shown

        return pictures

    def _compiled(self, program: Program) -> Program:
        everywhere, shared = replicated(self.mesh), by_example(self.mesh)
        places = AS_PLACED, shared, everywhere, shared
        return jax.jit(program, in_shardings=places, out_shardings=everywhere)

    def _map(self, program: Program, parts: Parts, images: GivenImages) -> np.ndarray:
        """What a program makes of all images."""
        given, is_single = single_images(images)
        found = []
        for row in self._stream(program, parts, given):
            if isinstance(row, UserError):
                raise row
            found.append(row)
        return found[0] if is_single else np.stack(found)

    def _stream(
        self, program: Program, parts: Parts, images: Iterable[Any]
    ) -> Iterator[np.ndarray | UserError]:
        """Likewise, row by row; the next batches are read while one is computed."""
        made = map_in_order(self._prepared, enumerate(images), 2 * self.batch_size)
        computed: tuple[jax.Array, list[Prepared | UserError]] | None = None
        size = self.batch_size
        with contextlib.closing(made):
            for number in itertools.count():
                batch = list(itertools.islice(made, self.batch_size))
                if number == 0 and batch:
                    size = min(size, multiple(1 << (len(batch) - 1).bit_length(), self.mesh.size))
                ahead = (self.run(program, parts, batch, size, number), batch) if batch else None
                if computed is not None:
                    for row, one in zip(np.asarray(computed[0]), computed[1], strict=False):
                        yield one if isinstance(one, UserError) else row
                if ahead is None:
                    return
                computed = ahead

    def run(
        self,
        program: Program,
        parts: Parts,
        batch: Sequence[Prepared | UserError],
        size: int,
        number: int,
    ) -> jax.Array:
        """Starts a program on a batch, padded to a size; what could not be read is black."""
        key, features = jax.random.fold_in(self.key, number), None
        seen, *whole = (
            put(stacked(batch, i, size, rule.image_size), by_example(self.mesh))
            for i, rule in enumerate(self.rules)
        )
        if whole:
            features = self._to_features({"backbone": self.parts["backbone"]}, whole[0], key, None)
        return program(parts, seen, key, features)

    @functools.cached_property
    def rules(self) -> tuple[ResizeRule, ...]:
        """That of what the prompt acts on; and of whole images, if features are of other pixels."""
        whole = resize_rule(self.backbone)
        both = self._asks_for_features and self.rule != whole
        return (self.rule, whole) if both else (self.rule,)

    def _prepared(self, one: tuple[int, Any]) -> Prepared | UserError:
        number, image = one
        return prepare(image, number, self.rules, self.upright)


def to_probabilities(forward: Forward, temperature: float = 1.0) -> Forward:
    """From parts and images to the probabilities of the classes, float32 `[B, K]`."""

    def probabilities(parts: Parts, images: jax.Array, **more: Any) -> jax.Array:
        logits = forward(parts, images, **more)
        return jax.nn.softmax(logits if temperature == 1 else logits / temperature)

    return probabilities


def multiple(count: int, of: int) -> int:
    """The least multiple that is not below a count."""
    return -(-count // of) * of
