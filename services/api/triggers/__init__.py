"""What starts runs that nobody asks for."""
