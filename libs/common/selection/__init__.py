"""Which files a run takes: pure decisions that scanner, estimates, plans and explanations share."""
