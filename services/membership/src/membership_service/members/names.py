"""Names of people: what may be one, and the keys by which officers look it up (full pinyin, initials).

Surnames are read otherwise than the same characters elsewhere (单 is Shan, 仇 is Qiu). Both readings are kept: the right one
and the one that a person who does not know would type. Cached per name: in a roster of a million the names repeat.
"""

import os
import re
import unicodedata
from functools import cache, lru_cache
from typing import Final, NamedTuple

# Names are read character by character. Without the dictionary of phrases every process starts sooner and stays smaller.
os.environ.setdefault("PYPINYIN_NO_PHRASES", "1")
from pypinyin import Style, pinyin

MAX_LENGTH: Final = 60

#: Readings of surnames where they differ from the usual ones: the surname's first, then the other that people type.
SURNAMES: Final[dict[str, tuple[str, str]]] = {
    "单于": ("chanyu", "danyu"), "尉迟": ("yuchi", "weichi"), "万俟": ("moqi", "wansi"), "长孙": ("zhangsun", "changsun"),
    "澹台": ("tantai", "dantai"), "宿": ("su", "xiu"), "单": ("shan", "dan"), "曾": ("zeng", "ceng"), "仇": ("qiu", "chou"),
    "查": ("zha", "cha"), "区": ("ou", "qu"), "覃": ("qin", "tan"), "解": ("xie", "jie"), "朴": ("piao", "pu"),
    "盖": ("ge", "gai"), "乐": ("yue", "le"), "召": ("shao", "zhao"), "缪": ("miao", "mou"), "隗": ("wei", "kui"),
    "折": ("she", "zhe"), "种": ("chong", "zhong"), "员": ("yun", "yuan"), "繁": ("po", "fan"), "黑": ("he", "hei"),
    "那": ("na", "nuo"), "冼": ("xian", "xi"), "祭": ("zhai", "ji"), "秘": ("bi", "mi"), "都": ("du", "dou"),
    "句": ("gou", "ju"), "翟": ("zhai", "di"), "卜": ("bu", "bo"), "柏": ("bai", "bo"),
    "车": ("che", "ju"), "沈": ("shen", "chen"), "盛": ("sheng", "cheng"), "费": ("fei", "bi"),
    "宓": ("mi", "fu"), "洗": ("xian", "xi"),
    "薄": ("bo", "bao"), "郇": ("xun", "huan"), "郗": ("xi", "chi"),
    "牟": ("mu", "mou"), "谌": ("chen", "shen"),
    "褚": ("chu", "zhu"), "臧": ("zang", "cang"), "瞿": ("qu", "ju"), "於": ("yu", "wu"),
    "会": ("gui", "hui"), "啜": ("chuai", "chuo"),
    "逯": ("lu", "dai"), "吕": ("lv", "lyu"),
}  # fmt: skip

_DOTS: Final = str.maketrans("•‧・･．∙⋅", "·······")
_BLANKS: Final = re.compile(r"\s+")
_WORDS: Final = re.compile(r"[^\W\d_]+")
_PINYIN_QUERY: Final = re.compile(r"[a-z]{1,80}")


class NameKeys(NamedTuple):
    """Keys of a name in lower case without blanks; `other_*` where the surname has a second reading."""

    pinyin: str
    initials: str
    other_pinyin: str | None
    other_initials: str | None


@lru_cache(maxsize=100_000)
def normalise(name: str) -> str | None:
    """The name in one written form, or None when it cannot be one: empty, too long, digits, signs, control characters.

    Letters of every script stay, rare Han characters too; dots between the parts of a name become ·.
    """
    text = _BLANKS.sub(" ", unicodedata.normalize("NFC", name).translate(_DOTS)).strip()
    if any(_is_han(character) for character in text):
        text = text.replace(" ", "")
    parts_ok = all(character in "·.-' ’" or unicodedata.category(character)[0] in "LM" for character in text)
    has_letter = any(unicodedata.category(character)[0] == "L" for character in text)
    # "'t Hooft" is a name; one that begins with a dash or a dot is not, and a spreadsheet would take the dash for a formula.
    is_begun = not text.startswith(("-", "·", "."))
    return text if parts_ok and has_letter and is_begun and len(text) <= MAX_LENGTH else None


@lru_cache(maxsize=200_000)
def keys(name: str) -> NameKeys:
    """The keys of a normalised name. Characters without a reading add nothing."""
    if not any(_is_han(character) for character in name):
        words = [read for word in _WORDS.findall(name) if (read := "".join(map(_reading, word)))]
        return NameKeys("".join(words), "".join(word[0] for word in words), None, None)
    surname = name[:2] if name[:2] in SURNAMES else name[:1]
    given = [_reading(character) for character in name[len(surname) :]]
    rest, rest_initials = "".join(given), "".join(reading[:1] for reading in given)
    if surname not in SURNAMES:
        first = _reading(surname)
        return NameKeys(first + rest, first[:1] + rest_initials, None, None)
    first, other = SURNAMES[surname]
    # 尉迟 read yuchi has the initials yc.
    tail = "".join(_reading(character)[:1] for character in surname[1:])
    return NameKeys(
        first + rest, first[:1] + tail + rest_initials, other + rest, other[:1] + tail + rest_initials
    )


def pinyin_query(text: str) -> str | None:
    """What a searcher typed as pinyin or initials, or None when it is not Latin letters: "Lü Xiao-ming" → "lvxiaoming"."""
    plain = unicodedata.normalize("NFC", text.lower()).replace("ü", "v").replace("u:", "v")
    plain = unicodedata.normalize("NFKD", plain)
    plain = "".join(character for character in plain if not unicodedata.combining(character))
    plain = re.sub(r"[\s'’\-]+", "", plain)
    return plain if _PINYIN_QUERY.fullmatch(plain) else None


@cache
def _reading(character: str) -> str:
    """The usual reading of one character without tone (ü as v); Latin letters stand for themselves."""
    if _is_han(character):
        readings = pinyin(character, style=Style.NORMAL, errors="ignore")
        return readings[0][0].replace("ü", "v") if readings else ""
    plain = unicodedata.normalize("NFKD", character.lower())[:1]
    return plain if plain.isascii() and plain.isalpha() else ""


def _is_han(character: str) -> bool:
    return "\u3400" <= character <= "\u9fff" or "\U00020000" <= character <= "\U000323af" or character == "〇"
