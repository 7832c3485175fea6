"""Byte formats: each module decodes one, bounded by the bytes present."""
