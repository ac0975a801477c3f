"""HTML pages as pure functions: figures in, a whole page out. Knows no HTTP."""
