from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bm_gitindex.notes.permalink import generate_permalink, title_from_path


@pytest.mark.parametrize(
    ("path", "permalink"),
    [
        ("API (v2).md", "api-v2"),
        ("CamelCase", "camel-case"),
        ("HTTPServer.md", "httpserver"),
        ("OAuth2Token.md", "oauth2-token"),
        ("don't", "dont"),
        ("don’t.md", "dont"),
        ("“quoted”.md", "quoted"),
        ("Café", "cafe"),
        ("Cafe\u0301.md", "cafe"),
        ("aÉ.md", "a-e"),
        ("Straße.md", "strasse"),
        ("тест", "test"),
        ("русский язык.md", "russkii-iazyk"),
        ("Ελληνικά.md", "ellenika"),
        ("v1.2.3.md", "v1.2.3"),
        ("Dr. Who.md", "dr.-who"),
        ("note.MD", "note"),
        ("note.markdown", "note"),
        ("a.md.md", "a.md"),
        (".md", ".md"),
        ("Foo Bar/Baz_Qux.md", "foo-bar/baz-qux"),
        ("-a-/ b .md", "a/b"),
        ("a//b/./c.md", "a/b/c"),
        ("/abs/x.md", "/abs/x"),
        ("../a.md", "../a"),
        ("a & b -- c.md", "a-b-c"),
        ("a…b.md", "a...b"),
        ("a😀b.md", "ab"),
        ("中文/测试.md", "中文/测试"),
        ("中文Test1.md", "中文-test1"),
        ("中A国.md", "中-a-国"),
        ("你好，世界.md", "你好世界"),
        ("日本のノート.md", "日本-nono-to"),
        ("ひらがな.md", "hiragana"),
        ("한국어.md", "hangugeo"),
        ("찾기 싫어.md", "cajgi-silheo"),
        ("עברית.md", "bryt"),
        ("שלום עולם.md", "shlvm-vlm"),
        ("العربية.md", "l-rby"),
        ("فارسی کتاب.md", "frsy-khtb"),
        ("हिन्दी ऑडियो.md", "hindii-o-nddiyo"),
        ("कृष्ण.md", "k-rssnn"),
        ("বাংলা.md", "baa-nlaa"),
        ("கௗ.md", "k"),
        ("snow ☃ man.md", "snow-man"),
        ("தமிழ்.md", "tmilll"),
        ("తెలుగు.md", "telugu"),
        ("ภาษาไทย.md", "phaasaaaithy"),
        ("ქართული.md", "k-art-uli"),
        ("Հայերեն.md", "hayeren"),
        ("አማርኛ ዓለም.md", "amaarenyaa-aalame"),
        ("ᐃᓄᒃᑎᑐᑦ.md", "inoktitot"),
        ("ᏣᎳᎩ.md", "tsalagi"),
        ("ㄅㄆㄇ.md", "bpm"),
        ("Қазақ тілі.md", "kazak-tili"),
        ("Ἀθήνα ξένος.md", "athena-xenos"),
        ("𝐁old 𝟙.md", "bold-1"),
        ("𠮷野家.md", "野家"),
        ("№5 ½ €.md", "no.-5-1/2-eur"),
        ("ÆON x×y a\u200bb.md", "aeon-xxy-a-b"),
        ("a'B.md", "ab"),
        ("Rock'N'Roll.md", "rocknroll"),
        ("노트 정리.md", "noteu-jeongri"),
        ("שלום.md", "shlvm"),
        ("مرحبا حسن.md", "mr-hb-hsn"),
        ("हिन्दी.md", "hindii"),
        ("№5 ½.md", "no.-5-1/2"),
        ("", ""),
    ],
)
def test_generate_permalink(path: str, permalink: str) -> None:
    assert generate_permalink(path) == permalink


@given(st.text())
def test_a_permalink_has_neither_capitals_nor_blanks(path: str) -> None:
    permalink = generate_permalink(path)
    assert permalink == permalink.lower()
    assert not set(permalink) & set(" \t\n_'\\")
    permalink.encode()


@given(st.text(st.sampled_from("aB1é中- _.(")))
def test_a_permalink_is_its_own_permalink(path: str) -> None:
    permalink = generate_permalink(path + "x")
    assert generate_permalink(permalink) == permalink


@pytest.mark.parametrize(
    ("path", "title"),
    [
        (b"note.md", "note"),
        (b"a/b/My Note.md", "My Note"),
        (b"v1.2.md", "v1.2"),
        (b"README", "README"),
        (b"a/.md", ".md"),
        (b"a.b/c", "c"),
        ("Café.md".encode(), "Café"),
        (b"caf\xe9.md", "caf\ufffd"),
        (b"", ""),
    ],
)
def test_title_from_path(path: bytes, title: str) -> None:
    assert title_from_path(path) == title


@given(st.binary())
def test_any_path_has_a_title_that_can_be_stored(path: bytes) -> None:
    title = title_from_path(path)
    title.encode()
    assert "\x00" not in title
