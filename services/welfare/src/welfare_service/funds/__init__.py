"""Budgets and the journal of double entry behind them."""
