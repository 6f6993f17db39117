"""The vault: what is sealed opens for its own row and with the right key only; keys are replaced at any time."""

# ruff: noqa: F811 - tests take fixtures by the names under which they are imported

import base64
import os
import re
import stat
import threading
from uuid import uuid4

import pytest
from nacl.public import PrivateKey
from pydantic import SecretStr

from services import credentials, vault
from services.config import VAULT_PRIVATE, VAULT_PUBLIC, Settings, settings
from services.errors import Conflict, ProviderUnavailable, SettingsInvalid
from services.vault import Content, Place
from tests.jobs.fixtures import shared_world, world  # noqa: F401 - pytest finds fixtures by their names here

KEY = "sk_planted_secret_0123456789"
PLACE = Place(account_id=uuid4(), profile_id=uuid4(), provider="elevenlabs")
CONTENT = Content(address="https://voices.example.test/v1", key=SecretStr(KEY))


def pair():
    """A pair as settings have it: private, public."""
    made = PrivateKey.generate()
    return (
        VAULT_PRIVATE + base64.urlsafe_b64encode(bytes(made)).decode(),
        VAULT_PUBLIC + base64.urlsafe_b64encode(bytes(made.public_key)).decode(),
    )


def app(public):
    return Settings(database_url="postgresql://clipdesk_app@db/clipdesk", vault_public_key=public)


def worker(*private):
    return Settings(database_url="postgresql://clipdesk_app@db/clipdesk", vault_keys=", ".join(private))


@pytest.fixture
def embedded(tmp_path):
    return Settings(clipdesk_data=tmp_path)


# Sealing ----------------------------------------------------------------------------------------------------------


def test_the_app_seals_and_only_the_worker_opens():
    private, public = pair()
    sealed = vault.seal(app(public), PLACE, CONTENT)
    assert re.fullmatch(r"v1\.[0-9a-f]{16}\.[A-Za-z0-9_=-]+", sealed)
    assert KEY not in sealed
    assert vault.unseal(worker(private), PLACE, sealed) == CONTENT
    with pytest.raises(SettingsInvalid, match="VAULT_KEYS"):
        vault.unseal(app(public), PLACE, sealed)


def test_the_same_key_sealed_twice_looks_different():
    _, public = pair()
    assert vault.seal(app(public), PLACE, CONTENT) != vault.seal(app(public), PLACE, CONTENT)


@pytest.mark.parametrize(
    "other", [{"account_id": uuid4()}, {"profile_id": uuid4()}, {"profile_id": None}, {"provider": "postiz"}]
)
def test_a_row_swapped_to_another_place_is_refused(other):
    private, public = pair()
    sealed = vault.seal(app(public), PLACE, CONTENT)
    with pytest.raises(ProviderUnavailable, match="another store, company or service") as refused:
        vault.unseal(worker(private), PLACE.model_copy(update=other), sealed)
    assert KEY not in str(refused.value)


def test_another_key_s_seal_is_named_and_refused():
    (mine, _), (_, theirs) = pair(), pair()
    sealed = vault.seal(app(theirs), PLACE, CONTENT)
    with pytest.raises(ProviderUnavailable, match=sealed.split(".")[1]):
        vault.unseal(worker(mine), PLACE, sealed)


def test_an_older_key_of_the_ring_opens_still():
    (old, public), (new, _) = pair(), pair()
    assert vault.unseal(worker(new, old), PLACE, vault.seal(app(public), PLACE, CONTENT)) == CONTENT


@pytest.mark.parametrize("spoil", [lambda s: s[:-8], lambda s: s[:60] + "AAAA" + s[64:], lambda s: s + "é", str.upper])
def test_spoilt_text_is_refused(spoil):
    private, public = pair()
    with pytest.raises(ProviderUnavailable):
        vault.unseal(worker(private), PLACE, spoil(vault.seal(app(public), PLACE, CONTENT)))


@pytest.mark.parametrize("key", ["k" * 4000, "ключ 🔑", '"}{'])
def test_any_text_survives(key):
    private, public = pair()
    content = Content(address=None, key=SecretStr(key))
    assert vault.unseal(worker(private), PLACE, vault.seal(app(public), PLACE, content)) == content


def test_without_a_public_key_the_app_says_what_to_set():
    with pytest.raises(SettingsInvalid, match=r"VAULT_PUBLIC_KEY.*new-key"):
        vault.seal(app(None), PLACE, CONTENT)


# Keys in the data folder ------------------------------------------------------------------------------------------


def test_the_embedded_way_makes_its_keys_for_its_own_eyes(embedded, tmp_path):
    assert vault.unseal(embedded, PLACE, vault.seal(embedded, PLACE, CONTENT)) == CONTENT
    folder = tmp_path / "vault"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    assert vault.public_key(embedded) == vault.ring(embedded)[0].public_key


def test_many_that_start_at_once_make_one_key(embedded):
    found = []
    threads = [threading.Thread(target=lambda: found.append(bytes(vault.ring(embedded)[0]))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(found) == 8
    assert len(set(found)) == 1


def test_a_kill_between_the_two_files_leaves_a_pair(embedded, tmp_path):
    vault.ring(embedded)
    (tmp_path / "vault" / "public").unlink()
    assert vault.public_key(embedded) == vault.ring(embedded)[0].public_key


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_used_is_named(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(SettingsInvalid, match=str(tmp_path)):
        vault.public_key(Settings(clipdesk_data=tmp_path / "data"))


# In force ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def city(world):
    """A company with an admin who saves keys; `save(options, key)` returns the credential's id."""
    account = world.company()
    admin = world.as_person(world.person(account, "admin"))

    def save(options, key=KEY, provider="gemini", version=0):
        return credentials.save(admin, options, account, None, provider, None, SecretStr(key), version=version)

    save.admin, save.account = admin, account
    return save


def opened(world, options, credential_id):
    return credentials.saved(world.as_worker(), options, credential_id).key.get_secret_value()


def test_nothing_is_saved_before_a_worker_has_put_a_key_in_force(city, embedded, world):
    with pytest.raises(Conflict, match=r"No worker .* \(VAULT_KEYS\) has started"):
        city(embedded)
    vault.note(world.as_worker(), embedded)
    assert opened(world, embedded, city(embedded)) == KEY


def test_a_process_with_another_key_stops_saving_with_a_sentence(city, embedded, world):
    (_, stranger), mine = pair(), embedded
    vault.note(world.as_worker(), mine)
    with pytest.raises(Conflict, match="doctor"):
        city(app(stranger))
    assert credentials.of_company(city.admin, city.account) == []


def test_the_database_refuses_it_too(city, embedded, world):
    _, stranger = pair()
    vault.note(world.as_worker(), embedded)
    place = Place(account_id=city.account, profile_id=None, provider="gemini")
    with pytest.raises(Conflict, match="another key than the one in force"):
        city.admin.call(
            "save_credential", p_id=uuid4(), p_account_id=city.account, p_profile_id=None, p_provider="gemini",
            p_version=0, p_enabled=True, p_shared=True,
            p_sealed={"ciphertext": vault.seal(app(stranger), place, CONTENT), "last4": "", "shown_address": None},
        )  # fmt: skip


def test_a_later_worker_does_not_replace_the_key_in_force(world, embedded):
    private, _ = pair()
    vault.note(world.as_worker(), embedded)
    force = world.as_worker().call("vault_key")
    vault.note(world.as_worker(), worker(private))
    assert world.as_worker().call("vault_key") == force


# Rotation ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def rotated(city, world):
    """An old pair with three saved keys, and a new pair."""
    old, new = pair(), pair()
    vault.note(world.as_worker(), worker(old[0]))
    ids = [city(app(old[1]), f"sk_key_number_{name}", name) for name in ("elevenlabs", "gemini", "postiz")]
    return old, new, ids


def keys(world, options, ids):
    return [opened(world, options, identity).removeprefix("sk_key_number_") for identity in ids]


def test_rotation_seals_all_anew_and_the_old_key_may_go(world, rotated, city):
    old, new, ids = rotated
    with pytest.raises(Conflict):
        city(app(new[1]), version=1)
    done = vault.rotate(world.as_worker(), worker(new[0], old[0]))
    assert (done.resealed, done.failed) == (3, [])
    assert keys(world, worker(new[0]), ids) == ["elevenlabs", "gemini", "postiz"]
    assert world.value("select count(*) from public.audit_log where action = 'vault_key_replaced'") == 1
    again = vault.rotate(world.as_worker(), worker(new[0]))
    assert (again.resealed, again.failed) == (0, [])
    versions = {row.version for row in credentials.of_company(city.admin, city.account)}
    assert versions == {1}, "sealing anew is no change that anybody else would lose"


class Killed(BaseException):
    pass


class Mortal:
    """The worker's door, killed before its `last`th row is written."""

    def __init__(self, database, last):
        self._database, self._left = database, last

    def call(self, function, **params):
        if function == "reseal":
            self._left -= 1
            if self._left < 0:
                raise Killed
        return self._database.call(function, **params)


@pytest.mark.parametrize("last", [0, 1, 2])
def test_an_interrupted_rotation_loses_nothing_and_is_resumed(world, rotated, last):
    old, new, ids = rotated
    both = worker(new[0], old[0])
    with pytest.raises(Killed):
        vault.rotate(Mortal(world.as_worker(), last), both)
    assert keys(world, both, ids) == ["elevenlabs", "gemini", "postiz"]
    assert vault.rotate(world.as_worker(), both).resealed == 3 - last
    assert keys(world, worker(new[0]), ids) == ["elevenlabs", "gemini", "postiz"]


class Busybody:
    """The worker's door; before each row is written somebody saves another key there."""

    def __init__(self, database, save):
        self._database, self._save = database, save

    def call(self, function, **params):
        if function == "reseal":
            self._save(params["p_key_id"])
        return self._database.call(function, **params)


def test_a_key_saved_while_rotation_runs_is_not_undone(world, rotated, city):
    old, new, ids = rotated
    both = worker(new[0], old[0])

    def save(key_id):
        provider = world.value("select provider from public.profile_credentials where key_id = %s", key_id)
        with pytest.raises(Conflict):
            city(app(old[1]), "sk_too_late_and_refused", provider, version=1)
        city(app(new[1]), f"sk_key_number_new {provider}", provider, version=1)

    done = vault.rotate(Busybody(world.as_worker(), save), both)
    assert (done.resealed, done.failed) == (0, [])
    assert keys(world, worker(new[0]), ids) == ["new elevenlabs", "new gemini", "new postiz"]


def test_what_cannot_be_opened_is_reported_and_kept(world, rotated):
    old, new, ids = rotated
    done = vault.rotate(world.as_worker(), worker(new[0]))
    assert (done.resealed, len(done.failed)) == (0, 3)
    assert "VAULT_KEYS" in done.failed[0]
    assert vault.rotate(world.as_worker(), worker(new[0], old[0])).resealed == 3
    assert keys(world, worker(new[0]), ids) == ["elevenlabs", "gemini", "postiz"]


# The command ------------------------------------------------------------------------------------------------------


def test_new_key_prints_a_pair_that_settings_take(desk, monkeypatch, capsys):
    monkeypatch.setenv("DATABASE_URL", "postgresql://clipdesk_app@db/clipdesk")
    settings.cache_clear()
    assert vault.main(["new-key"]) == 0
    public, private = re.findall(r"^VAULT_\w+=(\S+)$", capsys.readouterr().out, re.MULTILINE)
    assert vault.unseal(worker(private), PLACE, vault.seal(app(public), PLACE, CONTENT)) == CONTENT


def test_the_embedded_way_adds_a_key_and_rotates(desk, capsys, monkeypatch):
    vault.note(desk.as_worker(), settings())
    before = vault.ring(settings())[0]
    assert vault.main(["new-key"]) == 0
    assert bytes(vault.ring(settings())[1]) == bytes(before)

    class AsIs:
        def __enter__(self):
            return desk.doors

        def __exit__(self, *_):
            return None

    monkeypatch.setattr(vault, "process_doors", lambda _: AsIs())
    assert vault.main(["rotate"]) == 0
    assert "0 keys were sealed anew.\nOlder vault keys may go." in capsys.readouterr().out
    assert desk.as_worker().call("vault_key") == vault.fingerprint(vault.public_key(settings()))
