"""Other scripts in Latin letters, as basic-memory spells them.

basic-memory uses Unidecode, whose licence forbids it here; what is used is AnyASCII, and where the two spell a living
language in two ways: a table of letters, and for the scripts whose characters Unicode names by their sounds, their
names. Found by running basic-memory. A capital in a spelling parts words in a permalink, and so does a hyphen.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from anyascii import anyascii

IDEOGRAPHS = "\u3000-\u303f\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
"""What is kept as it is, for a class of a regular expression."""

_OTHER_SCRIPT = re.compile(rf"[^\x00-\x7f{IDEOGRAPHS}]+")
_NOT_SPELLED = re.compile("[\uff00-\uffef]")
_GREEK = re.compile("[\u0370-\u03ff\u1f00-\u1fff]")
_LAST_OF_BASIC_PLANE = "\uffff"
_CACHED_CHARACTERS = 4096

_SPELLINGS = """
¢ -c/-  £ PS  ¥ Y-  § SS  ¶ P  × x  € EUR  ₩ W  ₪ NS  ₫ D  ₱ P  ₴ UAH  ₸ T  ₹ Rs  ₺ L  ₽ R  ₿ BTC  ฿ Bh.
№ No.-  ™ TM  ℠ SM  ↓ -  ↗ /  ↙ /  ‚ -  \u200b -
¼ -1/4  ½ -1/2  ¾ -3/4  ⅓ -1/3  ⅔ -2/3  ⅕ -1/5  ⅖ -2/5  ⅗ -3/5  ⅘ -4/5  ⅙ -1/6  ⅚ -5/6  ⅛ -1/8  ⅜ -3/8  ⅝ -5/8  ⅞ -7/8
Æ AE  Œ OE  Ŋ NG  ẞ SS  ĸ k  ə -  Ə -

ё io  й i  ю iu  я ia  ї yi  ѓ gj  ќ kj  ћ tsh  ѐ ie  ґ g'  ғ g'  җ zh'  қ k'  ҝ k'  ҡ k'  ң n'  ҫ s'  ҭ t'  ҷ ch'
ҹ ch'  ұ u'  ҳ kh'  ҙ z'  ә -  ӂ zh  ӝ zh  ӑ a  ӗ ie  ӵ ch

β b  η e  ΐ I  ξ x  Ξ Ks  υ u  φ ph  χ kh

じ zi  ぢ di  づ du  ふ hu  を wo  っ tsu  ゐ wi  ゑ we
ジ zi  ヂ di  ヅ du  フ hu  ヲ wo  ッ tsu  ヰ wi  ヱ we  ヶ ke  ー -

ը e  թ t`  չ ch`  ռ rh  ց ts`  փ p`  ք k`  և ew
თ t`  ფ p`  ქ k`  ღ g'  ჩ ch`  ც c`  ძ z'  წ c  ხ x

א A  ב b  ח H  ט T  ך KH  כ KH  ע `  ף p  פ p  ץ TS  צ TS  ש SH  װ V  ױ OY  ײ EY

ؤ w'  ئ y'  ة @  ح H  ص S  ض D  ط T  ظ Z  غ G  ى ~  ٹ tt  ڈ dd  ڑ rr  ژ j  ک kh  ں N  ۀ hy  ۂ H  ۃ @  ے y  ە ae
\u064b an  \u064c un  \u064d in  \u0651 W

ॐ AUM  ૐ AUM  ळ l  ঌ RR  ਭ bb  ੰ N  ੱ H  ય ya  ೞ lll

จ cch  ซ ch  ฤ R  ฦ L  อ `  ฯ ~  า aa  ๅ ao  \u0e35 ii  \u0e37 uue  \u0e39 uu  \u0e4d M
"""
_LETTERS: dict[str, str] = dict(zip(*[iter(_SPELLINGS.split())] * 2, strict=True))

_SYLLABLE = re.compile(
    r"(?:HANGUL SYLLABLE|ETHIOPIC SYLLABLE(?P<throat> PHARYNGEAL| GLOTTAL|)|CHEROKEE LETTER"
    r"|CANADIAN SYLLABICS(?! (?:FINAL|FULL|GLOTTAL)\b)(?: [\w-]+)?) (?P<sound>\w+)"
)
_INDIC = re.compile(
    r"(?:DEVANAGARI|BENGALI|GURMUKHI|GUJARATI|ORIYA|TAMIL|TELUGU|KANNADA|MALAYALAM) "
    r"(?:SIGN (?P<sign>\w+)|(?:LETTER|VOWEL(?: SIGN)?) (?P<kind>VOCALIC |CANDRA |SHORT |)(?P<sound>\w+))"
)
_LENGTH_MARK = re.compile(r"\w+(?: AI| AU)? LENGTH MARK")
_BOPOMOFO = "BOPOMOFO LETTER "
_INDIC_SIGNS = {"ANUSVARA": "N", "CANDRABINDU": "N", "BINDI": "N", "VISARGA": "H"}


def transliterate(text: str) -> str:
    """Return the text in ASCII and Chinese characters; what has no letters (emoji, full-width forms) is dropped."""
    if text.isascii():
        return text
    return _OTHER_SCRIPT.sub(_spelled, _NOT_SPELLED.sub("", text))


def _spelled(found: re.Match[str]) -> str:
    return "".join(map(_spelling, found[0]))


@lru_cache(_CACHED_CHARACTERS)
def _spelling(character: str) -> str:
    if character in _LETTERS:
        return _LETTERS[character]
    if _GREEK.match(character):
        character = unicodedata.normalize("NFD", character)[0]
    letter = character.lower()
    if letter in _LETTERS:
        return _LETTERS[letter] if character == letter else _LETTERS[letter].capitalize()
    if character > _LAST_OF_BASIC_PLANE:
        return _plain_variant(character)
    named = _sound_of_name(unicodedata.name(character, ""))
    return _spelling_of_anyascii(character) if named is None else named


def _plain_variant(character: str) -> str:
    """Return the ASCII that a mathematical letter is a variant of; nothing else beyond the basic plane is spelled."""
    plain = unicodedata.normalize("NFKC", character)
    return plain if plain.isascii() else ""


def _sound_of_name(name: str) -> str | None:
    """Return how a character is spelled that has its name from its sound."""
    if name.startswith(_BOPOMOFO):
        return name.removeprefix(_BOPOMOFO)
    if _LENGTH_MARK.fullmatch(name):
        return "-"
    if syllable := _SYLLABLE.fullmatch(name):
        return ("`" if syllable["throat"] == " PHARYNGEAL" else "") + syllable["sound"].lower()
    if letter := _INDIC.fullmatch(name):
        return _INDIC_SIGNS.get(letter["sign"], "") if letter["sign"] else _indic_sound(letter["kind"], letter["sound"])
    return None


def _indic_sound(kind: str, sound: str) -> str:
    if kind == "VOCALIC ":
        return sound
    if sound[0] not in "AEIOU":
        return sound.removesuffix("A").lower()
    return sound.lower() + ("N" if kind == "CANDRA " else "")


def _spelling_of_anyascii(character: str) -> str:
    spelled = anyascii(character)
    if len(spelled) > 2 and spelled.startswith(":") and spelled.endswith(":"):
        return ""
    spelled = spelled.replace("'", "") or spelled
    if character != character.lower():
        return spelled[:1].upper() + spelled[1:]
    # A syllable of a script without capitals is spelled with one, which would look like the seam of a camel.
    return spelled.lower()
