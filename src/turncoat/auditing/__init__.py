"""An audit of one's own data: what wrong labels could cost, whom they would hit, and whether they would be seen."""
