"""How far a simulation is from the recorded cart, and which of its terms is to blame."""
