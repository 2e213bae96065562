"""Recording what a client and a Label Studio say to each other, and a real HTTP server that says it again."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

RECORDED = Path(__file__).parent / "recorded"


def record_into(client, exchanges: list) -> None:
    """Append every exchange of `client`; tokens are left out."""

    def hook(response):
        response.read()
        request = response.request
        secret = "/api/token" in request.url.path
        is_json = request.headers.get("content-type") == "application/json"
        answer = {"access": "ACCESS"} if secret and response.is_success else _json(response)
        exchanges.append(
            {
                "call": f"{request.method} {request.url.raw_path.decode()}",
                "body": json.loads(request.content) if is_json and not secret else None,
                "status": response.status_code,
                "answer": answer,
            }
        )

    client._http.event_hooks = {"response": [hook]}


def _json(response):
    try:
        return response.json()
    except ValueError:
        return None


def save(name: str, exchanges: list) -> None:
    RECORDED.mkdir(exist_ok=True)
    lines = ",\n".join(json.dumps(exchange, ensure_ascii=False) for exchange in exchanges)
    (RECORDED / f"{name}.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")


@contextmanager
def replaying(name: str):
    """The URL of a server that gives the recorded answers in their order, and checks that it is asked what was asked then."""
    exchanges = json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8"))
    with serving(exchanges) as (url, faults):
        yield url
    assert not faults
    assert not exchanges, f"{len(exchanges)} recorded calls were never made, the first: {exchanges[0]['call']}"


@contextmanager
def serving(exchanges: list):
    """(URL, faults) of a server that gives away `exchanges` from the front."""
    faults: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def answer(self):
            content = self.rfile.read(int(self.headers.get("content-length", 0)))
            expected = exchanges.pop(0) if exchanges else {"call": "nothing", "status": 500, "answer": None}
            call = f"{self.command} {self.path}"
            if call != expected["call"]:
                faults.append(f"expected {expected['call']}, found {call}")
            if expected.get("body") is not None and json.loads(content) != expected["body"]:
                faults.append(f"{call}: expected {expected['body']}, found {content.decode()}")
            self.send_response(expected["status"])
            for header, value in expected.get("headers", {}).items():
                self.send_header(header, value)
            body = expected["text"].encode() if "text" in expected else json.dumps(expected["answer"]).encode()
            if expected["status"] != 204:
                self.send_header("content-length", str(len(body)))
            self.end_headers()
            if expected["status"] != 204:
                self.wfile.write(body)

        do_GET = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815 the names that http.server calls

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", faults
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
