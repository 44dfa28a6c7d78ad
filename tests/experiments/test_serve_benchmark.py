"""The benchmark of a server runs, and counts what was answered."""

import re

import pytest

pytest.importorskip("aiohttp", reason="of the extra 'load'")


def test_forms_are_what_the_server_reads():
    import asyncio

    import serve

    from vp_jax.serving.limits import Limits
    from vp_jax.serving.uploads import read_uploads

    files = [b"one", b"two", b"three"]
    bodies, kind = serve.forms(files, 2)
    assert len(bodies) == 3

    async def found(body):
        async def chunks():
            yield body

        return await read_uploads(kind, chunks(), Limits(), lambda count: None)

    read = [[x.content for x in asyncio.run(found(body))] for body in bodies]
    assert read == [[b"one", b"two"], [b"three", b"one"], [b"two", b"three"]]


@pytest.mark.slow(seconds=30)
def test_it_runs(python):
    out = python("experiments/benchmarks/serve.py", "--tiny", "--connections=2", check=True).stdout
    assert re.search(r"^bare +[\d.,]+ ", out, re.MULTILINE)
    assert re.search(
        r"^2 +[\d.,]+ +[\d.]+ \([\d.]+ to [\d.]+\) +[\d,]+ +[\d,]+ +", out, re.MULTILINE
    )
