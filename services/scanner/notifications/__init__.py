"""Where notifications come from: each adapter brings them to the intake, and acknowledges what it has taken."""
