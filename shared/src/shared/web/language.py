"""The language of the reader, by Accept-Language."""

from typing import Annotated

from fastapi import Depends, Header

from shared.kernel.texts import Language, language_of


async def current_language(accept_language: Annotated[str | None, Header()] = None) -> Language:
    """zh-CN or en."""
    return language_of(accept_language)


CurrentLanguage = Annotated[Language, Depends(current_language)]
