"""What we do that takes more than one transaction: undoable steps, across rooms and drivers."""
