"""The API under load: how many run requests it takes on one core, and how late it shows what happens to runs."""
