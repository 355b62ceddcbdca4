import pytest

from membership_service.members import names, phones


@pytest.mark.parametrize(
    ("name", "pinyin", "other", "initials"),
    [
        ("单小明", "shanxiaoming", "danxiaoming", "sxm"),
        ("曾国", "zengguo", "cengguo", "zg"),
        ("仇英", "qiuying", "chouying", "qy"),
        ("查良", "zhaliang", "chaliang", "zl"),
        ("区小红", "ouxiaohong", "quxiaohong", "oxh"),
        ("覃辉", "qinhui", "tanhui", "qh"),
        ("解放", "xiefang", "jiefang", "xf"),
        ("朴实", "piaoshi", "pushi", "ps"),
        ("尉迟恭", "yuchigong", "weichigong", "ycg"),
        ("万俟雅", "moqiya", "wansiya", "mqy"),
        ("欧阳修", "ouyangxiu", None, "oyx"),
        ("王伟", "wangwei", None, "ww"),
        ("吕布", "lvbu", "lyubu", "lb"),
        ("John O'Neill", "johnoneill", None, "jon"),
    ],
)
def test_a_surname_keeps_both_readings(name: str, pinyin: str, other: str | None, initials: str) -> None:
    keys = names.keys(name)
    assert (keys.pinyin, keys.other_pinyin, keys.initials) == (pinyin, other, initials)


def test_no_surname_is_listed_with_the_same_reading_twice() -> None:
    assert all(first != other for first, other in names.SURNAMES.values())


@pytest.mark.parametrize(
    ("written", "name"),
    [
        (" 王　伟 ", "王伟"),
        ("买买提•艾力", "买买提·艾力"),
        ("𠮷田", "𠮷田"),
        ("John  Smith", "John Smith"),
        ("-张三", None),
        ("－张三", None),
        ("·张三", None),
        ("'t Hooft", "'t Hooft"),
        ("张-李", "张-李"),
        ("=1+1", None),
        ("王2", None),
        ("", None),
        ("···", None),
        ("王\u0000伟", None),
        ("王" * 61, None),
    ],
)
def test_a_name_is_letters_in_one_written_form(written: str, name: str | None) -> None:
    assert names.normalise(written) == name


@pytest.mark.parametrize(
    ("typed", "query"),
    [
        ("Lü Xiao-ming", "lvxiaoming"),
        ("XI'AN", "xian"),
        ("zhāng", "zhang"),
        ("张", None),
        ("", None),
        ("a%", None),
    ],
)
def test_what_a_searcher_types(typed: str, query: str | None) -> None:
    assert names.pinyin_query(typed) == query


@pytest.mark.parametrize(
    ("written", "phone"),
    [
        ("13812345678", "13812345678"),
        ("+86 138-1234-5678", "13812345678"),
        ("１３８１２３４５６７８", "13812345678"),
        ("0571-87654321", "057187654321"),
        ("+852 6123 4567", "+85261234567"),
        ("12345", None),
        ("1381234567", None),
        ("abc", None),
    ],
)
def test_a_phone_has_one_written_form(written: str, phone: str | None) -> None:
    assert phones.normalise(written) == phone
