"""Media in the cloud: rights, resumable uploads, addresses for browsers, and what goes wrong on the way."""

import io
import json
import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import httpx
import jwt
import psycopg
import pytest
from aiotus import creation
from yarl import URL

from services.costs import exports
from services.costs.exports import Wanted
from services.errors import (
    AppError,
    NotAllowed,
    NotFound,
    SchemaMismatch,
    SettingsInvalid,
    SignedOut,
    StorageFull,
    Unavailable,
)
from services.jobs import attempt, periodic
from services.jobs.context import Claimed, Context
from services.jobs.handlers import HANDLERS
from services.media import resumable
from services.media import storage as module
from services.media.storage import Storage, storage
from tests.builders import World
from tests.cloud import rest_door
from tests.fakes.supabase.server import FakeSupabase
from tests.fakes.supabase.storage import HALF, Failed, Service
from tests.kill import options

# The resumable client hands aiohttp 6 MB at once, which would hold up an event loop that had other work.

MB = 1 << 20
PATH = "speech/a.mp3"
UPLOADS = "/storage/v1/upload/resumable"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(resumable, "FIRST_PAUSE", 0.01)


@pytest.fixture
def impatient(project: FakeSupabase) -> Iterator[Storage]:
    """The worker's store with time-outs that a test can wait for."""
    with httpx.Client(timeout=0.1) as http:
        yield storage(project.url, project.stack.secret_key, http)


def asked(project: FakeSupabase, method: str, prefix: str = "/storage/v1/object") -> int:
    return sum(seen.method == method and seen.path.startswith(prefix) for seen in project.stack.seen)


# Who may do what --------------------------------------------------------------------------------------------------


@dataclass
class Town:
    account: UUID
    store: UUID
    people: dict[str, UUID]

    @property
    def folder(self) -> str:
        return f"{self.account}/{self.store}"


@pytest.fixture(scope="module")
def town(world: World) -> Town:
    account, other = world.company(), world.company("Rivals")
    store, second = world.store(account), world.store(account, "Second")
    people = {
        "admin": world.person(account, "admin"),
        "manager": world.person(account, "manager", store),
        "finance": world.person(account, "finance"),
        "manager of another store": world.person(account, "manager", second),
        "admin of another company": world.person(other, "admin"),
        "stranger": world.person(None),
    }
    return Town(account, store, people)


Door = Callable[[str], Storage]


@pytest.fixture
def door(project: FakeSupabase, town: Town, http: httpx.Client) -> Door:
    """door(who) → that person's store, with the publishable key; "nobody" has no token."""

    def open_door(who: str) -> Storage:
        token = None if who == "nobody" else project.stack.token(town.people[who])
        return storage(project.url, project.stack.publishable_key, http, token)

    return open_door


READERS = ["admin", "manager", "finance"]
OUTSIDERS = ["manager of another store", "admin of another company", "stranger", "nobody"]


@pytest.mark.parametrize("kind", ["speech", "clips", "uploads"])
@pytest.mark.parametrize("who", READERS)
def test_people_read_the_media_of_their_stores(cloud, door, town, who, kind):
    path = f"{kind}/{town.folder}/parts/a.mp3"
    cloud.write(path, b"sound")
    mine = door(who)
    assert (mine.read(path), mine.size(path), mine.exists(path)) == (b"sound", 5, True)
    assert list(mine.list(kind, datetime.now(UTC) + timedelta(days=1))) == [path]
    assert httpx.get(mine.link(path, 60)).content == b"sound"


@pytest.mark.parametrize("who", OUTSIDERS)
def test_others_see_nothing_of_it(cloud, door, town, who):
    path = f"speech/{town.folder}/a.mp3"
    cloud.write(path, b"sound")
    theirs = door(who)
    assert not theirs.exists(path)
    assert list(theirs.list("speech", datetime.now(UTC) + timedelta(days=1))) == []
    for read in (theirs.read, theirs.open, theirs.size, lambda it: theirs.link(it, 60)):
        with pytest.raises(NotFound):
            read(path)
    theirs.delete(path)
    assert cloud.read(path) == b"sound"


def test_a_deactivated_person_sees_nothing_with_a_token_that_still_lives(cloud, project, world, town, http):
    path = f"speech/{town.folder}/a.mp3"
    cloud.write(path, b"sound")
    leaver = world.person(town.account, "admin")
    mine = storage(project.url, project.stack.publishable_key, http, project.stack.token(leaver))
    assert mine.exists(path)
    world.execute("update public.people set deactivated_at = now() where id = %s", leaver)
    assert not mine.exists(path)


@pytest.mark.parametrize("size", [5, 7 * MB])
@pytest.mark.parametrize("who", ["admin", "manager"])
def test_who_works_in_a_store_uploads_to_it(cloud, door, town, who, size):
    path, data = f"uploads/{town.folder}/{uuid4()}.mp4", os.urandom(size)
    door(who).write(path, data)
    assert cloud.read(path) == data


@pytest.mark.parametrize("size", [5, 7 * MB])
@pytest.mark.parametrize("who", ["finance", *OUTSIDERS])
def test_others_upload_nothing(cloud, door, town, who, size):
    path = f"uploads/{town.folder}/a.mp4"
    with pytest.raises(NotAllowed):
        door(who).write(path, b"x" * size)
    assert not cloud.exists(path)


@pytest.mark.parametrize("column", ["archived_at", "suspended_at"])
def test_nobody_uploads_to_a_store_that_is_stopped(world, town, door, column):
    store = world.store(town.account)
    world.execute(f"update public.profiles set {column} = now() where id = %s", store)
    with pytest.raises(NotAllowed):
        door("admin").write(f"uploads/{town.account}/{store}/a.mp4", b"x")


@pytest.mark.parametrize("kind", ["speech", "clips", "exports"])
def test_people_upload_below_uploads_only(door, town, kind):
    with pytest.raises(NotAllowed):
        door("admin").write(f"{kind}/{town.folder}/a.mp4", b"x")


@pytest.mark.parametrize("data", [b"y", b"y" * 7 * MB])
def test_people_neither_replace_nor_delete(cloud, door, town, data):
    path = f"uploads/{town.folder}/a.mp4"
    door("manager").write(path, b"first")
    with pytest.raises(NotAllowed):
        door("manager").write(path, data)
    with pytest.raises(NotAllowed):
        door("manager").delete(path)
    assert cloud.read(path) == b"first"


@contextmanager
def claims_of(world: World, person: UUID, role: str = "authenticated") -> Iterator[None]:
    """The builder's connection in the person's role, for one transaction."""
    with world.admin.transaction():
        claims = json.dumps({"sub": str(person)})
        world.execute(
            "select set_config('role', %s, true), set_config('request.jwt.claims', %s, true)",
            role,
            claims,
        )
        yield


MALFORMED = [
    "a.mp3",
    "speech/a.mp3",
    "speech/{account}/a.mp3",
    "speech/{account}/{store}",
    "speech/{account}/{store}/",
    "speech/{account}/not-a-uuid/a.mp3",
    "speech/not-a-uuid/{store}/a.mp3",
    "speech/{store}/{account}/a.mp3",
    "speech/{other}/{store}/a.mp3",
    "speech/x/{account}/{store}/a.mp3",
    "speech//{account}/{store}/a.mp3",
    "/speech/{account}/{store}/a.mp3",
    "speech/{account}/{store}/../x.mp3",
    "SPEECH/{account}/{store}/a.mp3",
    "speech/{account}x/{store}/a.mp3",
    "speech/------------------------------------/------------------------------------/a.mp3",
]


@pytest.mark.parametrize("role", ["authenticated", "anon"])
@pytest.mark.parametrize("statement", ["update storage.objects set name = 'x'", "delete from storage.objects"])
def test_people_change_no_row_by_sql(world, town, cloud, statement, role):
    cloud.write(f"uploads/{town.folder}/a.mp4", b"x")
    with claims_of(world, town.people["admin"], role):
        world.execute("set local storage.allow_delete_query = 'true'")
        assert world.admin.execute(statement).rowcount == 0


@pytest.mark.parametrize("pattern", MALFORMED)
def test_a_malformed_name_is_refused_without_an_error(world, town, project, pattern):
    """Refused by the policies, never a failed cast, which would break every list that meets the row."""
    name = pattern.format(account=town.account, store=town.store, other=uuid4())
    world.insert("storage.objects", bucket_id="media", name=name)
    with claims_of(world, town.people["admin"]):
        assert world.rows("select name from storage.objects where name = %s", name) == []
    with claims_of(world, town.people["admin"]), pytest.raises(psycopg.errors.InsufficientPrivilege):
        upload(world, name.replace("speech", "uploads", 1))


def test_a_well_formed_name_is_taken(world, town, project):
    """What the refusals above are compared with."""
    with claims_of(world, town.people["admin"]):
        upload(world, f"uploads/{town.folder}/a.mp3")
        assert len(world.rows("select name from storage.objects")) == 1


def test_an_export_made_over_rest_is_read_by_who_asked_for_it_alone(world, town, project, http, cloud, door, tmp_path):
    """Its path names no store: files of costs may be of several."""
    world.spend(town.store, "1.5", town.people["manager"])
    asker = rest_door(project, http, town.people["manager"])
    worker = replace(rest_door(project, http, None), key=project.stack.secret_key)
    wanted = Wanted.ledger("csv", None, datetime.now(UTC).date())
    made = exports.order(asker, town.account, wanted, uuid4())
    claimed = worker.call("claim_job", p_worker="hand", p_kinds=["export_costs"], p_lease_seconds=30)
    context = Context(Claimed.model_validate(claimed), worker, cloud, options(clipdesk_data=tmp_path))
    attempt.run(context, HANDLERS["export_costs"])
    path = exports.file(asker, made).path
    assert b",1.500000,0.000000,yes," in door("manager").read(path)
    assert {who: door(who).exists(path) for who in town.people} == {who: who == "manager" for who in town.people}


def upload(world: World, name: str) -> None:
    with world.admin.transaction():
        world.execute("insert into storage.objects (bucket_id, name) values ('media', %s)", name)


def test_another_bucket_is_nobodys(world, town, project):
    world.execute("insert into storage.buckets (id, name) values ('other', 'other') on conflict do nothing")
    world.insert("storage.objects", bucket_id="other", name=f"speech/{town.folder}/a.mp3")
    with claims_of(world, town.people["admin"]):
        assert world.rows("select name from storage.objects") == []


def test_the_migration_makes_a_private_bucket_with_a_limit(world):
    bucket = world.rows("select public, file_size_limit from storage.buckets where id = 'media'")
    assert bucket == [{"public": False, "file_size_limit": 1024 * MB}]


# Large files ------------------------------------------------------------------------------------------------------


def test_a_large_file_cut_in_the_middle_goes_on_where_it_was(project, cloud):
    data = os.urandom(20 * MB)
    project.stack.faults.next(HALF, "cut")
    cloud.write("clips/a.mp4", io.BytesIO(data))
    assert cloud.read("clips/a.mp4") == data
    pieces = [seen.headers for seen in project.stack.seen if seen.method == "PATCH"]
    assert [int(piece["upload-offset"]) for piece in pieces] == [0, 3 * MB, 9 * MB, 15 * MB]
    assert [int(piece["content-length"]) for piece in pieces] == [6 * MB, 6 * MB, 6 * MB, 5 * MB]
    assert asked(project, "POST", UPLOADS) == 1


@pytest.mark.parametrize("fault", ["cut", "lost_answer", "500", "502_html", "503", "429"])
@pytest.mark.parametrize("times", [1, 3])
def test_a_large_file_survives_passing_faults(project, cloud, fault, times):
    data = os.urandom(13 * MB)
    project.stack.faults.next(f"{UPLOADS}/", fault, times)
    cloud.write("clips/a.mp4", data)
    assert cloud.read("clips/a.mp4") == data


def test_an_upload_that_ran_out_on_the_server_is_begun_anew(project, cloud, monkeypatch):
    data = os.urandom(13 * MB)
    real, begun = resumable._begin, []

    async def begin(*args):
        begun.append(await real(*args))
        return begun[0].with_name("forgotten") if len(begun) == 1 else begun[-1]

    monkeypatch.setattr(resumable, "_begin", begin)
    cloud.write("clips/a.mp4", data)
    assert cloud.read("clips/a.mp4") == data
    assert asked(project, "POST", UPLOADS) == 2


@pytest.mark.parametrize("before", [None, b"first"])
def test_pieces_that_became_no_file_are_not_taken_for_one(project, cloud, monkeypatch, before):
    def fail(*_: object) -> None:
        raise Failed(500, "InternalError", "Internal server error")

    if before:
        cloud.write("clips/a.mp4", before)
    monkeypatch.setattr(Service, "_finish", fail)
    with pytest.raises(Unavailable):
        cloud.write("clips/a.mp4", b"x" * 7 * MB)
    assert cloud.exists("clips/a.mp4") == bool(before)


def test_a_server_that_stays_away_ends_the_upload(project, cloud):
    project.stack.faults.next(UPLOADS, "503", 50)
    with pytest.raises(Unavailable, match="does not answer"):
        cloud.write("clips/a.mp4", b"x" * 7 * MB)
    assert asked(project, "POST", UPLOADS) == resumable.TRIES


def test_failures_are_counted_anew_when_a_piece_got_through(project, cloud):
    data = os.urandom(25 * MB)
    for _ in range(2 * resumable.TRIES):
        project.stack.faults.next(HALF, "cut")
    cloud.write("clips/a.mp4", data)
    assert cloud.read("clips/a.mp4") == data


def test_a_silent_server_ends_a_large_upload(project, impatient):
    project.stack.faults.next(UPLOADS, "hang", 50)
    with pytest.raises(Unavailable):
        impatient.write("clips/a.mp4", b"x" * 7 * MB)


def test_pieces_and_keys_go_to_the_project_whatever_address_the_answer_names(project, cloud, monkeypatch):
    """A server behind a proxy may not know its own address, and another host must never get the key."""
    real = creation.create

    async def elsewhere(*args):
        return URL("https://elsewhere.test:444") / "upload" / (await real(*args)).name

    monkeypatch.setattr(creation, "create", elsewhere)
    cloud.write("clips/a.mp4", b"x" * 7 * MB)
    assert asked(project, "PATCH", UPLOADS) == 2


# Small files and reading ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["cut", "lost_answer", "500", "502_html", "503", "429"])
def test_passing_faults_are_survived(project, cloud, fault):
    for use in (
        lambda: cloud.write(PATH, b"sound"),
        lambda: cloud.read(PATH),
        lambda: cloud.size(PATH),
        lambda: cloud.link(PATH, 60),
        lambda: list(cloud.list("speech", datetime.now(UTC))),
        lambda: cloud.delete(PATH),
    ):
        project.stack.faults.next("/storage/v1/object", fault)
        use()
    assert project.stack.faults.queue == []
    assert not cloud.exists(PATH)


def test_a_page_of_a_proxy_is_not_taken_for_an_answer(cloud, monkeypatch):
    page = httpx.Response(200, html="<p>Sign in to this network</p>", request=httpx.Request("GET", "http://x"))
    monkeypatch.setattr(httpx.Client, "request", lambda *_, **__: page)
    for use in (
        lambda: cloud.write(PATH, b"sound"),
        lambda: cloud.size(PATH),
        lambda: cloud.link(PATH, 60),
        lambda: cloud.delete(PATH),
    ):
        with pytest.raises(Unavailable):
            use()


def test_a_server_that_stays_away_is_asked_three_times(project, cloud):
    project.stack.faults.next("/storage/v1/object", "503", 50)
    with pytest.raises(Unavailable, match="does not answer"):
        cloud.read(PATH)
    assert asked(project, "GET") == module.TRIES


def test_a_silent_server_is_not_waited_for_again(project, impatient):
    project.stack.faults.next("/storage/v1/object", "hang", 50)
    with pytest.raises(Unavailable):
        impatient.read(PATH)
    assert asked(project, "GET") == 1


def test_a_persons_upload_is_tried_once(project, door, town):
    """A second try would be refused as a replacement, though the first one had arrived."""
    project.stack.faults.next("/storage/v1/object", "lost_answer")
    with pytest.raises(Unavailable):
        door("manager").write(f"uploads/{town.folder}/a.mp4", b"x")
    assert asked(project, "POST") == 1


def test_a_large_file_is_read_into_a_file_not_into_memory(cloud):
    data = os.urandom(13 * MB)
    cloud.write(PATH, data)
    with cloud.open(PATH) as file:
        assert file.fileno() > 0  # of a file on disk: in memory there is none
        assert file.seek(-5, io.SEEK_END) == len(data) - 5
        assert file.read() == data[-5:]


def test_text_is_never_taken_for_a_file_name(project, cloud, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    with pytest.raises(AttributeError):
        cloud.write("speech/a.txt", str(secret))
    assert not cloud.exists("speech/a.txt")


@pytest.mark.parametrize("size", [1, 7 * MB])
@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.mp3", "audio/mpeg"), ("a.WAV", "audio/wav"), ("a.mp4", "video/mp4"), ("a.png", "image/png"),
     ("a.html", "application/octet-stream"), ("a", "application/octet-stream")],
)  # fmt: skip
def test_the_content_type_follows_the_name(cloud, name, kind, size):
    cloud.write(f"clips/{name}", b"x" * size)
    assert httpx.get(cloud.link(f"clips/{name}", 60)).headers["content-type"] == kind


# Lists and sweeping -----------------------------------------------------------------------------------------------


def test_long_lists_are_complete(world, cloud):
    world.execute(
        "insert into storage.objects (bucket_id, name)"
        " select 'media', 'speech/a/b/' || n || '.mp3' from generate_series(1, 2500) n"
    )
    listed = list(cloud.list("speech", datetime.now(UTC) + timedelta(days=1)))
    assert len(listed) == 2500
    assert set(listed) == {f"speech/a/b/{n}.mp3" for n in range(1, 2501)}


def test_many_folders_are_complete(world, cloud, monkeypatch):
    monkeypatch.setattr(module, "PAGE", 10)
    names = [f"speech/{n}/{n % 3}/a.mp3" for n in range(35)] + [f"speech/z/{n}.mp3" for n in range(20)]
    world.execute("insert into storage.objects (bucket_id, name) select 'media', unnest(%s::text[])", names)
    assert sorted(cloud.list("speech", datetime.now(UTC) + timedelta(days=1))) == sorted(names)


def test_deleting_while_listing_skips_nothing(world, cloud, monkeypatch):
    monkeypatch.setattr(module, "PAGE", 10)
    world.execute(
        "insert into storage.objects (bucket_id, name) select 'media', 'speech/' || n from generate_series(1, 35) n"
    )
    for path in cloud.list("speech", datetime.now(UTC) + timedelta(days=1)):
        cloud.delete(path)
    assert world.rows("select name from storage.objects") == []


def test_foreign_names_are_left_alone(world, cloud):
    names = ["speech/my own song.mp3", "speech/.emptyFolderPlaceholder", "speech/.a/b.mp3", "speech/a.mp3"]
    world.execute("insert into storage.objects (bucket_id, name) select 'media', unnest(%s::text[])", names)
    assert list(cloud.list("speech", datetime.now(UTC) + timedelta(days=1))) == ["speech/a.mp3"]


def test_the_sweeper_deletes_what_no_row_names(world, town, cloud):
    manager = town.people["manager"]
    running = world.job("hand", town.store, status="running", created_by=manager, attempt_token=uuid4(),
                        lease_until=datetime.now(UTC) + timedelta(minutes=5))  # fmt: skip
    kept = f"speech/{town.folder}/kept.mp3"
    world.insert("public.job_steps", job_id=running, name="speak", outcome={"media_path": kept})
    for path in (kept, f"clips/{town.folder}/theirs.mp4"):
        cloud.write(path, b"x")
    world.execute(
        "insert into storage.objects (bucket_id, name, updated_at)"
        " select 'media', 'speech/' || %s || '/' || n || '.mp3', now() - interval '2 hours'"
        " from generate_series(1, %s) n",
        town.folder,
        2 * periodic.BATCH + 5,
    )
    world.execute("update storage.objects set updated_at = now() - interval '2 hours' where name = %s", kept)
    cloud.write(f"speech/{town.folder}/young.mp3", b"x")
    assert periodic.sweep_media(sweeper(world, cloud)) == {"deleted": 2 * periodic.BATCH + 5}
    left = {row["name"] for row in world.rows("select name from storage.objects")}
    assert left == {kept, f"clips/{town.folder}/theirs.mp4", f"speech/{town.folder}/young.mp3"}


def sweeper(world: World, cloud: Storage) -> Context:
    """What the sweep's handler gets from a worker that runs on this store."""
    world.job("sweep_media")
    row = world.as_worker().call("claim_job", p_worker="w", p_kinds=["sweep_media"], p_lease_seconds=Decimal(60))
    return Context(Claimed.model_validate(row), world.as_worker(), cloud, options(sweep_hours=1))


# Addresses for browsers -------------------------------------------------------------------------------------------


def test_an_address_works_without_any_header_and_serves_ranges(cloud):
    cloud.write(PATH, bytes(range(100)))
    part = httpx.get(cloud.link(PATH, 60), headers={"range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, bytes(range(10, 20)))
    assert "content-disposition" not in part.headers


def test_an_address_runs_out(project, cloud):
    cloud.write(PATH, b"sound")
    address = cloud.link(PATH, 60)
    token = parse_qs(urlsplit(address).query)["token"][0]
    claims = jwt.decode(token, project.stack.jwt_secret, algorithms=["HS256"])
    assert claims["exp"] - claims["iat"] == 60
    claims["exp"] -= 61
    late = jwt.encode(claims, project.stack.jwt_secret, algorithm="HS256")
    answer = httpx.get(address.replace(token, late))
    assert (answer.status_code, answer.json()["message"]) == (400, '"exp" claim timestamp check failed')


def test_an_address_is_of_one_file(cloud):
    cloud.write(PATH, b"sound")
    cloud.write("speech/b.mp3", b"other")
    assert httpx.get(cloud.link(PATH, 60).replace("a.mp3", "b.mp3")).status_code == 400
    assert httpx.get(cloud.link(PATH, 60).split("?")[0]).status_code == 400


@pytest.mark.parametrize("name", ["fresh-bread.mp3", "Brötchen & 50% off?.mp3", 'a"b;c.mp3'])
def test_an_address_names_the_download(cloud, name):
    cloud.write(PATH, b"sound")
    answer = httpx.get(cloud.link(PATH, 60, name))
    assert answer.content == b"sound"
    encoded = re.search(r"filename\*=UTF-8''([^;]+);", answer.headers["content-disposition"]).group(1)
    assert httpx.QueryParams(f"n={encoded}")["n"] == name


def test_there_is_no_address_for_what_is_not_there(cloud):
    with pytest.raises(NotFound):
        cloud.signed_url(PATH, 60)


# Settings and limits ----------------------------------------------------------------------------------------------


def every_use(store: Storage) -> list[Callable[[], object]]:
    return [
        lambda: store.write(PATH, b"x"),
        lambda: store.write(PATH, b"x" * 7 * MB),
        lambda: store.read(PATH),
        lambda: store.exists(PATH),
        lambda: store.link(PATH, 60),
        lambda: store.delete(PATH),
        lambda: list(store.list("speech", datetime.now(UTC))),
    ]


@pytest.mark.parametrize("key", ["sb_secret_wrong", "eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoiYW5vbiJ9.x"])
def test_a_wrong_key_is_named(project, http, key):
    wrong = storage(project.url, key, http)
    for use in every_use(wrong):
        with pytest.raises(SettingsInvalid, match="refuses the key"):
            use()
    assert "refuses the key" in wrong.trouble()


@pytest.mark.parametrize("bad", ["expired", "forged"])
def test_a_token_that_ran_out_is_signed_out(project, town, http, bad):
    token = project.stack.token(town.people["admin"], seconds=-60 if bad == "expired" else 60)
    token = token[:-4] + "AAAA" if bad == "forged" else token
    for use in every_use(storage(project.url, project.stack.publishable_key, http, token)):
        with pytest.raises(SignedOut):
            use()


@pytest.mark.parametrize("size", [1, 7 * MB])
def test_a_missing_bucket_says_what_to_do(world, cloud, size):
    world.execute("delete from storage.buckets where id = 'media'")
    with pytest.raises(SchemaMismatch, match=r"no bucket “media”\. Run `supabase db push"):
        cloud.write(PATH, b"x" * size)
    assert "no bucket" in cloud.trouble()


def test_a_public_bucket_is_found(world, cloud):
    assert cloud.trouble() is None
    world.execute("update storage.buckets set public = true")
    assert "is public" in cloud.trouble()


@pytest.mark.parametrize("size", [11, 7 * MB])
def test_a_file_above_the_limit_is_storage_full(world, project, cloud, size):
    world.execute("update storage.buckets set file_size_limit = 10 where id = 'media'")
    with pytest.raises(StorageFull, match="file size limit"):
        cloud.write(PATH, b"x" * size)
    assert asked(project, "POST", "/storage/v1") == 1  # nothing is asked twice that would be answered alike


@pytest.mark.parametrize("size", [1, 7 * MB])
def test_an_absent_network_is_unavailable(http, size):
    gone = storage("http://127.0.0.1:9", "sb_secret_x", http)
    with pytest.raises(Unavailable, match="does not answer"):
        gone.write(PATH, b"x" * size)


def test_secrets_reach_neither_log_nor_error_nor_repr(project, town, http, caplog):
    caplog.set_level(logging.DEBUG)
    token = project.stack.token(town.people["admin"])
    stores = [
        storage(project.url, project.stack.secret_key, http),
        storage(project.url, project.stack.publishable_key, http, token),
        storage(project.url, "sb_secret_wrong", http),
    ]
    hidden = [project.stack.secret_key, token, "sb_secret_wrong"]
    told = [repr(store) for store in stores]
    for store in stores:
        for use in every_use(store):
            try:
                made = use()
            except AppError as exc:
                logging.getLogger("test").exception("failed")
                told += [str(exc), repr(exc), repr(exc.__cause__)]
            else:
                hidden += [made.split("token=")[1]] if isinstance(made, str) else []
    assert len(hidden) > 3
    assert not [secret for secret in hidden for text in [caplog.text, *told] if secret in text]
