"""Letters that AnyASCII spells otherwise than basic-memory does, by what basic-memory makes of them in a path.

A capital inside a word parts it, as in camel case, and a hyphen stands for a sign that is no letter.
"""

from __future__ import annotations

import re

_HANGUL = re.compile("[\uac00-\ud7a3]")
# fmt: off
_INITIALS = ("g", "gg", "n", "d", "dd", "r", "m", "b", "bb", "s", "ss", "", "j", "jj", "c", "k", "t", "p", "h")
_VOWELS = ("a", "ae", "ya", "yae", "eo", "e", "yeo", "ye", "o", "wa", "wae", "oe", "yo", "u", "weo", "we", "wi",
           "yu", "eu", "yi", "i")
_FINALS = ("", "g", "gg", "gs", "n", "nj", "nh", "d", "l", "lg", "lm", "lb", "ls", "lt", "lp", "lh", "m", "b", "bs",
           "s", "ss", "ng", "j", "c", "k", "t", "p", "h")
_SPELLED = dict(
    pair
    for letters, spellings in (
        ("£¥§¶×ĸ¼½¾",
         "PS Y- SS P x k -1/4 -1/2 -3/4"),
        ("ΐΫΰξϋ",
         "I U u x u"),
        ("ЀѐҚқҢңҒғ",
         "-ie ie K k N n G g"),
        ("אבחטךכעףפץצש",
         "A b H T KH KH - p p TS TS SH"),
        ("ؤئةحصضطظغىًٌٍّژکە",
         "w y - H S D T Z G - an un in W j kh ae"),
        ("ँंःआईऊऋऌऍऑङञटठडढणऩऱऴ",
         "N N H aa ii uu R L e-n o-n ng ny tt tth dd ddh nn nnn rr lll"),
        ("शषाीूृॄॅॉॐ॓ख़ग़ड़य़ॠॡॢॣ",
         "sh ss aa ii uu R RR e-n o-n AUM - khh ghh dddh yy RR LL L LL"),
        ("ঁংঃআঈঊঋঌঙঞটঠডঢণশষাীূৃৄৗড়য়ৠৡৢৣ",
         "N N H aa ii uu R RR ng ny tt tth dd ddh nn sh ss aa ii uu R RR - rr yy RR LL L LL"),
        ("ਂਆਈਊਏਓਙਞਟਠਡਢਣਭਲ਼ਸ਼ਾੀੂੇੋਖ਼ਗ਼ੜਫ਼ੰੱੴ",
         "N aa ii uu ee oo ng ny tt tth dd ddh nn bb ll sh aa ii uu ee oo khh ghh rr f N H -g.e.o."),
        ("ઁંઃઆઈઊઋઍઑઙઞટઠડઢણયળશષાીૂૃૄૅૉૐૠ",
         "N N H aa ii uu R e-n o-n ng ny tt tth dd ddh nn ya ll sh ss aa ii uu R RR e-n o-n AUM RR"),
        ("ஂஃஆஈஊஏஓஙஞடணனறளழஷாீூேோௗ",
         "N H aa ii uu ee oo ng ny tt nn nnn rr ll lll ss aa ii uu ee oo -"),
        ("ఁంఃఆఈఊఋఌఏఓఙఞటఠడఢణఱళశషాీూృౄేోౕౖౠౡ",
         "N N H aa ii uu R L ee oo ng ny tt tth dd ddh nn rr ll sh ss aa ii uu R RR ee oo - - RR LL"),
        ("ಂಃಆಈಊಋಌಏಓಙಞಟಠಡಢಣಱಳಶಷಾೀೂೃೄೇೋೕೖೞೠೡ",
         "N H aa ii uu R L ee oo ng ny tt tth dd ddh nn rr ll sh ss aa ii uu R RR ee oo - - lll RR LL"),
        ("ംഃആഈഊഋഌഏഓങഞടഠഡഢണറളഴശഷാീൂൃേോൗൠൡ",
         "N H aa ii uu R L ee oo ng ny tt tth dd ddh nn rr ll lll sh ss aa ii uu R ee oo - RR LL"),
        ("จซฤฦอฯาีืู฿ๅํ",
         "cch ch R L - - aa ii uue uu -bh. ao M"),
        ("ゐゑヰヱヶ",
         "wi we wi we ke"),
        ("№€₹",
         "No.- EUR Rs"),
    )
    for pair in zip(letters, spellings.split(), strict=True)
)
# fmt: on
_TABLE = str.maketrans(_SPELLED)


def spelled(text: str) -> str:
    """Return the text with those letters in ASCII; others stay."""
    return _HANGUL.sub(_syllable, text).translate(_TABLE)


def _syllable(found: re.Match[str]) -> str:
    """Return a Hangul syllable: its number says which initial, vowel and final it has (Unicode, section 3.12)."""
    initial_and_vowel, final = divmod(ord(found[0]) - 0xAC00, len(_FINALS))
    initial, vowel = divmod(initial_and_vowel, len(_VOWELS))
    return _INITIALS[initial] + _VOWELS[vowel] + _FINALS[final]
