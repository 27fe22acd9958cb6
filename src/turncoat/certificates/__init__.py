"""What is guaranteed: predictions that no flips up to some number can change, fixed before training by whomever."""
