"""Members' places in activities: seats, waiting lists, drawn lots."""
