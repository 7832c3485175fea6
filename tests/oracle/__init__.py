"""The oracle against fifty-digit arithmetic, and its bounds against honest arithmetic."""
