"""The whole product under a mixture of commands while every process is killed at random (`make soak`)."""
