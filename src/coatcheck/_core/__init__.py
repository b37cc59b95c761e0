"""Pure values and laws: standard library only, no I/O, time comes in as `now`."""
