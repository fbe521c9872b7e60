//! The command line without a mesh: help, bad usage, bad input, and what needs no daemon.

mod bootstrap;
mod doctor;
mod exec;
mod files;
mod identity;
mod input;
mod money;
mod no_daemon;
mod program;
mod usage;
