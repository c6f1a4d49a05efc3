"""What happened to the tasks of one run, seen from three sides, and the checker that judges it."""
