"""Training under attack: the recipe, and the loop in which attacker and server alternate."""
