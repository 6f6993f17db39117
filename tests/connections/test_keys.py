"""Keys as they are pasted: cleaned where that is certain, refused with the cause beside the field."""

import pytest

from services import connections
from services.connections import Provider
from services.errors import InvalidInput

HEX = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("provider", "typed"),
    [
        ("elevenlabs", "sk_" + HEX), ("elevenlabs", HEX[:32]), ("gemini", "AIza" + HEX[:35]),
        ("gemini", "AQ.Ab-_9" + HEX),
        ("postiz", HEX), ("postiz", "pos_" + HEX), ("postiz", "a+b/c=.-_~" + HEX),
    ],
)  # fmt: skip
@pytest.mark.parametrize("around", ["", " ", "\n", "\t \r\n", "\u00a0"])
def test_a_key_is_cut_of_the_blanks_around_it(provider: Provider, typed: str, around: str) -> None:
    assert connections.clean_key(provider, f"{around}{typed}{around}").get_secret_value() == typed


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("", "Type the key"), (" \n", "Type the key"), ("hunter2\nhunter2", "a line break inside"),
        ("hunter2\r\nhunter2", "a line break inside"), ("hunter2\u2028hunter2", "a line break inside"),
        ("hunter2\vhunter2", "a line break inside"),
        ("Bearer hunter2hunter2", "a blank inside"), ("hunter2\u00a0hunter2", "a blank inside"),
        ("hunter2\thunter2", "a blank inside"),
        ("hunter2ключ", "a letter that no key has"), ("••••••••hunter2", "a letter that no key has"),
        ("hunter2\u200bhunter2", "a letter that no key has"), ("hunter2\0hunter2", "an invisible character"),
        ("hunter2\x7fhunter2", "an invisible character"), ("\"hunter2hunter2\"", "quotation marks"),
        ("'hunter2hunter2", "quotation marks"), ("********ter2", "a hidden key"), ("hunter2", "too short"),
        ("hunter2" * 200, "too long"), ("https://hunter2.example.com", "This is an address"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("provider", ["elevenlabs", "gemini", "postiz"])
def test_what_is_no_key_is_refused_with_its_cause(provider: Provider, typed: str, sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence) as caught:
        connections.clean_key(provider, typed)
    assert caught.value.field == "key"
    assert "hunter2" not in str(caught.value), "the key in a sentence"


@pytest.mark.parametrize(
    ("provider", "typed", "owner"),
    [
        ("elevenlabs", "AIza" + HEX, "Gemini"), ("elevenlabs", "AQ." + HEX, "Gemini"),
        ("elevenlabs", "pos_" + HEX, "Postiz"),
        ("gemini", "sk_" + HEX, "ElevenLabs"), ("gemini", "pos_" + HEX, "Postiz"),
        ("postiz", "sk_" + HEX, "ElevenLabs"), ("postiz", "AIza" + HEX, "Gemini"), ("postiz", " AQ." + HEX, "Gemini"),
    ],
)  # fmt: skip
def test_another_vendor_s_key_is_told_by_its_beginning(provider: Provider, typed: str, owner: str) -> None:
    with pytest.raises(InvalidInput, match=f"This is a key of {owner}") as caught:
        connections.clean_key(provider, typed)
    assert caught.value.field == "key"
    assert HEX not in str(caught.value)


def test_a_key_that_two_vendors_could_have_is_let_through() -> None:
    assert connections.clean_key("elevenlabs", HEX[:32])
    assert connections.clean_key("postiz", HEX[:32])


def test_a_key_is_not_in_its_own_representation() -> None:
    key = connections.clean_key("postiz", HEX)
    assert HEX not in repr(key) + str(key)
