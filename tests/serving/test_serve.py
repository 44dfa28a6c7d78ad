"""A server as its command line starts it: answers, refusals, deaths, stops."""

import base64
import http.client
import io
import json
import os
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from clients import FORM, ask, form, huge, part, picture, predict
from PIL import Image
from servers import LIMITS, Server

import vp_jax


@pytest.fixture(scope="module")
def model(bundle):
    return vp_jax.load(bundle, batch_size=8)


def test_answers_are_those_of_the_classifier_in_order(server, model):
    contents = [picture(i, (20 + i, 40)) for i in range(4)]
    status, _, body = predict(
        server.address, *(part(x, f"{i}.png") for i, x in enumerate(contents)), query="?top=99"
    )
    assert status == 200 and [x["image"] for x in body["images"]] == [f"{i}.png" for i in range(4)]
    for one, row in zip(body["images"], model.probabilities(contents), strict=True):
        found = {x["label"]: x["probability"] for x in one["predictions"]}
        np.testing.assert_allclose([found[i] for i in range(10)], row, atol=1e-4)
        assert [x["class"] for x in one["predictions"]] == [
            model.class_names[i] for i in np.argsort(-row, kind="stable")
        ]


def test_a_broken_image_changes_nothing_for_its_neighbours(server):
    alone = predict(server.address, part(picture(1)))[2]["images"][0]
    parts = [part(b"no image", "a.txt"), part(picture(1)), part(huge(3000, 3000), "b.png")]
    status, _, body = predict(server.address, *parts)
    first, second, third = body["images"]
    assert status == 200
    assert second["predictions"][0]["label"] == alone["predictions"][0]["label"]
    assert "text" in first["error"] and "predictions" not in first
    assert "3,000 x 3,000 pixels" in third["error"]
    status, _, body = predict(server.address, part(b"", "empty.png"))
    assert status == 422 and "empty" in body["images"][0]["error"]


def test_before_and_after_the_prompt_and_what_the_model_sees(server, model):
    content = picture(5)
    status, _, body = predict(server.address, part(content), query="?explain=true&top=10")
    (one,) = body["images"]
    assert status == 200
    shown = {}
    for name, url in one["pictures"].items():
        data = base64.b64decode(url.removeprefix("data:image/png;base64,"))
        shown[name] = np.asarray(Image.open(io.BytesIO(data)))
    plain, prompted = model.unprompted(content), model.prompted(content)
    np.testing.assert_array_equal(shown["before"], np.round(plain * 255))
    np.testing.assert_allclose(shown["with_prompt"], np.clip(prompted, 0, 1) * 255, atol=0.51)
    before = {x["label"]: x["probability"] for x in one["before"]}
    after = {x["label"]: x["probability"] for x in one["predictions"]}
    assert before.keys() == after.keys() and before != after
    assert sum(before.values()) == pytest.approx(1, abs=1e-4)


REFUSED = {
    "too many files": ("POST", "/predict", form(*5 * [part(b"x")]), {"Content-Type": FORM}, 413),
    "too many bytes": ("POST", "/predict", form(part(bytes(2**20))), {"Content-Type": FORM}, 413),
    "a form cut short": ("POST", "/predict", form(part(b"x"))[:-9], {"Content-Type": FORM}, 400),
    "no form": ("POST", "/predict", b"{}", {"Content-Type": "application/json"}, 415),
    "no file": ("POST", "/predict", form(), {"Content-Type": FORM}, 422),
    "top": ("POST", "/predict?top=0", form(part(b"x")), {"Content-Type": FORM}, 422),
    "explain": ("POST", "/predict?explain=1", form(part(b"x")), {"Content-Type": FORM}, 422),
    "another parameter": ("POST", "/predict?url=http://a/b.png", b"", {}, 422),
    "another place": ("GET", "/../../etc/passwd", None, {}, 404),
    "another method": ("GET", "/predict", None, {}, 405),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_told_so_in_a_sentence(server, name):
    *request, status = REFUSED[name]
    found, headers, body = ask(server.address, *request)
    assert found == status and isinstance(body["error"], str)
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_a_body_without_a_length_is_counted_as_it_arrives(server):
    def endless():
        yield part(b"")[:-2]
        for _ in range(40):
            yield bytes(2**16)

    body, headers = endless(), {"Content-Type": FORM, "Transfer-Encoding": "chunked"}
    connection = http.client.HTTPConnection(*server.address, timeout=30)
    connection.request("POST", "/predict", body, headers, encode_chunked=True)
    assert connection.getresponse().status == 413


@pytest.mark.slow(seconds=6)
def test_who_sends_too_slowly_does_not_hold_a_place(server):
    head = f"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: {FORM}\r\nContent-Length: 999\r\n"
    began = time.monotonic()
    answers = []

    def send(text):
        with socket.create_connection(server.address, 20) as slow:
            slow.sendall(text)
            answers.append((slow.recv(1000)[:12], time.monotonic() - began))

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(send, (head.encode() + b"\r\n--", head.encode(), b"")))
    assert sorted(x for x, _ in answers) == [b"", b"", b"HTTP/1.1 408"]
    assert all(1.5 < seconds < 15 for _, seconds in answers)


def test_pages_and_what_programs_read(server):
    status, headers, page = ask(server.address, "GET", "/")
    assert status == 200 and "default-src 'none'" in headers["Content-Security-Policy"]
    status, headers, page = ask(server.address, "GET", "/docs")
    assert status == 200 and "/predict" in page and "http-equiv" not in page
    document = ask(server.address, "GET", "/openapi.json")[2]
    assert document["openapi"].startswith("3.1") and "post" in document["paths"]["/predict"]
    assert all(
        ask(server.address, "GET", x)[0] == 200 for x in document["paths"] if x != "/predict"
    )
    about = ask(server.address, "GET", "/model")[2]
    assert about["classes"][7] == "seven" and about["limits"]["files"] == 4
    assert about["prompt"] == "normalize | pad(4)" and about["has_before"] is True


def test_it_listens_on_this_machine_alone(server):
    others = {x[4][0] for x in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    for other in others - {"127.0.0.1", "127.0.1.1"}:
        with pytest.raises(OSError):
            socket.create_connection((other, server.address[1]), 2)


@pytest.mark.slow(seconds=10)
def test_a_worker_that_dies_takes_no_others_answers_and_another_one_begins(server):
    wait_for(lambda: len(set(server.workers())) == 2)
    before, results, done = set(server.workers()), [], threading.Event()

    def send(seed):
        content = form(part(picture(seed)))
        while not done.is_set():
            try:
                connection = http.client.HTTPConnection(*server.address, timeout=60)
                connection.request("POST", "/predict", content, {"Content-Type": FORM})
                results.append(connection.getresponse().status)
            except (OSError, http.client.HTTPException) as error:
                results.append(error)
            finally:
                connection.close()

    threads = [threading.Thread(target=send, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    wait_for(lambda: len(results) > 20)
    os.kill(min(before), signal.SIGKILL)
    wait_for(lambda: len(after := set(server.workers())) == 2 and after != before)
    count = len(results)
    wait_for(lambda: len(results) > count + 20)
    done.set()
    for thread in threads:
        thread.join()
    failed = [x for x in results if x != 200]
    assert len(failed) <= len(threads)  # those that the dead one had in hand
    assert max(before) in server.workers()


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.02)


@pytest.mark.slow(seconds=8)
def test_sigterm_lets_it_answer_what_has_begun(bundle, monkeypatch):
    monkeypatch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
    server = Server(bundle, *LIMITS, "--upload_seconds=20")
    body, idle = form(part(picture())), http.client.HTTPConnection(*server.address)
    idle.request("GET", "/healthz")
    assert idle.getresponse().read()
    with socket.create_connection(server.address, 30) as half:
        head = f"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: {FORM}\r\n"
        half.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:100])
        time.sleep(0.3)
        server.process.send_signal(signal.SIGTERM)
        wait_for(lambda: is_refused(server.address))
        half.sendall(body[100:])
        answer = half.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 200") and b"predictions" in answer
    assert server.process.wait(30) == 0 and "Traceback" not in server.said()
    assert server.process.stdout.read() == "stopped\n"


def is_refused(address):
    try:
        socket.create_connection(address, 5).close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.slow(seconds=8)
def test_workers_do_not_outlive_who_began_them(bundle, monkeypatch):
    monkeypatch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
    server = Server(bundle, *LIMITS)
    (worker,) = server.workers()
    server.process.kill()
    server.process.wait()
    wait_for(lambda: is_refused(server.address) and not is_alive(worker))


def is_alive(number):
    try:
        with open(f"/proc/{number}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.slow(seconds=10)
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "--workdir"),
        (("--workdir=/no/run",), "/no/run"),
        (("--workdir=BUNDLE", "--port=PORT"), "--port"),
        (("--workdir=BUNDLE", "--host=no.such.host.invalid"), "no.such.host.invalid"),
        (("--workdir=BUNDLE", "--port=70000"), "70000"),
        (("--workdir=BUNDLE", "--max_files=300"), "300 images"),
        (("--workdir=BUNDLE", "--workers=0"), "workers"),
    ],
)
def test_a_mistake_is_one_sentence(server, bundle, python, arguments, words):
    given = [
        x.replace("BUNDLE", str(bundle)).replace("PORT", str(server.address[1])) for x in arguments
    ]
    done = python("-m", "vp_jax.serve", *given)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert done.stderr.count("error: ") == 1 and words in done.stderr


@pytest.mark.slow
def test_nothing_was_compiled_after_the_warm_up(server):
    """The last one, after all that was asked of it."""
    predict(server.address, *(part(picture(i)) for i in range(3)))
    text = ask(server.address, "GET", "/metrics")[2]
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if line[:1] != "#")
    assert values["vp_jax_compiled_total"] == "0.0"
    assert float(values['vp_jax_images_total{outcome="answered"}']) >= 3
    assert float(values["vp_jax_held_images"]) == float(values["vp_jax_held_bytes"]) == 0
    assert json.dumps(values) and "Traceback" not in server.said()
