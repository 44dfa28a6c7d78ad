"""The page as people use it: in Chromium, narrow and wide, with keys alone, and read out aloud."""

import io
import shutil

import numpy as np
import pytest
from clients import picture
from PIL import Image

sync_api = pytest.importorskip("playwright.sync_api", reason="of the extra 'browser'")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="of the extra 'browser'")
expect = sync_api.expect
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
pytestmark = [
    pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium here"),
    pytest.mark.slow(seconds=10),
]
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
RESULTS = "#results > li"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield running
        running.close()


@pytest.fixture
def opened(browser, server):
    """A function that opens the page; at the end nothing may have been wrong in its console."""
    wrong, contexts = [], []

    def page_of(width, **more):
        context = browser.new_context(viewport={"width": width, "height": 800}, **more)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if is_wrong(said) else None)
        page.on("request", lambda asked: wrong.append(asked.url) if is_foreign(asked.url) else None)
        page.goto(server.url)
        page.wait_for_function(
            "document.querySelector('#about').textContent.includes('clip_small')"
        )
        return page

    def is_wrong(said):
        """Whether it is an error; a refusal that the page handles, which browsers note, is none."""
        return said.type == "error" and "Failed to load resource" not in said.text

    def is_foreign(url):
        return not url.startswith((server.url, "data:", "blob:"))

    yield page_of
    for context in contexts:
        context.close()
    assert wrong == []


@pytest.fixture
def images(tmp_path):
    """Files: two images, one of an odd name, and one that is none."""
    paths = [tmp_path / name for name in ("one.png", "häuser [1] <b>(neu).jpg", "notes.txt")]
    paths[0].write_bytes(picture(0))
    paths[1].write_bytes(picture(1, (90, 50), "JPEG"))
    paths[2].write_text("no image")
    return paths


def violations(page):
    found = axe.Axe().run(page).response["violations"]
    return [(x["id"], x["nodes"][0]["html"]) for x in found]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_images_are_chosen_and_the_page_fits_and_can_be_read_out(opened, images, width, scheme):
    page = opened(width, color_scheme=scheme)
    assert violations(page) == []
    page.set_input_files("#files", images)
    expect(page.locator(RESULTS)).to_have_count(3)
    assert page.locator(f"{RESULTS} h2").all_text_contents() == [x.name for x in images]
    expect(page.locator("#status")).to_have_text("3 images done, 1 could not be read.")
    first = page.locator(RESULTS).first
    assert first.locator("h3").all_text_contents() == ["Without the prompt", "With the prompt"]
    assert first.locator(".classes").count() == 2 and first.locator(".classes li").count() == 10
    for picture_ in first.locator("img").all():
        assert picture_.evaluate("x => x.complete && x.naturalWidth") == 32
        assert "as the model sees it" in picture_.get_attribute("alt")
    assert "text" in page.locator(f"{RESULTS} .wrong").text_content()
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") == width
    shown = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("L"))
    assert (shown[5, 5] > 128) == (scheme == "light") and shown.std() > 10


@pytest.mark.parametrize("path", ["/docs"])
def test_the_reference_can_be_read_out(opened, server, path):
    page = opened(390, color_scheme="dark")
    page.goto(server.url + path)
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_keys_alone_reach_both_ways_to_give_an_image(opened, images):
    page = opened(1280)
    for name in ("files", "camera"):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id") == name
        outline = f"getComputedStyle(document.querySelector('#{name} + label')).outlineStyle"
        assert page.evaluate(outline) == "solid"
        with page.expect_file_chooser() as chosen:
            page.keyboard.press("Space")
        chosen.value.set_files(images[0])
    expect(page.locator(RESULTS)).to_have_count(2)
    assert page.get_attribute("#camera", "capture") == "environment"
    assert page.get_attribute("#status", "aria-live") == "polite"


GIVE = """async ([kind, bytes]) => {
  const data = new DataTransfer();
  data.items.add(new File([new Uint8Array(bytes)], "given.png", { type: "image/png" }));
  const event = kind === "paste"
    ? new ClipboardEvent("paste", { clipboardData: data, bubbles: true })
    : new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true });
  document.querySelector("#drop").dispatchEvent(event);
}"""


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_images_are_dropped_and_pasted(opened, kind):
    page = opened(1280)
    page.evaluate(GIVE, [kind, list(picture(3))])
    expect(page.locator(RESULTS)).to_have_count(1)
    assert page.text_content(f"{RESULTS} h2") == "given.png"


def test_many_images_are_sent_in_requests_that_the_server_takes(opened, tmp_path):
    page = opened(390)
    paths = [tmp_path / f"{i}.png" for i in range(10)]  # Four are the most of a request.
    for i, path in enumerate(paths):
        path.write_bytes(picture(i))
    page.set_input_files("#files", paths)
    expect(page.locator(RESULTS)).to_have_count(10, timeout=60_000)
    assert page.locator(".wrong").count() == 0


def test_what_the_server_refuses_is_said(opened, tmp_path):
    page = opened(390)
    large = tmp_path / "large.bmp"
    large.write_bytes(bytes(2**20))
    page.set_input_files("#files", large)
    expect(page.locator("#status.wrong")).to_contain_text("1,048,576 bytes")
