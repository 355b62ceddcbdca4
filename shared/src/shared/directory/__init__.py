"""The replica of organisations and posts that every service keeps, to know who may do what where without asking."""
