"""A bucket of Google Cloud Storage on the loopback.

It knows as much of the JSON API as gcsfs and TensorStore use, with the generations on which
TensorStore's writes depend.

    python bucket.py 9000     prints a line when it listens

GET /_failing?on=1 makes it answer 500 to everything until on=0.
"""

import base64
import email.parser
import hashlib
import itertools
import json
import re
import sys
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_OBJECT = re.compile(r"(?:/download|/upload)?/storage/v1/b/([^/]+)/o(?:/(.*))?")
_COPY = re.compile(r"(.+)/(rewriteTo/b/[^/]+|moveTo)/o/(.+)")


class Bucket:
    """Objects by name, each with the number of the write that made it."""

    def __init__(self):
        self.lock = threading.Lock()
        self.objects: dict[str, tuple[bytes, int]] = {}
        self.uploads: dict[str, tuple[str, bytearray]] = {}
        self.numbers = itertools.count(1)
        self.is_failing = False

    def put(self, name: str, content: bytes) -> dict:
        self.objects[name] = content, next(self.numbers)
        return self.describe(name)

    def describe(self, name: str) -> dict:
        content, generation = self.objects[name]
        return {
            "kind": "storage#object",
            "name": name,
            "bucket": "bucket",
            "size": str(len(content)),
            "generation": str(generation),
            "metageneration": "1",
            "updated": "2026-01-01T00:00:00.000Z",
            "timeCreated": "2026-01-01T00:00:00.000Z",
            "md5Hash": base64.b64encode(hashlib.md5(content).digest()).decode(),
        }

    def list(self, query: dict) -> dict:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter")
        items, prefixes = [], set()
        for name in sorted(self.objects):
            if not name.startswith(prefix) or name < query.get("startOffset", ""):
                continue
            if query.get("endOffset") and name >= query["endOffset"]:
                continue
            rest = name[len(prefix) :]
            if delimiter and delimiter in rest:
                prefixes.add(prefix + rest.partition(delimiter)[0] + delimiter)
            else:
                items.append(self.describe(name))
        return {"kind": "storage#objects", "items": items, "prefixes": sorted(prefixes)}


class Server(ThreadingHTTPServer):
    """With one bucket, empty at first."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int):
        super().__init__(("127.0.0.1", port), Handler)
        self.bucket = Bucket()


class Handler(BaseHTTPRequestHandler):
    """One request; `server.bucket` is the bucket."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet for head and body, else each answer waits for an acknowledgement

    def log_message(self, *unused):
        """Nothing."""

    def answer(self, status: int, content: bytes | dict = b"", **headers: str) -> None:
        body = json.dumps(content).encode() if isinstance(content, dict) else content
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle_request(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urllib.parse.urlsplit(self.path)
        query = {key: values[0] for key, values in urllib.parse.parse_qs(url.query).items()}
        bucket = self.server.bucket
        with bucket.lock:
            if url.path == "/_failing":
                bucket.is_failing = query["on"] == "1"
                self.answer(200)
            elif bucket.is_failing:
                self.answer(500, {"error": {"code": 500, "message": "the server has an error"}})
            elif url.path.startswith("/batch"):
                self.batch(body)
            elif found := _OBJECT.fullmatch(url.path):
                self.of_object(urllib.parse.unquote(found[2] or ""), query, body)
            else:  # the bucket itself
                self.answer(200, {"kind": "storage#bucket", "name": "bucket"})

    do_GET = do_POST = do_PUT = do_DELETE = handle_request  # noqa: N815

    def of_object(self, name: str, query: dict, body: bytes) -> None:
        bucket = self.server.bucket
        if self.path.startswith("/upload"):
            self.upload(query, body)
        elif self.command == "GET" and not name:
            self.answer(200, bucket.list(query))
        elif (copy := _COPY.fullmatch(name)) and copy[1] in bucket.objects:
            content, _ = bucket.objects[copy[1]]
            if copy[2] == "moveTo":
                del bucket.objects[copy[1]]
            self.answer(200, bucket.put(copy[3], content) | {"done": True})
        elif self.refused(name, query):
            pass
        elif name not in bucket.objects:
            self.answer(404, {"error": {"code": 404, "message": f"No such object: {name}"}})
        elif self.command == "DELETE":
            del bucket.objects[name]
            self.answer(204)
        elif query.get("alt") == "media":
            self.download(name)
        else:
            self.answer(200, bucket.describe(name))

    def refused(self, name: str, query: dict) -> bool:
        """Answers where a generation is not the one that the request depends on."""
        _, generation = self.server.bucket.objects.get(name, (b"", 0))
        if query.get("ifGenerationNotMatch") == str(generation):
            self.answer(304, x_goog_generation=str(generation))
        elif query.get("ifGenerationMatch", str(generation)) != str(generation):
            self.answer(412, {"error": {"code": 412, "message": "conditionNotMet"}})
        else:
            return False
        return True

    def download(self, name: str) -> None:
        content, generation = self.server.bucket.objects[name]
        facts = {"x_goog_generation": str(generation), "Content_Type": "application/octet-stream"}
        if not (wanted := re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))):
            self.answer(200, content, **facts)
            return
        first = int(wanted[1]) if wanted[1] else len(content) - int(wanted[2])
        part = content[first : int(wanted[2]) + 1 if wanted[1] and wanted[2] else None]
        if not part:
            self.answer(416)
            return
        facts["Content_Range"] = f"bytes {first}-{first + len(part) - 1}/{len(content)}"
        self.answer(206, part, **facts)

    def upload(self, query: dict, body: bytes) -> None:
        bucket, name = self.server.bucket, query.get("name", "")
        if "upload_id" in query:
            name, content = bucket.uploads[query["upload_id"]]
            content += body
            found = re.fullmatch(r"bytes .*/(\d+|\*)", self.headers.get("Content-Range", ""))
            if found and found[1] == "*":
                self.answer(308, Range=f"bytes=0-{len(content) - 1}")
            else:
                self.answer(200, bucket.put(name, bytes(content)))
        elif query.get("uploadType") == "resumable":
            key = str(next(bucket.numbers))
            bucket.uploads[key] = json.loads(body or b"{}").get("name", name), bytearray()
            self.answer(200, Location=f"http://{self.headers['Host']}{self.path}&upload_id={key}")
        else:
            if query.get("uploadType") == "multipart":
                name, body = self.parts(body)
            if not self.refused(name, query):
                self.answer(200, bucket.put(name, body))

    def parts(self, body: bytes) -> tuple[str, bytes]:
        """The name and the content of an upload in two parts."""
        boundary = re.search('boundary="?([^";]+)', self.headers["Content-Type"])[1]
        mark = f"--{boundary}".encode()
        facts, _, content = body.partition(mark)[2].partition(mark)
        content = content.rpartition(b"\n" + mark)[0].partition(b"\n\n")[2]
        return json.loads(facts.partition(b"\n\n")[2])["name"], content

    def batch(self, body: bytes) -> None:
        """Deletions, which is all that gcsfs sends in batches."""
        header = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        answers = []
        for part in email.parser.BytesParser().parsebytes(header + body).get_payload():
            path = urllib.parse.urlsplit(part.get_payload().split()[1]).path
            name = urllib.parse.unquote(_OBJECT.fullmatch(path)[2])
            found = self.server.bucket.objects.pop(name, None)
            status = "204 No Content" if found else "404 Not Found"
            answers.append(
                f"--answers\r\nContent-Type: application/http\r\n"
                f"Content-ID: <response-{(part['Content-ID'] or '').strip('<>')}>\r\n\r\n"
                f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n"
            )
        content = "".join([*answers, "--answers--"]).encode()
        self.answer(200, content, Content_Type="multipart/mixed; boundary=answers")


if __name__ == "__main__":
    running = Server(int(sys.argv[1]))
    print(f"http://127.0.0.1:{running.server_port}", flush=True)
    running.serve_forever()
