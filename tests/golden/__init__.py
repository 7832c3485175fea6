"""Numbers from other projects' tests against the oracle and real frameworks."""
