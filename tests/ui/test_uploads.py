"""Clips on their way in: whole, cut, empty, huge, of a wrong kind, by the wrong person, and many at once."""

import errno
import io
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any, BinaryIO
from urllib.parse import quote
from uuid import UUID, uuid4

import anyio
import pytest
from starlette.applications import Starlette
from starlette.types import Message

from services import clips, identity, uploads
from services.config import settings
from services.database import connect
from services.errors import StorageFull, Unavailable
from services.media.folder import Folder
from tests.builders import World
from tests.ui.visitor import OURS, Streamlit, browser, site
from ui import upload_routes

MP4 = b"\0\0\0\x18ftypmp42" + b"\0" * 500
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 500
MP3 = b"ID3\x04" + b"\0" * 500
MEGABYTE = 1 << 20


class Shop:
    """A store, its project, and a browser of its manager."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.account = world.company()
        self.store = world.store(self.account)
        self.manager = world.person(self.account, "manager", self.store)
        self.project = world.project(self.store)
        self.app = site(Streamlit())

    def secret(self, person: UUID | None = None) -> str:
        return identity.open_session(person or self.manager, address="127.0.0.1", agent="test")

    def address(self, clip_id: UUID | str | None = None, **changes: Any) -> str:
        asked = {"store": self.store, "project": self.project, **changes}
        return f"/uploads/{asked['store']}?project={asked['project']}&id={clip_id or uuid4()}"

    def send(
        self, content: bytes | Iterator[bytes] = MP4, name: str = "window.mp4", *, person: UUID | None = None,
        clip_id: UUID | None = None, app: Starlette | None = None, sent: dict[str, str] | None = None, **changes: Any,
    ) -> Any:  # fmt: skip
        headers = {**OURS, "x-file-name": quote(name)} if sent is None else sent
        client = browser(app or self.app, self.secret(person))
        return client.post(self.address(clip_id, **changes), content=content, headers=headers)

    def clips(self) -> list[dict[str, Any]]:
        return self.world.rows("select * from public.clips where profile_id = %s order by created_at", self.store)


@pytest.fixture
def shop(shared_desk: World) -> Shop:
    return Shop(shared_desk)


def stored() -> list[str]:
    """Every file in the media folder."""
    root = settings().media_folder
    return sorted(str(file.relative_to(root)) for file in root.rglob("*") if file.is_file()) if root.exists() else []


def limit(monkeypatch: pytest.MonkeyPatch, megabytes: int) -> None:
    monkeypatch.setenv("UPLOAD_MB", str(megabytes))
    settings.cache_clear()


class TestWhole:
    def test_becomes_a_clip_and_a_job(self, shop: Shop):
        clip_id = uuid4()
        answer = shop.send(MP4, "Shop window.mp4", clip_id=clip_id)
        assert (answer.status_code, answer.json()) == (201, {"clip": str(clip_id)})
        (clip,) = shop.clips()
        path = f"uploads/{shop.account}/{shop.store}/{clip_id}.mp4"
        assert (clip["id"], clip["name"], clip["source_name"]) == (clip_id, "Shop window", "Shop window.mp4")
        assert (clip["source_path"], clip["bytes"], clip["media_type"]) == (path, len(MP4), "video")
        assert clip["created_by"] == shop.manager
        assert Folder(settings().media_folder).read(path) == MP4
        assert shop.world.value("select count(*) from public.jobs where profile_id = %s", shop.store) == 1

    def test_of_many_blocks_arrives_as_it_was_sent(self, shop: Shop):
        content = MP4 + bytes(range(256)) * 12_000  # 2.9 MB, in odd pieces
        pieces = (content[at : at + 70_001] for at in range(0, len(content), 70_001))
        assert shop.send(pieces).status_code == 201
        assert Folder(settings().media_folder).read(shop.clips()[0]["source_path"]) == content

    def test_is_named_by_what_it_is_not_by_what_it_is_called(self, shop: Shop):
        assert shop.send(PNG, "film.mp4").status_code == 201
        (clip,) = shop.clips()
        assert (clip["media_type"], clip["source_path"][-4:]) == ("image", ".png")

    @pytest.mark.parametrize(
        ("name", "title"),
        [
            ("Größe 2.mp4", "Größe 2"), ("パン.mp4", "パン"), ("../../etc/passwd", "passwd"), ("C:\\films\\a.mov", "a"),
            ("", "Clip"), (".mp4", ".mp4"), ("a" * 300 + ".mp4", "a" * 200), ("a\r\nb.mp4", "a b"),
            ("<script>.mp4", "<script>"), ("\ud800.mp4".encode("utf-8", "replace").decode(), "?"),
        ],
    )  # fmt: skip
    def test_its_name_is_the_file_s(self, shop: Shop, name: str, title: str):
        assert shop.send(name=name).status_code == 201
        assert shop.clips()[0]["name"] == title

    def test_sent_again_after_a_lost_answer_it_is_one_clip(self, shop: Shop):
        clip_id = uuid4()
        first, again = shop.send(clip_id=clip_id), shop.send(MP4 + b"other", clip_id=clip_id)
        assert (first.status_code, again.status_code) == (201, 200)
        assert first.json() == again.json()
        assert Folder(settings().media_folder).read(shop.clips()[0]["source_path"]) == MP4

    def test_an_admin_may_send_too(self, shop: Shop):
        assert shop.send(person=shop.world.person(shop.account, "admin")).status_code == 201


class TestRefused:
    def refused(self, shop: Shop, answer: Any, status: int, sentence: str) -> None:
        assert answer.status_code == status, answer.text
        assert sentence in answer.json()["error"]
        assert shop.clips() == []
        assert stored() == []

    @pytest.mark.parametrize(
        ("content", "sentence"),
        [
            (b"", "The file is empty."), (b"MZ" + b"\0" * 99, "a Windows program"), (b"%PDF-1.7", "a PDF document"),
            (b"hello there, this is text", "a text file"), (b"\0", "unknown kind"), (b"<svg>", "an SVG drawing"),
            (b"\xff" * 4 * MEGABYTE, "unknown kind"),
        ],
        ids=["empty", "program", "pdf", "text", "one byte", "svg", "large"],
    )  # fmt: skip
    def test_what_is_no_clip_is_said_so(self, shop: Shop, content: bytes, sentence: str):
        self.refused(shop, shop.send(content), 400, sentence)

    def test_a_recording_goes_into_podcasts_only(self, shop: Shop):
        self.refused(shop, shop.send(MP3, "talk.mp3"), 400, "goes into a podcast project")
        podcast = clips.create_project(shop.world.as_person(shop.manager), shop.store, "podcast", "Bread talk")
        assert shop.send(MP3, "talk.mp3", project=podcast).status_code == 201

    def test_a_huge_one_is_refused_before_it_is_read(self, shop: Shop, monkeypatch: pytest.MonkeyPatch):
        limit(monkeypatch, 1)
        self.refused(shop, shop.send(MP4 + b"\0" * MEGABYTE), 413, "1 MB is the most")

    def test_as_large_as_may_be_is_taken(self, shop: Shop, monkeypatch: pytest.MonkeyPatch):
        limit(monkeypatch, 1)
        assert shop.send(MP4.ljust(MEGABYTE, b"\0")).status_code == 201

    @pytest.mark.parametrize("who", ["another store's manager", "another company's admin", "stranger"])
    def test_who_does_not_work_there_finds_no_store(self, shop: Shop, who: str):
        world = shop.world
        person = {
            "another store's manager": lambda: world.person(shop.account, "manager", world.store(shop.account)),
            "another company's admin": lambda: world.person(world.company(), "admin"),
            "stranger": lambda: world.person(None),
        }[who]()
        self.refused(shop, shop.send(person=person), 404, "Store not found")

    def test_finance_reads_only(self, shop: Shop):
        self.refused(shop, shop.send(person=shop.world.person(shop.account, "finance")), 403, "Finance reads")

    def test_into_a_suspended_store_nothing_comes(self, shop: Shop):
        shop.world.execute("update public.profiles set suspended_at = now() where id = %s", shop.store)
        self.refused(shop, shop.send(), 423, "is suspended")

    def test_into_another_store_s_project_nothing_comes(self, shop: Shop):
        other = Shop(shop.world)
        self.refused(shop, shop.send(project=other.project), 404, "Project not found")

    @pytest.mark.parametrize("changes", [{"project": "x"}, {"store": "x"}, {"clip_id": "x"}, {"project": ""}])
    def test_a_malformed_address_is_not_found(self, shop: Shop, changes: dict[str, Any]):
        self.refused(shop, shop.send(**changes), 404, "Project not found")

    def test_another_s_clip_is_not_replaced(self, shop: Shop):
        other = Shop(shop.world)
        clip_id = uuid4()
        assert other.send(clip_id=clip_id).status_code == 201
        assert shop.send(MP4 + b"mine", clip_id=clip_id).status_code == 409
        assert Folder(settings().media_folder).read(other.clips()[0]["source_path"]) == MP4
        assert shop.clips() == []

    @pytest.mark.parametrize("sent", [{"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}, {}])
    def test_from_another_site_nothing_comes(self, shop: Shop, sent: dict[str, str]):
        self.refused(shop, shop.send(sent=sent), 403, "another site")

    def test_who_is_not_signed_in_is_told_so(self, shop: Shop):
        assert browser(shop.app).post(shop.address(), content=MP4, headers=OURS).status_code == 401
        bare = Starlette(routes=upload_routes.ROUTES)
        answer = browser(bare).post(shop.address(), content=MP4, headers=OURS)
        self.refused(shop, answer, 401, "session has ended")

    def test_the_database_away_is_worth_another_try(self, shop: Shop, monkeypatch: pytest.MonkeyPatch):
        secret = shop.secret()
        identity.load(secret)
        client = browser(shop.app, secret)
        with monkeypatch.context() as away:
            away.setattr(connect, "_current", [])
            answer = client.post(shop.address(), content=MP4, headers=OURS)
        self.refused(shop, answer, 503, "try again")

    def test_the_media_store_away_leaves_no_clip(self, shop: Shop, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(uploads, "media_of", lambda _: Failing(Unavailable("The media store is away.")))
        self.refused(shop, shop.send(), 503, "The media store is away.")

    def test_a_full_media_store_is_said(self, shop: Shop, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(uploads, "media_of", lambda _: Failing(StorageFull()))
        self.refused(shop, shop.send(), 507, "full")

    @pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
    def test_a_full_disk_is_said_and_the_rest_read(self, shop: Shop, monkeypatch: pytest.MonkeyPatch, number: int):
        monkeypatch.setattr(uploads.tempfile, "TemporaryFile", lambda **_: FullDisk(number))
        self.refused(shop, shop.send(MP4 + b"\0" * 3 * MEGABYTE), 507, "disk is full")

    def test_a_link_uploads_nothing(self, shop: Shop):
        browser(shop.app, shop.secret()).get(shop.address())
        assert shop.clips() == []


class Failing:
    """A media store that takes nothing."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def write(self, path: str, data: BinaryIO) -> None:
        raise self._error


class FullDisk(io.BytesIO):
    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number

    def write(self, data: object) -> int:
        raise OSError(self._number, "no room")


class TestCut:
    """A connection that breaks, or is silent, leaves nothing behind."""

    def post(self, shop: Shop, receive: Callable[[], Any], length: int | None) -> list[Message]:
        """Send to the bare app as a server would, with `receive` in the network's place."""
        answered: list[Message] = []
        headers = [(b"cookie", f"clipdesk={shop.secret()}".encode()), (b"sec-fetch-site", b"same-origin")]
        if length is not None:
            headers.append((b"content-length", str(length).encode()))
        path, query = shop.address().split("?")
        scope = {
            "type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": query.encode(),
            "headers": headers, "http_version": "1.1", "scheme": "http", "client": ("127.0.0.1", 1),
            "server": ("localhost", 80), "root_path": "",
        }  # fmt: skip

        async def send(message: Message) -> None:
            answered.append(message)

        anyio.run(shop.app, scope, receive, send)
        return answered

    def test_midway_it_is_forgotten(self, shop: Shop):
        messages = iter([
            {"type": "http.request", "body": MP4 + b"\0" * 2 * MEGABYTE, "more_body": True},
            {"type": "http.disconnect"},
        ])  # fmt: skip

        async def receive() -> Message:
            return next(messages)

        self.post(shop, receive, 9 * MEGABYTE)
        assert shop.clips() == []
        assert stored() == []

    def test_shorter_than_announced_it_is_said(self, shop: Shop):
        async def receive() -> Message:
            return {"type": "http.request", "body": MP4, "more_body": False}

        start, body = self.post(shop, receive, len(MP4) + 1)
        assert start["status"] == 400
        assert b"incomplete" in body["body"]
        assert shop.clips() == []
        assert stored() == []

    def test_without_a_size_it_is_refused_as_soon_as_it_is_too_large(self, shop: Shop, monkeypatch: pytest.MonkeyPatch):
        limit(monkeypatch, 2)
        asked = count(1)

        async def receive() -> Message:
            next(asked)
            return {"type": "http.request", "body": MP4.ljust(MEGABYTE, b"\0"), "more_body": True}

        start, body = self.post(shop, receive, None)
        assert start["status"] == 413
        assert b"2 MB is the most" in body["body"]
        assert next(asked) == 4  # two were taken, the third was too much
        assert stored() == []

    def test_silent_for_long_it_is_given_up(self, shop: Shop, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(upload_routes, "SILENCE_SECONDS", 0.05)

        async def receive() -> Message:
            await anyio.sleep(30)
            raise AssertionError("nobody waits this long")

        start, body = self.post(shop, receive, 9)
        assert start["status"] == 408
        assert b"Nothing arrived" in body["body"]


class Slow:
    """A media store that takes until it is let go, and counts how many it has at once."""

    def __init__(self) -> None:
        self.go, self.lock = threading.Event(), threading.Lock()
        self.now = self.most = 0

    def write(self, path: str, data: BinaryIO) -> None:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        assert self.go.wait(20)
        with self.lock:
            self.now -= 1


def test_more_than_two_at_once_wait_and_are_all_kept(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    slow = Slow()
    monkeypatch.setattr(uploads, "media_of", lambda _: slow)
    with browser(shop.app, shop.secret()) as client, ThreadPoolExecutor(5) as pool:
        sent = [pool.submit(client.post, shop.address(), content=MP4, headers=OURS) for _ in range(5)]
        end = time.monotonic() + 20
        while slow.now < 2:
            assert time.monotonic() < end, "nothing arrives"
            time.sleep(0.01)
        time.sleep(0.2)  # the others have time to overtake, if they could
        assert [answer.done() for answer in sent] == [False] * 5
        assert client.get("/uploads/script.js").status_code == 200  # other requests do not wait
        slow.go.set()
        assert [answer.result().status_code for answer in sent] == [201] * 5
    assert slow.most == 2
    assert len(shop.clips()) == 5


class TestScript:
    def test_is_for_people_who_are_signed_in(self, shop: Shop):
        answer = browser(shop.app, shop.secret()).get("/uploads/script.js")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/javascript; charset=utf-8")
        assert browser(shop.app, accept="*/*").get("/uploads/script.js").status_code == 401
