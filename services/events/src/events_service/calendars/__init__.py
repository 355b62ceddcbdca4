"""A member's activities in the calendar of the phone (iCalendar)."""
