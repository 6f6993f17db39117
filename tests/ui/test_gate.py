"""Nothing of Streamlit passes without a live session: here around a stand-in, at the end on a real, fresh server."""

import http.client
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit
from uuid import UUID, uuid4

import pytest
from starlette.applications import Starlette
from starlette.websockets import WebSocketDisconnect

from services import identity
from services.config import ROOT
from services.database import connect, embedded
from tests.builders import World, fresh_world, installed
from tests.ui.visitor import HTML, INSIDE, OURS, Streamlit, browser, running, site
from ui import gate

PASSWORD = "correct horse battery"
SHELL = Path(distribution("streamlit").locate_file("streamlit/static/index.html"))  # the same for every app
PAGES = sorted(f"/{page.stem}" for page in (ROOT / "pages").glob("*.py"))
GATED = [
    "/",
    *PAGES,
    *(f"{page}/" for page in PAGES),
    "/files/speech/0b8f6b1e-7a52-4c1c-9c3e-2f6f0f5b8a11",
    "/files/speech/x",
    "/media/9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08.mp3",
    "/_stcore/stream",
    "/_stcore/host-config",
    "/_stcore/metrics",
    "/_stcore/script-health-check",
    "/_stcore/upload_file/6f1c/2b7d",
    "/_stcore/bidi-components/x/index.js",
    "/_stcore/agent/mcp",
    "/component/streamlit_plotly/index.html",
    "/app/static/secrets.toml",
    "/.streamlit/secrets.toml",
    "/index.html",
    "/no/such/page",
    # Not quite a public address.
    "/sign-in/",
    "/SIGN-IN",
    "/sign-in/../voice",
    "/start/company/x",
    "/healthz/x",
    "/_stcore/health/",
    "/_stcore/healthy",
    "/static",
    "/staticx/y",
    "/x/static/y",
    "//static/js/main.js",
    "/password",
]


@pytest.fixture
def inside() -> Streamlit:
    return Streamlit()


@pytest.fixture
def app(inside: Streamlit) -> Starlette:
    """The gate alone, so that every address it lets through reaches the stand-in."""
    return site(inside, with_routes=False)


@pytest.fixture
def anna(shared_desk: World) -> UUID:
    account = shared_desk.company()
    return shared_desk.person(account, "manager", shared_desk.store(account))


@pytest.fixture
def secret(anna: UUID) -> str:
    return session(anna)


def session(person: UUID) -> str:
    return identity.open_session(person, address="127.0.0.1", agent="test")


class TestAnonymous:
    @pytest.mark.parametrize("path", [*sorted(gate.PUBLIC), "/static/js/index.abc.js", "/static/media/font.woff2"])
    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_public_addresses_are_open(self, shared_desk, app, inside, path, method):
        assert browser(app).request(method, path).text == INSIDE
        assert inside.reached == [("http", path)]

    @pytest.mark.parametrize("path", GATED)
    def test_a_page_becomes_the_sign_in(self, shared_desk, app, inside, path):
        answer = browser(app).get(path)
        assert answer.status_code == 303
        assert urlsplit(answer.headers["location"]).path == "/sign-in"
        assert answer.text == ""
        assert inside.reached == []

    @pytest.mark.parametrize("path", GATED)
    def test_everything_else_is_refused(self, shared_desk, app, inside, path):
        client = browser(app, accept="*/*")
        for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"):
            answer = client.request(method, path)
            assert (answer.status_code, answer.text) == (401, "" if method == "HEAD" else "Sign in first.")
        assert browser(app).post(path).status_code == 401
        assert inside.reached == []

    @pytest.mark.parametrize("path", ["/_stcore/stream", "/", "/sign-in", "/static/x", "/_stcore/health", "/voice"])
    def test_no_websocket_opens_on_any_address(self, shared_desk, app, inside, path):
        with pytest.raises(WebSocketDisconnect) as closed, browser(app).websocket_connect(path):
            pass
        assert closed.value.code == 1008
        assert inside.reached == []

    @pytest.mark.parametrize(
        "asked", ["/voice?profile=quay&range=7d", "/", "/?a=%2F%2Fx", "/caf%C3%A9?q=%ff", "/a%3Fb"]
    )
    def test_the_sign_in_leads_back_to_where_one_wanted_to_go(self, shared_desk, app, asked):
        location = urlsplit(browser(app).get(asked).headers["location"])
        assert parse_qs(location.query) == {"next": [asked]}


class TestCookie:
    def test_opens_everything(self, app, inside, secret):
        client = browser(app, secret)
        for path in GATED:
            assert client.get(path).text == INSIDE
        with client.websocket_connect("/_stcore/stream") as stream:
            assert stream.receive_text() == INSIDE
        assert ("websocket", "/_stcore/stream") in inside.reached
        assert len(inside.reached) == len(GATED) + 1

    @pytest.mark.parametrize("end", ["expired", "signed out", "deactivated", "person unknown to this replica"])
    def test_opens_nothing_after_its_end(self, shared_desk, app, inside, anna, secret, end):
        if end == "expired":
            shared_desk.execute("update private.sessions set expires_at = now() where person_id = %s", anna)
        elif end == "signed out":
            identity.sign_out(secret)
        elif end == "deactivated":
            shared_desk.execute("update public.people set deactivated_at = now() where id = %s", anna)
        else:
            shared_desk.execute("delete from private.sessions where person_id = %s", anna)
        assert browser(app, secret).get("/").status_code == 303
        with pytest.raises(WebSocketDisconnect), browser(app, secret).websocket_connect("/_stcore/stream"):
            pass
        assert inside.reached == []

    @pytest.mark.parametrize("cookie", ["clipdesk=", "clipdesk=x", "clipdesk", "session={}", "Clipdesk={}", "a=b; {}",
                                        "__Host-clipdesk={}", "clipdesk=\xff"])  # fmt: skip
    def test_no_other_cookie_counts(self, app, inside, secret, cookie):
        header = cookie.format(secret).encode("latin-1")
        assert browser(app).get("/", headers={"cookie": header}).status_code == 303
        assert inside.reached == []

    def test_the_secret_counts_in_the_cookie_only(self, app, inside, secret):
        client = browser(app)
        assert client.get(f"/?clipdesk={secret}").status_code == 303
        assert client.get("/", headers={"authorization": f"Bearer {secret}"}).status_code == 303
        assert inside.reached == []

    def test_behind_tls_it_has_the_name_that_no_other_host_can_set(self, app, inside, secret, monkeypatch):
        monkeypatch.setenv("COOKIE_SECURE", "true")
        gate.settings.cache_clear()
        assert browser(app).get("/", headers={"cookie": f"clipdesk={secret}"}).status_code == 303
        assert browser(app, secret).get("/").text == INSIDE

    def test_a_known_one_is_not_asked_for_again_within_ten_seconds(self, app, secret, monkeypatch):
        client = browser(app, secret)
        assert client.get("/").text == INSIDE
        monkeypatch.setattr(identity, "load", lambda _: pytest.fail("asked again"))
        assert client.get("/").text == INSIDE


class TestOneTimePassword:
    @pytest.fixture
    def new(self, shared_desk: World, anna: UUID, secret: str) -> str:
        shared_desk.execute("update private.sessions set must_change = true where person_id = %s", anna)
        return secret

    @pytest.mark.parametrize("path", [path for path in GATED if path != "/password"])
    def test_leads_to_a_new_password_and_nowhere_else(self, app, inside, new, path):
        client = browser(app, new)
        answer = client.get(path)
        assert (answer.status_code, answer.headers["location"]) == (303, "/password")
        assert client.post(path).status_code == 401
        assert inside.reached == []

    def test_opens_no_websocket(self, app, inside, new):
        with pytest.raises(WebSocketDisconnect), browser(app, new).websocket_connect("/_stcore/stream"):
            pass
        assert inside.reached == []

    def test_lets_the_new_password_and_the_way_out_pass(self, app, inside, new):
        client = browser(app, new)
        for path in ("/password", "/sign-out", "/static/js/x.js"):
            assert client.post(path).text == INSIDE


class TestDatabaseAway:
    @pytest.fixture
    def away(self, secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(connect, "_current", [])

    @pytest.mark.usefixtures("away")
    @pytest.mark.parametrize("path", ["/", "/voice", "/media/x", "/_stcore/host-config"])
    def test_it_says_so_and_signs_nobody_out(self, app, inside, secret, path):
        answer = browser(app, secret).get(path)
        assert answer.status_code == 503
        assert "Temporarily unavailable" in answer.text
        assert "Nothing was lost" in answer.text
        assert 'http-equiv="refresh"' in answer.text
        assert "set-cookie" not in answer.headers
        assert inside.reached == []

    @pytest.mark.usefixtures("away")
    def test_no_websocket_opens(self, app, inside, secret):
        with pytest.raises(WebSocketDisconnect), browser(app, secret).websocket_connect("/_stcore/stream"):
            pass
        assert inside.reached == []

    @pytest.mark.usefixtures("away")
    def test_who_has_no_cookie_goes_to_the_sign_in(self, app):
        assert browser(app).get("/").status_code == 303

    @pytest.mark.usefixtures("away")
    def test_public_addresses_stay_open(self, app):
        assert browser(app).get("/healthz").text == INSIDE

    def test_afterwards_the_same_cookie_goes_on(self, app, secret):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(connect, "_current", [])
            assert browser(app, secret).get("/").status_code == 503
        assert browser(app, secret).get("/").text == INSIDE


class TestHeaders:
    def check(self, headers: dict[str, str]) -> None:
        for name, value in gate.headers(None).items():
            assert headers[name] == value

    def test_forbid_foreign_scripts_frames_and_form_targets(self):
        rules = dict(rule.split(" ", 1) for rule in gate.headers(None)["content-security-policy"].split("; "))
        assert rules["default-src"] == rules["script-src"] == rules["form-action"] == rules["base-uri"] == "'self'"
        assert rules["frame-ancestors"] == rules["object-src"] == "'none'"
        assert gate.headers(None)["x-content-type-options"] == "nosniff"

    @pytest.mark.parametrize("project", [None, "https://abc.supabase.co"])
    def test_let_samples_of_voices_come_from_elsewhere_over_tls_but_no_script(self, project):
        policy = gate.headers(project)["content-security-policy"]
        rules = {name: set(sources) for name, *sources in (rule.split() for rule in policy.split("; "))}
        assert rules["media-src"] - {project} == {"'self'", "blob:", "https:"}
        assert [name for name, sources in rules.items() if {"http:", "https:", "*"} & sources] == [
            "img-src",
            "media-src",
        ]
        assert [name for name, sources in rules.items() if name.startswith("script-")] == ["script-src"]
        assert rules["script-src"] == {"'self'"}

    @pytest.mark.parametrize("path", ["/", "/voice", "/sign-in", "/static/x.js", "/healthz", "/media/x", "/files/x"])
    @pytest.mark.parametrize("signed_in", [True, False])
    def test_are_on_every_answer(self, app, secret, path, signed_in):
        self.check(browser(app, secret if signed_in else None).get(path).headers)
        self.check(browser(app, secret if signed_in else None, accept="*/*").post(path).headers)

    def test_are_on_the_sentence_that_the_database_is_away(self, app, secret, monkeypatch):
        monkeypatch.setattr(connect, "_current", [])
        self.check(browser(app, secret).get("/").headers)

    def test_replace_weaker_ones(self, app, inside, secret):
        inside.headers = {"Content-Security-Policy": "default-src *", "X-Content-Type-Options": "sniff"}
        answer = browser(app, secret).get("/")
        self.check(answer.headers)
        assert answer.headers.get_list("content-security-policy") == [gate.headers(None)["content-security-policy"]]

    @pytest.mark.parametrize("path", ["/media/x.mp3", "/files/speech/x"])
    def test_media_stays_out_of_shared_caches(self, app, inside, secret, path):
        inside.headers = {"Cache-Control": "public, max-age=31536000"}
        assert browser(app, secret).get(path).headers["cache-control"] == "private, no-store"

    def test_scripts_and_styles_may_be_cached(self, app, inside):
        inside.headers = {"Cache-Control": "public, immutable"}
        assert browser(app).get("/static/x.js").headers["cache-control"] == "public, immutable"


# A real, fresh server -------------------------------------------------------------------------------------------


@dataclass
class Desk:
    """`streamlit run app.py` on a new database."""

    world: World
    port: int
    media: Path

    def ask(
        self, path: str, method: str = "GET", body: str | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """The path goes out as it stands: a client that tidies it would hide what an attacker sends."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            kept = HTML | {name.replace("_", "-").lower(): value for name, value in headers.items()}
            connection.request(method, path, body, kept)
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def websocket(self, path: str, **headers: str) -> int:
        """The status that answers an attempt to open one; 101 = open."""
        upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
                   "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}  # fmt: skip
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as raw:
            lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{self.port}"]
            lines += [f"{name}: {value}" for name, value in {**upgrade, **headers}.items()]
            raw.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
            return int(raw.recv(4096).split(b" ", 2)[1])


@pytest.fixture(scope="module")
def real(server: embedded.Server, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("real")
    with (
        fresh_world(server, template) as world,
        running(server, world.value("select current_database()"), folder) as port,
    ):
        yield Desk(world, port, folder / "media")


@pytest.fixture
def visitor(real: Desk, tmp_path: Path) -> tuple[UUID, UUID, str]:
    """Company, store and cookie of a manager who signed in over HTTP."""
    account = real.world.company()
    store = real.world.store(account)
    with installed(real.world, tmp_path):
        email = real.world.password(real.world.person(account, "manager", store), PASSWORD)
    form = f"email={quote(email)}&password={quote(PASSWORD)}&next=%2Fvoice"
    status, headers, _ = real.ask("/sign-in", "POST", form, Content_Type="application/x-www-form-urlencoded", **OURS)
    assert (status, headers["location"]) == (303, "/voice")
    return account, store, headers["set-cookie"].split(";")[0]


class TestRealServer:
    @pytest.mark.parametrize("path", GATED)
    def test_anonymous_gets_nothing_but_the_sign_in(self, real, path):
        status, headers, body = real.ask(path)
        assert status == 303
        assert headers["location"].startswith("/sign-in?next=")
        assert body == b""
        status, _, body = real.ask(path, accept="*/*")
        assert (status, body) == (401, b"Sign in first.")

    @pytest.mark.parametrize("path", ["/_stcore/stream", "/voice/_stcore/stream", "/static/_stcore/stream", "/static/x",
                                      "/sign-in", "/_stcore/health"])  # fmt: skip
    def test_anonymous_opens_no_websocket(self, real, path):
        assert real.websocket(path) == 403

    @pytest.mark.parametrize("path", ["/static/../voice", "/static/../_stcore/host-config", "/static/../../app.py",
                                      "/static/%2e%2e/%2e%2e/app.py", "/static/..%2f..%2fapp.py", "/static//etc/passwd",
                                      "/static/nothing", "/static/index.html"])  # fmt: skip
    def test_under_static_there_is_only_streamlits_own(self, real, path):
        status, _, body = real.ask(path)
        assert status in (200, 301, 400, 404)
        assert status != 200 or body == SHELL.read_bytes()

    def test_what_is_public_works(self, real):
        assert real.ask("/_stcore/health")[0] == 200
        assert real.ask("/healthz")[::2] == (200, b'{"database":true}')
        status, headers, _ = real.ask("/sign-in")
        assert status in (200, 303)
        assert headers["content-security-policy"] == gate.headers(None)["content-security-policy"]

    def test_bytes_that_are_no_text_are_refused_too(self, real):
        with socket.create_connection(("127.0.0.1", real.port), timeout=20) as raw:
            raw.sendall(
                b"GET /voice?q=%ff HTTP/1.1\r\nHost: [\r\nAccept: text/html\r\nCookie: clipdesk=\xff\xfe\r\n\r\n"
            )
            assert raw.recv(4096).split(b" ", 2)[1] in (b"303", b"400")

    def test_a_cookie_opens_pages_and_the_stream(self, real, visitor):
        *_, cookie = visitor
        for path in ("/", *PAGES):
            status, headers, body = real.ask(path, cookie=cookie)
            assert status == 200
            assert b'<div id="root">' in body
            assert headers["content-security-policy"] == gate.headers(None)["content-security-policy"]
        assert real.websocket("/_stcore/stream", Cookie=cookie) == 101

    def test_another_sites_page_opens_no_stream_with_it(self, real, visitor):
        *_, cookie = visitor
        assert real.websocket("/_stcore/stream", Cookie=cookie, Origin="https://evil.example") == 403

    def test_audio_comes_in_parts_as_it_is(self, real, visitor):
        account, store, cookie = visitor
        made = speech_of(real.world, account, store)
        (real.media / "speech").mkdir(parents=True, exist_ok=True)
        (real.media / "speech" / f"{made}.mp3").write_bytes(bytes(range(256)) * 40)
        path = f"/files/speech/{made}"
        assert real.ask(path, accept="*/*")[0] == 401
        status, headers, body = real.ask(path, cookie=cookie, Accept_Encoding="gzip", Range="bytes=100-199")
        assert (status, headers["content-range"]) == (206, "bytes 100-199/10240")
        assert "content-encoding" not in headers
        assert body == bytes(range(100, 200))
        assert headers["cache-control"] == "private, no-store"

    def test_signing_out_closes_all_of_it(self, real, visitor):
        *_, cookie = visitor
        status, headers, _ = real.ask("/sign-out", "POST", cookie=cookie, **OURS)
        assert (status, headers["location"]) == (303, "/sign-in")
        assert real.ask("/", cookie=cookie)[0] == 303
        assert real.websocket("/_stcore/stream", Cookie=cookie) == 403


def speech_of(world: World, account: UUID, store: UUID) -> UUID:
    made = uuid4()
    world.insert(
        "public.speech_assets", id=made, account_id=account, profile_id=store, text="Fresh bread", content_hash="h",
        provider="practice", model="premium", voice="heart", settings={}, format="mp3", characters=11,
        duration_seconds=1, bytes=10240, media_path=f"speech/{made}.mp3", cost_usd=0,
    )  # fmt: skip
    return made
