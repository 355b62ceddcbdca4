"""What the composition roots of all services have in common. A root names its own parts and gets a process."""
