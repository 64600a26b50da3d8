"""A receipt and kitchen printer as a store meets one: ESC/POS over TCP, paper that runs out, a cutter that jams."""
