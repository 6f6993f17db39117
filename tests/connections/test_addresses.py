"""Addresses as they are pasted, and the places where no call goes."""

from ipaddress import ip_address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services import connections
from services.config import Settings
from services.connections import Provider
from services.connections.addresses import may_lead_to
from services.errors import InvalidInput

PROVIDERS: list[Provider] = ["elevenlabs", "gemini", "postiz"]


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        ("https://api.example.com", "https://api.example.com"), (" https://api.example.com/ \n", "https://api.example.com"),
        ("api.example.com", "https://api.example.com"), ("//api.example.com/", "https://api.example.com"),
        ("HTTPS://API.Example.COM//", "https://api.example.com"), ("https://api.example.com:443/", "https://api.example.com"),
        ("api.example.com:8443", "https://api.example.com:8443"), ("https://bücher.de", "https://xn--bcher-kva.de"),
        ("https://api.example.com/gate//way/", "https://api.example.com/gate/way"),
        ("https://api.example.com/a/../b", "https://api.example.com/b"), ("https://8.8.8.8", "https://8.8.8.8"),
        ("https://[2001:4860:4860::8888]:8443", "https://[2001:4860:4860::8888]:8443"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_address_is_brought_into_one_shape(provider: Provider, typed: str, wanted: str, strict: Settings) -> None:
    assert connections.clean_address(provider, typed, strict) == wanted
    assert connections.clean_address(provider, wanted, strict) == wanted


@pytest.mark.parametrize(
    ("provider", "typed", "wanted"),
    [
        ("postiz", "https://api.postiz.com/public/v1", "https://api.postiz.com"),
        ("postiz", "https://api.postiz.com/public/v1/integrations/", "https://api.postiz.com"),
        ("postiz", "https://platform.postiz.com/settings", "https://api.postiz.com"),
        ("postiz", "postiz.com", "https://api.postiz.com"),
        ("postiz", "https://social.example.com/api/public/v1/", "https://social.example.com/api"),
        ("postiz", "https://social.example.com/api/", "https://social.example.com/api"),
        ("postiz", "https://social.example.com", "https://social.example.com"),
        ("postiz", "https://example.com/desk/api/public/v1", "https://example.com/desk/api"),
        ("postiz", "https://example.com/public/v12", "https://example.com/public/v12"),
        ("elevenlabs", "https://api.eu.residency.elevenlabs.io/v1/", "https://api.eu.residency.elevenlabs.io"),
        ("gemini", "https://generativelanguage.googleapis.com/v1beta", "https://generativelanguage.googleapis.com"),
    ],
)  # fmt: skip
def test_what_is_pasted_along_with_the_base_is_cut(
    provider: Provider, typed: str, wanted: str, strict: Settings
) -> None:
    assert connections.clean_address(provider, typed, strict) == wanted


def test_nothing_typed_means_the_vendor_s_own_where_it_has_one(strict: Settings) -> None:
    assert connections.clean_address("elevenlabs", "  ", strict) is None
    assert connections.clean_address("gemini", "", strict) is None
    with pytest.raises(InvalidInput, match="Type the address of Postiz") as caught:
        connections.clean_address("postiz", " ", strict)
    assert caught.value.field == "address"


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("http://api.example.com", "Use https://"), ("ftp://api.example.com", "must begin with https://"),
        ("file:///etc/passwd", "must begin with https://"), ("gopher://api.example.com", "must begin with https://"),
        ("javascript:alert(1)", "no web address"), ("mailto:a@example.com", "no web address"),
        ("postiz", "no web address"), ("https://", "no web address"), ("https:///path", "no web address"),
        ("https://api.example.com:99999", "no web address"), ("https://api.example.com:x", "no web address"),
        ("https://[::1", "no web address"), ("https://xn--\x80.example.com", "invisible"),
        ("https://user:hunter2@api.example.com", "name or password"), ("user@api.example.com", "no web address"),
        ("https://api.example.com@hunter2.example.com", "name or password"),
        ("https://api.example.com?key=hunter2", "after a \\? or #"),
        ("https://api.example.com/#hunter2", "after a \\? or #"),
        ("https://api.example.com/?", "after a \\? or #"), ("https://api.example.com\\@hunter2.com", "backslash"),
        ("https://api example.com", "blank"), ("https://api.example.com\nhunter2", "blank"),
        ("https://api.example.com/\u202ehunter2", "invisible"), ("https://api.example.com/" + "x" * 500, "too long"),
        ("https://a%2fb.example.com", "(host name|web address)"), ("https://a..example.com", "(host name|web address)"),
        ("https://*.example.com", "host name"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("provider", PROVIDERS)
def test_what_is_no_address_is_refused_with_its_cause(
    provider: Provider, typed: str, sentence: str, strict: Settings
) -> None:
    with pytest.raises(InvalidInput, match=sentence) as caught:
        connections.clean_address(provider, typed, strict)
    assert caught.value.field == "address"
    assert "hunter2" not in str(caught.value)


PRIVATE = [
    "127.0.0.1", "127.1", "2130706433", "0x7f000001", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1",
    "0.1.2.3", "198.18.0.1", "192.0.2.1", "240.0.0.1", "[::1]", "[fd00::1]", "[fc00::1]", "[::ffff:127.0.0.1]",
    "[::ffff:10.0.0.1]", "[2002:0a00:0001::]", "[64:ff9b::10.0.0.1]", "[64:ff9b:1::1]", "[2001:db8::1]",
    "[::127.0.0.1]",
]  # fmt: skip
FORBIDDEN = [
    "169.254.169.254", "169.254.1.1", "[fe80::1]", "224.0.0.1", "[ff02::1]", "0.0.0.0", "[::]", "100.100.100.200",
    "168.63.129.16", "192.0.0.192", "[fd00:ec2::254]", "[::ffff:169.254.169.254]", "[64:ff9b::a9fe:a9fe]",
    "[2002:a9fe:a9fe::]", "2852039166", "0xa9fea9fe",
]  # fmt: skip


@pytest.mark.parametrize("host", [*PRIVATE, *FORBIDDEN, "localhost", "localhost.", "desk.localhost"])
def test_private_addresses_are_refused_in_every_spelling(host: str, strict: Settings) -> None:
    with pytest.raises(InvalidInput, match="private network, where Clipdesk does not call") as caught:
        connections.clean_address("postiz", f"https://{host}/api", strict)
    assert caught.value.field == "address"


@pytest.mark.parametrize("host", [*PRIVATE, "localhost", "postiz", "postiz_app"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_setting_lets_self_hosted_services_in(scheme: str, host: str, private: Settings) -> None:
    assert connections.clean_address("postiz", f"{scheme}://{host}:4007/api", private)


@pytest.mark.parametrize("host", FORBIDDEN)
def test_no_setting_opens_link_local_and_metadata(host: str, private: Settings) -> None:
    with pytest.raises(InvalidInput, match="private network"):
        connections.clean_address("postiz", f"http://{host}", private)


@pytest.mark.parametrize("address", ["8.8.8.8", "2001:4860:4860::8888", "64:ff9b::808:808", "::ffff:8.8.8.8"])
def test_public_addresses_are_open(address: str) -> None:
    assert may_lead_to(ip_address(address), private=False)


PIECES = st.sampled_from(
    ["https://", "http://", "//", "api.example.com", "127.0.0.1", "[::1]", ":443", ":", "@", "/api", "/public/v1",
     "/v1", "/", "..", "%2e", "%00", "?", "#", "\\", " ", "\n", "é", "٣", "\ud800", "xn--", "0x7f.1", "localhost",
     "a" * 70]
)  # fmt: skip


@given(st.lists(st.one_of(PIECES, st.text(max_size=4)), max_size=8).map("".join), st.booleans())
@example("https://https:///public/v1/v1", False)
def test_whatever_is_typed_is_refused_or_stays_what_it_became(typed: str, private: bool) -> None:
    options = Settings.model_construct(allow_private_addresses=private)
    for provider in PROVIDERS:
        try:
            address = connections.clean_address(provider, typed, options)
        except InvalidInput:
            continue
        assert connections.clean_address(provider, address or "", options) == address
        assert address is None or (address.isascii() and address.startswith(("https://", "http://")[: 1 + private]))
