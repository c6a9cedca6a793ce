"""Fields of a request by themselves: what each may be, and what it is where it was left open."""
