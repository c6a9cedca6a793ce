"""What every algorithm adds, beside its formula, from the files of every writer."""
