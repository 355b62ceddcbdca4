"""One made-up example of every event type, a module for each owner."""
