"""The life of a run: its states, and the one pure function that moves it along."""
