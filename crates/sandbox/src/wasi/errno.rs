//! What a host function answers when it does not do what it was asked: the numbers of WASI preview 1.

/// An error number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub(super) enum Errno {
    /// No such descriptor, or not for this.
    Badf = 8,
    /// A pointer beyond the program's memory.
    Fault = 21,
    /// An argument that means nothing.
    Inval = 28,
    /// Not offered.
    Nosys = 52,
    /// Not a directory.
    Notdir = 54,
    /// Not a socket.
    Notsock = 57,
    /// Not for this kind of descriptor.
    Notsup = 58,
    /// Streams have no position.
    Spipe = 70,
}
