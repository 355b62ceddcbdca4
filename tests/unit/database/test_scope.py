import pytest

from shared.database.scope import Scope


@pytest.mark.parametrize("path", ["", "/", "1", "1//", "1/,2/", "%", "1/ ", "'/"])
def test_what_is_not_a_whole_path_is_no_scope(path: str) -> None:
    with pytest.raises(ValueError, match="whole organisation paths"):
        Scope((path,))


def test_a_scope_is_told_as_its_paths() -> None:
    assert Scope(("1/", "1/a/")).setting() == "1/,1/a/"
    assert Scope.nothing().setting() == ""
    assert Scope(("1/",)).with_path("2/").paths == ("1/", "2/")


def test_everything_is_a_matter_of_the_role_not_of_the_setting() -> None:
    assert Scope.everything().setting() == ""
