"""Training, from the loop over seeds and epochs (`train`) down to the step that is compiled (`step`)."""
