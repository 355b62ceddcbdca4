"""Drawing lots for the seats of an activity, so that anybody can draw again and compare."""
