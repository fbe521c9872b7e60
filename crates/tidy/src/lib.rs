//! Rules of architecture and style, as tests.
