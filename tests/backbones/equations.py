"""The equations of a traced function, those of the functions that it calls included."""

import jax


def equations(function, *arguments):
    """Yields every equation of `function(*arguments)`."""
    yield from _of(jax.make_jaxpr(function)(*arguments).jaxpr)


def _of(jaxpr):
    for equation in jaxpr.eqns:
        yield equation
        for value in equation.params.values():
            for inner in value if isinstance(value, tuple) else (value,):
                inner = getattr(inner, "jaxpr", inner)
                if hasattr(inner, "eqns"):
                    yield from _of(inner)


def dtypes(function, *arguments, of):
    """The types of the first operands of all equations of some primitives."""
    found = equations(function, *arguments)
    return {str(e.invars[0].aval.dtype) for e in found if e.primitive.name in of}
