"""Names of this service's consumers: under them their offsets, freshness and dead letters are kept."""

DIRECTORY = "welfare.directory"
EFFECTS = "welfare.effects"
