"""The leaderboard in a real browser, without a window: Debian's chromium and its driver."""

import base64
import io
import json
import math

import boards
import pandas as pd
import pytest

pytest.importorskip("selenium", reason="selenium is not installed")
import browsing
from browsing import prefer, set_size
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not (browsing.CHROMIUM and browsing.DRIVER),
        reason="no chromium with chromedriver on this machine",
    ),
]


@pytest.fixture(scope="module")
def leaderboard(tmp_path_factory):
    folder = tmp_path_factory.mktemp("board")
    return folder / "index.html", boards.make(folder)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    driver = browsing.start(tmp_path_factory.mktemp("profile"))
    yield driver
    driver.quit()


@pytest.fixture
def page(opened):
    """The page with all its rows."""
    show_all(opened)
    return opened


@pytest.fixture
def opened(browser, leaderboard):
    """The page, freshly opened on a desktop; afterwards, its logs hold no error."""
    set_size(browser, 1280, 900)
    prefer(browser, "light")
    browser.get("about:blank")
    for kind in ("browser", "performance"):
        browser.get_log(kind)
    browser.get(leaderboard[0].as_uri())
    browser.execute_script("localStorage.clear()")
    browser.get(leaderboard[0].as_uri())
    yield browser
    assert browser.get_log("browser") == []
    assert outside(browser) == []
    assert browser.title == "Leaderboard: dataset condensation", "no script in the data has run"


def show_all(page):
    page.find_element(By.CSS_SELECTOR, "button[type=reset]").click()
    WebDriverWait(page, 10).until(lambda _: len(keys_of(page)) == 50)


def outside(browser) -> list[str]:
    """Return the addresses outside the page that the browser requested."""
    addresses = []
    for entry in browser.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] in ("Network.requestWillBeSent", "Network.webSocketCreated"):
            inner = message["params"]
            addresses.append(inner["request"]["url"] if "request" in inner else inner["url"])
    assert any(url.startswith("file:") for url in addresses), "the log sees requests"
    return [url for url in addresses if not url.startswith(("file:", "data:", "blob:", "about:"))]


def column(page, number) -> list[str]:
    cells = "document.querySelectorAll(`#board tbody td:nth-child(${arguments[0]})`)"
    texts = page.execute_script(f"return Array.from({cells}, (cell) => cell.innerText)", number)
    return [" ".join(text.split()) for text in texts]


def keys_of(page) -> list[int]:
    rows = "document.querySelectorAll('#board tbody tr')"
    return page.execute_script(f"return Array.from({rows}, (row) => Number(row.dataset.row))")


def method(page, name):
    buttons = page.find_elements(By.CSS_SELECTOR, "#board .method")
    return next(button for button in buttons if button.text == name)


def header(page, title):
    heads = page.find_elements(By.CSS_SELECTOR, "#board thead th")
    return next(head for head in heads if head.text.strip().startswith(title))


def sorted_by(page, head, way):
    """Wait until the header says that the table is sorted; sorting may be delayed."""
    WebDriverWait(page, 10).until(lambda _: head.get_attribute("aria-sort") == way)


def dialog(page):
    return page.find_element(By.ID, "detail")


def choose(page, name, value):
    select = page.find_element(By.CSS_SELECTOR, f"select[data-filter={name}]")
    select.find_element(By.CSS_SELECTOR, f"option[value='{value}']").click()


def test_it_opens_on_dsa_and_the_largest_ipc_that_most_methods_have(opened, leaderboard):
    board = leaderboard[1].board
    selects = opened.find_elements(By.CSS_SELECTOR, "#filters select")
    chosen = {
        select.get_attribute("data-filter"): select.get_attribute("value") for select in selects
    }
    assert chosen == {
        **{"dataset": "small", "ipc": "10", "augmentation": "dsa", "architecture": "convnet"}
    }
    expected = board
    for name, value in chosen.items():
        expected = expected[expected[name] == value]
    assert keys_of(opened) == list(expected.index) and len(expected) > 1


def test_the_bars_reach_from_the_lowest_to_the_highest_row_shown(opened, leaderboard):
    board = leaderboard[1].board
    for prepare in (lambda _: None, show_all):
        prepare(opened)
        shown = board.loc[keys_of(opened)]
        low = math.floor(shown["low"].fillna(shown["mean"]).min())
        high = math.ceil(shown["high"].fillna(shown["mean"]).max())
        assert opened.find_element(By.ID, "scale").text == f"bars: {low} to {high}"
        best = shown["mean"].idxmax()
        track = f"#board tr[data-row='{best}'] .track"
        box = opened.find_element(By.CSS_SELECTOR, track).rect
        mark = opened.find_element(By.CSS_SELECTOR, f"{track} em").rect
        share = (shown["mean"][best] - low) / (high - low)
        assert mark["x"] + 1 - box["x"] == pytest.approx(share * box["width"], abs=1.5)


def test_it_is_ranked_on_a_single_page(page, leaderboard):
    assert keys_of(page) == list(range(50))  # of 50 rows
    assert len(leaderboard[1].board) == 50
    assert page.find_elements(By.CSS_SELECTOR, ".dt-paging") == []
    assert column(page, 1)[:6] == ["1/5", "2/5", "3/5", "4/5", "4/5", "\u2013"]
    assert "All rows: optimizer sgd, labels own." in page.find_element(By.TAG_NAME, "main").text


def test_sorting_by_click_and_by_keyboard(page, leaderboard):
    board = leaderboard[1].board
    head = header(page, "Accuracy")
    head.click()
    sorted_by(page, head, "ascending")
    shown = [board["mean"][row] for row in keys_of(page)]
    failed = [value for value in shown if value != value]
    assert len(failed) == 12 and all(value != value for value in shown[:12])
    assert shown[12:] == sorted(shown[12:])
    head.click()
    sorted_by(page, head, "descending")
    shown = [board["mean"][row] for row in keys_of(page)][:-12]
    assert shown == sorted(shown, reverse=True) and len(shown) == 38

    head = header(page, "IPC")
    head.find_element(By.CSS_SELECTOR, "[tabindex='0']").send_keys(Keys.ENTER)
    sorted_by(page, head, "ascending")
    shown = [board["ipc"][row] for row in keys_of(page)]
    assert shown == ["1"] * 25 + ["10"] * 24 + ["all"]
    head = header(page, "Time")
    head.click()
    sorted_by(page, head, "ascending")
    shown = [board["seconds"][row] for row in keys_of(page)]
    assert shown == sorted(shown)


def test_filtering(page, leaderboard):
    board = leaderboard[1].board
    choose(page, "augmentation", "dsa")
    choose(page, "architecture", "mlp")
    choose(page, "ipc", "10")
    expected = (board["augmentation"] == "dsa") & (board["architecture"] == "mlp")
    expected &= board["ipc"] == "10"
    assert keys_of(page) == list(board.index[expected])
    page.find_element(By.ID, "search").send_keys("kip")
    assert column(page, 2) == ["kip"]
    page.find_element(By.ID, "search").send_keys("x")
    assert "No row fits these filters." in page.find_element(By.ID, "board").text
    show_all(page)
    choose(page, "dataset", "other")
    assert column(page, 2) == ["random"]


def test_the_detail_view_by_click_holds_everything(page):
    row = method(page, "dm").find_element(By.XPATH, "ancestor::tr")
    row.find_element(By.CSS_SELECTOR, "td:nth-child(5)").click()  # anywhere on the row
    text = dialog(page).text
    assert "dm" in text and "small · IPC 1 · dsa · convnet · sgd" in text
    image = dialog(page).find_element(By.TAG_NAME, "img")
    wide = page.execute_script("return [arguments[0].naturalWidth, arguments[0].alt]", image)
    assert wide == [3 * 33 + 1, "Condensed images: 3 classes, 1 per class"]
    curves = dialog(page).find_elements(By.CSS_SELECTOR, "svg .curve")
    assert len(curves) == 6
    assert {curve.get_attribute("d").count("L") for curve in curves} == {2}
    # a loss of 2 where they run from 0.1235 to 3: 208 pixels from top to bottom, logarithmic
    height = 8 + 208 * (1 - math.log(2 / 0.1235) / math.log(3 / 0.1235))
    assert curves[0].get_attribute("d").startswith(f"M46.0 {height:.1f}L")
    assert len(dialog(page).find_elements(By.CSS_SELECTOR, ".classes > div")) == 3
    assert boards.HOSTILE in text, "as text"
    for fact in ("cd" * 8, "ab" * 8, "ef" * 32, "seconds", "epochs", "Set 0", "Set 1"):
        assert fact in text, fact
    dialog(page).find_element(By.CSS_SELECTOR, "button[aria-label=Close]").click()
    assert not dialog(page).is_displayed()


def test_the_detail_view_of_a_failure_says_why(page):
    choose(page, "ipc", "10")
    method(page, "tm").click()
    text = dialog(page).text
    assert f"oom: {boards.CAUSE}" in text and "failed at iteration" in text
    assert "No network was trained." in text and "Not recorded." in text
    dialog(page).send_keys(Keys.ESCAPE)
    choose(page, "ipc", "all")
    method(page, "whole").click()
    assert "The real training images." in dialog(page).text


def test_the_detail_view_by_keyboard(page):
    active = page.switch_to.active_element
    for _ in range(40):
        active.send_keys(Keys.TAB)
        active = page.switch_to.active_element
        if "method" in (active.get_attribute("class") or ""):
            break
    assert active.text == "dm"
    outline = page.execute_script("return getComputedStyle(arguments[0]).outlineStyle", active)
    assert outline == "solid", "the focus can be seen"
    active.send_keys(Keys.ENTER)
    assert dialog(page).is_displayed()
    inside = "return document.getElementById('detail').contains(document.activeElement)"
    assert page.execute_script(inside)
    page.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert not dialog(page).is_displayed()
    assert page.switch_to.active_element == active, "the focus is back where it was"


def brightness(page) -> float:
    colour = page.execute_script("return getComputedStyle(document.body).backgroundColor")
    return sum(map(int, colour[4:-1].split(","))) / 3


def test_light_and_dark(page):
    toggle = page.find_element(By.ID, "theme")
    assert brightness(page) > 200 and toggle.get_attribute("aria-pressed") == "false"
    toggle.click()
    assert brightness(page) < 50 and toggle.get_attribute("aria-pressed") == "true"
    page.refresh()
    assert brightness(page) < 50, "it is remembered"
    page.execute_script("localStorage.clear()")
    prefer(page, "dark")
    page.refresh()
    assert brightness(page) < 50, "as the system prefers"
    page.find_element(By.ID, "theme").click()
    assert brightness(page) > 200


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_contrasts_with_its_background(page, scheme):
    """Contrast of at least 4.5, as WCAG AA asks."""
    prefer(page, scheme)
    page.refresh()
    probe = """
        const [text, ground] = arguments[0].map((name) => {
          const probe = document.body.appendChild(document.createElement("i"));
          probe.style.color = `var(--${name})`;
          const colour = getComputedStyle(probe).color;
          probe.remove();
          return colour;
        });
        return [text, ground];"""

    def luminance(colour):
        shares = [int(part) / 255 for part in colour[4:-1].split(",")]
        linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for name in ("ink", "quiet", "accent", "failed"):
        for ground in ("ground", "raised"):
            pair = sorted(map(luminance, page.execute_script(probe, [name, ground])))
            assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 4.5, (name, ground)


def test_the_download_is_the_table(page, tmp_path):
    link = page.find_element(By.ID, "download")
    content = base64.b64decode(link.get_attribute("href").partition("base64,")[2]).decode()
    page.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)}
    )
    link.click()
    saved = tmp_path / "leaderboard.csv"
    WebDriverWait(page, 20).until(lambda _: saved.is_file())
    assert saved.read_bytes().decode() == content
    table = pd.read_csv(io.StringIO(content), dtype=str, keep_default_na=False)
    assert list(table["method"]) == column(page, 2)
    assert list(table["dataset"]) == column(page, 5)
    for gain, shown in zip(table["gain"], column(page, 4), strict=True):
        assert shown.split()[0] == (f"{float(gain):+.2f}" if gain else "\u2013")
    for got, shown in zip(table.to_dict("records"), column(page, 3), strict=True):
        words = shown.split()
        if got["state"] == "ok":
            assert f"{float(got['mean']):.2f}" == words[0]
            assert got["low"] == "" or f"{float(got['low']):.2f}" == words[1]
        else:
            assert (got["state"], words[0]) in {("oom", "OOM"), ("diverged", "diverged")}
    ranks = [f"{row.rank}/{row.ranked}" if row.rank else "\u2013" for row in table.itertuples()]
    assert ranks == column(page, 1)


@pytest.mark.parametrize(("width", "height"), [(390, 844), (320, 640), (768, 1024)])
def test_a_narrow_screen_needs_no_sideways_scrolling(page, width, height):
    set_size(page, width, height, phone=True)
    page.refresh()
    show_all(page)
    fits = "return document.scrollingElement.scrollWidth <= innerWidth && innerWidth"
    assert page.execute_script(fits) == width
    if width < 760:
        board = page.find_element(By.ID, "board")
        assert board.rect["width"] <= width, "the table itself is not cut either"
        assert "small · IPC 1 · dsa · convnet" in board.text
        method(page, "dm").click()
        inner = "const d = document.getElementById('detail'); return d.scrollWidth <= d.clientWidth"
        assert page.execute_script(inner)
        assert dialog(page).rect["width"] == width


def test_without_scripts_the_table_can_be_read(browser, leaderboard):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    browser.get(leaderboard[0].as_uri())
    try:
        assert len(browser.find_elements(By.CSS_SELECTOR, "#board tbody tr")) == 50
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_the_page_may_not_ask_the_network_for_anything(browser, leaderboard):
    """The checks after each test would also have seen the request."""
    browser.get(leaderboard[0].as_uri())
    browser.get_log("browser")
    browser.execute_async_script(
        "const done = arguments[0]; fetch('http://127.0.0.1:9/').then(done, () => done());"
    )
    errors = browser.get_log("browser")
    assert errors and all("Content Security Policy" in error["message"] for error in errors)
