"""Pure ordering rules: no input or output, money in integer minor units."""
