"""The page at `/`: sign in as a demo user, look at the figures, try every operation. The console replaces it later."""
