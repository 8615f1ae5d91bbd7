"""What there should be, by the rows, compared with what there is, on the machine; and how the one is made the other."""
