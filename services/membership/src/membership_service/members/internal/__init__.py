"""What other services and the gateway ask of members, with the token of the user for whom they ask. Not routed by the gateway."""
