"""Training: the step and its drivers, stored labels, streaming, checkpoints, and the plan that is said before."""
