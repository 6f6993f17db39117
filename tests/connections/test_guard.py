"""The guard in the moment of connecting: what a name leads to counts, not what it led to before."""

import httpx
import pytest

from services import connections
from services.config import Settings
from services.connections.transport import GuardedTransport, PlaceForbidden
from services.errors import InvalidInput, VendorBusy
from services.speech.elevenlabs_errors import paid_error
from tests.connections.conftest import PUBLIC, Authority, Network
from tests.fakes.gemini import FakeGemini
from tests.fakes.postiz import FakePostiz
from tests.fakes.web import json_reply, redirect

NAME = "postiz.example.com"
ADDRESS = f"https://{NAME}/api"


@pytest.fixture
def outside(authority: Authority, network: Network):
    """Postiz on the public network under `NAME`."""
    with FakePostiz(tls=authority.context(NAME)) as fake:
        network.port = fake.port
        network.names[NAME] = [[PUBLIC]]
        yield fake


def test_the_call_goes_to_the_address_that_was_checked_under_its_name(
    outside: FakePostiz, network: Network, strict: Settings
) -> None:
    found = connections.test("postiz", ADDRESS, connections.clean_key("postiz", outside.key), strict)
    assert found.ok, found.message
    assert set(network.dialled) == {PUBLIC}, "connected by name: it would have been looked up again"
    assert len(network.looked_up) == len(network.dialled)
    assert {request.headers["host"] for request in outside.requests} == {NAME}


def test_a_name_that_turns_private_after_the_check_gains_nothing(
    outside: FakePostiz, network: Network, strict: Settings
) -> None:
    network.names[NAME] = [[PUBLIC], ["127.0.0.1"]]
    found = connections.test("postiz", ADDRESS, connections.clean_key("postiz", outside.key), strict)
    assert found.ok, found.message
    assert set(network.dialled) == {PUBLIC}


def test_a_new_connection_is_checked_anew(outside: FakePostiz, network: Network, strict: Settings) -> None:
    network.names[NAME] = [[PUBLIC], ["127.0.0.1"]]
    outside.misbehave(json_reply({"connected": True}, connection="close"), "/api/public/v1/is-connected")
    found = connections.test("postiz", ADDRESS, connections.clean_key("postiz", outside.key), strict)
    assert not found.ok
    assert found.message.startswith(f"{NAME} leads to a private network")
    assert network.dialled == [PUBLIC]


@pytest.mark.parametrize(
    "addresses", [["127.0.0.1"], ["10.0.0.5"], [PUBLIC, "127.0.0.1"], ["169.254.169.254"], ["::1"]]
)
def test_a_name_with_a_private_address_is_not_called(
    addresses: list[str], outside: FakePostiz, network: Network, strict: Settings
) -> None:
    network.names[NAME] = [addresses]
    found = connections.test("postiz", ADDRESS, connections.clean_key("postiz", outside.key), strict)
    assert not found.ok
    assert found.message == (
        f"{NAME} leads to a private network, where Clipdesk does not call. "
        "Whoever runs this server can allow it with ALLOW_PRIVATE_ADDRESSES."
    )
    assert (network.dialled, outside.requests) == ([], [])


def test_even_the_setting_opens_no_metadata(network: Network, private: Settings) -> None:
    network.names[NAME] = [["169.254.169.254"]]
    found = connections.test("postiz", ADDRESS, connections.clean_key("postiz", "k" * 64), private)
    assert found.message.startswith(f"{NAME} leads to a private network")
    assert network.dialled == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("target", ["http://169.254.169.254/latest/meta-data", "https://127.0.0.1:1/", "//[::1]/x"])
def test_a_redirect_is_told_and_never_followed(
    status: int, target: str, outside: FakePostiz, network: Network, strict: Settings
) -> None:
    outside.misbehave(redirect(target, status))
    found = connections.test("postiz", ADDRESS, connections.clean_key("postiz", outside.key), strict)
    assert not found.ok
    assert "sends calls on to" in found.message
    assert "meta-data" not in found.message
    assert set(network.dialled) == {PUBLIC}


def test_the_second_address_is_tried_when_the_first_is_deaf(
    outside: FakePostiz, network: Network, strict: Settings
) -> None:
    network.names[NAME] = [["93.184.215.99", PUBLIC]]
    network.deaf = {"93.184.215.99"}
    found = connections.test("postiz", ADDRESS, connections.clean_key("postiz", outside.key), strict)
    assert found.ok, found.message


def test_the_environment_s_proxy_gets_no_key(
    outside: FakePostiz, network: Network, strict: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    found = connections.test("postiz", ADDRESS, connections.clean_key("postiz", outside.key), strict)
    assert found.ok, found.message
    assert set(network.dialled) == {PUBLIC}


def test_the_server_s_own_setting_may_be_private(gemini: FakeGemini, strict: Settings) -> None:
    own = strict.model_copy(update={"gemini_url": gemini.url})
    key = connections.clean_key("gemini", gemini.key)
    assert connections.test("gemini", None, key, own).ok
    with pytest.raises(InvalidInput, match="Use https://"):
        connections.test("gemini", gemini.url, key, own)


def test_other_clients_can_use_the_same_guard(outside: FakePostiz, network: Network) -> None:
    """A vendor's SDK, for example: what the guard stops counts as not sent there, so nothing was bought."""
    with httpx.Client(transport=GuardedTransport(private=False), trust_env=False) as client:
        assert client.get(f"{ADDRESS}/public/v1/is-connected").status_code == 401
        network.names["desk.example.com"] = [["127.0.0.1"]]
        with pytest.raises(PlaceForbidden) as caught:
            client.get("https://desk.example.com")
    assert isinstance(paid_error(caught.value), VendorBusy)
