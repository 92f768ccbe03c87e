"""What the authors' own classes compute, of weights that `tests.support.originals` makes up; see ``make.sh``."""
