"""What services tell each other: the envelope, the topics, and one module of event types per owner."""
