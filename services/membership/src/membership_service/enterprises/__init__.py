"""The register of employers (台账), who serves them, and the rates of any subtree."""
