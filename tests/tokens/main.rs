//! Tokens: what other implementations mint, what attackers make of them, and what `spectate
//! token` says. The keys in `keys/` are for these tests alone; `minted/` holds what PyJWT 2.6.0,
//! jose 6.2.17 and jsonwebtoken 9.0.3 (both Node) signed with them.

mod accepted;
mod attacks;
mod changed;
mod claims;
mod command;
mod files;
mod keys;
#[path = "../needs.rs"]
#[expect(dead_code, reason = "other tests need programs")]
mod needs;
mod pyjwt;
mod roster;
mod scratch;
mod support;
