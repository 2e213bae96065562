"""The page over a real socket: which address it gets, who may come in, and that it ends when stopped."""

import re
import socket
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from time import sleep

import httpx
import pytest

from boxwise.config import LabellingConfig
from boxwise.errors import BoxwiseError
from boxwise.store import LabellingStore
from boxwise.study import Study
from boxwise.web.app import create_app
from boxwise.web.assistant import Assistant
from boxwise.web.folders import left_behind, note_folder
from boxwise.web.queue import LabelQueue
from boxwise.web.security import cookie_name
from boxwise.web.server import PORT, Server, is_loopback, listen


@pytest.fixture
def serve(waiting_study):
    """serve(host, **options) → a running server's address; it ends with the test."""
    running = []

    def start(host="127.0.0.1", **options):
        study = waiting_study("full")
        address = listen(host, 0, **options)
        queue = LabelQueue(study, LabellingStore(study.store))
        server = Server(create_app(queue, hosts=address.hosts, token=address.token, origins=address.urls), address)
        running.append(server.__enter__())
        return address

    yield start
    for server in running:
        server.__exit__()


class TestAddress:
    def test_the_next_free_port_when_the_usual_one_is_taken(self):
        first, second = listen(), listen()
        assert PORT <= first.port < second.port < PORT + 100
        for address in (first, second):
            address.socket.close()

    def test_a_port_that_was_asked_for_and_is_taken_is_an_error(self):
        taken = listen(port=0)
        with pytest.raises(BoxwiseError, match=rf"127.0.0.1:{taken.port} cannot be served"):
            listen(port=taken.port)
        taken.socket.close()

    def test_an_address_of_another_machine_is_an_error(self):
        with pytest.raises(BoxwiseError, match=r"192\.0\.2\.7:0 cannot be served"):
            listen("192.0.2.7", 0)
        for nowhere in ("fe80::1%nowhere", "nowhere.invalid"):  # of no interface; of no name
            with pytest.raises(BoxwiseError, match="no such address"):
                listen(nowhere, 0)

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
    def test_on_loopback_nobody_is_asked_and_only_loopback_names_lead_here(self, host):
        address = listen(host, 0)
        assert address.token is None and address.link == f"http://{host}:{address.port}/"
        assert address.hosts == {"127.0.0.1", "localhost", "[::1]"}
        address.socket.close()

    def test_beyond_loopback_there_is_a_token_nobody_guesses(self):
        addresses = [listen("0.0.0.0", 0) for _ in range(2)]
        tokens = {address.token for address in addresses}
        assert len(tokens) == 2 and all(len(token) >= 30 for token in tokens)
        assert re.fullmatch(rf"http://[^/]+:{addresses[0].port}/\?token={addresses[0].token}", addresses[0].link)
        assert {"127.0.0.1", "localhost", socket.gethostname().lower()} <= addresses[0].hosts
        for address in addresses:
            address.socket.close()

    def test_another_name_of_the_page_is_in_its_link_and_leads_here(self):
        address = listen("0.0.0.0", 0, token="t", urls=("https://Labels.example.com/", "http://page:8123"))
        assert address.link == "https://labels.example.com/?token=t" and {"labels.example.com", "page", "127.0.0.1"} <= address.hosts
        assert address.urls == ("https://labels.example.com", "http://page:8123")
        address.socket.close()

    def test_behind_a_proxy_on_this_machine_a_token_is_asked_for(self):
        address = listen("127.0.0.1", 0, urls=("http://labels.example.com:80",))
        assert address.token and address.urls == ("http://labels.example.com",)
        address.socket.close()

    @pytest.mark.parametrize(
        ("url", "asked"),
        [
            ("http://Bücher.example/", "xn--bcher-kva.example"),
            ("http://straße.example/", "xn--strae-oqa.example"),
            ("http://[2001:DB8:0::5]/", "[2001:db8::5]"),
            ("http://my_page.local/", "my_page.local"),
            ("http://192.168.1.5/", "192.168.1.5"),
        ],
    )
    def test_a_name_leads_here_as_browsers_spell_it(self, url, asked):
        address = listen("127.0.0.1", 0, urls=(url,))
        assert asked in address.hosts and address.urls == (f"http://{asked}",)
        address.socket.close()

    def test_an_address_that_is_served_leads_here_as_browsers_spell_it(self):
        address = listen("0:0:0:0:0:0:0:1", 0)
        assert "[::1]" in address.hosts and "[0:0:0:0:0:0:0:1]" not in address.hosts
        address.socket.close()

    @pytest.mark.parametrize(
        "url",
        ["labels.example.com", "labels.example.com:8123", "ftp://a.b", "http://a.b/study", "http://a.b:x", "http://", "http://[::1",
         "http://a.b/#study", "http://a.b/?x", "http://:pw@a.b", "http://a b/", "http://192.168.1/", "http://[fe80::1%eth0]/", "http://ü..b/"],
    )  # fmt: skip
    def test_what_is_no_address_that_people_can_open(self, url):
        with pytest.raises(BoxwiseError, match=re.escape(f"--url {url}: expected an address such as")):
            listen("127.0.0.1", 0, urls=(url,))

    def test_a_token_of_ones_own_survives_the_link(self):
        address = listen("127.0.0.1", 0, token="a b&c=d")
        assert httpx.URL(address.link).params["token"] == "a b&c=d"
        address.socket.close()

    @pytest.mark.parametrize(
        ("host", "is_so"), [("127.0.0.1", True), ("127.5.5.5", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False)]
    )
    def test_what_is_loopback(self, host, is_so):
        assert is_loopback(host) == is_so
        assert not is_loopback("localhost.example.org")


class TestServing:
    def test_the_study_is_served_with_the_headers_that_keep_it_safe(self, serve):
        reply = httpx.get(f"{serve().link}api/study")
        assert reply.status_code == 200 and reply.json()["phase"] == "annotate"
        assert "default-src 'self'" in reply.headers["content-security-policy"] and "server" not in reply.headers

    def test_another_host_name_is_refused(self, serve):
        address = serve()
        reply = httpx.get(f"{address.link}api/study", headers={"host": f"evil.example:{address.port}"})
        assert reply.status_code == 400 and "evil.example" in reply.json()["error"]

    @pytest.mark.parametrize(
        ("host", "origin", "status"),
        [
            ("labels.example.com", "https://labels.example.com", 200),  # a proxy that passes the name on
            ("127.0.0.1:8123", "https://labels.example.com", 200),  # one that asks under the name that it knows
            ("labels.example.com:8123", "http://labels.example.com:8123", 200),  # no proxy, but a name that the machine does not know
            ("127.0.0.1:8123", "http://labels.example.com", 403),
            ("labels.example.com", "https://evil.example", 403),
            ("evil.example", "https://evil.example", 400),
        ],
    )
    def test_behind_a_name_of_its_own_the_page_takes_what_that_names_page_sends(self, serve, host, origin, status):
        address = serve("0.0.0.0", token="t", urls=("https://labels.example.com",))
        headers = {"host": host, "origin": origin, "authorization": "Bearer t"}
        reply = httpx.post(f"http://127.0.0.1:{address.port}/api/next", json={"annotator": "anna"}, headers=headers)
        assert reply.status_code == status, reply.text

    @pytest.mark.parametrize(
        "other", ["_xsrf=2|a", 'prefs={"theme":"dark"}', "a[b]=1", "x", "name=Müller", "b=a,b c", "u=foo@x:y/z", "=;="]
    )
    def test_cookies_of_other_programs_on_the_host_keep_nobody_out(self, serve, other):
        address = serve("0.0.0.0", token="t")
        mine = f"{cookie_name('t')}=t"
        for cookies in (f"{other}; {mine}", f"{mine}; {other}"):
            reply = httpx.get(f"http://127.0.0.1:{address.port}/api/study", headers={"cookie": cookies.encode("latin-1")})
            assert reply.status_code == 200, cookies

    def test_the_link_with_the_token_lets_a_browser_in_and_nothing_else_does(self, serve):
        address = serve("0.0.0.0")
        base = f"http://127.0.0.1:{address.port}"
        with httpx.Client(base_url=base) as browser:
            assert browser.get("/api/study").status_code == 401
            assert browser.get("/", params={"token": "wrong"}).status_code == 401
            entered = browser.get("/dashboard", params={"token": address.token})
            assert (entered.status_code, entered.headers["location"]) == (303, "/dashboard")
            assert browser.get("/api/study").status_code == 200
        assert httpx.get(f"{base}/api/study").status_code == 401

    def test_it_ends_with_its_block_and_frees_the_port(self, waiting_study):
        study = waiting_study("full")
        address = listen(port=0)
        with Server(create_app(LabelQueue(study, LabellingStore(study.store)), hosts=address.hosts), address):
            link = address.link
            assert httpx.get(f"{link}api/progress").json()["waiting"] == 5
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{link}api/progress")


class TestConnections:
    """What is opened and left ends; what does not end by itself is cut off."""

    def talk(self, address, *pieces):
        """Send pieces on a connection of its own; what comes back until the server closes it."""
        with socket.create_connection(("127.0.0.1", address.port), timeout=10) as connection:
            for piece in pieces:
                connection.sendall(piece)
            return b"".join(iter(lambda: connection.recv(65536), b""))

    HEAD = b"POST /api/next HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"

    @pytest.mark.parametrize("pieces", [(), (b"GET / HT",), (b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n",)], ids=["idle", "line", "head"])
    def test_a_head_that_does_not_come(self, serve, monkeypatch, pieces):
        monkeypatch.setattr("boxwise.web.server.HEAD_SECONDS", 0.5)
        assert self.talk(serve(), *pieces) == b""

    def test_a_head_that_does_not_come_after_an_answer(self, serve, monkeypatch):
        monkeypatch.setattr("boxwise.web.server.HEAD_SECONDS", 0.5)
        whole = b"GET /api/progress HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"
        assert self.talk(serve(), whole, b"GET /api").count(b"HTTP/1.1 200") == 1

    def test_a_body_that_does_not_come(self, serve, monkeypatch):
        monkeypatch.setattr("boxwise.web.security.BODY_SECONDS", 0.5)
        assert b"HTTP/1.1 408" in self.talk(serve(), self.HEAD + b"content-length: 20\r\n\r\n{")

    def test_a_chunked_body_without_end(self, serve):
        pieces = [b"10000\r\n" + b"x" * 65536 + b"\r\n"] * 16 + [b"1\r\nx\r\n"]  # a mebibyte and one byte
        assert b"HTTP/1.1 413" in self.talk(serve(), self.HEAD + b"transfer-encoding: chunked\r\n\r\n", *pieces)

    def test_a_body_where_none_belongs(self, serve):
        head = b"GET /api/progress HTTP/1.1\r\nhost: 127.0.0.1\r\ntransfer-encoding: chunked\r\n\r\n"
        assert b"HTTP/1.1 400" in self.talk(serve(), head)


def test_clicks_that_wait_for_a_model_keep_nobody_else_waiting(waiting_study, monkeypatch):
    loaded, study = Event(), waiting_study("full")
    monkeypatch.setattr(Assistant, "_answered", lambda _self, _request: {"waited": loaded.wait(60)})  # a model that takes its time to load
    study.change(study.config.model_copy(update={"labelling": LabellingConfig(assist="sam2")}))
    image_id, address = study.ask().image_ids[0], listen(port=0)
    app = create_app(LabelQueue(study, LabellingStore(study.store)), hosts=address.hosts)
    with Server(app, address), httpx.Client(base_url=address.link, timeout=60) as person, ThreadPoolExecutor(60) as clicks:
        click = {"json": {"image_id": image_id, "point": [3, 3]}, "timeout": 60}
        boxes = [clicks.submit(httpx.post, f"{address.link}api/box", **click) for _ in range(60)]
        sleep(1)
        draft = {"annotator": "anna", "image_id": image_id, "round": 1, "revision": 1, "document": {}}
        assert person.get("healthz", timeout=20).status_code == person.put("api/drafts", json=draft, timeout=20).status_code == 200
        assert not any(box.done() for box in boxes)
        loaded.set()
        assert [box.result().json() for box in boxes] == [{"box": {"waited": True}}] * 60
    app.state.assistant.close()


def test_of_two_servers_that_begin_at_once_in_two_folders_both_are_remembered(waiting_study, tmp_path, monkeypatch):
    study = waiting_study("full")
    there = Study(tmp_path / "elsewhere", study.store, study.config)
    monkeypatch.setattr(Study, "recall", lambda *_: None)  # as where both have looked before either wrote
    for begun in (study, there, there):
        note_folder(begun)
    monkeypatch.undo()
    assert study.recall("served_in") == [str(one.folder.resolve()) for one in (study, there)]
    assert left_behind(study) == [there.id] and left_behind(there) == []
