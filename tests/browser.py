"""A headless browser, driven over WebDriver's HTTP; there is none on every machine."""

import base64
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
_FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-sync", "--disable-component-update", "--hide-scrollbars"),
    *("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"),
)
KEYS = {
    "left": "\ue012",
    "right": "\ue014",
    "enter": "\ue007",
    "escape": "\ue00c",
    "control": "\ue009",
    "shift": "\ue008",
    "alt": "\ue00a",
    "tab": "\ue004",
}


class Browser:
    """One window."""

    def __init__(
        self, folder: Path, *, width_px: int = 1200, height_px: int = 800, language: str = "en-US"
    ) -> None:
        assert CHROMIUM is not None
        assert DRIVER is not None
        self._process = subprocess.Popen([DRIVER, "--port=0"], stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        said = ""
        while not (port := re.search(r"started successfully on port (\d+)", said)):
            said = self._process.stdout.readline()
            assert said, "chromedriver ended"
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{port[1]}", timeout=60, trust_env=False)
        size = {"width": width_px, "height": height_px, "pixelRatio": 1}
        options: dict[str, Any] = {"binary": CHROMIUM, "args": [*_FLAGS, f"--user-data-dir={folder}"]}
        options["prefs"] = {
            "intl.accept_languages": language,
            "download.default_directory": str(folder / "downloads"),
        }
        options["mobileEmulation"] = {"deviceMetrics": {**size, "mobile": width_px < 600}}
        asked = {"browserName": "chrome", "goog:chromeOptions": options}
        asked["goog:loggingPrefs"] = {"browser": "ALL"}
        self._session = ""
        try:
            made = self._client.post("/session", json={"capabilities": {"alwaysMatch": asked}}).json()[
                "value"
            ]
            assert "sessionId" in made, made
        except BaseException:
            self._end()
            raise
        self._session = f"/session/{made['sessionId']}"

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.delete(self._session)
        self._end()

    def _end(self) -> None:
        self._client.close()
        self._process.terminate()
        self._process.communicate(timeout=20)

    def _post(self, path: str, **told: Any) -> Any:
        answer = self._client.post(self._session + path, json=told).json()["value"]
        assert not (isinstance(answer, dict) and "error" in answer), answer
        return answer

    def go(self, address: str, *, until: str) -> None:
        """Open a page, and wait for an expression of its script to be true."""
        self._post("/url", url=address)
        self.wait(until)

    def look(self, color_scheme: str) -> None:
        """Prefer "light" or "dark"."""
        features = [{"name": "prefers-color-scheme", "value": color_scheme}]
        self._post("/goog/cdp/execute", cmd="Emulation.setEmulatedMedia", params={"features": features})

    def get(self, expression: str) -> Any:
        """Give the value of an expression."""
        return self._post("/execute/sync", script=f"return ({expression})", args=[])

    def run(self, statements: str) -> Any:
        """Run statements as an asynchronous function, and give what it returns."""
        script = (
            f"const done = arguments[0]; (async () => {{ {statements} }})().then(done, e => done(String(e)))"
        )
        return self._post("/execute/async", script=script, args=[])

    def click(self, selector: str) -> None:
        """Click an element as a mouse does: what covers it, or is not there, fails."""
        self._post(f"/element/{self._element(selector)}/click")

    def write(self, selector: str, text: str) -> None:
        """Write into a field; into one for files, the path of a file."""
        self._post(f"/element/{self._element(selector)}/value", text=text)

    def _element(self, selector: str) -> str:
        return next(iter(self._post("/element", using="css selector", value=selector).values()))

    def wait(self, expression: str, *, within_s: float | int = 10) -> None:
        """Wait until an expression is true."""
        script = f"""const done = arguments[0], end = performance.now() + {1000 * within_s};
            (function look() {{
              let is = false;
              try {{ is = Boolean({expression}); }} catch {{ is = false; }}
              if (is || performance.now() > end) done(is); else requestAnimationFrame(look);
            }})();"""
        assert self._post("/execute/async", script=script, args=[]), expression

    def press(self, *keys: str, hold: str = "") -> None:
        """Press keys, with another one held down."""
        actions = [{"type": "keyDown", "value": KEYS[hold]}] if hold else []
        for key in keys:
            value = KEYS.get(key, key)
            actions += [{"type": "keyDown", "value": value}, {"type": "keyUp", "value": value}]
        actions += [{"type": "keyUp", "value": KEYS[hold]}] if hold else []
        self._post("/actions", actions=[{"type": "key", "id": "keys", "actions": actions}])

    def complaints(self) -> list[str]:
        """Give what the browser wrote into its console."""
        return [entry["message"] for entry in self._post("/se/log", type="browser")]

    def picture(self, path: Path) -> None:
        """Write what is seen as a PNG."""
        path.write_bytes(base64.b64decode(self._client.get(self._session + "/screenshot").json()["value"]))
