//! The hash-chained journal format.
