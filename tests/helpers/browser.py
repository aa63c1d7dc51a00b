"""Headless Chromium for tests, driven over its debugging socket: no driver, no network."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

__all__ = ["Browser", "needs_chromium"]

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--hide-scrollbars", "--remote-debugging-port=0", "--remote-allow-origins=*",
)  # fmt: skip
PATIENCE = 120.0  # seconds: a busy machine takes tens of them to start a browser

needs_chromium = pytest.mark.skipif(
    shutil.which("chromium") is None, reason="there is no Chromium here"
)


class Browser:
    """One page of a fresh profile."""

    def __init__(self, profile: Path) -> None:
        self.process = subprocess.Popen(
            [str(shutil.which("chromium")), *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        found = profile / "DevToolsActivePort"
        self.wait(lambda: found.is_file() and len(found.read_text().splitlines()) == 2)
        port = found.read_text().splitlines()[0]
        self.wait(lambda: _pages(port))
        (page,) = _pages(port)
        websocket = pytest.importorskip("websocket")
        self.socket = websocket.create_connection(page["webSocketDebuggerUrl"], timeout=PATIENCE)
        self.sent = 0
        self.events: list[dict[str, Any]] = []
        self.call("Runtime.enable")
        self.call("Log.enable")

    @staticmethod
    def wait(ready: Callable[[], object], seconds: float = PATIENCE) -> None:
        end = time.monotonic() + seconds
        while not ready():
            assert time.monotonic() < end, "the browser did not come so far"
            time.sleep(0.02)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self.sent += 1
        self.socket.send(json.dumps({"id": self.sent, "method": method, "params": parameters}))
        while (reply := json.loads(self.socket.recv())).get("id") != self.sent:
            self.events.append(reply)
        assert "error" not in reply, reply
        result: dict[str, Any] = reply["result"]
        return result

    def run(self, code: str) -> Any:
        """The value of a JavaScript expression; a promise is awaited."""
        found = self.call(
            "Runtime.evaluate", expression=code, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def open(self, url: str) -> None:
        # An address of its own: the page that is there now may have the same, and be complete.
        url = f"{url}?{self.sent}"
        self.call("Page.navigate", url=url)
        self.wait(
            lambda: self.run("document.readyState + location.href").startswith("complete" + url)
        )

    def size(self, width: int, height: int) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 500,
        )  # fmt: skip

    def prefer(self, **features: str) -> None:
        """Media features, such as ``prefers_color_scheme="dark"``."""
        told = [{"name": k.replace("_", "-"), "value": v} for k, v in features.items()]
        self.call("Emulation.setEmulatedMedia", features=told)

    def shot(self, path: Path) -> None:
        data = self.call("Page.captureScreenshot", format="png")["data"]
        path.write_bytes(base64.b64decode(data))

    def complaints(self) -> list[str]:
        """Errors of scripts and of the console since the browser started."""
        kinds = {"Runtime.exceptionThrown", "Log.entryAdded"}
        return [json.dumps(e["params"])[:400] for e in self.events if e.get("method") in kinds]

    def text(self) -> str:
        return str(self.run("document.body ? document.body.innerText : ''"))

    def press(self, *keys: str) -> None:
        for key in keys:
            self.call("Input.dispatchKeyEvent", type="keyDown", key=key, code=key)
            self.call("Input.dispatchKeyEvent", type="keyUp", key=key, code=key)

    def close(self) -> None:
        self.socket.close()
        self.process.terminate()
        self.process.wait(30)


def _pages(port: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/json", timeout=30) as reply:
        return [target for target in json.load(reply) if target["type"] == "page"]
