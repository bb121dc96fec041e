"""What happens before the first step: checks, weights to start from, synthetic slices to mix in."""
