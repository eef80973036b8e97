//! What the server shows to people. Knows no sockets and nobody's data.

pub mod map;
