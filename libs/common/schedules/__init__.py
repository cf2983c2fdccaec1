"""When scheduled runs are due. Pure: a schedule and an instant in, instants out."""
