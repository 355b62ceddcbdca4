"""Household dossiers (困难职工档案): who belongs to a household, what it lives on, and the class the rules make of it."""
