"""Calls of the A1111 API that draw: what they ask for, the jobs that it comes to, and what is answered."""
