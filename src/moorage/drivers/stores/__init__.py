"""Where image bytes are kept: each file one kind of store, `registry` the list of them."""
