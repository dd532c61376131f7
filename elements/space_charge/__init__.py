"""Space charge: grid, deposit, Poisson solve and kick."""
