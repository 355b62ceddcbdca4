"""Aid cases: one application for help each, from request to payment."""
