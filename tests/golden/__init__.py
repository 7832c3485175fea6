"""Numbers that other projects' own tests assert, run through the oracle and through real frameworks."""
