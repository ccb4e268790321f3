"""Pictures of what happened: lanes, heat maps and curves, and the pages they stand on."""
