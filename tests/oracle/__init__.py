"""The oracle against fifty digits, and its bounds against honest arithmetic."""
