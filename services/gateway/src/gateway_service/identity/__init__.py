"""The identity provider behind the gateway's own origin: nothing else needs to be published."""
