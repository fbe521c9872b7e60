//! What a host function answers when it does not do what it was asked: the numbers of WASI preview 1.

/// An error number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub(super) enum Errno {
    /// No such descriptor, or not for this.
    Badf = 8,
    /// Something is there already.
    Exist = 20,
    /// A pointer beyond the program's memory.
    Fault = 21,
    /// A position that no file has.
    Fbig = 22,
    /// A path that is no UTF-8.
    Ilseq = 25,
    /// An argument that means nothing.
    Inval = 28,
    /// A directory, where only a file will do.
    Isdir = 31,
    /// As many descriptors as a program may have.
    Mfile = 33,
    /// A path or name longer than any may be.
    Nametoolong = 37,
    /// Nothing is there.
    Noent = 44,
    /// The memory limit, or the limit on files and directories.
    Nospc = 51,
    /// Not offered.
    Nosys = 52,
    /// Not a directory.
    Notdir = 54,
    /// A directory with something in it.
    Notempty = 55,
    /// Not a socket.
    Notsock = 57,
    /// Not for this kind of descriptor.
    Notsup = 58,
    /// A path that leaves the directory that it starts from.
    Perm = 63,
    /// Nothing can be written there.
    Rofs = 69,
    /// Streams have no position.
    Spipe = 70,
}
