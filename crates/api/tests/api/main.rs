//! The client and the server over a real socket, with a daemon that only remembers what it was asked.

mod bounds;
mod fake;
mod held;
mod requests;
mod socket;
