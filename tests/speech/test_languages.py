"""When a voice is warned about, and when not."""

import pytest

from services.speech.languages import warning


@pytest.mark.parametrize(
    ("text", "languages", "script"),
    [
        ("Свежий хлеб", ["en-US"], "Cyrillic (“Свежий”)"),
        ("Fresh хлеб daily", ["en-US", "de-DE"], "Cyrillic (“хлеб”)"),
        ("Φρέσκο ψωμί", ["ru-RU"], "Greek"),
        ("خبز طازج", ["he-IL"], "Arabic"),
        ("לחם טרי", ["ar-EG"], "Hebrew"),
        ("新鲜面包", ["en"], "Chinese"),
        ("茶", ["en"], "Chinese"),
        ("焼きたてパン", ["zh-CN"], "Japanese"),
        ("갓 구운 빵", ["ja-JP"], "Korean"),
        ("ขนมปังสด", ["lo-LA"], "Thai"),
        ("ताज़ी रोटी", ["bn-IN"], "Devanagari"),
        ("Свеж хлеб", ["sr-Latn-RS"], "Cyrillic"),
        ("хлеб хлеб ψωμί", ["en"], "Cyrillic"),
    ],
)
def test_warns_of_letters_that_no_language_of_the_voice_has(text, languages, script):
    assert script in warning(text, languages).replace(" letters", "")


@pytest.mark.parametrize(
    ("text", "languages"),
    [
        ("Fresh bread", ["en-US"]),
        ("Fresh bread", ["ru-RU"]),
        ("Crème brûlée für 5 €", ["en-US"]),
        ("Свежий хлеб", ["en-US", "uk-UA"]),
        ("Свеж хлеб", ["sr-Cyrl-RS"]),
        ("焼きたてパン", ["ja-JP"]),
        ("新鲜面包", ["zh-CN-liaoning"]),
        ("लाख", ["mr_IN"]),
        ("π is about 3", ["en"]),
        ("10 µm, 5 Ω", ["en"]),
        ("", ["en"]),
        ("👋 6 !", ["en"]),
    ],
)
def test_does_not_warn_where_the_voice_can_read(text, languages):
    assert warning(text, languages) is None


@pytest.mark.parametrize("languages", [[], [""], ["tlh"], ["en-US", ""], ["en-US", "tlh"]])
def test_never_warns_of_a_voice_whose_languages_are_unknown(languages):
    assert warning("Свежий хлеб", languages) is None
