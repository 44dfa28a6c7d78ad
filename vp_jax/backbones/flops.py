"""Counts the floating-point operations of a model from its jaxpr: exactly, whatever the model is.

What is counted are matrix products and convolutions, a multiplication and an addition as two. A
convolution counts its whole kernel at every output position, also where it lies on padding, but no
zeros that are put between its inputs. Element-wise work, softmax, normalisation and pooling are not
counted, nor are products that do not depend on the input, which could be made once and for all.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Jaxpr, JaxprEqn, Literal

from vp_jax.backbones.base import Backbone
from vp_jax.backbones.clip.sizes import SIZES
from vp_jax.backbones.loading.classifiers import CLASSIFIERS
from vp_jax.errors import UserError, unknown
from vp_jax.jaxprs import inner


@dataclasses.dataclass(frozen=True)
class Flops:
    """Floating-point operations of a forward pass, from which those of its gradients follow.

    For the gradient with respect to what it multiplies, a product with weights costs as much
    again, and once more for that with respect to the weights; a product of two activations costs
    twice as much again, since both have gradients.

    Attributes:
      weights: of products of which one side depends on the input.
      activations: of products of which both sides do.
    """

    weights: int = 0
    activations: int = 0

    def __add__(self, other: Flops) -> Flops:
        return Flops(self.weights + other.weights, self.activations + other.activations)

    def times(self, count: int) -> Flops:
        """That of `count` images, or repetitions."""
        return Flops(self.weights * count, self.activations * count)

    @property
    def forward(self) -> int:
        """The forward pass alone."""
        return self.weights + self.activations

    @property
    def backward(self) -> int:
        """The gradient with respect to activations, down to the input: the weights are frozen."""
        return self.weights + 2 * self.activations

    @property
    def step(self) -> int:
        """Forward and backward with frozen weights, as a prompt is trained."""
        return self.forward + self.backward

    @property
    def full_step(self) -> int:
        """Forward and backward with the gradients of all weights, as in fine-tuning."""
        return self.step + self.weights


def count(function: Callable[..., Any], params: Any, *inputs: Any) -> Flops:
    """Counts the operations of a function of parameters and inputs; nothing is computed.

    Args:
      function: `(params, *inputs) -> anything`, as `jax.jit` takes it.
      params: a pytree of arrays or `jax.ShapeDtypeStruct`s: the weights.
      *inputs: likewise: what activations depend on.

    Raises:
      UserError: it has products whose number the jaxpr does not tell: in a loop without a fixed
        length, in branches that differ, in a kernel or call of another library.
    """
    jaxpr = jax.make_jaxpr(function)(params, *inputs).jaxpr
    weights = len(jax.tree.leaves(params))
    return _count(jaxpr, [i >= weights for i in range(len(jaxpr.invars))])[0]


def image_flops(backbone: Backbone, output: str = "features") -> Flops:
    """Of a backbone and one image.

    Args:
      backbone: any.
      output: `"features"`, of `apply`, or `"logits"`, of `classify` after it.

    Raises:
      UserError: as `count`.
    """

    def outputs(params: Any, images: jax.Array) -> jax.Array:
        features = backbone.apply(params, images)
        return features if output == "features" else backbone.source_logits(params, features)

    return count(outputs, backbone.image_params(output), _image(backbone.image_size))


def model_flops(name: str, image_size: int | None = None) -> Flops:
    """Of the features of one image, by the name of a model, whose weights need not be there.

    Args:
      name: one of `backbones.names()`.
      image_size: side of the image, in pixels; the model's own by default.

    Raises:
      UserError: the name is unknown.
    """
    if name not in SIZES and name not in CLASSIFIERS:
        raise unknown("backbone", name, (*SIZES, *CLASSIFIERS))
    tower = SIZES[name].image_tower() if name in SIZES else CLASSIFIERS[name].trunk(None)
    if image_size is not None:
        tower = tower.clone(image_size=image_size)
    image = _image(tower.image_size)
    params = jax.eval_shape(tower.init, jax.random.key(0), image)
    return count(tower.apply, params, image)


def _image(size: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)


# Primitives that run one inner jaxpr, once, on their own operands.
_CALLS = frozenset(
    ("jit", "pjit", "closed_call", "core_call", "checkpoint", "remat", "remat2")
    + ("custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr")
)

_CUDNN_ATTENTION = "dot_product_attention_fwd_wrapper"

# Other primitives with products that no jaxpr shows.
_OPAQUE = frozenset(
    ("dot_product_attention_fp8_fwd_wrapper",)
    + ("ragged_dot", "ragged_dot_general", "scaled_matmul_wrapper", "fft", "ffi_call")
    + ("cholesky", "eig", "eigh", "householder_product", "lu", "qr", "svd", "triangular_solve")
    + ("pure_callback", "io_callback")
)

_Depends = list[bool]  # for some variables in order: whether they depend on the input


def _count(jaxpr: Jaxpr, depends: Sequence[bool]) -> tuple[Flops, _Depends]:
    """The operations of a jaxpr, and which of its results depend on the input.

    Args:
      jaxpr: of any function.
      depends: which of its arguments do.
    """
    known = dict(zip(jaxpr.invars, depends, strict=True))

    def look_up(variables: Sequence[Any]) -> _Depends:
        return [not isinstance(v, Literal) and known.get(v, False) for v in variables]

    total = Flops()
    for equation in jaxpr.eqns:
        flops, results = _equation(equation, look_up(equation.invars))
        total += flops
        known.update(zip(equation.outvars, results, strict=True))
    return total, look_up(jaxpr.outvars)


def _equation(equation: JaxprEqn, depends: _Depends) -> tuple[Flops, _Depends]:
    name, params = equation.primitive.name, equation.params
    if name in _PRODUCTS:
        return _product(*depends[:2]).times(_PRODUCTS[name](equation)), [any(depends)]
    if name == _CUDNN_ATTENTION:
        return _attention(equation, depends)
    if name in _CALLS:
        (called,) = inner(params)
        return _count(called, depends)
    if name == "scan":
        return _scan(equation, depends)
    if name == "while":
        return _while(params, depends)
    if name == "cond":
        return _cond(params, depends)
    whole = any(_count(j, [True] * len(j.invars))[0].forward for j in inner(params))
    if (name in _OPAQUE and any(depends)) or whole:
        raise UserError(f"the floating-point operations of `{name}` in this model are not known")
    return Flops(), [any(depends)] * len(equation.outvars)


def _product(left: bool, right: bool) -> Flops:
    """Of which kind one operation of a product is, by the sides that depend on the input."""
    return (Flops(), Flops(weights=1), Flops(activations=1))[left + right]


def _shape(variable: Any) -> tuple[int, ...]:
    return variable.aval.shape


def _dot(equation: JaxprEqn) -> int:
    (contracted, _), _ = equation.params["dimension_numbers"]
    left, out = _shape(equation.invars[0]), _shape(equation.outvars[0])
    return 2 * math.prod(out) * math.prod(left[i] for i in contracted)


def _convolution(equation: JaxprEqn) -> int:
    kernel = _shape(equation.invars[1])
    outputs = kernel[equation.params["dimension_numbers"].rhs_spec[0]]
    each = math.prod(kernel) // outputs
    positions = math.prod(_shape(equation.outvars[0]))
    return 2 * each * positions // math.prod(equation.params["lhs_dilation"])


_PRODUCTS: dict[str, Callable[[JaxprEqn], int]] = {
    "dot_general": _dot,
    "conv_general_dilated": _convolution,
}


def _attention(equation: JaxprEqn, depends: _Depends) -> tuple[Flops, _Depends]:
    """Scores of queries and keys, and the mixing of values by them; a mask saves nothing."""
    query, key = map(_shape, equation.invars[:2])
    tokens = key[1 if equation.params["layout"] == 0 else 2]  # layout 0: batch, tokens, heads, D
    of_query, of_key, of_value = depends[:3]
    flops = _product(of_query, of_key) + _product(of_query or of_key, of_value)
    return flops.times(2 * math.prod(query) * tokens), [any(depends)] * len(equation.outvars)


def _scan(equation: JaxprEqn, depends: _Depends) -> tuple[Flops, _Depends]:
    """A loop over rows. Constants and carry have the shapes in the body that they have outside."""
    body = equation.params["jaxpr"].jaxpr
    fixed = _same_shapes(equation.invars, body.invars)
    carried = _same_shapes(equation.outvars, body.outvars)
    consts, carry, rows = (
        depends[: fixed - carried],
        depends[fixed - carried : fixed],
        depends[fixed:],
    )
    flops, results = _until_settled(body, consts, carry, rows)
    return flops.times(equation.params["length"]), results


def _same_shapes(outside: Sequence[Any], inside: Sequence[Any]) -> int:
    """How many variables are not cut into rows."""
    pairs = zip(outside, inside, strict=True)
    return sum(a.aval.ndim == b.aval.ndim for a, b in pairs)


def _while(params: dict[str, Any], depends: _Depends) -> tuple[Flops, _Depends]:
    split = params["cond_nconsts"], params["cond_nconsts"] + params["body_nconsts"]
    of_test, of_body, carry = depends[: split[0]], depends[split[0] : split[1]], depends[split[1] :]
    flops, carry = _until_settled(params["body_jaxpr"].jaxpr, of_body, carry, [])
    test, (ends,) = _count(params["cond_jaxpr"].jaxpr, [*of_test, *carry])
    if flops.forward or test.forward:
        raise UserError(
            "this model has products in a loop whose length its jaxpr does not tell: give "
            "jax.lax.fori_loop fixed ends, or use jax.lax.scan"
        )
    return Flops(), [ends or one for one in carry]


def _until_settled(
    body: Jaxpr, consts: _Depends, carry: _Depends, rows: _Depends
) -> tuple[Flops, _Depends]:
    """Of one turn of a loop whose carry depends on all that it depended on in earlier turns."""
    while True:
        flops, results = _count(body, [*consts, *carry, *rows])
        after = [a or b for a, b in zip(carry, results, strict=False)]
        if after == carry:
            return flops, [*carry, *results[len(carry) :]]
        carry = after


def _cond(params: dict[str, Any], depends: _Depends) -> tuple[Flops, _Depends]:
    which, *operands = depends
    branches = [_count(branch.jaxpr, operands) for branch in params["branches"]]
    if len({flops for flops, _ in branches}) > 1:
        raise UserError("this model has branches whose floating-point operations differ in number")
    results = zip(*(results for _, results in branches), strict=True)
    return branches[0][0], [which or any(one) for one in results]
