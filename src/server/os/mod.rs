//! What the operating system gives and limits: sockets to listen on, signals, descriptors, the
//! process and its child. Knows no connections.

pub(super) mod demo;
pub(super) mod invitation;
pub(super) mod limits;
pub(super) mod listen;
pub(super) mod parent;
pub(super) mod process;
pub(super) mod processes;
