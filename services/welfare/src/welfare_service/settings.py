"""What a process of this service reads from its environment."""

from shared.settings import ServiceSettings, WebUrl


class Settings(ServiceSettings):
    """What the welfare service reads from the environment (prefix UNIONHALL_)."""

    membership_url: WebUrl = ""
    """Where the membership service answers: asked for the member behind a document before a person enters a dossier."""
    bank_url: WebUrl = ""
    """Where the bank takes batches of payments; empty where they go to it as files."""
