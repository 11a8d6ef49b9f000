"""The command line. Needs click, and rich for progress bars: the extra ``cli``."""
