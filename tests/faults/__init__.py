"""What must hold when processes die, brokers vanish and poison arrives: `python -m tests.faults`."""
