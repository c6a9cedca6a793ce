"""The small machine that a pickle is a program for, over plain values alone."""
