"""A server on this machine that speaks what huggingface_hub needs of the Hub.

Repositories are made, files are committed and fetched.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.server
import json
import re
import threading

TOKEN = "hf_secretsecretsecretsecretsecretsecr"
COMMIT = "0123456789012345678901234567890123456789"


class Hub:
    """What the server was told.

    Attributes:
      address: of the server.
      files: contents of repositories by `owner/name` and path.
      private: whether a repository is private.
      refuses: whether nobody may write.
      authorised: the requests that came with the token.
    """

    def __init__(self):
        self.address = ""
        self.files = {}
        self.private = {}
        self.refuses = False
        self.authorised = []


@contextlib.contextmanager
def serve():
    """Yields a `Hub`; the server stops at the end."""
    hub = Hub()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


def _handler(hub):
    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def answer(self, status, value=None, headers=(), body=None):
            content = json.dumps(value).encode() if body is None else body
            self.send_response(status)
            for name, text in (("Content-Length", str(len(content))), *headers):
                self.send_header(name, text)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def do_POST(self):
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length) if length else self.chunks()
            if self.headers.get("Authorization") == f"Bearer {TOKEN}":
                hub.authorised.append(self.path)
            elif self.path != "/api/validate-yaml":
                return self.answer(401, {"error": "log in"})
            if hub.refuses:
                return self.answer(403, {"error": "not yours"})
            if self.path == "/api/repos/create":
                asked = json.loads(body)
                name = f"{asked['organization']}/{asked['name']}"
                if name in hub.files:
                    return self.answer(409, {"url": f"{hub.address}/{name}"})
                hub.files[name], hub.private[name] = {}, asked.get("private", False)
                return self.answer(200, {"url": f"{hub.address}/{name}"})
            if self.path == "/api/validate-yaml":
                return self.answer(200, {"warnings": [], "errors": []})
            if re.search("/preupload/main$", self.path):
                modes = {"uploadMode": "regular", "shouldIgnore": False}
                files = [{"path": x["path"], **modes} for x in json.loads(body)["files"]]
                return self.answer(200, {"files": files})
            name = re.fullmatch("/api/models/(.+)/commit/main", self.path)[1]
            for line in filter(None, body.splitlines()):
                item = json.loads(line)
                if item["key"] == "file":
                    content = base64.b64decode(item["value"]["content"])
                    hub.files[name][item["value"]["path"]] = content
            url = f"{hub.address}/{name}/commit/{COMMIT}"
            return self.answer(200, {"commitUrl": url, "commitOid": COMMIT})

        def chunks(self):
            found = b""
            while size := int(self.rfile.readline(), 16):
                found += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return found

        def do_GET(self):
            fetched = re.fullmatch("/([^/]+/[^/]+)/resolve/[^/]+/(.+)", self.path)
            asked = re.fullmatch("/api/models/([^/]+/[^/]+?)(/revision/main)?", self.path)
            name = (fetched or asked)[1] if fetched or asked else ""
            missing = [("X-Error-Code", "RepoNotFound"), ("X-Error-Message", "no such thing")]
            if name not in hub.files:
                return self.answer(401, {}, missing)
            if asked:
                about = {"id": name, "private": hub.private[name], "sha": COMMIT, "siblings": []}
                return self.answer(200, about)
            content = hub.files[name].get(fetched[2])
            if content is None:
                return self.answer(404, {}, [("X-Error-Code", "EntryNotFound")])
            tag = hashlib.sha1(content).hexdigest()
            headers = [("ETag", f'"{tag}"'), ("X-Repo-Commit", COMMIT)]
            return self.answer(200, headers=headers, body=content)

        do_HEAD = do_GET

    return Handler
