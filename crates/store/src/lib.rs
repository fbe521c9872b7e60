//! What a restart must not lose: the journal; and sled for all that can be rebuilt.
