//! The event loop that lends the protocol a network, a sandbox, blobs, a disk and a clock.
