"""What loading costs: an estimate before, by a price model that anybody can read and set."""
