"""Names of this service's consumers: under them their offsets, freshness and dead letters are kept."""

DIRECTORY = "events.directory"
EFFECTS = "events.effects"
