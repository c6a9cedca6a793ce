"""What every request passes before a route sees it: limits, who sends it, and what becomes of who leaves."""
