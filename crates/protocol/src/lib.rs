//! One peer as a state machine: inputs in, effects out.
