"""What of the identity provider is shown. Pure."""

from urllib.parse import unquote


def is_shown(path: str) -> bool:
    """Whether everybody may reach this path of the provider.

    Its own administration is not, nor how it is: who administers it comes another way. A provider decodes and tidies a path as it
    likes, so whatever may be read as that is taken for it.
    """
    while (plain := unquote(path)) != path:
        path = plain
    parts = [part.partition(";")[0].strip().lower() for part in path.replace("\\", "/").split("/")]
    parts = [part for part in parts if part]
    if {".", ".."} & set(parts):
        return False
    return not {"admin", "health", "metrics"} & set(parts[1:2]) and parts[1:3] != ["realms", "master"]
