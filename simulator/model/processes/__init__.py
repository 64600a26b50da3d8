"""The model on SimPy: the reference engine. Diners are processes; servers, log and kitchen react to moments."""
