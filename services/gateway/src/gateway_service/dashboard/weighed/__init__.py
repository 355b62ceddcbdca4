"""Figures of what is not a member: cases, activities and registrations, each with its weight in the cells of its unit."""
