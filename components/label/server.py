"""The labelling page's server: this machine only, one CSV, rewritten whole with every answer."""

from __future__ import annotations

import csv
import io
import json
import mimetypes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fairness_core.attributes import AttributeSpace

__all__ = ["LabelServer"]

HOST = "127.0.0.1"
PAGE = Path(__file__).with_name("page.html")
LARGEST = 100_000  # bytes of an answer


class LabelServer(ThreadingHTTPServer):
    """Serves the page, the images and what is to be asked; takes the answers.

    Args:
        folder: Where the files' paths start.
        files: Images in the order they are asked about; no other file is served.
        space: What is asked.
        out: The CSV; labels that it holds already are kept.
        port: 0: any free one.

    Raises:
        ArtifactError: The CSV is damaged or of other attributes.
        OSError: The port is taken.
    """

    daemon_threads = True

    def __init__(
        self, folder: Path, files: list[str], space: AttributeSpace, out: Path, port: int
    ) -> None:
        from fairness_core.evaluation import read_labels

        self.folder, self.files, self.space, self.out = folder, files, space, out
        self._lock = Lock()
        self._rows: dict[str, dict[str, str]] = {}
        if out.is_file():
            rows = read_labels(out, space).fillna("").to_dict("records")
            self._rows = {
                str(row["file"]): {str(name): str(value) for name, value in row.items()}
                for row in rows
            }
        super().__init__((HOST, port), _Handler)

    @property
    def address(self) -> str:
        """Where the page is."""
        return f"http://{HOST}:{self.server_address[1]}/"

    @property
    def labelled(self) -> int:
        """How many of the images have an answer."""
        return sum(file in self._rows for file in self.files)

    def task(self) -> dict[str, Any]:
        """What is asked, and which images have an answer already."""
        return {
            "attributes": [{"name": a.name, "classes": a.classes} for a in self.space.attributes],
            "images": [{"done": file in self._rows} for file in self.files],
        }

    def take(self, answer: Any) -> str | None:
        """Save an answer; returns why it cannot be, or None."""
        if not isinstance(answer, dict) or answer.get("face") not in ("yes", "no"):
            return "an answer says whether there is a face: yes or no"
        index, labels = answer.get("image"), answer.get("labels", {})
        if type(index) is not int or not 0 <= index < len(self.files):
            return "there is no such image"
        if not isinstance(labels, dict) or set(labels) - set(self.space.names):
            return "an answer is about attributes that are not asked"
        row = {"file": self.files[index], "face": answer["face"]}
        for attribute in self.space.attributes:
            label = labels.get(attribute.name, "") if answer["face"] == "yes" else ""
            if label not in ("", *attribute.classes):
                return f"'{label}' is no class of {attribute.name}"
            row[attribute.name] = label
        with self._lock:
            self._rows[row["file"]] = row
            self._write()
        return None

    def _write(self) -> None:
        from fairness_core.runtime import atomic_file

        text = io.StringIO()
        names = ["file", "face", *self.space.names]
        table = csv.DictWriter(text, names, extrasaction="ignore", lineterminator="\n")
        table.writeheader()
        table.writerows(self._rows.values())
        with atomic_file(self.out) as temporary:
            temporary.write_text(text.getvalue(), encoding="utf-8")


class _Handler(BaseHTTPRequestHandler):
    server: LabelServer

    def do_GET(self) -> None:
        """Page, task or image."""
        if not self._asked_here():
            return
        if self.path == "/":
            self._reply(200, PAGE.read_bytes(), "text/html; charset=utf-8")
        elif self.path == "/task":
            self._reply(200, json.dumps(self.server.task()).encode(), "application/json")
        else:
            self._image(self.path.removeprefix("/image/"))

    def do_POST(self) -> None:
        """An answer."""
        size = self.headers.get("Content-Length") or ""
        if not self._asked_here():
            return
        # Another site's page can send a form here, but not JSON.
        sent_json = self.headers.get("Content-Type") == "application/json"
        if self.path != "/label" or not sent_json or not size.isdigit() or int(size) > LARGEST:
            self._reply(400, b"not an answer", "text/plain")
            return
        try:
            problem = self.server.take(json.loads(self.rfile.read(int(size))))
        except ValueError:
            problem = "an answer is JSON"
        self._reply(400 if problem else 200, (problem or "saved").encode(), "text/plain")

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the terminal for the address."""

    def _asked_here(self) -> bool:
        """Refuse a name that a foreign page made to point at this machine."""
        port = self.server.server_address[1]
        here = self.headers.get("Host") in (f"{HOST}:{port}", f"localhost:{port}")
        if not here:
            self._reply(403, b"ask this machine", "text/plain")
        return here

    def _image(self, name: str) -> None:
        files = self.server.files
        path = None
        if name.isdigit() and int(name) < len(files):
            path = self.server.folder / files[int(name)]
        if path is None or not path.is_file():
            self._reply(404, b"there is no such image", "text/plain")
            return
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        self._reply(200, path.read_bytes(), kind)

    def _reply(self, status: int, content: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(content)
