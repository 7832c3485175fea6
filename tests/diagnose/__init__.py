"""Tests of the catalogue of mistakes and of diagnoses."""
