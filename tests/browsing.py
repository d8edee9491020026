"""A browser without a window: Debian's chromium and its driver, by selenium.

``python tests/browsing.py results/leaderboard/index.html docs/images`` takes the pictures of the
leaderboard that the README shows.
"""

import shutil
import sys
import tempfile
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.common.by import By

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
SWITCHES = ("headless=new", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run")
SWITCHES += ("disable-background-networking", "disable-component-update", "disable-sync")


def start(profile: Path) -> webdriver.Chrome:
    """A browser with a fresh profile that keeps its console and its requests."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for switch in (*SWITCHES, f"user-data-dir={profile}"):
        options.add_argument(f"--{switch}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(options, webdriver.ChromeService(DRIVER))


def set_size(browser: webdriver.Chrome, width: int, height: int, phone: bool = False) -> None:
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def prefer(browser: webdriver.Chrome, scheme: str) -> None:
    features = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", features)


def take_pictures(page: Path, folder: Path) -> None:
    """The table on a desktop, and on a phone, in the dark, the details of its best row."""
    with tempfile.TemporaryDirectory() as profile:
        browser = start(Path(profile))
        try:
            set_size(browser, 1280, 900)
            browser.get(page.resolve().as_uri())
            browser.save_screenshot(str(folder / "leaderboard.png"))
            set_size(browser, 390, 844, phone=True)
            prefer(browser, "dark")
            browser.refresh()
            order = "return details.rows.findIndex((row) => row.ipc === '10')"
            rows = "const details = JSON.parse(document.getElementById('details').textContent);"
            first = max(browser.execute_script(rows + order), 0)
            row = browser.find_element(By.CSS_SELECTOR, f"tr[data-row='{first}'] .method")
            browser.execute_script("arguments[0].click()", row)
            browser.save_screenshot(str(folder / "leaderboard_phone.png"))
        finally:
            browser.quit()


if __name__ == "__main__":
    take_pictures(Path(sys.argv[1]), Path(sys.argv[2]))
